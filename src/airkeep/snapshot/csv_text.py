r"""Rows as CSV text, as RFC 4180 has it: a header, CRLF after every record, UTF-8, gzipped.

    NULL        nothing between the commas            bytes      \x00ff
    ''          ""                                    boolean    true, false
    text        as it is; in quotes when it holds a comma, a quote, CR or LF
    real        the shortest digits that read back as the same number; NaN, Infinity, -Infinity, -0
    timestamp   as PostgreSQL prints it: 2026-11-21 14:30:22.5 (with +00 where it has a time
                zone: all are UTC), infinity, 0044-03-15 12:00:00 BC
    the rest    the database's own text (json as it was written)

A table of one column has an empty line for a NULL. A column of SQLite's that holds several
storage classes stands there as the text of each value, so 5 and '5' look alike; text that is
not valid UTF-8 stands there as bytes.

DuckDB makes whole lines, and their buffers go to the compressor as they are: as fast as its
own COPY, with half the CPU for gzip (measured: 500 k rows of 340 bytes, 2.3 s for 5.2 s).
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airkeep.database.duck import open_duckdb
from airkeep.database.failure import explain
from airkeep.database.spool import SpoolFile
from airkeep.database.sql import ident, literal
from airkeep.database.types import Travel

if TYPE_CHECKING:
    import duckdb

LEVEL = 4  # 2 % larger than 6 in three quarters of the CPU (measured on task instances)
_BATCH_ROWS = 2048  # DuckDB's own vector: a serialized DAG may have a megabyte
_GZIP = zlib.MAX_WBITS | 16  # zlib's own gzip header holds no time
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class CsvColumn:
    """A column's name, and how its values travel in the spool files."""

    name: str
    way: Travel


class CsvWriter:
    """Spool files into one CSV file a table; a context manager that owns a DuckDB.

    Rows keep the spool files' order, so the same spool files make the same bytes (with the
    same zlib).
    """

    def __init__(self, folder: Path, *, memory_bytes: int) -> None:
        self._folder, self._memory_bytes = folder, memory_bytes

    def __enter__(self) -> CsvWriter:
        self._db: duckdb.DuckDBPyConnection = open_duckdb(
            memory_bytes=self._memory_bytes, threads=1, spool=self._folder
        )
        self._db.execute("SET arrow_large_buffer_size = true")  # 2048 rows may exceed 2 GB
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def write(self, columns: Sequence[CsvColumn], spooled: Iterable[SpoolFile], file: Path) -> int:
        """Write a table to a new local file and delete its spool files one by one.

        Returns:
            How many rows; the file has a header even when there is none.

        Raises:
            DiskFullError: the folder's disk is full.
        """
        rows = 0
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
        with _explained(file), file.open("xb") as out:
            out.write(packer.compress(header(columns)))
            for source in spooled:
                for count, lines in self._lines(columns, source.path):
                    out.write(packer.compress(lines))
                    rows += count
                source.path.unlink()
            out.write(packer.flush())
        return rows

    def _lines(
        self, columns: Sequence[CsvColumn], file: Path
    ) -> Iterator[tuple[int, memoryview[int]]]:
        fields = ", ',', ".join(f"coalesce({field(c)}, '')" for c in columns)
        source = f"read_parquet({literal(str(file))}, hive_partitioning = false)"
        query = f"SELECT concat({fields}, chr(13), chr(10)) AS line FROM {source}"
        for batch in self._db.execute(query).to_arrow_reader(_BATCH_ROWS):
            yield batch.num_rows, _bytes(batch.column(0))


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise explain(error, where=str(file.parent), doing="writing CSV") from None


def _bytes(lines: Any) -> memoryview[int]:
    """The values of a large string array as they lie in memory, one behind the other."""
    _, offsets, data = lines.buffers()
    at = memoryview(offsets).cast("B").cast("q")
    return memoryview(data)[at[lines.offset] : at[lines.offset + len(lines)]]


def header(columns: Sequence[CsvColumn]) -> bytes:
    """The first record: the names."""
    names = (c.name for c in columns)
    return (",".join(_quoted_if_odd(name) for name in names) + "\r\n").encode()


def _quoted_if_odd(text: str) -> str:
    if text and not set(text) & set(',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


# DuckDB's expressions.


def field(column: CsvColumn) -> str:
    """DuckDB's expression of a column's field, NULL for NULL."""
    name = ident(column.name)
    if column.way.encoding == "literal":
        return _quoted(_LITERAL.format(name))
    match column.way.parquet:
        case "VARCHAR":
            return _quoted(name)
        case "BLOB":
            return _HEX.format(name)
        case "FLOAT" | "DOUBLE":
            return _REAL.format(name)
        case "DATE" | "TIMESTAMP":
            return _era(f"{name}::VARCHAR", "")
        case "TIMESTAMPTZ":
            # Not by the cast, which asks ICU's calendar: these are PostgreSQL's days.
            naive = _era(f"make_timestamp(epoch_us({name}))::VARCHAR", "+00")
            return f"CASE WHEN isinf({name}) THEN {name}::VARCHAR ELSE {naive} END"
        case _:
            return f"{name}::VARCHAR"


_HEX = "'\\x' || lower(hex({0}))"
_REAL = (
    "CASE WHEN isnan({0}) THEN 'NaN' "
    "WHEN isinf({0}) THEN CASE WHEN {0} > 0 THEN 'Infinity' ELSE '-Infinity' END "
    "ELSE regexp_replace({0}::VARCHAR, '\\.0$', '') END"
)
# See database/sqlite_value.py for the forms.
_BYTES = "unhex(substring({0}, 8, length({0}) - 17))"
_LITERAL = (
    "CASE WHEN starts_with({0}, '''') "
    "THEN replace(substring({0}, 2, length({0}) - 2), '''''', '''') "
    "WHEN starts_with({0}, 'X''') THEN '\\x' || lower(substring({0}, 3, length({0}) - 3)) "
    f"WHEN starts_with({{0}}, 'CAST') THEN coalesce(TRY(decode({_BYTES})), "
    f"'\\x' || lower(hex({_BYTES}))) "
    "WHEN {0} = '9e999' THEN 'Infinity' WHEN {0} = '-9e999' THEN '-Infinity' "
    "ELSE regexp_replace({0}, '\\.0$', '') END"
)


def _quoted(text: str) -> str:
    odd = " OR ".join(f"contains({text}, {c})" for c in ("','", "'\"'", "chr(10)", "chr(13)"))
    doubled = f"'\"' || replace({text}, '\"', '\"\"') || '\"'"
    return f"CASE WHEN {text} = '' OR {odd} THEN {doubled} ELSE {text} END"


def _era(text: str, zone: str) -> str:
    """`0044-03-15 (BC) 12:00:00` -> `0044-03-15 12:00:00 BC`."""
    bc = f"replace({text}, ' (BC)', '') || '{zone} BC'"
    plain = f"{text} || '{zone}'" if zone else text
    return f"CASE WHEN contains({text}, '(BC)') THEN {bc} ELSE {plain} END"


# And back, as far as a check needs it.


@dataclass(frozen=True)
class CsvShape:
    """What a CSV file holds: the names of its header and the number of its rows."""

    columns: tuple[str, ...]
    rows: int


def read_shape(file: Path) -> CsvShape:
    """Count the records of a gzipped CSV file, in bounded memory.

    Raises:
        ValueError: it is no gzip, it is cut off, or a quote is never closed.
    """
    head = b""
    ends, is_open, last = 0, False, b""
    for chunk in _unpacked(file):
        last = chunk[-1:]
        for n, part in enumerate(chunk.split(b'"')):
            is_open ^= n > 0
            found = 0 if is_open else part.count(b"\n")
            if not ends:
                head += b'"' * (n > 0) + (part.partition(b"\n")[0] if found else part)
            ends += found
    if is_open or last != b"\n":
        raise ValueError("ends inside of a record")
    names = next(csv.reader(io.StringIO(head.removesuffix(b"\r").decode(), newline="")), [""])
    return CsvShape(tuple(names), ends - 1)


def _unpacked(file: Path) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        with file.open("rb") as packed:
            data = packed.read(_CHUNK_BYTES)
            while data or unpacker.unconsumed_tail:
                if chunk := unpacker.decompress(data, _CHUNK_BYTES):
                    yield chunk
                data = unpacker.unconsumed_tail or packed.read(_CHUNK_BYTES)
                if unpacker.eof:
                    break
    except zlib.error as error:
        raise ValueError(f"is no gzip ({error})") from None
    if not unpacker.eof:
        raise ValueError("is cut off")
    if unpacker.unused_data or data:
        raise ValueError("goes on behind its end")
