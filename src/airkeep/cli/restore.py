"""`airkeep restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from airkeep.restore.merge_plan import Only
    from airkeep.restore.plan import RestorePlan
    from airkeep.restore.run import RestoreResult


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
@tables_option
@skip_option
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
    tables: tuple[str, ...],
    skip: tuple[str, ...],
) -> None:
    """Put SNAPSHOT back into DATABASE, all tables or none."""
    import airkeep

    with ctx.output.progress("restore") as progress, all_named(ctx.output):
        result = airkeep.restore(
            ctx.lake(lake),
            snapshot,
            ctx.address(database),
            dry_run=dry_run,
            create_schema=create_schema,
            on_conflict=on_conflict,
            only=only,
            tables=split_names(tables),
            skip=split_names(skip),
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


def _show(result: RestoreResult, out: Output) -> None:
    plan = result.plan
    if any(t.fates for t in plan.tables):
        _show_fates(plan, out)
    elif result.dry_run or out.verbosity:
        out.table(
            ["table", "action", "rows", "defaults replaced"],
            [[t.label, t.action, f"{t.rows:,}", f"{t.defaults:,}"] for t in plan.tables],
        )
    locked = f", {seconds(result.locked_s)} of it under locks" if result.locked_s else ""
    tables = sum(t.action != "nothing" for t in plan.tables)
    if result.dry_run:
        out.line(
            f"{plan.rows:,} rows of {plan.snapshot} would go into {tables} tables of {plan.target}"
        )
    else:
        out.line(
            f"{result.rows:,} rows of {plan.snapshot} restored into {tables} tables of "
            f"{plan.target} in {seconds(result.took_s)}{locked}"
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
