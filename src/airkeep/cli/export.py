"""`airkeep export`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from airkeep.cli.context import (
    Age,
    Context,
    setting_option,
    shared_options,
    skip_option,
    split_names,
    tables_option,
)
from airkeep.cli.output import Output, counted, seconds, size
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    from airkeep.database.address import Address
    from airkeep.snapshot.lake import Lake
    from airkeep.snapshot.manifest import DagRunEntry

# What the manifest's timings are called for people.
_PARTS = {
    "fix": "locking and reading the catalogue",
    "plan": "planning",
    "rows": "reading and saving rows",
}


@click.command()
@click.argument("database")
@click.argument("lake")
@setting_option("environment", "--environment", "-e", help="Whose snapshot this is.")
@click.option("--increment", is_flag=True, help="Only what changed since the newest complete one.")
@click.option("--since", type=Age(), help="Only runs of this window: 30d, or a date.")
@tables_option
@skip_option
@click.option("--airflow-only", is_flag=True, help="Leave out tables that are not Airflow's.")
@setting_option("secrets", "--secrets", help="keep, seal, drop or plain.")
@click.option("--allow-plain", is_flag=True, help="Take secrets that stand in plain text along.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["snapshot", "csv"]),
    default="snapshot",
    help="snapshot, or csv: dated CSV files to read, which nothing restores.",
)
@shared_options("environment", "secrets")
def export(
    ctx: Context,
    database: str,
    lake: str,
    *,
    increment: bool,
    since: timedelta | datetime | None,
    tables: tuple[str, ...],
    skip: tuple[str, ...],
    airflow_only: bool,
    allow_plain: bool,
    form: str,
) -> None:
    """Export DATABASE into LAKE as one snapshot."""
    settings = ctx.settings
    if form == "csv" and increment:
        raise ConfigError(
            "--format csv and --increment exclude each other: nothing folds CSV files, so an "
            "increment's rows and deletes would be lost on their reader. Leave one of them out."
        )
    job = partial(
        _export_csv if form == "csv" else _export_snapshot,
        ctx.output,
        ctx.address(database),
        ctx.lake(lake, new=True),
        environment=settings.need("environment"),
        since=since,
        tables=split_names(tables),
        skip=split_names(skip),
        airflow_only=airflow_only,
        secrets=settings.secrets or "keep",
        allow_plain=allow_plain,
        fernet_key=settings.fernet_key,
        archive_key=settings.archive_key,
        limits=ctx.limits,
        spool=ctx.spool,
    )
    job() if form == "csv" else job(increment=increment, dag_run=_own_run(os.environ))


def _own_run(environment: Mapping[str, str]) -> DagRunEntry | None:
    """The DAG run that this command is a task of, as Airflow tells each of its tasks."""
    from airkeep.snapshot.manifest import DagRunEntry

    dag_id, run_id = (environment.get(f"AIRFLOW_CTX_DAG_{n}") for n in ("ID", "RUN_ID"))
    return DagRunEntry(dag_id, run_id) if dag_id and run_id else None


def _export_snapshot(
    out: Output, address: Address, lake: Lake, *, increment: bool, **options: Any
) -> None:
    import airkeep

    with out.progress("export") as progress:
        snapshot = airkeep.export(address, lake, increment=increment, progress=progress, **options)
    manifest = snapshot.manifest
    for warning in manifest.warnings:
        out.warn(warning)
    for name in manifest.left_out:
        out.note(f"not kept: {name}")
    if increment and manifest.full_because:
        out.note(f"a full snapshot, because {manifest.full_because}")
    if out.verbosity > 1:
        out.note(", ".join(f"{_PARTS.get(k, k)} {v} s" for k, v in manifest.timings_s.items()))

    from airkeep.snapshot.manifest import summarize

    summary = summarize(manifest)
    out.result(
        summary,
        lambda: out.line(
            f"{snapshot.name}  {manifest.mode}  Airflow {manifest.airflow_version}  "
            f"{counted(summary.tables, 'table')}  {summary.rows:,} rows  {size(summary.bytes)}  "
            f"{seconds(summary.took_s)}"
            f"{'' if manifest.complete else '  (not complete)'}"
        ),
    )


def _export_csv(out: Output, address: Address, lake: Lake, **options: Any) -> None:
    from airkeep.export.csv import export_csv

    began = monotonic()
    with out.progress("export") as progress:
        done = export_csv(address, lake, progress=progress, **options)
    summary = done.summary
    for warning in summary.warnings:
        out.warn(warning)
    if summary.missing:
        out.note(f"not in this database: {', '.join(summary.missing)}")
    saved = sum(file.bytes for file in summary.files.values())
    out.result(
        {"path": done.run.path, "summary": summary},
        lambda: out.line(
            f"{done.run.path}  csv  Airflow {summary.airflow_version}  "
            f"{counted(summary.total_tables, 'table')}  {summary.total_rows:,} rows  "
            f"{size(saved)}  {seconds(monotonic() - began)}"
        ),
    )
