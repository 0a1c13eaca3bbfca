"""The commit of a snapshot, when its store stops answering or something in it goes away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airkeep.errors import ChangedError, ExportError, UnavailableError
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.write import SnapshotWriter
from airkeep.store.interface import Store
from fake_lake import make_manifest, save_snapshot, snapshot_name


class Watched:
    """A store to which something happens once a manifest was saved, and which may go away."""

    def __init__(self, inner: Store, then: Callable[[Watched], None]) -> None:
        self.inner, self.then = inner, then
        self.is_down = False

    def __getattr__(self, name: str) -> Any:
        if self.is_down:
            raise UnavailableError("the store does not answer")
        return getattr(self.inner, name)

    def save(self, path: str, data: bytes) -> None:
        self.__getattr__("save")(path, data)
        if path.endswith("manifest.json"):
            self.then(self)


def fall(store: Watched) -> None:
    store.is_down = True


def started(store: Any, name: SnapshotName) -> SnapshotWriter:
    return SnapshotWriter(store, name.environment, name.id, "-- schema")


def test_what_was_committed_is_no_failure_though_the_store_goes_away(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    parent = save_snapshot(lake.store, snapshot_name(2))
    writer = started(Watched(lake.store, fall), snapshot_name(1))
    small = make_manifest(snapshot_name(1), parent=parent)
    manifest = replace(small, tables=(), schema_sql=writer.schema_sql)

    found = writer.commit(manifest)
    assert found.manifest == manifest
    assert lake["latest"].manifest == manifest


def test_a_parent_that_is_gone_is_seen_before_anything_is_committed(tmp_path: Path) -> None:
    lake, committed = Lake(str(tmp_path)), list[Watched]()
    writer = started(Watched(lake.store, committed.append), snapshot_name(1))
    small = make_manifest(snapshot_name(1), parent=make_manifest(snapshot_name(2)))
    manifest = replace(small, tables=(), schema_sql=writer.schema_sql)
    with pytest.raises(ChangedError, match="was removed during the export"):
        writer.commit(manifest)
    assert committed == []


def test_a_parent_that_goes_in_the_middle_of_the_commit_takes_it_along(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    parent = save_snapshot(lake.store, snapshot_name(2))

    def clean(store: Watched) -> None:
        store.delete([names.manifest_path("prod", parent.id)])

    writer = started(Watched(lake.store, clean), snapshot_name(1))
    small = make_manifest(snapshot_name(1), parent=parent)
    manifest = replace(small, tables=(), schema_sql=writer.schema_sql)
    with pytest.raises(ChangedError, match="was removed during the export"):
        writer.commit(manifest)
    assert lake.committed() == []


def test_a_manifest_that_nobody_could_read_is_not_committed(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    writer = started(lake.store, snapshot_name(1))
    small = replace(make_manifest(snapshot_name(1)), tables=(), schema_sql=writer.schema_sql)
    odd = replace(small, secrets=replace(small.secrets, mode="Drop"))  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="no snapshot was made"):
        writer.commit(odd)
    assert lake.committed() == []


@pytest.mark.parametrize("put", [None, b"longer than it was"])
def test_a_file_that_is_gone_or_changed_is_seen_before_anything_is_committed(
    put: bytes | None, tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path))
    writer = started(lake.store, snapshot_name(1))
    manifest = replace(make_manifest(snapshot_name(1)), tables=(), schema_sql=writer.schema_sql)
    lake.store.delete([writer.schema_sql.path])
    if put is not None:
        lake.store.save(writer.schema_sql.path, put)
    with pytest.raises(ChangedError, match=r"schema\.sql .* removed or changed during the export"):
        writer.commit(manifest)
    assert lake.committed() == []
