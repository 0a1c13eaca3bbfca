"""The one line on standard error that a failure is."""

from __future__ import annotations

import click

from airkeep.hidden import hidden

ERROR = "airkeep: "  # how it begins


def say_error(message: str) -> None:
    """Print an error as the one line that it is."""
    click.echo(f"{ERROR}{hidden(' '.join(message.split()))}", err=True)
