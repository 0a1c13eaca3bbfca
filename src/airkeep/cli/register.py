"""`airkeep register`."""

from __future__ import annotations

from pathlib import Path

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.rows import show_text
from airkeep.errors import ConfigError


@click.command()
@click.argument("lake")
@click.option("--athena-ddl", is_flag=True, help="Print statements for Athena; run nothing.")
@click.option("--glue", metavar="DATABASE", help="Register in this database of the Glue catalog.")
@click.option("--iceberg", metavar="CATALOG", help="Register in this catalog of pyiceberg's.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="A new file for the statements."
)
@shared_options(tuning=False)
def register(
    ctx: Context,
    lake: str,
    *,
    athena_ddl: bool,
    glue: str | None,
    iceberg: str | None,
    output: Path | None,
) -> None:
    """Let other readers into LAKE: Athena, Spark, Trino and whoever knows their catalogs.

    No file is copied or changed. Run it again after each export; it changes what is not so yet.

    \b
    --athena-ddl   tables, their partitions, and views: every table's newest state, every model
    --glue         the same tables and partitions: dag_run__files holds what each snapshot
                   saved, so a row is there once a snapshot, and increments hold changes only.
                   For the newest state use the views, or `airkeep query --engine athena`.
    --iceberg      every environment's newest full snapshot as tables ENVIRONMENT.TABLE
    """
    if sum(map(bool, (athena_ddl, glue, iceberg))) != 1:
        raise click.UsageError("say one of --athena-ddl, --glue DATABASE, --iceberg CATALOG")
    if output is not None and not athena_ddl:
        raise click.UsageError("--output is for --athena-ddl")
    if glue is not None:
        _glue(ctx, lake, glue)
    elif iceberg is not None:
        _iceberg(ctx, lake, iceberg)
    else:
        _ddl(ctx, lake, output)


def _ddl(ctx: Context, lake: str, output: Path | None) -> None:
    from airkeep.models.athena import athena_lake, ddl

    found = athena_lake(ctx.lake(lake, remember=True), warn=ctx.output.warn)
    _check_bucket(found.url)
    statements = list(ddl(found, warn=ctx.output.warn))
    show_text(";\n\n".join(statements) + ";", output, ctx.output)


def _glue(ctx: Context, lake: str, database: str) -> None:
    from airkeep.aws.glue import register as register_glue
    from airkeep.config import check_setting
    from airkeep.models.athena import athena_lake

    check_setting("athena_database", database)
    found = athena_lake(ctx.lake(lake, remember=True), warn=ctx.output.warn)
    _check_bucket(found.url)
    done = register_glue(database, found.registered.tables, found.url)
    ctx.output.result(
        done,
        lambda: ctx.output.line(
            f"{database}: {done.tables} tables ({done.created} new, {done.updated} changed, "
            f"{done.deleted} gone), {done.partitions} partitions ({done.partitions_added} new, "
            f"{done.partitions_updated} changed, {done.partitions_removed} gone)"
        ),
    )


def _iceberg(ctx: Context, lake: str, catalog: str) -> None:
    from airkeep.lake.iceberg import open_catalog, register_iceberg

    out = ctx.output
    found = ctx.lake(lake, remember=True)
    report = (lambda table: out.note(f"registering {table}")) if out.verbosity else lambda _: None
    done = register_iceberg(found, open_catalog(catalog), report=report)

    def text() -> None:
        for one in done:
            if one.snapshot is None:
                gone = f", and {one.dropped} tables of older ones are dropped" * bool(one.dropped)
                out.line(f"{one.environment}: no full snapshot, so nothing is registered{gone}")
                continue
            out.line(
                f"{one.environment}: {one.tables} tables of {one.snapshot} in {one.namespace} "
                f"({one.changed} changed, {one.dropped} gone)"
            )
            if one.newer:
                out.note(
                    f"{one.environment}: {one.newer} newer snapshots are increments or windows, "
                    f"which Iceberg is not given: `airkeep compact` makes a full one of them"
                )

    out.result(done, text)


def _check_bucket(url: str) -> None:
    if not url.startswith("s3://"):
        raise ConfigError(f"Athena and Glue read s3:// only, {url} is none: export to a bucket")
