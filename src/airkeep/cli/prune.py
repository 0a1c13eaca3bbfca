"""`airkeep prune`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Age, Context, shared_options, split_names
from airkeep.cli.output import Output, counted, seconds, size

if TYPE_CHECKING:
    from airkeep.prune.plan import PrunePlan
    from airkeep.prune.run import PruneResult
    from airkeep.snapshot.progress import Progress, Step


@click.command()
@click.argument("database")
@click.argument("lake")
@click.option("--older-than", type=Age(), required=True, help="Only what is older: 90d, or a date.")
@click.option("--environment", "-e", help="Whose newest complete snapshot proves the rows.")
@click.option("--snapshot", help="Another snapshot than that one.")
@click.option(
    "--tables",
    multiple=True,
    metavar="TABLE",
    help="Only this table and what hangs on it; may be repeated, or a,b,c.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and delete nothing.")
@click.option(
    "--batch-rows",
    type=click.IntRange(1),
    default=5_000,
    show_default=True,
    help="Rows of a transaction, about: a run and its rows are never parted.",
)
@click.option(
    "--pause-ms",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Milliseconds between two transactions.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask on a terminal.")
@shared_options()
def prune(
    ctx: Context,
    database: str,
    lake: str,
    *,
    older_than: timedelta | datetime,
    environment: str | None,
    snapshot: str | None,
    tables: tuple[str, ...],
    dry_run: bool,
    batch_rows: int,
    pause_ms: int,
    yes: bool,
) -> None:
    """Delete old rows from DATABASE that a snapshot in LAKE holds unchanged.

    The snapshot's files are all read again first. Runs leave whole, with all that hangs on them;
    kept are runs that changed since the snapshot, those still at work, and the latest of each DAG.
    It can be stopped at any time and run again.
    """
    import airkeep

    if environment is not None and snapshot is not None:
        raise click.UsageError("--environment and --snapshot: name one of them")
    wanted = split_names(tables)
    if tables and not wanted:
        raise click.UsageError("--tables names no table: name one, or leave it out for all")

    def confirm(plan: PrunePlan) -> bool:
        stack.close()  # a bar would write over what is said
        answer = yes or ctx.output.as_json or not sys.stdin.isatty()
        if answer:
            ctx.output.note(f"to delete: {_summary(plan)}")
        else:
            _show_plan(plan, ctx.output)
            answer = click.confirm("Delete them?", err=True)
        far.progress = stack.enter_context(ctx.output.progress("prune"))
        return answer

    with ExitStack() as stack:
        far = _HowFar(stack.enter_context(ctx.output.progress("prune")))
        try:
            result = airkeep.prune(
                ctx.address(database),
                ctx.lake(lake),
                older_than=older_than,
                environment=environment,
                snapshot=snapshot,
                tables=wanted,
                dry_run=dry_run,
                batch_rows=batch_rows,
                pause_ms=pause_ms,
                confirm=confirm,
                limits=ctx.limits,
                spool=ctx.spool,
                progress=far,
            )
            far.is_whole = True
        finally:
            far.say(ctx.output)
    ctx.output.result(result, lambda: _show(result, ctx.output, wanted))
    _fail(result)


class _HowFar:
    """Hands the progress on, and remembers it for a run that is stopped half way."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._deleted: Step | None = None
        self.is_whole = False

    def __call__(self, step: Step) -> None:
        if step.doing.startswith("deleting"):
            self._deleted = step
        self.progress(step)

    def say(self, out: Output) -> None:
        if self._deleted is not None and not self.is_whole:
            out.note(
                f"{self._deleted.rows:,} of {self._deleted.total_rows:,} rows are deleted, every "
                f"batch whole: run it again to go on"
            )


def _show_plan(plan: PrunePlan, out: Output) -> None:
    out.table(
        ["table", "old", "to delete", "about", "changed", "not in it", "held by those",
         "still named"],
        [
            [t.table, f"{t.old:,}", f"{t.rows:,}", size(t.bytes),
             *(f"{n:,}" if n else "-" for n in (t.changed, t.unknown, t.held, t.named))]
            for t in plan.tables
        ],
    )  # fmt: skip
    for left in plan.left_out:
        out.line(f"left alone: {left.table}: {left.why}")
    if plan.kept_runs:
        runs = counted(plan.kept_runs, "older run")
        out.line(f"kept: {runs}, still at work or the latest of their DAG")
    out.line(_summary(plan))


def _summary(plan: PrunePlan) -> str:
    batches = f"{plan.batches:,} batch{'es' if plan.batches != 1 else ''}"
    return (
        f"{plan.rows:,} rows older than {plan.cutoff:%Y-%m-%dT%H:%M:%SZ} that {plan.snapshot} "
        f"holds unchanged, {size(plan.bytes)}, in {batches}: about {_minutes(plan.minutes)}, "
        f"at a pace that is assumed"
    )


def _minutes(minutes: float) -> str:
    return "a minute" if minutes <= 1 else f"{minutes:,.0f} minutes"


def _show(result: PruneResult, out: Output, wanted: tuple[str, ...]) -> None:
    plan = result.plan
    if result.dry_run:
        _show_plan(plan, out)
        return
    for left in (one for one in plan.left_out if one.table in wanted):
        out.warn(f"left alone: {left.table}: {left.why}")
    if out.verbosity:
        out.table(
            ["table", "deleted"], [[t, f"{rows:,}"] for t, rows in result.rows.items() if rows]
        )
    if not result.total:
        out.line(f"nothing was deleted from {plan.database}")
        return
    out.line(
        f"{result.total:,} rows, about {size(result.bytes)}, deleted from {plan.database} in "
        f"{seconds(result.took_s)}; "
        f"{plan.snapshot} holds them"
    )
    if result.total < plan.rows and not result.left:
        out.note(
            f"{counted(plan.rows - result.total, 'row')} of the plan stayed: of their unit "
            f"something was changed, added, named or locked meanwhile"
        )
    if result.vacuum:
        out.note(f"their room is free for new rows after: {result.vacuum}")


def _fail(result: PruneResult) -> None:
    from airkeep.errors import BusyError

    if result.left:
        raise BusyError(
            f"{counted(result.left, 'part')} of {result.plan.batches:,} stayed, as somebody held "
            f"rows of them: run it again"
        )
