"""Small documents of a lake, remembered in a local folder, so that long lists are quick.

    cache = Cache(store, folder)
    lake = Lake(store, load=cache.load)

Nothing is believed for being here. A document is returned when a listing of the lake, taken
once per environment and cache, still has the etag that it was saved under, and its own hash
fits; else it is loaded. Whatever goes wrong with the folder only makes things slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from airkeep.store.interface import Store

MAX_BYTES = 1 << 20  # a manifest of 200 tables is 300 kB
_DEPTH = 2  # index/environment=E/ is listed as one


class Cache:
    """A `load` that remembers; may be used from several threads and processes.

    Args:
        folder: whose files are all ours; it is made when needed, closed to other users.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder / _digest(store.url.encode())
        self._etags: dict[str, Mapping[str, str | None]] = {}
        self._lock = threading.Lock()

    def load(self, path: str) -> bytes:
        """The bytes at a path, as `Store.load`.

        Raises:
            NotFoundError: the path has none.
        """
        etag = self._etag(path)
        if etag is None:  # new since the listing, gone, or a store without etags
            return self._store.load(path)
        file = self._folder / _digest(path.encode())
        data = _read(file, etag)
        if data is None:
            data = self._store.load(path)
            _write(file, etag, data)
        return data

    def _etag(self, path: str) -> str | None:
        parts = path.split("/")
        prefix = "/".join(parts[:_DEPTH]) + "/" if len(parts) > _DEPTH else ""
        if not prefix:
            return None
        with self._lock:
            if prefix not in self._etags:
                self._etags[prefix] = {e.path: e.etag for e in self._store.list(prefix)}
            return self._etags[prefix].get(path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _read(file: Path, etag: str) -> bytes | None:
    """The document, when the file is one of ours, whole, and of that etag."""
    try:
        head, _, data = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    return data if head == _head(etag, data) else None


def _write(file: Path, etag: str, data: bytes) -> None:
    if len(data) > MAX_BYTES:
        return
    new = file.with_name(f".{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_bytes(_head(etag, data) + b"\n" + data)
        os.replace(new, file)  # noqa: PTH105 (over what is there, at once)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def _head(etag: str, data: bytes) -> bytes:
    return f"{_digest(etag.encode())} {_digest(data)}".encode()
