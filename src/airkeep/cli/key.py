"""`airkeep key`."""

from __future__ import annotations

import click


@click.command()
def key() -> None:
    """Make an archive key for `export --secrets seal`; keep it where the lake is not."""
    from cryptography.fernet import Fernet

    click.echo(Fernet.generate_key().decode())
