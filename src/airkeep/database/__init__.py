"""The only place that talks to a metadata database."""
