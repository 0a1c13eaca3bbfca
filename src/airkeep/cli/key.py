"""`airkeep key`."""

from __future__ import annotations

import click

from airkeep.cli.context import Context, shared_options


@click.command()
@shared_options(tuning=False)
def key(ctx: Context) -> None:
    """Make an archive key for `export --secrets seal`; keep it where the lake is not."""
    from cryptography.fernet import Fernet

    made = Fernet.generate_key().decode()
    ctx.output.result({"key": made}, lambda: ctx.output.line(made))
