"""`airkeep upgrade`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Age, Context, shared_options, skip_option, split_names
from airkeep.cli.output import Output, seconds

if TYPE_CHECKING:
    from airkeep.snapshot.manifest import UpgradedEntry, UpgradedTableEntry
    from airkeep.upgrade.run import UpgradeResult

airflow_option = click.option(
    "--airflow",
    "airflows",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="VENV",
    help="A virtual environment with an Airflow of the way; may be repeated. "
    "What is not given is made with uv.",
)


@click.command()
@click.argument("lake")
@click.argument("snapshot")
@click.option("--to", required=True, metavar="VERSION", help="3.3.2; 3.3 for its last patch.")
@airflow_option
@click.option(
    "-o",
    "--output",
    "environment",
    metavar="ENVIRONMENT",
    help="Whose the new snapshot is; by default the old name and the version: prod-3.3.2.",
)
@click.option("--since", type=Age(), help="Only runs of this time before SNAPSHOT: 90d, or a date.")
@skip_option
@click.option("--dry-run", is_flag=True, help="Find the way, look at the rows, make nothing.")
@shared_options()
def upgrade(
    ctx: Context,
    lake: str,
    snapshot: str,
    *,
    to: str,
    airflows: tuple[Path, ...],
    environment: str | None,
    since: timedelta | datetime | None,
    skip: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Make SNAPSHOT as Airflow VERSION would have it, as a new snapshot.

    Airflow's own migrations do it, in a scratch database; then both are compared, and the new
    snapshot is saved when what should be equal is equal (docs/upgrade.md).
    """
    import airkeep

    with ctx.output.progress("upgrade") as progress:
        done = airkeep.upgrade(
            ctx.lake(lake),
            snapshot,
            to=to,
            airflows=airflows,
            environment=environment,
            since=since,
            skip=split_names(skip),
            dry_run=dry_run,
            fernet_key=ctx.settings.fernet_key,
            cache=ctx.cache("airflow"),
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    show_upgrade(done, ctx.output)


def show_upgrade(done: UpgradeResult, out: Output) -> None:
    """What came of an upgrade, as text or JSON."""
    from airkeep.snapshot.manifest import summarize

    made = done.snapshot
    document = {
        "source": done.source,
        "airflow_version": done.airflow_version,
        "to": done.to,
        "environment": done.environment,
        "steps": [str(step) for step in done.steps],
        "notes": done.notes,
        "took_s": done.took_s,
        "snapshot": None if made is None else summarize(made.manifest),
        "upgraded": None if made is None else made.manifest.upgraded,
    }
    for note in done.notes:
        out.note(f"note: {note}")
    out.result(document, lambda: _show(done, out))


def _show(done: UpgradeResult, out: Output) -> None:
    made = done.snapshot
    if made is None:
        out.line(f"{done.source} (Airflow {done.airflow_version}) would become Airflow {done.to}:")
        for step in done.steps:
            out.line(f"  {step}")
        out.line(f"as a snapshot of {done.environment}")
        return
    upgraded = made.manifest.upgraded
    if upgraded is not None:
        show_upgraded(upgraded, out)
    out.line(
        f"{made.name}  {done.source} as Airflow {done.to}  {len(made.manifest.tables)} tables  "
        f"{made.manifest.rows:,} rows  in {seconds(done.took_s)}"
        f"{'' if made.manifest.complete else '  (not complete)'}"
    )


def show_upgraded(upgraded: UpgradedEntry, out: Output) -> None:
    """What became of the tables, and what was proved equal."""
    _tables(upgraded, out)
    _proof(upgraded, out)


def _tables(upgraded: UpgradedEntry, out: Output) -> None:
    told = [t for t in upgraded.tables if out.verbosity or _is_told(t)]
    out.table(
        ["table", "rows before", "after", "columns gone", "new", "converted", "why"],
        [
            [
                t.label if t.was is None else f"{t.was} -> {t.label}",
                _number(t.before),
                _number(t.after),
                _names(t.gone, out),
                _names(t.new, out),
                _names(t.changed, out),
                t.why or "-",
            ]
            for t in told
        ],
    )


def _is_told(table: UpgradedTableEntry) -> bool:
    """Empty tables that come or go are told with -v."""
    rows = bool(table.before or table.after)
    return rows and bool(table.before != table.after or table.gone or table.changed or table.was)


def _number(rows: int | None) -> str:
    return "-" if rows is None else f"{rows:,}"


def _names(columns: tuple[str, ...], out: Output) -> str:
    if not columns:
        return "-"
    return ", ".join(columns) if out.verbosity else str(len(columns))


def _proof(upgraded: UpgradedEntry, out: Output) -> None:
    out.table(
        ["proved equal", "rows", "columns", "and"],
        [
            [
                p.what,
                f"{p.equal:,}",
                ", ".join(p.columns) if out.verbosity else str(len(p.columns)),
                "; ".join(
                    f"{count:,}: {what}" for what, count in (p.left_out | p.converted).items()
                )
                or "-",
            ]
            for p in upgraded.proof
        ],
    )
