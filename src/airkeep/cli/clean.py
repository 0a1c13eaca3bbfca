"""`airkeep clean`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Age, Context, shared_options
from airkeep.cli.output import Output, counted, size

if TYPE_CHECKING:
    from airkeep.snapshot.clean import CleanResult
    from airkeep.snapshot.clean_plan import CleanPlan

_SHOWN = 20


@click.command()
@click.argument("lake")
@click.option("--environment", "-e", help="Only this environment's.")
@click.option("--keep", type=Age(), help="Keep snapshots younger than this: 30d.")
@click.option(
    "--keep-last",
    type=click.IntRange(0),
    help="Keep the newest so many, complete ones and others apart.",
)
@click.option("--keep-daily", type=click.IntRange(0), help="Keep one a day, for so many days.")
@click.option("--keep-weekly", type=click.IntRange(0), help="Keep one a week, for so many weeks.")
@click.option("--keep-monthly", type=click.IntRange(0), help="Keep one a month, for so many.")
@click.option("--grace", type=Age(), default="24h", help="How old garbage must be.  [24h]")
@click.option("--dry-run", is_flag=True, help="Say what would go and delete nothing.")
@shared_options(tuning=False)
def clean(
    ctx: Context,
    lake: str,
    *,
    environment: str | None,
    keep: timedelta | datetime | None,
    keep_last: int | None,
    keep_daily: int | None,
    keep_weekly: int | None,
    keep_monthly: int | None,
    grace: timedelta | datetime,
    dry_run: bool,
) -> None:
    """Remove garbage from LAKE, and snapshots that no --keep option names.

    Never a parent that a kept increment needs, and never an environment's newest complete
    snapshot. Without any --keep option only garbage goes: files that no snapshot names, and
    records of jobs that are older than 90 days.
    """
    import airkeep

    if isinstance(keep, datetime) or isinstance(grace, datetime):
        raise click.UsageError("--keep and --grace take an age such as 30d, not a date")
    result = airkeep.clean(
        ctx.lake(lake),
        environment=environment,
        keep=keep,
        keep_last=keep_last,
        keep_daily=keep_daily,
        keep_weekly=keep_weekly,
        keep_monthly=keep_monthly,
        grace=grace,
        dry_run=dry_run,
    )
    ctx.output.result(result, lambda: _show(result, ctx.output))


def _show(result: CleanResult, out: Output) -> None:
    plan = result.plan
    would = "would remove" if result.dry_run else "removed"
    for warning in plan.warnings:
        out.warn(warning)
    for broken in plan.broken:
        out.warn(f"{broken}: its parent is gone, it cannot be restored")
    names = [str(n) for n in plan.remove] if result.dry_run else list(result.removed)
    for name in names:
        out.line(f"{would} {name}")
    for name in result.put_back:
        out.line(f"kept after all {name}: an increment was made on it meanwhile")
    _show_kept(plan, out)
    files = len(plan.garbage) if result.dry_run else result.deleted
    count = plan.garbage_bytes if result.dry_run else result.bytes
    out.line(f"{would} {len(names)} snapshots and {files:,} files of garbage, {size(count)}")
    if plan.waiting:
        out.note(
            f"{counted(plan.waiting, 'file')} that no snapshot names ({size(plan.waiting_bytes)}) "
            f"are younger than --grace: clean again when they are older"
        )
    if names and not result.dry_run:
        out.note(
            "the files of these snapshots are garbage from now on: clean again after the grace"
        )


def _show_kept(plan: CleanPlan, out: Output) -> None:
    """What stays and why; who asks for no details hears of what no retention takes."""
    from airkeep.snapshot.clean_plan import PRUNED

    if out.verbosity:
        for kept in plan.kept:
            out.line(f"kept {kept.name}: {', '.join(kept.because)}")
        for garbage in plan.garbage[: None if out.verbosity > 1 else _SHOWN]:
            out.line(f"garbage {garbage.path}")
    elif pruned := [str(kept.name) for kept in plan.kept if kept.because == (PRUNED,)]:
        out.note(f"kept {', '.join(pruned)}: what was pruned from the database is in there")
