"""`airkeep clean`."""

from __future__ import annotations

import click


@click.command()
def clean() -> None:
    """To come in the next commit."""
