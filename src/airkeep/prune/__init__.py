"""Delete from the live database what a verified snapshot holds unchanged."""
