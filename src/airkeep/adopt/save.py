"""Save a backup that was read as a snapshot: its tables' files, then its manifest."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic

from airkeep.adopt.read import ReadBackup
from airkeep.adopt.table import SCHEMA
from airkeep.database.catalog import Catalog
from airkeep.database.ddl import make_ddl
from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.progress import Progress, Step
from airkeep.snapshot.seal import SecretsWay
from airkeep.snapshot.write import SnapshotWriter
from airkeep.version import __version__


def save_backup(
    read: ReadBackup, lake: Lake, environment: str, way: SecretsWay, progress: Progress
) -> Snapshot:
    """Make the snapshot; the spool files are gone afterwards.

    Args:
        way: what was done with secrets when it was read.

    Raises:
        StoreError: the lake could not be written.
    """
    began = monotonic()
    catalog = Catalog(
        engine="postgresql",
        server_version="unknown",
        main_schema=SCHEMA,
        tables=tuple(t.table for t in read.tables),
    )
    writer = SnapshotWriter(
        lake.store, environment, names.make_id(read.backup.at), make_ddl(catalog).script()
    )
    entries, rows = [], 0
    for table in read.tables:
        label = table.source.label
        progress(Step(label, rows, 0))
        saved = []
        for file in table.files:
            saved.append(writer.save(label, file.path, file.rows))
            file.path.unlink()
        entries.append(table.entry(saved))
        rows += table.rows
    timings = {"read": round(read.took_s, 3), "save": round(monotonic() - began, 3)}
    return writer.commit(_manifest(writer, read, entries, way, timings))


def _manifest(
    writer: SnapshotWriter,
    read: ReadBackup,
    entries: Sequence[m.TableEntry],
    way: SecretsWay,
    timings: Mapping[str, float],
) -> m.Manifest:
    cutoff = read.backup.cutoff
    keys = way.archive.fingerprints if way.mode == "seal" and way.archive else ()
    return m.Manifest(
        format=m.FORMAT,
        airkeep=__version__,
        run_id=str(uuid.uuid4()),
        environment=writer.environment,
        id=writer.id,
        airflow_version=read.version,
        revisions=read.revisions,
        server=m.ServerEntry("postgresql", "unknown"),
        main_schema=SCHEMA,
        mode="full",
        complete=False,
        window=None if cutoff is None else m.WindowEntry(cutoff),
        secrets=m.SecretsEntry(way.mode, keys, len(way.plain)),
        schema_sql=writer.schema_sql,
        tables=tuple(entries),
        sequences=(),
        adopted=read.adopted,
        started=read.started,
        finished=datetime.now(UTC),
        timings_s=dict(timings),
    )
