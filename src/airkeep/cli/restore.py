"""`airkeep restore`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from airkeep.cli.context import (
    Context,
    shared_options,
    skip_option,
    split_names,
    tables_option,
)
from airkeep.cli.output import Output, seconds
from airkeep.cli.unopened import all_named
from airkeep.cli.upgrade import airflow_option, show_upgraded

if TYPE_CHECKING:
    from airkeep.restore.inflight import InFlight
    from airkeep.restore.merge_plan import Only
    from airkeep.restore.plan import RestorePlan
    from airkeep.restore.quiet import MissedRuns
    from airkeep.restore.run import RestoreResult
    from airkeep.snapshot.lake import Lake


# Fates of rows that are as they were.
_UNCHANGED = ("kept", "active")
_IN_LAKE = "lake:"


class _DagList(click.File):
    """A file of names; one of the lake is opened later, by who knows the lake."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith(_IN_LAKE):
            return value
        return super().convert(value, param, ctx)


@click.command()
@click.argument("lake")
@click.argument("snapshot")
@click.argument("database")
@click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
@click.option("--create-schema", is_flag=True, help="Make the tables; DATABASE must have none.")
@click.option(
    "--on-conflict",
    metavar="POLICY",
    help="DATABASE is in use: of rows that it has with other content, fail, skip or replace them; "
    "by class of table: skip,history=replace.",
)
@click.option(
    "--only",
    type=click.Choice(["history", "config", "all"]),
    default="all",
    show_default=True,
    help="One class of tables, with the rows that theirs point at.",
)
@click.option(
    "--upgrade",
    is_flag=True,
    help="DATABASE is of a newer Airflow: make SNAPSHOT as that one would have it first.",
)
@airflow_option
@tables_option
@skip_option
@click.option(
    "--in-flight",
    type=click.Choice(["fail", "clear", "keep"]),
    default="fail",
    show_default=True,
    help="What becomes of runs and tasks that the snapshot caught unfinished.",
)
@click.option(
    "--active",
    metavar="DAG_ID,...",
    multiple=True,
    help="Exactly these DAGs are active; the snapshot's others are paused.",
)
@click.option(
    "--active-from",
    metavar="FILE",
    type=_DagList(encoding="utf-8"),
    help="The same from a file, a DAG_ID a line; - is the standard input, lake:PATH one of LAKE.",
)
@click.option(
    "--missed-runs",
    type=click.Choice(["skip", "make"]),
    default="skip",
    show_default=True,
    help="Whether a scheduler that starts now makes the runs that were due since the snapshot.",
)
@shared_options()
def restore(
    ctx: Context,
    lake: str,
    snapshot: str,
    database: str,
    *,
    dry_run: bool,
    create_schema: bool,
    on_conflict: str | None,
    only: Only,
    upgrade: bool,
    airflows: tuple[Path, ...],
    tables: tuple[str, ...],
    skip: tuple[str, ...],
    in_flight: InFlight,
    active: tuple[str, ...],
    active_from: TextIO | str | None,
    missed_runs: MissedRuns,
) -> None:
    """Put SNAPSHOT back into DATABASE, all tables or none."""
    import airkeep

    run = airkeep.restore
    if upgrade:
        run = partial(airkeep.restore_upgraded, airflows=airflows, cache=ctx.cache("airflow"))
    elif airflows:
        raise click.UsageError("--airflow says where the Airflow of --upgrade is: give both")
    opened = ctx.lake(lake)
    with ctx.output.progress("restore") as progress, all_named(ctx.output):
        result = run(
            opened,
            snapshot,
            ctx.address(database),
            dry_run=dry_run,
            create_schema=create_schema,
            on_conflict=on_conflict,
            only=only,
            tables=split_names(tables),
            skip=split_names(skip),
            in_flight=in_flight,
            active=_active(active, _lines(active_from, opened)),
            missed_runs=missed_runs,
            fernet_key=ctx.settings.fernet_key,
            source_fernet_key=ctx.settings.source_fernet_key,
            archive_key=ctx.settings.archive_key,
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    for note in result.notes:
        ctx.output.note(f"note: {note}")
    if result.plan.secrets == "drop":
        ctx.output.note("note: the snapshot holds no secrets: passwords and the like stay empty")
    ctx.output.result(result, lambda: _show(result, ctx.output))
    if result.dry_run:
        from airkeep.restore.fates import check_conflicts

        check_conflicts(result.plan.tables)


def _lines(file: TextIO | str | None, lake: Lake) -> Iterable[str] | None:
    if not isinstance(file, str):
        return file
    return lake.store.load(file.removeprefix(_IN_LAKE)).decode("utf-8").splitlines()


def _active(names: tuple[str, ...], file: Iterable[str] | None) -> tuple[str, ...] | None:
    """The DAGs that are to be active; None: not said. An empty file says none."""
    if not names and file is None:
        return None
    named = split_names(names)
    if names and not named:
        raise click.UsageError("--active names no DAG: is a variable unset? (An empty file of "
                               "--active-from leaves all of them paused.)")  # fmt: skip
    lines = (line.strip() for line in file or ())
    return (*named, *(line for line in lines if line and not line.startswith("#")))


def _show(result: RestoreResult, out: Output) -> None:
    plan = result.plan
    if result.upgraded is not None:
        show_upgraded(result.upgraded, out)
    if any(t.fates for t in plan.tables):
        _show_fates(plan, out)
    elif result.dry_run or out.verbosity:
        out.table(
            ["table", "action", "rows", "defaults replaced"],
            [[t.label, t.action, f"{t.rows:,}", f"{t.defaults:,}"] for t in plan.tables],
        )
    locked = f", {seconds(result.locked_s)} of it under locks" if result.locked_s else ""
    _show_outcomes(result, out)
    tables = sum(t.rows > 0 for t in plan.tables)
    if result.dry_run:
        out.line(
            f"{plan.rows:,} rows of {plan.snapshot} would go into {tables} tables of {plan.target}"
        )
    else:
        out.line(
            f"{result.rows:,} rows of {plan.snapshot} restored into {tables} tables of "
            f"{plan.target} in {seconds(result.took_s)}{locked}"
        )


def _show_outcomes(result: RestoreResult, out: Output) -> None:
    """What became of what was in flight; who asks for no details hears of changes only."""
    everything = result.dry_run or out.verbosity > 0
    shown = [o for o in result.outcomes if everything or o.fate not in _UNCHANGED]
    if shown:
        out.table(
            ["in flight", "fate", "rows", "for example"],
            [[o.table, o.fate, f"{o.rows:,}", "; ".join(o.examples)] for o in shown],
        )


def _show_fates(plan: RestorePlan, out: Output) -> None:
    """Every row's fate, as counts with examples."""
    out.table(
        ["table", "fate", "rows", "why", "for example"],
        [
            [
                table.label + (" (brought)" if table.action == "bring" else ""),
                fate.kind,
                f"{fate.rows:,}",
                fate.why,
                "; ".join(fate.examples),
            ]
            for table in plan.tables
            for fate in table.fates
        ],
    )
