"""The snapshot: its format, written, read, found."""
