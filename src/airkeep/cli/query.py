"""`airkeep query`."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from airkeep.cli.context import Age, Context, shared_options, split_names
from airkeep.cli.output import Output
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    from airkeep.lake.connect import Answer

SHOWN = 1_000
_AT_ONCE = 2_048


@click.command()
@click.argument("lake")
@click.argument("question", required=False)
@click.option("--as-of", type=Age(), help="As the lake was known then: 2026-11-01, or 30d ago.")
@click.option("--environment", "-e", multiple=True, help="Only this one; may be repeated, or a,b.")
@click.option("--tables", "list_tables", is_flag=True, help="List the tables that can be asked.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    help="How rows are written.  [table]",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A new file to write to.")
@shared_options()
def query(
    ctx: Context,
    lake: str,
    question: str | None,
    *,
    as_of: timedelta | datetime | None,
    environment: tuple[str, ...],
    list_tables: bool,
    form: str,
    output: Path | None,
) -> None:
    """Ask LAKE a QUESTION in DuckDB's SQL.

    dag_run is the newest state of every environment, dag_run_history every version of every row
    ever seen, with valid_from and valid_to; so for every table. Times are UTC.
    """
    from airkeep.lake.connect import open_lake
    from airkeep.snapshot.folder import private_folder

    if (question is None) != list_tables:
        raise click.UsageError("write a question, or --tables to see what can be asked")
    form = "json" if ctx.output.as_json else form
    if form == "parquet" and output is None:
        raise click.UsageError("--format parquet needs a file: --output FILE")
    at = datetime.now(UTC) - as_of if isinstance(as_of, timedelta) else as_of
    with (
        private_folder(ctx.spool) as folder,
        open_lake(
            ctx.lake(lake, remember=True),
            folder=folder,
            environments=split_names(environment),
            at=at,
            memory_bytes=ctx.settings.memory_bytes,
            threads=ctx.settings.threads,
        ) as opened,
    ):
        if question is None:
            tables = opened.tables()
            ctx.output.result(tables, lambda: ctx.output.line("\n".join(tables)))
            return
        found = opened.query(question)
        if output is None:
            _print(found, form, ctx.output)
        else:
            _save(found, form, output)


def _print(found: Answer, form: str, out: Output) -> None:
    if form == "csv":
        _write_csv(sys.stdout, found)
    elif form == "json":
        out.result(_objects(found), lambda: None)
    else:
        rows = list(found.rows(SHOWN + 1))
        out.table(found.columns, [[_text(v) for v in row] for row in rows[:SHOWN]])
        if len(rows) > SHOWN:
            out.note(f"the first {SHOWN:,} rows: --format csv, json or parquet writes all of them")


def _save(found: Answer, form: str, output: Path) -> None:
    try:
        if form == "parquet":
            _save_parquet(found, output)
            return
        with output.open("x", encoding="utf-8", newline="") as text:
            if form == "json":
                import msgspec

                document = msgspec.json.encode(_objects(found))
                text.write(msgspec.json.format(document, indent=2).decode() + "\n")
            else:
                _write_csv(text, found)
    except FileExistsError:
        raise ConfigError(f"{output} is there already: name a new file") from None


def _save_parquet(found: Answer, output: Path) -> None:
    import pyarrow.parquet as pq

    reader = found.batches()
    with output.open("xb") as file, pq.ParquetWriter(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_csv(file: TextIO, found: Answer) -> None:
    writer = csv.writer(file)
    writer.writerow(found.columns)
    writer.writerows([None if v is None else _text(v) for v in row] for row in found.rows())


def _objects(found: Answer) -> list[dict[str, Any]]:
    return [dict(zip(found.columns, map(_plain, row), strict=True)) for row in found.rows()]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float)) else _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)
