"""The way out: a database becomes a snapshot."""
