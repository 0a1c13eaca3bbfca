"""Where a backup lies: a folder, a file, or a URL of a store; read only.

What is remote is brought to the private folder of the run; what is local is read in place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from airkeep.errors import UnknownLayoutError
from airkeep.snapshot.write import file_sha256
from airkeep.store.interface import Entry
from airkeep.store.open import open_store

_FILE_SUFFIXES = (".sql", ".dump", ".gz", ".backup", ".pgdump", ".bak", ".pg")


class Source:
    """The files of a backup, by their paths below SOURCE.

    Args:
        place: a folder, a file, or a URL. One that ends like a dump's name is a file.
        folder: private; files of a store are brought there.
        options: what the store takes beside the URL.

    Raises:
        UnknownLayoutError: there is no such file or folder.
    """

    def __init__(
        self, place: str, folder: Path, *, options: Mapping[str, str] | None = None
    ) -> None:
        self._folder, self._only, self._root = folder, "", None
        if "://" not in place:
            path = Path(place).expanduser()
            if not path.exists():
                raise UnknownLayoutError(f"there is no file or folder {place}: correct SOURCE")
            self._root = path.parent if path.is_file() else path
            self._only = path.name if path.is_file() else ""
            self._store = open_store(str(self._root))
        elif place.lower().endswith(_FILE_SUFFIXES):
            url, _, self._only = place.rpartition("/")
            self._store = open_store(url, options=options)
        else:
            self._store = open_store(place, options=options)
        self._fetched: dict[str, Path] = {}

    @property
    def shown(self) -> str:
        """The place, printable."""
        url = self._store.url
        return f"{url.rstrip('/')}/{self._only}" if self._only else url

    @property
    def is_file(self) -> bool:
        """Whether SOURCE is one file."""
        return bool(self._only)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Every file by its path, sorted."""
        if self._only:
            return {self._only: self._store.head(self._only)}
        return {e.path: e for e in sorted(self._store.list(), key=lambda e: e.path)}

    def fetch(self, path: str) -> Path:
        """A local file with those bytes; not to be changed.

        Raises:
            StoreError: it cannot be read.
        """
        if self._root is not None:
            return self._root / path
        if path not in self._fetched:
            file = self._folder / f"source{len(self._fetched):05d}"
            self._store.load_file(path, file)
            self._fetched[path] = file
        return self._fetched[path]

    def sha256(self, path: str) -> str:
        """Of a file's bytes, in hex."""
        return file_sha256(self.fetch(path))


def fingerprint(source: Source, paths: Iterable[str], root: str = "") -> str:
    """By which a backup is known again: of its files' bytes and their names below `root`."""
    lines = (f"{source.sha256(p)}  {p.removeprefix(root)}\n" for p in sorted(paths))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
