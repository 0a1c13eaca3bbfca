"""Backups that other tools left behind become snapshots, with what could not be known said."""
