"""Which airkeep this is, without importlib.metadata, which takes longer than a command's help."""

__version__ = "0.1.0"
