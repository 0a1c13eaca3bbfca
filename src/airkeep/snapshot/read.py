"""Read a snapshot's rows back, increments folded, nothing believed that was not hashed.

A table of an increment is what its parents hold, with the increment's rows in place of
those of equal key and without the keys that it lists as deleted. Files come from the store
into a private folder, and their sha256 is compared before DuckDB sees a byte of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Self

from airkeep.database.duck import explained, open_duckdb
from airkeep.errors import DamagedFileError, MissingFileError, NotFoundError
from airkeep.snapshot.fold import Layer, fold, layers_of
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import FileEntry
from airkeep.snapshot.write import file_sha256
from airkeep.store.interface import Store

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# One of DuckDB's vectors: with 20,000 a restore takes 50 MB more, and no less time (1 M rows).
BATCH_ROWS = 2_048


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
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def db(self) -> duckdb.DuckDBPyConnection:
        """Opened when it is first asked for: who only fetches files needs none."""
        db = open_duckdb(memory_bytes=self._memory_bytes, threads=self._threads, spool=self._folder)
        self._stack.callback(db.close)
        return db

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
        local = self._folder / local_name(file)
        if not local.exists():
            bring(self.snapshot.store, file, local)
        return local

    def drop(self, layers: Sequence[Layer]) -> None:
        """Delete the local copies of a table that is done with."""
        for layer in layers:
            for path in (*layer.files, *layer.deleted):
                path.unlink(missing_ok=True)

    def arrow(
        self, statement: str, *, doing: str, opened: pa.RecordBatchReader | None = None
    ) -> pa.RecordBatchReader:
        """Run a SELECT of DuckDB's over what was fetched.

        Args:
            opened: rows that the statement knows as the table `opened`; they may come from an
                `arrow` that is still being read.

        Raises:
            DatabaseError: memory ran out, or the spool folder's disk is full.
        """
        db = self.db if opened is None else self.db.cursor()
        with explained(str(self.snapshot.name), doing):
            if opened is not None:
                db.register("opened", opened)
            return db.execute(statement).to_arrow_reader(BATCH_ROWS)

    def batches(self, label: str) -> Iterator[pa.RecordBatch]:
        """The folded rows of a table as Arrow batches, columns as in the manifest."""
        layers = self.fetch(label)
        doing = f"reading {label}"
        try:
            with explained(str(self.snapshot.name), doing):
                yield from self.arrow(fold(layers), doing=doing)
        finally:
            self.drop(layers)


def local_name(file: FileEntry) -> str:
    """What a file of the lake is called in a private folder, of one length for every path."""
    return sha256(file.path.encode()).hexdigest()


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
