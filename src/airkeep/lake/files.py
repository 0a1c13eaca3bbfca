"""Files of a lake where DuckDB reads them: a folder's by their paths, all others by their store.

Nothing is copied beforehand. What DuckDB finds wrong with a file is looked at once more here, so
that one that is gone or cut off is told by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING

from airkeep.database.duck import explained
from airkeep.database.failure import is_full
from airkeep.database.sql import ident, literal
from airkeep.errors import AirkeepError, ConfigError, DamagedFileError, NotFoundError
from airkeep.snapshot.manifest import ColumnEntry, FileEntry
from airkeep.store.interface import Store
from airkeep.store.local import LocalStore

if TYPE_CHECKING:
    import duckdb

    from airkeep.lake.filesystem import LakeFileSystem

# DuckDB takes [, * and ? of a path for patterns, and x=y for a column.
_PLAIN = re.compile(r"/[\w/. +,@%~-]*")
_QUOTED = re.compile(r"LINE \d+: ")
_NEEDS = re.compile(r"required extension '(\w+)'")


class LakeFiles:
    """The files of one open lake."""

    def __init__(self, store: Store, db: duckdb.DuckDBPyConnection) -> None:
        self._store, self._db = store, db
        self._known: dict[str, FileEntry] = {}
        self._folder = (
            str(store.folder)
            if isinstance(store, LocalStore) and _PLAIN.fullmatch(str(store.folder))
            else None
        )

    def source(self, files: Sequence[FileEntry], columns: Sequence[ColumnEntry]) -> str:
        """A relation of these files, with the columns `environment` and `snapshot`.

        Times are UTC without a zone in it, as in every view: DuckDB's own cast asks its calendar
        for each of them, which takes thirty times as long. Infinity is left to it.
        """
        self._known.update((file.path, file) for file in files)
        if self._folder is None:
            self._filesystem.know(files)
        listed = ", ".join(literal(f"{self._root}{file.path}") for file in files)
        read = f"read_parquet([{listed}], hive_partitioning = true, hive_types_autocast = false)"
        zoned = [ident(c.name) for c in columns if c.parquet == "TIMESTAMPTZ"]
        if not zoned:
            return read
        plain = ", ".join(
            f"coalesce(make_timestamp(epoch_us({n})), CAST({n} AS TIMESTAMP)) AS {n}" for n in zoned
        )
        return f"(SELECT * REPLACE ({plain}) FROM {read})"

    def close(self) -> None:
        if "_filesystem" in vars(self):
            self._filesystem.close()

    @property
    def _root(self) -> str:
        from airkeep.lake.filesystem import PROTOCOL

        return f"{PROTOCOL}://" if self._folder is None else f"{self._folder}/"

    @cached_property
    def _filesystem(self) -> LakeFileSystem:
        from airkeep.lake.filesystem import LakeFileSystem

        made = LakeFileSystem(self._store)
        self._db.register_filesystem(made)
        self._db.execute("SET enable_external_file_cache = true")  # models read a table repeatedly
        return made

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What a question itself is at fault for is said in DuckDB's words.

        Raises:
            MissingFileError: a file is gone.
            DamagedFileError: a file is not what its manifest says.
            StoreError: the store did not give a file.
            ConfigError: the question cannot be answered.
        """
        import duckdb

        with explained(self._store.url, "answering"):
            try:
                yield
            except (duckdb.Error, OSError) as error:
                if (of_file := self._of_file(error)) is not None:
                    raise of_file from None
                faults = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError)
                if isinstance(error, faults) or _is_of_another_file(error):
                    raise ConfigError(f"the question failed: {_said(error)}") from None
                raise

    def _of_file(self, error: Exception) -> AirkeepError | None:
        if "_filesystem" in vars(self) and (told := self._filesystem.error) is not None:
            self._filesystem.error = None
            return told
        named = (file for path, file in self._known.items() if path in str(error))
        return next((self._fault(file) for file in named), None)

    def _fault(self, file: FileEntry) -> AirkeepError:
        from airkeep.lake.filesystem import ADVICE, missing, resized

        try:
            size = self._store.head(file.path).bytes
        except NotFoundError:
            return missing(file)
        except AirkeepError as error:
            return error
        if size != file.bytes:
            return resized(file, size)
        return DamagedFileError(
            file.path, expected="Parquet as it was saved", found="other bytes", advice=ADVICE
        )


def _is_of_another_file(error: Exception) -> bool:
    """Whether a file is at fault that the question names itself, and not that a disk is full."""
    import duckdb

    if _NEEDS.search(str(error)):
        return True
    return isinstance(error, duckdb.IOException) and not is_full(error)


def _said(error: Exception) -> str:
    """What DuckDB says, with the names that it would know, without the statement's text."""
    if needs := _NEEDS.search(str(error)):
        return (
            f"it needs DuckDB's extension {needs[1]}, which is not installed; to read a CSV or "
            f"Parquet file of this machine needs none"
        )
    lines = takewhile(lambda line: not _QUOTED.match(line), str(error).splitlines())
    return " ".join(line for line in lines if line)
