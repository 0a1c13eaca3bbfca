"""Put a snapshot into a lake: the files first, the manifest last.

The id is taken by saving `schema.sql` under it, create-if-absent: two exports at the same
microsecond get different ids. A file is named by the manifest only after the store has
taken it; just before the manifest is saved, every file and the parent are looked for once
more, because a `clean` may run beside us. So an export that dies leaves garbage, never a
snapshot that is half true.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airkeep.errors import (
    AlreadySavedError,
    ChangedError,
    ExportError,
    ManifestError,
    NotFoundError,
    StoreError,
)
from airkeep.snapshot import names
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import FileEntry, Manifest, decode_manifest, encode, summarize
from airkeep.snapshot.names import SnapshotName
from airkeep.store.interface import Store

_ID_ATTEMPTS = 1000
_CHECKERS = 8  # listings in flight: a round trip to S3 costs 30 ms, a snapshot has some 60 tables


class SnapshotWriter:
    """One snapshot on its way into a lake.

    Attributes:
        environment: whose.
        id: taken by this run, and by no other.
        schema_sql: the first file saved.
    """

    def __init__(self, store: Store, environment: str, wanted_id: str, schema_sql: str) -> None:
        self._store, self.environment = store, environment
        self._counts: dict[str, int] = {}
        data = schema_sql.encode()
        self.id = self._take_id(wanted_id, data)
        self.schema_sql = FileEntry(
            path=names.schema_path(environment, self.id),
            rows=0,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )

    def _take_id(self, wanted: str, data: bytes) -> str:
        for _ in range(_ID_ATTEMPTS):
            try:
                self._store.save(names.schema_path(self.environment, wanted), data)
            except AlreadySavedError:
                wanted = names.next_id(wanted)
            else:
                return wanted
        raise ChangedError(f"{_ID_ATTEMPTS} ids in a row are taken up to {wanted}: export again")

    def save(self, label: str, file: Path, rows: int, *, kind: str = "tables") -> FileEntry:
        """Save one closed Parquet file of a table; the local file stays.

        Args:
            kind: `tables` for rows, `deleted` for the keys of rows that are gone.
        """
        folder = names.data_folder(label, self.environment, self.id, kind=kind)
        number = self._counts.get(folder, 0)
        self._counts[folder] = number + 1
        path = f"{folder}/{number:05d}.parquet"
        digest = file_sha256(file)
        size = file.stat().st_size
        self._store.save_file(path, file)
        return FileEntry(path=path, rows=rows, bytes=size, sha256=digest)

    def commit(self, manifest: Manifest) -> Snapshot:
        """Make the snapshot exist.

        Raises:
            ChangedError: a file of ours or the parent has gone meanwhile; nothing was committed.
        ExportError: nobody could read the manifest; nothing was committed.
            StoreError: nothing was committed either, but for a store that stopped answering in the
                middle of the save.
        """
        self._check_files(manifest.files())
        self._check_parent(manifest)
        path = names.manifest_path(self.environment, self.id)
        document = encode(manifest)
        _check_readable(document, path)
        self._store.save(path, document)
        try:  # again: a `clean` that removed it just now looks for children just after
            self._check_parent(manifest)
        except ChangedError:
            self._store.delete([path])
            raise
        except StoreError:
            pass  # it is committed, and `clean` itself puts back a parent that has a child
        save_index(self._store, manifest)
        return Snapshot(self._store, SnapshotName(self.environment, self.id), document)

    def _check_parent(self, manifest: Manifest) -> None:
        if manifest.parent is None:
            return
        try:
            self._store.head(names.manifest_path(self.environment, manifest.parent.id))
        except NotFoundError:
            raise ChangedError(
                f"the parent {manifest.parent.id} was removed during the export: export again"
            ) from None

    def _check_files(self, files: Iterable[FileEntry]) -> None:
        wanted = {f.path: f.bytes for f in files}
        folders = {path.rsplit("/", 1)[0] + "/" for path in wanted}
        with ThreadPoolExecutor(_CHECKERS) as pool:
            listed = pool.map(lambda folder: list(self._store.list(folder)), sorted(folders))
            found = {entry.path: entry.bytes for entries in listed for entry in entries}
        if gone := sorted(p for p, size in wanted.items() if found.get(p) != size):
            raise ChangedError(
                f"{gone[0]} and {len(gone) - 1} other files were removed or changed during the "
                f"export: is `clean` running with too short a grace? Export again."
            )


def _check_readable(document: bytes, path: str) -> None:
    """Nothing removes a snapshot whose manifest cannot be read, and no increment stands on it."""
    try:
        decode_manifest(document, path)
    except ManifestError as error:
        raise ExportError(
            "no snapshot was made, nobody could have read its manifest: that is a bug in airkeep, "
            "please report it"
        ) from error


def save_index(store: Store, manifest: Manifest) -> bool:
    """Save the derived summary; a lake without it only lists more slowly."""
    path = names.index_path(manifest.environment, manifest.id)
    try:
        store.save(path, encode(summarize(manifest)))
    except StoreError:
        return False
    return True


def file_sha256(file: Path) -> str:
    """The sha256 of a local file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
