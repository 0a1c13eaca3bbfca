"""`airkeep export`."""

from __future__ import annotations

from datetime import datetime, timedelta

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
from airkeep.cli.output import seconds, size


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
) -> None:
    """Export DATABASE into LAKE as one snapshot."""
    import airkeep

    settings, out = ctx.settings, ctx.output
    with out.progress("export") as progress:
        snapshot = airkeep.export(
            ctx.address(database),
            ctx.lake(lake),
            environment=settings.need("environment"),
            increment=increment,
            since=since,
            tables=split_names(tables),
            skip=split_names(skip),
            airflow_only=airflow_only,
            secrets=settings.secrets,
            allow_plain=allow_plain,
            fernet_key=settings.fernet_key,
            archive_key=settings.archive_key,
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    manifest = snapshot.manifest
    for warning in manifest.warnings:
        out.note(f"warning: {warning}")
    for name in manifest.left_out:
        out.note(f"not kept: {name}")
    if increment and manifest.full_because:
        out.note(f"a full snapshot, because {manifest.full_because}")
    if out.verbosity > 1:
        out.note(", ".join(f"{k} {v} s" for k, v in manifest.timings_s.items()))

    from airkeep.snapshot.manifest import summarize

    summary = summarize(manifest)
    out.result(
        summary,
        lambda: out.line(
            f"{snapshot.name}  {manifest.mode}  Airflow {manifest.airflow_version}  "
            f"{summary.tables} tables  {summary.rows:,} rows  {size(summary.bytes)}  "
            f"{seconds(summary.took_s)}"
            f"{'' if manifest.complete else '  (not complete)'}"
        ),
    )
