"""The commit of a snapshot, when its store stops answering."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airkeep.errors import ChangedError, UnavailableError
from airkeep.snapshot.lake import Lake, SnapshotName
from airkeep.snapshot.write import SnapshotWriter
from airkeep.store.interface import Store
from fake_lake import make_manifest, save_snapshot, snapshot_name


class Falling:
    """A store that answers nothing any more once a manifest was saved."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.is_down = False

    def __getattr__(self, name: str) -> Any:
        if self.is_down:
            raise UnavailableError("the store does not answer")
        return getattr(self.inner, name)

    def save(self, path: str, data: bytes) -> None:
        self.inner.save(path, data)
        self.is_down = path.endswith("manifest.json")


def started(store: Any, name: SnapshotName) -> SnapshotWriter:
    return SnapshotWriter(store, name.environment, name.id, "-- schema")


def test_what_was_committed_is_no_failure_though_the_store_goes_away(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    parent = save_snapshot(lake.store, snapshot_name(2))
    writer = started(Falling(lake.store), snapshot_name(1))
    small = make_manifest(snapshot_name(1), parent=parent)
    manifest = replace(small, tables=(), schema_sql=writer.schema_sql)

    found = writer.commit(manifest)
    assert found.manifest == manifest
    assert lake["latest"].manifest == manifest


def test_a_parent_that_is_gone_is_seen_before_anything_is_committed(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    writer = started(lake.store, snapshot_name(1))
    small = make_manifest(snapshot_name(1), parent=make_manifest(snapshot_name(2)))
    manifest = replace(small, tables=(), schema_sql=writer.schema_sql)
    with pytest.raises(ChangedError, match="was removed during the export"):
        writer.commit(manifest)
    assert lake.names() == []
