"""Secrets from one key to another: of a live database, or of a snapshot."""
