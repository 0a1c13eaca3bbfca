"""A chain, folded, as another snapshot: each table is read back and compared before it counts.

The whole is verified before its manifest is saved, so nobody ever sees one that is damaged from its
beginning. One that was damaged later is no dead end: `is_whole` says so, and another one is made.

Where nothing changed since the chain's full snapshot, its files are copied byte by byte, unless
they are many and small.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from airkeep.database.duck import explained
from airkeep.database.limits import ReadLimits
from airkeep.database.spool import spool, spool_limits
from airkeep.errors import ExportError
from airkeep.lake.compact_plan import too_many_files
from airkeep.snapshot import names
from airkeep.snapshot.check import verify_snapshot
from airkeep.snapshot.fold import Layer, fold
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import FileEntry, Manifest, TableEntry, encode
from airkeep.snapshot.match import compare_sides
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.progress import Progress, Step
from airkeep.snapshot.read import SnapshotReader, bring
from airkeep.snapshot.results import VerifyResult, gravest, save_result
from airkeep.snapshot.sides import Field, Side
from airkeep.snapshot.write import SnapshotWriter
from airkeep.version import __version__

Copy = Callable[[TableEntry, SnapshotReader, SnapshotWriter], TableEntry]


def save_folded(
    old: Snapshot,
    copy: Copy,
    *,
    folder: Path,
    limits: ReadLimits,
    progress: Progress,
    **says: Any,
) -> Snapshot:
    """Save a full snapshot of the same instant beside another one, verified, its manifest last.

    Args:
        copy: saves one table's rows.
        says: what its manifest says otherwise than the old one's.

    Raises:
        ExportError: what was saved does not verify: there is no new snapshot.
    """
    began, manifest = datetime.now(UTC), old.manifest
    schema = folder / "schema.sql"
    bring(old.store, manifest.schema_sql, schema)
    writer = SnapshotWriter(
        old.store, manifest.environment, names.next_id(manifest.id), schema.read_text("utf-8")
    )
    tables, rows = [], 0
    with SnapshotReader(
        old, folder=folder, memory_bytes=limits.memory_bytes, threads=limits.threads
    ) as back:
        for entry in manifest.tables:
            progress(Step(entry.label, rows, manifest.rows))
            tables.append(copy(entry, back, writer))
            rows += entry.rows
    new = replace(
        manifest,
        airkeep=__version__,
        run_id=str(uuid.uuid4()),
        id=writer.id,
        mode="full",
        parent=None,
        full_because=None,
        schema_sql=writer.schema_sql,
        tables=tuple(tables),
        started=began,
        finished=datetime.now(UTC),
        timings_s={},
        **says,
    )
    result = _verified(_unsaved(old, new), folder=folder, limits=limits, progress=progress)
    made = writer.commit(new)
    save_result(made.store, result)
    return made


def _unsaved(beside: Snapshot, manifest: Manifest) -> Snapshot:
    """What the manifest will make visible."""
    name = SnapshotName(manifest.environment, manifest.id)
    return Snapshot(beside.store, name, encode(manifest))


def _verified(
    new: Snapshot, *, folder: Path, limits: ReadLimits, progress: Progress
) -> VerifyResult:
    result = _verify(new, folder=folder, limits=limits, progress=progress, record=False)
    if not result.ok:
        problem = gravest(result.problems)
        raise ExportError(
            f"{problem.path} {problem.what}, right after it was saved, so no snapshot was made and "
            f"nothing was removed: run it again, and look at the store if it stays so"
        )
    return result


def is_whole(made: Snapshot, *, folder: Path, limits: ReadLimits, progress: Progress) -> bool:
    """Whether one that an earlier run made verifies; recorded as `verify` records it."""
    return _verify(made, folder=folder, limits=limits, progress=progress, record=True).ok


def _verify(
    made: Snapshot, *, folder: Path, limits: ReadLimits, progress: Progress, record: bool
) -> VerifyResult:
    return verify_snapshot(
        made,
        folder=folder,
        memory_bytes=limits.memory_bytes,
        threads=limits.threads,
        record=record,
        progress=progress,
    )


def copy_table(
    entry: TableEntry,
    back: SnapshotReader,
    writer: SnapshotWriter,
    folder: Path,
    limits: ReadLimits,
) -> TableEntry:
    """Save a table of the snapshot that `back` reads, whole.

    Raises:
        ExportError: what was saved reads otherwise than the chain.
    """
    layers = back.fetch(entry.label)
    try:
        base, changed = layers[-1], any(one.files or one.deleted for one in layers[:-1])
        if changed or too_many_files(base.entry):
            files = _folded(entry, layers, back, writer, Path(mkdtemp(dir=folder)), limits)
        else:
            rows = (f.rows for f in base.entry.files)
            pairs = zip(base.files, rows, strict=True)
            files = tuple(writer.save(entry.label, path, n) for path, n in pairs)
    finally:
        back.drop(layers)
    return replace(entry, files=files, whole=True, deleted=(), deleted_rows=0)


def _folded(
    entry: TableEntry,
    layers: Sequence[Layer],
    back: SnapshotReader,
    writer: SnapshotWriter,
    folder: Path,
    limits: ReadLimits,
) -> tuple[FileEntry, ...]:
    """The folded rows in new files, which were read back from the lake and compared."""
    name, files = back.snapshot.name, []
    with explained(str(name), f"folding {entry.label}"):
        for made in spool(back.db, fold(layers), folder, spool_limits(limits.memory_bytes)):
            files.append(writer.save(entry.label, made.path, made.rows))
            made.path.unlink()
    brought = [folder / f"{n}.back" for n in range(len(files))]
    for file, path in zip(files, brought, strict=True):
        bring(back.snapshot.store, file, path)
    whole = replace(entry, files=tuple(files), whole=True, deleted=())
    rows = compare_sides(
        back.db,
        _side(entry, fold(layers)),
        _side(entry, fold([Layer(whole, tuple(brought), ())])),
        label=entry.label,
    )
    for path in brought:
        path.unlink()
    if rows.only_here or rows.only_there or rows.changed or rows.there != entry.rows:
        raise ExportError(
            f"{name}: {entry.label} would not have been the same after folding: "
            f"{entry.rows} rows expected, {rows.equal} of {rows.there} equal. Nothing was "
            f"removed; `airkeep verify` says whether the chain is damaged"
        )
    return tuple(files)


def _side(entry: TableEntry, query: str) -> Side:
    """A table's stored values as they are: a secret is compared as the bytes that it is."""
    stored = [c for c in entry.columns if not c.generated]
    fields = tuple(Field(c.name, c.type, c.parquet, c.encoding) for c in stored)
    return Side(query, fields, entry.key)
