"""A table of a chain, folded, into another snapshot: read back and compared before it counts.

Where nothing changed since the chain's full snapshot, its files are copied byte by byte, unless
they are many and small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from airkeep.database.duck import explained
from airkeep.database.limits import ReadLimits
from airkeep.database.spool import spool, spool_limits
from airkeep.errors import ExportError
from airkeep.lake.compact_plan import too_many_files
from airkeep.snapshot.fold import Layer, fold
from airkeep.snapshot.manifest import FileEntry, TableEntry
from airkeep.snapshot.match import compare_sides
from airkeep.snapshot.read import SnapshotReader, bring
from airkeep.snapshot.sides import Field, Side
from airkeep.snapshot.write import SnapshotWriter


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
