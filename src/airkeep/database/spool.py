"""Rows into closed Parquet files of bounded size, each handed on while the next is written.

DuckDB writes; one COPY may fill several files at once. A file is handed on when its footer
is there and can be read, so the caller can hash and upload it during the rest of the COPY,
and must delete it when done. Sizes are compared with what DuckDB reports at the end: a file
that was handed on too early would be an error, never a short file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from airkeep.database.duck import SMALL_BYTES
from airkeep.database.sql import literal
from airkeep.errors import DatabaseError
from airkeep.interrupt import begin, end

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

POLL_S = 0.05
MAX_FILE_BYTES = 64 << 20  # what one upload holds in memory; a file may exceed it by a row group
# 15 of DuckDB's vectors. With 100k two threads meet the memory limit and spill: half as much CPU
# again, 440 MB for 220 (measured on 1 M task instances); below 30k files grow. A reader holds a
# group too.
ROW_GROUP_ROWS = 30_720
# Of wide rows: each thread that reads them back holds a group, packed and unpacked.
GROUP_BYTES = 16 << 20
LEAST_GROUP_ROWS = 2048
# zstd's second level: files 1 % larger than at DuckDB's third, a fifth less CPU (same table).
ZSTD_LEVEL = 2
_MAGIC = b"PAR1"


@dataclass(frozen=True)
class SpoolFile:
    """One closed Parquet file on the local disk."""

    path: Path
    rows: int
    bytes: int


@dataclass(frozen=True)
class SpoolLimits:
    """How large files and row groups may grow before a new one begins."""

    max_file_bytes: int = MAX_FILE_BYTES
    row_group_rows: int = ROW_GROUP_ROWS


def spool_limits(memory_bytes: int) -> SpoolLimits:
    """Smaller files where there is little memory."""
    if memory_bytes < SMALL_BYTES:
        return SpoolLimits(16 << 20)
    return SpoolLimits()


def fitted(
    batches: pa.RecordBatchReader, limits: SpoolLimits
) -> tuple[pa.RecordBatchReader, SpoolLimits]:
    """Limits that suit the width of these rows, told by the first batch; and all the batches."""
    import pyarrow as pa

    first = next(iter(batches), None)
    if first is None or not first.num_rows:
        return batches, limits
    rows = max(GROUP_BYTES * first.num_rows // first.nbytes, LEAST_GROUP_ROWS)
    every = pa.RecordBatchReader.from_batches(batches.schema, chain([first], batches))
    return every, replace(limits, row_group_rows=min(rows, limits.row_group_rows))


def spool(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    folder: Path,
    limits: SpoolLimits,
    *,
    cancel: Callable[[], object] | None = None,
    least: dict[str, set[str]] | None = None,
) -> Iterator[SpoolFile]:
    """Run `query` and yield its rows as files in `folder`; no rows, no file.

    Rows come in no particular order (`preserve_insertion_order` is off for speed).

    Args:
        cancel: ends what the query waits for when the caller stops early; by default DuckDB's own
            interrupt, which is enough where nothing waits outside DuckDB.
        least: is filled at the end with every file's least value of each column, as text.

    Raises:
        duckdb.Error: as the query raised it; the caller knows what was being read.
    """
    statement = (
        f"COPY ({query}) TO {literal(str(folder))} (FORMAT parquet, COMPRESSION zstd, "
        f"COMPRESSION_LEVEL {ZSTD_LEVEL}, ROW_GROUP_SIZE {limits.row_group_rows}, "
        f"FILE_SIZE_BYTES {limits.max_file_bytes}, PER_THREAD_OUTPUT, RETURN_STATS)"
    )
    watcher = connection.cursor()
    # In a thread of its own: DuckDB releases the interpreter while it works.
    job = begin(lambda: connection.execute(statement).fetchall())
    done: dict[Path, SpoolFile] = {}
    try:
        while not job.done():
            wait([job], POLL_S)
            yield from _closed(watcher, folder, done)
    except BaseException:
        end(job, cancel or connection.interrupt)
        raise
    finally:
        watcher.close()
    for file, rows, size, _footer, columns, *_ in sorted(job.result()):
        path = Path(file)
        if least is not None:
            for name, figures in columns.items():
                least.setdefault(_plain(name), set()).add(figures.get("min", ""))
        if path not in done:
            if rows:
                yield SpoolFile(path, rows, size)
            else:
                path.unlink()
        elif (done[path].rows, done[path].bytes) != (rows, size):
            raise DatabaseError(f"{path.name} grew after it was closed: run the export again")


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _closed(
    watcher: duckdb.DuckDBPyConnection, folder: Path, done: dict[Path, SpoolFile]
) -> Iterator[SpoolFile]:
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("*.parquet")):
        if path in done or not (size := _footed_size(path)):
            continue
        rows = _rows(watcher, path)
        if rows:
            done[path] = SpoolFile(path, rows, size)
            yield done[path]


def _footed_size(path: Path) -> int:
    """The file's size when it ends like a closed Parquet file, else 0."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < 12:
                return 0
            file.seek(size - 8)
            tail = file.read(8)
    except FileNotFoundError:
        return 0
    length = int.from_bytes(tail[:4], "little")
    return size if tail[4:] == _MAGIC and 0 < length <= size - 12 else 0


def _rows(watcher: duckdb.DuckDBPyConnection, path: Path) -> int:
    import duckdb

    try:
        found = watcher.execute(
            "SELECT num_rows FROM parquet_file_metadata($1)", [str(path)]
        ).fetchone()
    except duckdb.Error:
        return 0
    return int(found[0]) if found else 0
