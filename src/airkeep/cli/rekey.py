"""`airkeep rekey`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import Output, counted, seconds
from airkeep.cli.unopened import all_named

if TYPE_CHECKING:
    from airkeep.rekey.plan import RekeyPlan
    from airkeep.rekey.run import RekeyResult

_SHOWN = 10


@click.command()
@click.argument("database")
@click.option(
    "--dry-run", is_flag=True, help="Open every value, say what there is, change nothing."
)
@shared_options()
def rekey(ctx: Context, database: str, *, dry_run: bool) -> None:
    """Bring the secrets of DATABASE to another key.

    The first key of AIRKEEP_FERNET_KEY is the new one; the old ones stand behind it after commas,
    or in AIRKEEP_SOURCE_FERNET_KEY. Every value is opened before one is changed.
    """
    _database(ctx, database, dry_run=dry_run)


def _database(ctx: Context, database: str, *, dry_run: bool) -> None:
    import airkeep

    out = ctx.output
    with out.progress("rekey") as progress, all_named(out):
        result = airkeep.rekey(
            ctx.address(database),
            fernet_key=ctx.settings.fernet_key,
            source_fernet_key=ctx.settings.source_fernet_key,
            dry_run=dry_run,
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    out.result(result, lambda: _show(result, out))
    with all_named(out):
        result.plan.check()


def _show(result: RekeyResult, out: Output) -> None:
    plan = result.plan
    _columns(plan, out)
    if result.dry_run:
        out.line(
            f"{counted(plan.old, 'value')} of {plan.target} would be encrypted with the key "
            f"{plan.key}"
        )
    elif result.changed:
        out.line(
            f"{counted(result.changed, 'value')} of {plan.target} encrypted with the key "
            f"{plan.key}, read back with it alone, in {seconds(result.took_s)}"
        )
        out.note(
            "note: give Airflow the new key alone once each of its processes had both "
            "(docs/cli.md); lakes, backups and old row versions still hold what the old key opens"
        )
    else:
        out.line(f"nothing to do: what is encrypted opens with the key {plan.key} alone")


def _columns(plan: RekeyPlan, out: Output) -> None:
    if plan.columns:
        out.table(
            ["table", "column", "values", "encrypted", "to do", "plain", "unreadable"],
            [
                [
                    c.table,
                    c.column,
                    f"{c.values:,}",
                    f"{c.encrypted:,}",
                    f"{c.old:,}",
                    f"{len(c.plain):,}",
                    f"{len(c.unreadable):,}",
                ]
                for c in plan.columns
            ],
        )
    if plan.plain:
        shown = plan.plain if out.verbosity else plan.plain[:_SHOWN]
        more = "" if len(shown) == len(plan.plain) else ", ... (-v names all)"
        out.note(f"note: not encrypted, and left so: {', '.join(shown)}{more}")
