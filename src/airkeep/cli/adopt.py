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
    allow_plain: bool,
) -> None:
    """Make snapshots in LAKE of SOURCE, a backup that another tool left.

    SOURCE is a folder, a file or a URL; which tool's layout it has is found out and said
    (docs/adopt.md). What the layout cannot tell is said too, by column.
    """
    from airkeep.adopt.run import adopt as run
    from airkeep.snapshot.names import utc

    settings = ctx.settings
    with ctx.output.progress("adopt") as progress:
        done = run(
            source,
            ctx.lake(lake, new=True),
            environment=settings.need("environment"),
            airflow_version=airflow_version,
            at=None if at is None else utc(at),
            skip=split_names(skip),
            secrets=settings.secrets,
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
    out.result(
        {
            "layout": done.layout,
            "source": done.source,
            "made": [
                {"summary": summarize(s.manifest), "adopted": s.manifest.adopted} for s in done.made
            ],
            "there": [str(s.name) for s in done.there],
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
    for snapshot in done.there:
        out.line(f"{snapshot.name}  there already: the same backup was adopted before")
