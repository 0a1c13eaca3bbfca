"""What a store is: the one interface behind which bytes are kept.

Paths are relative and `/`-separated (`tables/dag/environment=prod/00000.parquet`); spaces,
unicode, `%`, `=` and `+` are ordinary characters. A path with an empty, `.` or `..` part, a
backslash (some servers make a slash of it) or a control character is refused: paths come out
of manifests, and a manifest is input.

The order that keeps data safe: bytes become visible under their path only when all of them
are there, and a path that has bytes never gets others. What is half done lives elsewhere
(under `uploads/`, where any file is garbage once it is old), so a killed process leaves
garbage and never half a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from airkeep.errors import StoreError

UPLOADS: Final = "uploads/"
"""Where a file lies until it is whole. Listed like any other; garbage once it is old."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One saved file, as a listing tells it."""

    path: str
    bytes: int
    modified: datetime  # UTC, by the store's clock
    etag: str | None  # changes when the bytes do; says nothing across stores


class Store(Protocol):
    """Bytes by path.

    Every method may raise `StoreAccessError` (no right, no such bucket, not a folder),
    `UnavailableError` (no answer, retries used up) and `StoreError` (a path that cannot be,
    an answer not understood); other errors stand with the method. Their messages are one
    line and hold no secret. All methods may be called from several threads.
    """

    @property
    def url(self) -> str:
        """Where this store is, printable: it holds no secret."""

    def save(self, path: str, data: bytes) -> None:
        """Save bytes at a path that has none: whole or not at all, and then for good.

        Of several savers of one path, in any processes, exactly one succeeds. When an
        attempt ends without an answer it is repeated; bytes that are found there then are
        believed to be ours only when they equal `data`.

        Raises:
            AlreadySavedError: the path has bytes; they are as they were.
            DiskFullError: no space left; nothing is at the path.
        """

    def save_file(self, path: str, file: Path) -> None:
        """Save a local file's bytes: the same promises as `save`, in bounded memory.

        The file must not change meanwhile. A large one goes to `uploads/` in parts and is
        then copied to its path inside the store.

        Raises:
            AlreadySavedError: the path has bytes; they are as they were.
            DiskFullError: no space left; nothing is at the path.
        """

    def load(self, path: str) -> bytes:
        """Return all bytes at a path.

        Raises:
            NotFoundError: the path has none.
        """

    def load_range(self, path: str, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on; fewer, or none, where the file ends before.

        Raises:
            NotFoundError: the path has no bytes.
        """

    def load_file(self, path: str, file: Path) -> None:
        """Write the bytes at a path to a new local file, in bounded memory.

        When it fails the local file is gone again.

        Raises:
            NotFoundError: the path has no bytes.
            DiskFullError: no space left for the local file.
            StoreError: the local file exists already.
        """

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file below a folder (`"a/b/"`, or `""` for all), at any depth, in any order.

        A folder that is not there is empty. Files saved or deleted meanwhile may be missing
        or present; all others are told exactly once.
        """

    def folders(self, prefix: str = "") -> Sequence[str]:
        """The names of the folders directly below a folder, sorted.

        A folder is there as long as it has files (SeaweedFS tells emptied ones a little longer).
        """

    def head(self, path: str) -> Entry:
        """What a listing would tell of one path.

        Raises:
            NotFoundError: the path has no bytes.
        """

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, in bulk; a path that has no bytes is fine.

        When it fails, some of them may be gone.
        """


def check_path(path: str) -> str:
    """Return the path of a file, or refuse it."""
    parts = path.split("/")
    odd = any(ord(c) < 32 or c in "\x7f\\" for c in path)
    if odd or any(p in {"", ".", ".."} for p in parts):
        raise StoreError(
            f"{path!r} is no path in a lake: expected parts joined by single slashes, "
            f"none of them empty, '.' or '..', no backslash and no control characters"
        )
    return path


def check_prefix(prefix: str) -> str:
    """Return the path of a folder (empty, or ending in a slash), or refuse it."""
    if prefix and not prefix.endswith("/"):
        raise StoreError(f"{prefix!r} is no folder in a lake: expected a slash at its end")
    if prefix:
        check_path(prefix[:-1])
    return prefix
