"""`airkeep adopt`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import (
    Context,
    setting_option,
    shared_options,
    skip_option,
    split_names,
)
from airkeep.cli.output import Output, counted

if TYPE_CHECKING:
    from airkeep.adopt.plan import PlannedSnapshot
    from airkeep.adopt.run import Adoption
    from airkeep.snapshot.lake import Snapshot


@click.command()
@click.argument("source")
@click.argument("lake")
@setting_option("environment", "--environment", "-e", help="Whose backup it is.")
@click.option(
    "--airflow-version", metavar="VERSION", help="Its Airflow, where its columns fit more."
)
@click.option(
    "--time",
    "at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]),
    help="When a backup was taken that does not say so itself; UTC without a zone.",
)
@skip_option
@click.option("--dry-run", is_flag=True, help="Say what would be made and make nothing.")
@setting_option("secrets", "--secrets", help="keep, seal, drop or plain.")
@click.option("--allow-plain", is_flag=True, help="Take secrets that stand in plain text along.")
@shared_options("environment", "secrets")
def adopt(
    ctx: Context,
    source: str,
    lake: str,
    *,
    airflow_version: str | None,
    at: datetime | None,
    skip: tuple[str, ...],
    dry_run: bool,
    allow_plain: bool,
) -> None:
    """Make snapshots in LAKE of SOURCE, a backup that another tool left.

    SOURCE is a folder, a file or a URL; which tool's layout it has is found out and said
    (docs/adopt.md). What the layout cannot tell is said too, by column.
    """
    import airkeep

    settings = ctx.settings
    with ctx.output.progress("adopt") as progress:
        done = airkeep.adopt(
            source,
            ctx.lake(lake, new=True),
            environment=settings.need("environment"),
            airflow_version=airflow_version,
            at=at,
            skip=split_names(skip),
            dry_run=dry_run,
            secrets=settings.secrets or "keep",
            allow_plain=allow_plain,
            fernet_key=settings.fernet_key,
            archive_key=settings.archive_key,
            store_options=dict(settings.store),
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    _show(ctx.output, done)


def _show(out: Output, done: Adoption) -> None:
    from airkeep.snapshot.manifest import summarize

    for snapshot in done.made:
        _note(out, snapshot)
    for planned in done.planned:
        out.note(f"{planned.name}: {done.layout}, time: {planned.time}")
        for note in planned.notes:
            out.note(f"  {note}")
    out.result(
        {
            "layout": done.layout,
            "source": done.source,
            "made": [
                {"summary": summarize(s.manifest), "adopted": s.manifest.adopted} for s in done.made
            ],
            "there": [str(s.name) for s in done.there],
            "planned": done.planned,
            "dry_run": done.dry_run,
        },
        lambda: _lines(out, done),
    )


def _note(out: Output, snapshot: Snapshot) -> None:
    adopted = snapshot.manifest.adopted
    if adopted is None:
        return
    out.note(f"{snapshot.name}: {adopted.layout}, time: {adopted.time}")
    for note in adopted.notes:
        out.note(f"  {note}")
    for repair in adopted.repairs:
        out.note(
            f"  {repair.table}.{repair.column}: {counted(repair.values, 'value')}: {repair.what}"
        )


def _lines(out: Output, done: Adoption) -> None:
    for snapshot in done.made:
        manifest = snapshot.manifest
        out.line(
            f"{snapshot.name}  adopted  Airflow {manifest.airflow_version}  "
            f"{counted(len(manifest.tables), 'table')}  {manifest.rows:,} rows"
            f"{'' if manifest.complete else '  (not complete)'}"
        )
    for planned in done.planned:
        _plan(out, planned)
    for snapshot in done.there:
        out.line(f"{snapshot.name}  there already: the same backup was adopted before")


def _plan(out: Output, planned: PlannedSnapshot) -> None:
    known = [t.rows for t in planned.tables if t.rows is not None]
    rows = f"{sum(known):,} rows" if len(known) == len(planned.tables) else "rows not counted"
    out.line(f"{planned.name}  would be made  {counted(len(planned.tables), 'table')}  {rows}")
    out.table(
        ["table", "rows", "files"],
        [
            [t.label, "?" if t.rows is None else f"{t.rows:,}", ", ".join(t.files)]
            for t in planned.tables
        ],
    )
