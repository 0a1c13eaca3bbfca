"""`airkeep snapshots`."""

from __future__ import annotations

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import seconds, size

NEWEST = 50


@click.command()
@click.argument("lake")
@click.option("--environment", "-e", help="Only this environment's.")
@click.option("--all", "show_all", is_flag=True, help=f"All, not only the newest {NEWEST}.")
@shared_options(tuning=False)
def snapshots(ctx: Context, lake: str, *, environment: str | None, show_all: bool) -> None:
    """List the snapshots of LAKE, newest first."""
    opened = ctx.lake(lake)
    names = opened.names(environment)
    found = opened.summaries(names if show_all else names[:NEWEST])

    def text() -> None:
        out = ctx.output
        out.table(
            ["snapshot", "airflow", "mode", "tables", "rows", "size", "took", "state"],
            [
                [
                    f"{s.environment}/{s.id}",
                    s.airflow_version,
                    s.mode,
                    str(s.tables),
                    f"{s.rows:,}",
                    size(s.bytes),
                    seconds(s.took_s),
                    "complete" if s.complete else "window" if s.window else "partial",
                ]
                for s in found
            ],
        )
        if not names:
            out.note(f"{opened.url} holds no snapshot")
        elif len(found) < len(names):
            out.note(f"{len(names) - len(found):,} older ones: --all shows them")

    ctx.output.result(found, text)
