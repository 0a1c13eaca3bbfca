"""`airkeep report`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from airkeep.cli.context import Age, Context, shared_options, split_names


@click.command()
@click.argument("lake")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="A new file to write to: report.html.",
)
@click.option("--environment", "-e", multiple=True, help="Only this one; may be repeated, or a,b.")
@click.option(
    "--since",
    type=Age(),
    help="What is about a period holds only what began since then: 2026-11-01, or an age, 30d, "
    "before the newest snapshot.",
)
@click.option("--compare", metavar="A,B", help="Set two environments side by side: staging,prod.")
@shared_options()
def report(
    ctx: Context,
    lake: str,
    *,
    output: Path,
    environment: tuple[str, ...],
    since: timedelta | datetime | None,
    compare: str | None,
) -> None:
    """Show what LAKE knows as one HTML file.

    The file needs no network and no server, and nothing of it depends on when it is read: its now
    is the newest snapshot. Every number names the model that it comes from and links to its SQL.
    """
    from airkeep.report import run
    from airkeep.snapshot.new_file import check_new

    sides = split_names((compare,)) if compare else ()
    if sides and len(set(sides)) != 2:
        raise click.UsageError("--compare takes two environments: --compare staging,prod")
    check_new(output)
    with ctx.output.progress("report") as progress:
        written = run.report(
            ctx.lake(lake, remember=True),
            output,
            environments=split_names(environment),
            since=since,
            compare=sides,
            limits=ctx.question_limits,
            spool=ctx.spool,
            progress=progress,
            warn=ctx.output.warn,
        )

    def text() -> None:
        environments = ", ".join(written.environments) or "no environment"
        ctx.output.line(
            f"{written.file}: {written.bytes / 1e6:.1f} MB, {environments}, "
            f"{written.dags:,} DAGs, {written.figures} figures"
        )

    ctx.output.result(written, text)
