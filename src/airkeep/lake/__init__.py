"""Snapshots piled up for SQL: one view a table, over every environment and version."""
