"""Rows of an answer, for people and for programs: what `query` and `models` print and write."""

from __future__ import annotations

import csv
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO
from uuid import uuid4

import click

from airkeep.cli.context import Age, Command, Context, split_names
from airkeep.cli.output import Output
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from airkeep.lake.connect import OpenLake

SHOWN = 1_000
_IN_FILES = ("csv", "json", "parquet")
_PLAN = ("explain_key", "explain_value")  # drawn over many lines
ENGINES = ("duckdb", "athena", "spark")
_LAKE_OPTIONS = (
    click.option(
        "--as-of", type=Age(), help="As the lake was known then: 2026-11-01, or an age, 30d."
    ),
    click.option(
        "--environment", "-e", multiple=True, help="Only this one; may be repeated, or a,b."
    ),
)
_ROW_OPTIONS = (
    click.option(
        "--format",
        "form",
        type=click.Choice(["table", "csv", "json", "parquet"]),
        help="How rows are written.  [table; in a file as its name ends]",
    ),
    click.option("--output", "-o", type=click.Path(path_type=Path), help="A new file to write to."),
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="duckdb",
        help="Whose SQL it is asked in: athena and spark print what to run there.  [duckdb]",
    ),
    click.option("--execute", is_flag=True, help="Run it on that engine rather than print it."),
)


class Rows(Protocol):
    """What some engine found; its rows are read once."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def rows(self, most: int | None = None) -> Iterator[tuple[Any, ...]]:
        """The next rows, at most that many: times as naive UTC `datetime`, bytes as `bytes`."""

    def batches(self) -> pa.RecordBatchReader: ...


def lake_options(function: Command) -> Command:
    """The flags of a command that asks a lake: of what, and of when."""
    return _decorated(function, _LAKE_OPTIONS)


def answer_options(function: Command) -> Command:
    """Those, and how the rows of the answer are written."""
    return _decorated(function, _LAKE_OPTIONS + _ROW_OPTIONS)


def _decorated(function: Command, options: Sequence[Callable[..., Any]]) -> Command:
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    result: Command = decorated
    return result


def moment(as_of: timedelta | datetime | None) -> datetime | None:
    """The time that `--as-of` means."""
    return datetime.now(UTC) - as_of if isinstance(as_of, timedelta) else as_of


@contextmanager
def opened(
    ctx: Context,
    lake: str,
    environment: tuple[str, ...],
    as_of: timedelta | datetime | None,
    *,
    listed_by: str | None = None,
) -> Iterator[tuple[OpenLake, Path]]:
    """The lake for SQL, and a private folder.

    Args:
        listed_by: what an error says of where the tables are listed, if not by `query`.
    """
    from airkeep.lake.open import open_for_sql
    from airkeep.models.catalog import models

    with open_for_sql(
        ctx.lake(lake, remember=True),
        environments=split_names(environment),
        at=moment(as_of),
        limits=ctx.question_limits,
        spool=ctx.spool,
        warn=ctx.output.warn,
        also=models(),
        listed_by=listed_by,
    ) as opened_lake:
        yield opened_lake


def checked_form(
    form: str | None, output: Path | None, out: Output, *, is_text: bool = False
) -> str:
    """How to write rows; --json is a form of its own, the end of a file's name says one too.

    Args:
        is_text: no rows are written, but what another engine is to run.

    Raises:
        ConfigError: the file is there already, or its folder is not.
    """
    if output is not None:
        from airkeep.snapshot.new_file import check_new

        check_new(output)
    if is_text:
        return "table"
    said = "json" if out.as_json else form
    if output is None:
        if said == "parquet":
            raise click.UsageError("--format parquet needs a file: --output FILE")
        return said or "table"
    ending = output.suffix.removeprefix(".").lower()
    named = ending if ending in _IN_FILES else None
    if said == "table":
        raise click.UsageError("--format table is for people: a file is csv, json or parquet")
    if (said or named) is None:
        raise click.UsageError(f"{output} may be csv, json or parquet: say --format, or name it so")
    if said and named and said != named:
        raise click.UsageError(f"{output} is named {named} and would be {said}: say one of them")
    return said or ending


def show(found: Rows, form: str, output: Path | None, out: Output) -> None:
    """Print the rows, or write them to a new file.

    Raises:
        ConfigError: the file is there already.
    """
    if output is None:
        _print(found, form, out)
    else:
        _save(found, form, output)


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which is `output` when all went well and nothing when it did not.

    Raises:
        ConfigError: the folder is there already and holds something.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise ConfigError(f"{output} is there already: name a new folder, or an empty one")
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".{output.name}.{uuid4().hex}")
    part.mkdir()
    try:
        yield part
        part.replace(output)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def show_text(text: str, output: Path | None, out: Output) -> None:
    """Print what another engine is to run, or write it to a new file.

    Raises:
        ConfigError: the file is there already.
    """
    if output is None:
        out.result({"text": text}, lambda: out.line(text))
        return

    from airkeep.snapshot.new_file import write_new

    write_new(output, f"{text}\n".encode())


def _print(found: Rows, form: str, out: Output) -> None:
    if form == "csv":
        _write_csv(sys.stdout, found)
    elif form == "json":
        out.document(_objects(found))
    elif found.columns == _PLAN:
        out.line("\n".join(str(drawn) for _, drawn in found.rows()))
    else:
        rows = list(found.rows(SHOWN + 1))
        cells = [[one_line(_for_people(v)) for v in row] for row in rows[:SHOWN]]
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        out.answer(found.columns, cells, width=width)
        if not rows:
            out.note("no rows")
        if len(rows) > SHOWN:
            out.note(f"the first {SHOWN:,} rows: --format csv, json or parquet writes all of them")


def _save(found: Rows, form: str, output: Path) -> None:
    from airkeep.snapshot.new_file import new_file

    with new_file(output) as part, part.open("wb") as file:
        _write(found, form, file)


def _write(found: Rows, form: str, file: BinaryIO) -> None:
    if form == "parquet":
        import pyarrow.parquet as pq

        rows = found.batches()
        with pq.ParquetWriter(file, rows.schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
    elif form == "json":
        import msgspec

        file.write(msgspec.json.format(msgspec.json.encode(_objects(found)), indent=2) + b"\n")
    else:
        text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        _write_csv(text, found)
        text.detach()


def _write_csv(file: TextIO, found: Rows) -> None:
    writer = csv.writer(file)
    writer.writerow(found.columns)
    writer.writerows([None if v is None else _text(v) for v in row] for row in found.rows())


def _objects(found: Rows) -> list[dict[str, Any]]:
    return [dict(zip(found.columns, map(_plain, row), strict=True)) for row in found.rows()]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float)) else _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


def _for_people(value: Any) -> str:
    """As `_text`, a float rounded as far as nobody looks."""
    if not isinstance(value, float) or not math.isfinite(value):
        return _text(value)
    return str(round(value, 6)) if abs(value) >= 0.001 or not value else f"{value:.3g}"


def one_line(text: str) -> str:
    """A name as a cell shows it: what moves the cursor is a space."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
