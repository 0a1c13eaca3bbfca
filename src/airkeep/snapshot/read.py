"""Read a snapshot's rows back, increments folded, nothing believed that was not hashed.

A table of an increment is what its parents hold, with the increment's rows in place of
those of equal key and without the keys that it lists as deleted. Files come from the store
into a private folder, and their sha256 is compared before DuckDB sees a byte of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Self

from airkeep.database.duck import open_duckdb
from airkeep.database.failure import explain
from airkeep.database.sql import ident, literal
from airkeep.errors import DamagedFileError, MissingFileError, NotFoundError
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import FileEntry, TableEntry
from airkeep.snapshot.write import file_sha256
from airkeep.store.interface import Store

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# One of DuckDB's vectors: with 20,000 a restore takes 50 MB more, and no less time (1 M rows).
BATCH_ROWS = 2_048


@dataclass(frozen=True)
class Layer:
    """What one snapshot of a chain adds to a table, on the local disk."""

    entry: TableEntry
    files: tuple[Path, ...]
    deleted: tuple[Path, ...]


def layers_of(chain: Sequence[Snapshot], label: str) -> list[TableEntry]:
    """A table's entries from the newest down to the one that holds it whole."""
    entries: list[TableEntry] = []
    for snapshot in chain:
        entry = snapshot.manifest.table(label)
        if entry is None:
            break
        entries.append(entry)
        if entry.whole:
            break
    return entries


class SnapshotReader:
    """The rows of one snapshot; a context manager that owns a folder and a DuckDB."""

    def __init__(
        self, snapshot: Snapshot, *, folder: Path, memory_bytes: int = 400 << 20, threads: int = 2
    ) -> None:
        self.snapshot = snapshot
        self._memory_bytes, self._threads = memory_bytes, threads
        self._parent_folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(mkdtemp(prefix="read-", dir=self._parent_folder))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._chain = self.snapshot.chain()
            self.db: duckdb.DuckDBPyConnection = open_duckdb(
                memory_bytes=self._memory_bytes, threads=self._threads, spool=self._folder
            )
            stack.callback(self.db.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fetch(self, label: str) -> list[Layer]:
        """Bring a table's files here, newest layer first, each hashed.

        Raises:
            DamagedFileError: a file's bytes are not what its manifest says.
            MissingFileError: a file is gone.
        """
        return [
            Layer(
                entry,
                tuple(self._bring(f) for f in entry.files),
                tuple(self._bring(f) for f in entry.deleted),
            )
            for entry in layers_of(self._chain, label)
        ]

    def _bring(self, file: FileEntry) -> Path:
        local = self._folder / file.path.replace("/", "!")
        if not local.exists():
            bring(self.snapshot.store, file, local)
        return local

    def drop(self, layers: Sequence[Layer]) -> None:
        """Delete the local copies of a table that is done with."""
        for layer in layers:
            for path in (*layer.files, *layer.deleted):
                path.unlink(missing_ok=True)

    def relation(self, layers: Sequence[Layer], columns: Sequence[str] | None = None) -> str:
        """DuckDB's SELECT of the folded table."""
        newest = layers[0].entry
        names = [c.name for c in newest.columns if not c.generated] if columns is None else columns
        base = layers[-1]
        query = _rows(base, names, newest)
        for layer in reversed(layers[:-1]):
            same = " AND ".join(
                f"n.{ident(k)} IS NOT DISTINCT FROM o.{ident(k)}" for k in newest.key
            )
            query = f"SELECT * FROM ({query}) o"
            gone = [files for files in (layer.files, layer.deleted) if files]
            if gone:
                key = list(newest.key)
                keys = " UNION ALL ".join(
                    f"SELECT {_columns(key)} FROM {_parquet(files)}" for files in gone
                )
                query += f" ANTI JOIN ({keys}) n ON {same}"
            if layer.files:
                query = f"{_rows(layer, names, newest)} UNION ALL {query}"
        return query

    def arrow(self, statement: str, *, doing: str) -> pa.RecordBatchReader:
        """Run a SELECT of DuckDB's over what was fetched.

        Raises:
            DatabaseError: memory ran out, or the spool folder's disk is full.
        """
        import duckdb

        try:
            return self.db.execute(statement).to_arrow_reader(BATCH_ROWS)
        except duckdb.Error as error:
            raise explain(error, where=str(self.snapshot.name), doing=doing) from None

    def batches(self, label: str) -> Iterator[pa.RecordBatch]:
        """The folded rows of a table as Arrow batches, columns as in the manifest."""
        layers = self.fetch(label)
        try:
            yield from self.arrow(self.relation(layers), doing=f"reading {label}")
        finally:
            self.drop(layers)


def bring(store: Store, file: FileEntry, local: Path) -> None:
    """Load one file and believe it only when size and sha256 are the manifest's."""
    try:
        store.load_file(file.path, local)
    except NotFoundError:
        raise MissingFileError(file.path) from None
    size = local.stat().st_size
    if size != file.bytes:
        local.unlink()
        raise DamagedFileError(file.path, expected=f"{file.bytes} bytes", found=f"{size} bytes")
    if (found := file_sha256(local)) != file.sha256:
        local.unlink()
        raise DamagedFileError(
            file.path, expected=f"sha256 {file.sha256[:12]}", found=f"sha256 {found[:12]}"
        )


def _rows(layer: Layer, names: Sequence[str], newest: TableEntry) -> str:
    if layer.files:
        return f"SELECT {_columns(names)} FROM {_parquet(layer.files)}"
    empty = ", ".join(f"NULL::{newest.column(n).parquet} AS {ident(n)}" for n in names)
    return f"SELECT {empty} WHERE false"


def _columns(names: Sequence[str]) -> str:
    return ", ".join(ident(n) for n in names)


def _parquet(files: Sequence[Path]) -> str:
    listed = ", ".join(literal(str(f)) for f in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"
