"""`airkeep rekey`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import Output, counted, seconds
from airkeep.cli.unopened import all_named
from airkeep.rekey.plan import told

if TYPE_CHECKING:
    from airkeep.rekey.plan import RekeyPlan
    from airkeep.rekey.run import RekeyResult
    from airkeep.rekey.snapshot import SnapshotRekeyed

_SHOWN = 10
_LAKE = re.compile(r"(s3a?|gs|az|file)://", re.IGNORECASE)

_NOTHING = (
    "nothing to do: what is encrypted opens with the key {key} alone (of several keys the new one "
    "stands first)"
)


@click.command()
@click.argument("place", metavar="DATABASE|LAKE")
@click.argument("snapshot", required=False)
@click.option(
    "--dry-run", is_flag=True, help="Open every value, say what there is, change nothing."
)
@click.option(
    "--remove-old", is_flag=True, help="Remove the old SNAPSHOT when the new one has verified."
)
@shared_options()
def rekey(
    ctx: Context, place: str, snapshot: str | None, *, dry_run: bool, remove_old: bool
) -> None:
    """Bring the secrets of DATABASE, or of LAKE's SNAPSHOT, to another key.

    The first key of AIRKEEP_FERNET_KEY (of a sealed snapshot: AIRKEEP_ARCHIVE_KEY) is the new one;
    the old ones stand behind it after commas, Fernet keys also in AIRKEEP_SOURCE_FERNET_KEY. Every
    value is opened before one is changed. Of a snapshot a new one is made, the old one stays.

    A running Airflow gets both keys first (new,old, and a restart), then DATABASE the new one by
    this command, then Airflow the new key alone.
    """
    if snapshot is not None:
        _snapshot(ctx, place, snapshot, dry_run=dry_run, remove_old=remove_old)
    elif _is_lake(place):
        raise click.UsageError(
            f"{place} is a lake: name the SNAPSHOT, too: airkeep rekey {place} latest"
        )
    elif remove_old:
        raise click.UsageError("--remove-old is for a snapshot: rekey LAKE SNAPSHOT --remove-old")
    else:
        _database(ctx, place, dry_run=dry_run)


def _is_lake(place: str) -> bool:
    return _LAKE.match(place) is not None or Path(place).expanduser().is_dir()


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


def _snapshot(ctx: Context, lake: str, snapshot: str, *, dry_run: bool, remove_old: bool) -> None:
    import airkeep

    out = ctx.output
    with out.progress("rekey") as progress, all_named(out):
        result = airkeep.rekey_snapshot(
            ctx.lake(lake),
            snapshot,
            fernet_key=ctx.settings.fernet_key,
            source_fernet_key=ctx.settings.source_fernet_key,
            archive_key=ctx.settings.archive_key,
            dry_run=dry_run,
            remove_old=remove_old,
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    out.result(result, lambda: _show_snapshot(result, lake, out, remove_old=remove_old))
    with all_named(out):
        result.plan.check()


def _show_snapshot(result: SnapshotRekeyed, lake: str, out: Output, *, remove_old: bool) -> None:
    plan = result.plan
    _columns(plan, out)
    if result.dry_run and plan.old:
        removed = f"; {result.old} would be removed" if remove_old else ""
        out.line(
            f"{counted(plan.old, 'value')} of {result.old} would be encrypted with the key "
            f"{plan.key}, in a new snapshot{removed}"
        )
    elif result.made is None:
        out.line(_NOTHING.format(key=plan.key))
    else:
        _show_made(result, lake, out, remove_old=remove_old)
    if remove_old and not plan.old:
        out.note(
            f"note: {result.old} was not removed: it is under that key already. --remove-old "
            f"removes the SNAPSHOT that is named: name the old one"
        )


def _show_made(result: SnapshotRekeyed, lake: str, out: Output, *, remove_old: bool) -> None:
    plan = result.plan
    for name in result.damaged:
        out.warn(f"{name}, made by an earlier run, is damaged and was passed over")
    made = "had been made" if result.found else "made"
    out.line(
        f"{result.made} {made}: {result.old} with {counted(plan.old, 'value')} under the key "
        f"{plan.key}; {counted(result.rows, 'row')}, verified, in {seconds(result.took_s)}"
    )
    if result.removed:
        out.line(f"removed {result.old}")
        out.note("note: its files are garbage from now on: `airkeep clean` removes them in 24 h")
    elif remove_old:
        out.warn(
            f"{result.old} was not removed by this run: an increment was made on it meanwhile, or "
            f"somebody else removed it"
        )
    elif result.pruned:
        out.note(
            f"note: {result.old} stays, and the old key opens it: it is marked as holding rows "
            f"that a prune deleted (docs/format.md)"
        )
    else:
        out.note(
            f"note: {result.old} stays, and the old key opens it, until you remove it: "
            f"airkeep rekey {lake} {result.old} --remove-old"
        )
    if result.beneath:
        out.note(
            f"note: what it stands on is under the old key, too: {told(result.beneath, _SHOWN)}"
        )


def _show(result: RekeyResult, out: Output) -> None:
    plan = result.plan
    _columns(plan, out)
    if result.dry_run and plan.old:
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
        out.line(_NOTHING.format(key=plan.key))


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
        most = len(plan.plain) if out.verbosity else _SHOWN
        more = " (-v names all)" if len(plan.plain) > most else ""
        out.note(f"note: not encrypted, and left so: {told(plan.plain, most)}{more}")
