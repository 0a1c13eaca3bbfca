"""The way back: a snapshot becomes a database."""
