"""Snapshots that no database was needed for: a manifest, an index entry and a data file each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.names import SnapshotName
from airkeep.store.interface import Store

NEWEST = datetime(2026, 11, 21, 12, tzinfo=UTC)


def snapshot_name(number: int, environment: str = "prod", *, hours: float = 24) -> SnapshotName:
    """The name of the snapshot that is `number` days older than the newest."""
    return SnapshotName(environment, names.make_id(NEWEST - timedelta(hours=hours * number)))


def make_manifest(
    name: SnapshotName, *, parent: m.Manifest | None = None, complete: bool = True
) -> m.Manifest:
    at = names.id_time(name.id)
    data = f"{names.data_folder('dag', name.environment, name.id)}/00000.parquet"
    column = m.ColumnEntry("dag_id", "text", "VARCHAR", nullable=False)
    return m.Manifest(
        format=m.FORMAT,
        airkeep="0",
        run_id="r",
        environment=name.environment,
        id=name.id,
        airflow_version="3.3.2",
        revisions=("a",),
        server=m.ServerEntry("postgresql", "18"),
        mode="increment" if parent else "full",
        complete=complete,
        secrets=m.SecretsEntry("keep"),
        schema_sql=file_entry(names.schema_path(name.environment, name.id), b"schema"),
        tables=(
            m.TableEntry(
                *("dag", "public", "dag", "definition", (column,), ("dag_id",), (), 0),
                files=(file_entry(data, b"rows"),),
                whole=parent is None,
            ),
        ),
        sequences=(),
        started=at,
        finished=at,
        parent=m.ParentEntry(parent.id, sha256(m.encode(parent)).hexdigest()) if parent else None,
    )


def file_entry(path: str, data: bytes) -> m.FileEntry:
    return m.FileEntry(path, 0, len(data), sha256(data).hexdigest())


def save_files(store: Store, manifest: m.Manifest) -> None:
    """What an export saves before its manifest."""
    store.save(manifest.schema_sql.path, b"schema")
    for table in manifest.tables:
        for file in table.files:
            store.save(file.path, b"rows")


def commit(store: Store, manifest: m.Manifest) -> None:
    """What an export saves last."""
    store.save(names.manifest_path(manifest.environment, manifest.id), m.encode(manifest))
    summary = m.encode(m.summarize(manifest))
    store.save(names.index_path(manifest.environment, manifest.id), summary)


def save_snapshot(
    store: Store,
    name: SnapshotName,
    *,
    parent: m.Manifest | None = None,
    complete: bool = True,
) -> m.Manifest:
    manifest = make_manifest(name, parent=parent, complete=complete)
    save_files(store, manifest)
    commit(store, manifest)
    return manifest


def newer_format(manifest: m.Manifest) -> bytes:
    return m.encode(replace(manifest, format=m.FORMAT + 1))
