"""`airkeep compact`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import Output, counted, size

if TYPE_CHECKING:
    from airkeep.lake.compact import CompactResult


@click.command()
@click.argument("lake")
@click.option("--environment", "-e", help="Only this environment's.")
@click.option("--dry-run", is_flag=True, help="Say what would be folded and change nothing.")
@shared_options()
def compact(ctx: Context, lake: str, *, environment: str | None, dry_run: bool) -> None:
    """Fold chains of increments, and tables in many small files, into full snapshots.

    The full snapshot is verified before the old ones are removed. It holds what the newest of the
    chain holds: the points in time between, and rows that only older ones knew, go with them.
    """
    import airkeep

    with ctx.output.progress("compact") as progress:
        result = airkeep.compact(
            ctx.lake(lake),
            environment=environment,
            dry_run=dry_run,
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    ctx.output.result(result, lambda: _show(result, ctx.output))


def _show(result: CompactResult, out: Output) -> None:
    for warning in result.plan.warnings:
        out.warn(warning)
    if result.dry_run:
        for one in result.plan.folds:
            oldest = one.chain[-1].id
            out.line(f"would fold {one.tip}: {counted(len(one.chain), 'snapshot')} since {oldest}")
    for done in result.compacted:
        out.line(
            f"{done.snapshot}: {counted(done.rows, 'row')} in {counted(done.files_after, 'file')} "
            f"({size(done.bytes_after)}), verified; {counted(len(done.removed), 'snapshot')} with "
            f"{counted(done.files_before, 'file')} ({size(done.bytes_before)}) removed"
        )
        if done.damaged:
            out.warn(f"{done.damaged}, made by an earlier run, is damaged and was passed over")
        for name in done.put_back:
            out.line(f"kept after all {name}: an increment was made on it meanwhile")
    if not result.plan.folds:
        out.line("nothing to fold")
    elif not result.dry_run:
        out.note(
            "the files of removed snapshots are garbage from now on: `airkeep clean` removes them "
            "after its grace, 24 h if not said"
        )
