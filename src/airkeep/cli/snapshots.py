"""`airkeep snapshots`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import seconds, size
from airkeep.snapshot.manifest import Summary

NEWEST = 50


@dataclass(frozen=True)
class Listed:
    """One line of the list; the document of --json is a list of these."""

    summary: Summary
    state: str


@click.command()
@click.argument("lake")
@click.option("--environment", "-e", help="Only this environment's.")
@click.option("--all", "show_all", is_flag=True, help=f"All, not only the newest {NEWEST}.")
@shared_options(tuning=False)
def snapshots(ctx: Context, lake: str, *, environment: str | None, show_all: bool) -> None:
    """List the snapshots of LAKE, newest first."""
    from airkeep.snapshot.results import newest_verified_of, state

    opened = ctx.lake(lake, remember=show_all)
    if environment is not None:
        opened.check_environment(environment)
    names = opened.names(environment)
    wanted = names if show_all else names[:NEWEST]
    found = opened.summaries(wanted)
    verified = newest_verified_of(opened.store, wanted)

    def text() -> None:
        out = ctx.output
        out.table(
            ["snapshot", "airflow", "mode", "tables", "rows", "size", "took", "holds", "state"],
            [
                [
                    f"{s.environment}/{s.id}",
                    s.airflow_version,
                    s.mode,
                    str(s.tables),
                    f"{s.rows:,}",
                    size(s.bytes),
                    seconds(s.took_s),
                    "all" if s.complete else "window" if s.window else "part",
                    state(v),
                ]
                for s, v in zip(found, verified, strict=True)
            ],
        )
        if not names:
            out.note(f"{opened.url} holds no snapshot")
        elif len(found) < len(names):
            out.note(f"{len(names) - len(found):,} older ones: --all shows them")

    listed = [Listed(s, state(v)) for s, v in zip(found, verified, strict=True)]
    ctx.output.result(listed, text)
