"""Compare a snapshot with what a database holds: table by table, column by column, row by row.

Rows are matched as `match` says. Here is what belongs to the two as a whole: tables and columns
that only one has, sequences, windows, secrets that no key opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airkeep.database.catalog import Catalog, Table
from airkeep.database.numbering import numbered_tables
from airkeep.database.reader import Reader
from airkeep.database.sql import ident, literal
from airkeep.snapshot.choose import choose_entries
from airkeep.snapshot.fold import fold
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import Manifest, SecretsMode, TableEntry
from airkeep.snapshot.match import Rows, compare_sides
from airkeep.snapshot.opener import Keys, Opener
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.sides import Field, Side
from airkeep.tables.roles import is_airflow_table
from airkeep.tables.secrets import secrets_of


@dataclass(frozen=True)
class ColumnChange:
    """A column that only one side has (the other's type is None), or that has another type."""

    name: str
    here: str | None
    there: str | None


@dataclass(frozen=True)
class TableComparison:
    """One table of the snapshot (here) beside the database's (there).

    Attributes:
        window: which rows the snapshot holds, where not all: only those were compared.
    """

    label: str
    rows: Rows
    columns: tuple[ColumnChange, ...] = ()
    window: str | None = None

    @property
    def equal(self) -> bool:
        rows = self.rows
        return not (self.columns or rows.only_here or rows.only_there or rows.changed)


@dataclass(frozen=True)
class SequenceChange:
    """A sequence's state on both sides, None where it is not."""

    label: str
    here: str | None
    there: str | None


@dataclass(frozen=True)
class Comparison:
    """A snapshot beside a database.

    Attributes:
        equal: nothing that was compared differs.
        only_here: tables that the database lacks.
        only_there: tables that the snapshot lacks; a difference only where a complete snapshot
            should hold them.
        sequences: those whose states differ; where tables were named, of these tables only.
        unopened: names of secrets that the given keys do not open.
        not_compared: secret values that could not be compared.
    """

    snapshot: str
    equal: bool
    tables: tuple[TableComparison, ...]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    sequences: tuple[SequenceChange, ...]
    unopened: tuple[str, ...]
    not_compared: int


def compare_with_database(
    snapshot: Snapshot,
    reader: Reader,
    *,
    folder: Path,
    memory_bytes: int = 400 << 20,
    threads: int = 2,
    keys: Keys | None = None,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    progress: Progress = silent,
) -> Comparison:
    """Compare a snapshot with what a database holds now.

    Args:
        reader: entered and not fixed yet; it is asked for the snapshot's tables only.
        folder: private, for files of one table at a time.
        keys: the database's Fernet keys and the archive's, for secrets.
        tables: only these; all of the snapshot where none is named.

    Raises:
        ConfigError: `tables` or `skip` names a table that the snapshot does not hold.
    """
    opener = Opener(keys or Keys())
    manifest = snapshot.manifest
    wanted = choose_entries(manifest, tables, skip)
    labels = {entry.label for entry in wanted}
    reader.fix(lambda known: labels & set(known))
    there = reader.catalog.by_label()
    done, compared = 0, []
    with SnapshotReader(
        snapshot, folder=folder, memory_bytes=memory_bytes, threads=threads
    ) as here:
        for entry in wanted:
            progress(Step(entry.label, done, sum(e.rows for e in wanted)))
            if entry.label in there:
                compared.append(_table(here, reader, entry, there[entry.label], opener))
            done += entry.rows
    only_there = () if tables else tuple(sorted(set(there) - {t.label for t in manifest.tables}))
    both = labels & set(there)
    sequences = _sequences(manifest, reader.catalog, both, of_none=not tables)
    only_here = tuple(sorted(labels - set(there)))
    missing = [label for label in only_there if manifest.complete and is_airflow_table(label)]
    return Comparison(
        snapshot=str(snapshot.name),
        equal=all(t.equal for t in compared) and not (only_here or missing or sequences),
        tables=tuple(compared),
        only_here=only_here,
        only_there=only_there,
        sequences=sequences,
        unopened=tuple(opener.failed),
        not_compared=sum(n for t in compared for n in t.rows.not_compared.values()),
    )


def _table(
    here: SnapshotReader, reader: Reader, entry: TableEntry, table: Table, opener: Opener
) -> TableComparison:
    layers = here.fetch(entry.label)
    spooled: list[Path] = []
    try:
        spooled.extend(file.path for file in reader.spool(table))
        manifest = here.snapshot.manifest
        ours = side_of(fold(layers), manifest, entry)
        fields = tuple(
            Field(c.name, c.type, way.parquet, way.encoding)
            for c, way in zip(table.stored_columns, reader.ways(table), strict=True)
        )
        held = {f.name: f.secret for f in ours.fields}
        dynamic = reader.catalog.engine == "sqlite"
        theirs = Side(
            _select(spooled, fields),
            tuple(replace(f, secret=held.get(f.name), dynamic=dynamic) for f in fields),
            table.key,
        )
        modes: tuple[SecretsMode, SecretsMode] = (manifest.secrets.mode, "keep")
        rows = compare_sides(here.db, ours, theirs, label=entry.label, opener=opener, modes=modes)
        if entry.window is not None:
            rows = replace(rows, there=rows.there - rows.only_there, only_there=0)
        return TableComparison(entry.label, rows, column_changes(ours, theirs), entry.window)
    finally:
        here.drop(layers)
        for path in spooled:
            path.unlink(missing_ok=True)


def side_of(query: str, manifest: Manifest, entry: TableEntry) -> Side:
    """A snapshot's table as a side; `query` has its columns."""
    names = {c.name for c in entry.columns}
    is_main = entry.schema == manifest.main_schema
    held = {s.column: s for s in secrets_of(entry.name, names)} if is_main else {}
    dynamic = manifest.server.engine == "sqlite"
    fields = tuple(
        Field(c.name, c.type, c.parquet, c.encoding, held.get(c.name), dynamic)
        for c in entry.columns
        if not c.generated
    )
    return Side(query, fields, entry.key)


def column_changes(here: Side, there: Side) -> tuple[ColumnChange, ...]:
    """Columns of one side only, and those whose type is another one."""
    ours = {f.name: f.type for f in here.fields}
    theirs = {f.name: f.type for f in there.fields}
    return tuple(
        ColumnChange(name, ours.get(name), theirs.get(name))
        for name in dict.fromkeys((*ours, *theirs))
        if ours.get(name) != theirs.get(name)
    )


def _sequences(
    manifest: Manifest, catalog: Catalog, labels: set[str], *, of_none: bool
) -> tuple[SequenceChange, ...]:
    """Compare the sequences that number these tables, and `of_none` those that number no table."""
    here = {s.label: _state(s.last_value, called=s.is_called) for s in manifest.sequences}
    there = {
        catalog.label_of(s.schema, s.name): _state(s.last_value, called=s.is_called)
        for s in catalog.sequences
    }
    tables = _numbered(manifest, catalog)
    return tuple(
        SequenceChange(label, here.get(label), there.get(label))
        for label in sorted({*here, *there})
        if here.get(label) != there.get(label)
        and (tables[label] & labels if tables[label] else of_none)
    )


def _numbered(manifest: Manifest, catalog: Catalog) -> Mapping[str, set[str]]:
    """The tables that each sequence numbers, on either side."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    ours, theirs = {t.label: t for t in manifest.tables}, catalog.by_label()
    for entry in manifest.sequences:
        found[entry.label] |= numbered_tables((entry.schema, entry.name), ours)
        if entry.owner is not None:
            found[entry.label].add(entry.owner)
    for one in catalog.sequences:
        label = catalog.label_of(one.schema, one.name)
        found[label] |= numbered_tables((one.schema, one.name), theirs)
        if one.owner_table is not None:
            found[label].add(catalog.label_of(one.owner_schema, one.owner_table))
    return found


def _state(last_value: int, *, called: bool) -> str:
    return f"{last_value}" if called else f"{last_value}, not used yet"


def _select(files: Sequence[Path], fields: Sequence[Field]) -> str:
    if not files:
        nothing = ", ".join(f"NULL::{f.parquet} AS {ident(f.name)}" for f in fields)
        return f"SELECT {nothing} WHERE false"
    names = ", ".join(ident(f.name) for f in fields)
    listed = ", ".join(literal(str(f)) for f in files)
    return f"SELECT {names} FROM read_parquet([{listed}], hive_partitioning = false)"
