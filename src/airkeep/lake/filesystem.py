"""A lake's files as DuckDB opens them where they lie: in any store, by parts.

    db.register_filesystem(filesystem)
    db.execute("SELECT state FROM read_parquet(['airkeep://tables/dag_run/.../00000.parquet'])")

DuckDB asks for a file's footer and then for the columns and row groups that a question needs, so a
large file costs what is read of it. A small one is loaded whole and its sha256 compared; of a large
one only the size is known to be right (`airkeep verify` reads all of it). What a manifest says of a
file is believed to be there without a request.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from fsspec import AbstractFileSystem

from airkeep.errors import AirkeepError, DamagedFileError, MissingFileError, NotFoundError
from airkeep.snapshot.manifest import FileEntry
from airkeep.store.interface import Store

PROTOCOL = "airkeep"
ADVICE = "`airkeep verify LAKE` says what else is; --as-of and --environment leave it out."
SMALL_BYTES = 1 << 20  # a request's own time is worth about as much on S3
KEPT_BYTES = 32 << 20
_AHEAD = 16  # small files that are loaded at once: a chain of increments has hundreds
_UNCHANGING = datetime(2000, 1, 1, tzinfo=UTC)


class LakeFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files that it was told of, read-only.

    Attributes:
        error: what went wrong first; DuckDB makes a text of what is raised here.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.error: AirkeepError | None = None
        self._store = store
        self._files: dict[str, FileEntry] = {}
        self._small: list[FileEntry] = []
        self._places: dict[str, int] = {}
        self._loaded: OrderedDict[str, Future[bytes]] = OrderedDict()
        self._kept = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_AHEAD)

    def know(self, files: Iterable[FileEntry]) -> None:
        """Tell of files that may be opened, in the order in which they will be."""
        for file in files:
            if file.path not in self._files:
                self._files[file.path] = file
                if file.bytes <= SMALL_BYTES:
                    self._places[file.path] = len(self._small)
                    self._small.append(file)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def glob(self, path: str, **_: Any) -> list[str]:
        return [self._strip_protocol(path)]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        file = self._files[self._strip_protocol(path)]
        return {"name": file.path, "size": file.bytes, "type": "file"}

    def modified(self, path: str) -> datetime:
        return _UNCHANGING

    def open(self, path: str, mode: str = "rb", **_: Any) -> _File:
        return _File(self, self._files[self._strip_protocol(path)])

    def read(self, file: FileEntry, start: int, length: int) -> bytes:
        """The bytes from `start` on, as many as the manifest says that there are."""
        try:
            if file.bytes <= SMALL_BYTES:
                return self._whole(file)[start : start + length]
            return self._part(file, start, min(length, file.bytes - start))
        except AirkeepError as error:
            self.error = self.error or error
            raise

    def _part(self, file: FileEntry, start: int, length: int) -> bytes:
        try:
            data = self._store.load_range(file.path, start, max(length, 0))
        except NotFoundError:
            raise missing(file) from None
        if len(data) < length:
            raise resized(file, start + len(data))
        return data

    def _whole(self, file: FileEntry) -> bytes:
        place = self._places[file.path]
        with self._lock:
            for near in self._small[place : place + _AHEAD]:
                if near.path not in self._loaded:
                    self._loaded[near.path] = self._pool.submit(self._load, near)
                    self._kept += near.bytes
            found = self._loaded[file.path]
            self._loaded.move_to_end(file.path)
            while self._kept > KEPT_BYTES:
                old, _ = self._loaded.popitem(last=False)
                self._kept -= self._files[old].bytes
        return found.result()

    def _load(self, file: FileEntry) -> bytes:
        try:
            data = self._store.load(file.path)
        except NotFoundError:
            raise missing(file) from None
        if len(data) != file.bytes:
            raise resized(file, len(data))
        if (found := sha256(data).hexdigest()) != file.sha256:
            expected = f"sha256 {file.sha256[:12]}"
            raise DamagedFileError(
                file.path, expected=expected, found=f"sha256 {found[:12]}", advice=ADVICE
            )
        return data


def missing(file: FileEntry) -> MissingFileError:
    """A file that is not where its manifest says."""
    told = f"{file.path} is named by its manifest and is not in the lake. {ADVICE}"
    return MissingFileError(file.path, told)


def resized(file: FileEntry, found: int) -> DamagedFileError:
    """A file that ends elsewhere than its manifest says."""
    return DamagedFileError(
        file.path, expected=f"{file.bytes} bytes", found=f"{found} bytes", advice=ADVICE
    )


class _File:
    """What DuckDB needs of an open file."""

    def __init__(self, filesystem: LakeFileSystem, file: FileEntry) -> None:
        self._filesystem, self._file, self._at = filesystem, file, 0

    def read(self, length: int = -1) -> bytes:
        wanted = self._file.bytes if length < 0 else length
        data = self._filesystem.read(self._file, self._at, wanted)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.bytes}
        self._at = starts[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""
