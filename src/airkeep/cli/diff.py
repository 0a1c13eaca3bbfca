"""`airkeep diff`."""

from __future__ import annotations

import click


@click.command()
def diff() -> None:
    """To come in the next commit."""
