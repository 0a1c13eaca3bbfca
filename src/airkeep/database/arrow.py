"""Rows from elsewhere than a database into spool files, with a DuckDB of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from airkeep.database.duck import explained, open_duckdb
from airkeep.database.limits import ReadLimits
from airkeep.database.spool import SpoolFile, fitted, spool, spool_limits
from airkeep.database.sql import ident, literal

if TYPE_CHECKING:
    import pyarrow as pa


class Spooler:
    """Writes Parquet files as a reader's `spool_batches` does; a context manager.

    Args:
        folder: private, for the files; the caller removes it.
    """

    def __init__(self, folder: Path, limits: ReadLimits) -> None:
        self._folder, self._memory = folder, limits.memory_bytes
        self._spools = 0
        self._duck = open_duckdb(
            memory_bytes=limits.memory_bytes, threads=limits.threads, spool=folder
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._duck.close()

    def spool(
        self, batches: pa.RecordBatchReader, *, what: str, distinct: bool = False
    ) -> Iterator[SpoolFile]:
        """The batches as closed Parquet files; the caller deletes each when done.

        Args:
            what: for messages: "task_instance".
            distinct: rows that are equal in every column are written once.
        """
        self._spools += 1
        folder = self._folder / f"arrow{self._spools:05d}"
        with self._duck.cursor() as cursor, explained(what, "spooling"):
            rows, limits = fitted(batches, spool_limits(self._memory))
            cursor.register("batches", rows)
            query = "SELECT DISTINCT * FROM batches" if distinct else "FROM batches"
            yield from spool(cursor, query, folder, limits)

    def repeated(self, files: Sequence[Path], key: Sequence[str], *, what: str) -> int:
        """How many rows have a key that another row has, or none at all."""
        if not files:
            return 0
        listed = ", ".join(literal(str(f)) for f in files)
        columns = ", ".join(ident(c) for c in key)
        missing = " OR ".join(f"{ident(c)} IS NULL" for c in key)
        with self._duck.cursor() as cursor, explained(what, "looking at keys"):
            found = cursor.execute(
                f"SELECT count(*) - count(DISTINCT ({columns})) + count(*) FILTER ({missing}) "
                f"FROM read_parquet([{listed}])"
            ).fetchone()
        return int(found[0]) if found else 0
