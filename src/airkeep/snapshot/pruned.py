"""The mark on a snapshot that holds rows which left their database.

It is saved before the first row goes: `pruned/<time>.json` beside the manifest. No later snapshot
holds those rows, so as long as the mark is there no retention removes the snapshot, or one that
it stands on, and no chain with it is folded. Who wants them gone for good deletes the mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from airkeep.errors import AlreadySavedError
from airkeep.snapshot import names
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.names import SnapshotName
from airkeep.version import __version__

_MARK = re.compile(r"snapshots/environment=(?P<environment>[^/]+)/(?P<id>[^/]+)/pruned/[^/]+\.json")
_ATTEMPTS = 10


@dataclass(frozen=True)
class Pruned:
    """What a mark says: rows that were about to leave, by table."""

    manifest_sha256: str
    at: datetime
    airkeep: str
    cutoff: datetime
    rows: dict[str, int]


def mark(snapshot: Snapshot, *, cutoff: datetime, rows: Mapping[str, int]) -> str:
    """Save the mark of one prune: its path.

    Raises:
        StoreError: it could not be saved, so nothing may be deleted.
    """
    at = datetime.now(UTC)
    told = Pruned(snapshot.manifest_sha256, at, __version__, cutoff, dict(rows))
    data = msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"
    stem = names.make_id(at)
    for attempt in range(_ATTEMPTS):
        path = names.pruned_path(snapshot.environment, snapshot.id, names.id_time(stem))
        try:
            snapshot.store.save(path, data)
        except AlreadySavedError:
            if attempt == _ATTEMPTS - 1:
                raise
            stem = names.next_id(stem)
        else:
            break
    return path


def marked(paths: Iterable[str]) -> frozenset[SnapshotName]:
    """The snapshots that have a mark, told from the lake's files."""
    found = filter(None, map(_MARK.fullmatch, paths))
    return frozenset(SnapshotName(mark["environment"], mark["id"]) for mark in found)
