"""Put a snapshot back: everything in one transaction, or nothing.

Looked at first: the target's tables and rows, under locks that keep other writers out. Then
the plan; a dry run ends there. Then tables in the plan's order, sequences, and the commit. A
file's sha256 is compared before its rows go anywhere, so a damaged snapshot changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING

from airkeep.database.address import Address, resolve_address
from airkeep.database.catalog import Catalog, NumberSequence, Table
from airkeep.database.ddl import split_script
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import ident, qualified
from airkeep.database.types import wire
from airkeep.database.write import PostgresWriter
from airkeep.errors import ConfigError, RestoreError
from airkeep.restore.plan import (
    RestorePlan,
    TableRestore,
    TargetTable,
    choose_entries,
    plan_restore,
)
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.manifest import ColumnEntry, SequenceEntry, TableEntry
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import SnapshotReader, bring
from airkeep.snapshot.seal import SecretsBack, open_keyring
from airkeep.tables.defaults import FRESH_TABLES, default_column, is_default
from airkeep.tables.secrets import Secret, secrets_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RestoreResult:
    """What was done; `took_s` is 0 for a dry run."""

    plan: RestorePlan
    rows: int
    took_s: float
    dry_run: bool = False


def restore(
    lake: str | Lake,
    snapshot: str | Snapshot,
    database: str | Address,
    *,
    dry_run: bool = False,
    create_schema: bool = False,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    fernet_key: str | None = None,
    archive_key: str | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> RestoreResult:
    """Restore a snapshot into an empty or freshly migrated database of the same revision.

    Args:
        snapshot: a name (`latest`, `prod/2026...`, see `Lake`), or a `Snapshot`.
        dry_run: only plan.
        create_schema: the target has no tables; make them as the source had them.
        tables: only these; empty means all.
        fernet_key: the target's, for sealed and plain secrets.
        archive_key: what the snapshot was sealed with.

    Raises:
        AirkeepError: see `airkeep.errors`; the target is as it was.
    """
    lake = Lake(lake) if isinstance(lake, str) else lake
    found = lake.find(snapshot, complete=True) if isinstance(snapshot, str) else snapshot
    address = resolve_address(database, {}) if isinstance(database, str) else database
    back = SecretsBack(
        found.manifest.secrets.mode,
        open_keyring(archive_key, variable="AIRKEEP_ARCHIVE_KEY"),
        open_keyring(fernet_key, variable="the target's Fernet key"),
    )
    if address.kind != found.manifest.server.engine:
        raise ConfigError(
            f"the snapshot is of {found.manifest.server.engine}: {address} cannot take it"
        )
    limits = limits or ReadLimits()
    with TemporaryDirectory(prefix="airkeep-", dir=spool) as folder:
        run = _Restore(found, address, back, Path(folder), limits, progress)
        return run.run(tables, skip, create_schema=create_schema, dry_run=dry_run)


class _Restore:
    """One run; its methods are its steps, in order."""

    def __init__(
        self,
        snapshot: Snapshot,
        address: Address,
        back: SecretsBack,
        folder: Path,
        limits: ReadLimits,
        progress: Progress,
    ) -> None:
        self.snapshot, self.address, self.back = snapshot, address, back
        self.folder, self.limits, self.progress = folder, limits, progress
        self.rows = 0

    def run(
        self, tables: Sequence[str], skip: Sequence[str], *, create_schema: bool, dry_run: bool
    ) -> RestoreResult:
        began = monotonic()
        entries = choose_entries(self.snapshot.manifest, tables, skip)
        with PostgresWriter(self.address, self.folder, self.limits) as writer:
            plan = self.plan(writer, entries, create_schema=create_schema)
            if dry_run:
                return RestoreResult(plan, plan.rows, 0.0, dry_run=True)
            self.load(writer, plan, entries)
            self.progress(Step("committing", self.rows, plan.rows))
            writer.commit()
        return RestoreResult(plan, self.rows, round(monotonic() - began, 3))

    def plan(
        self, writer: PostgresWriter, entries: Sequence[TableEntry], *, create_schema: bool
    ) -> RestorePlan:
        catalog = writer.catalog()
        found: dict[str, TargetTable] = {}
        if catalog is not None and not create_schema:
            found = self.look(writer, catalog, {e.label for e in entries})
        return plan_restore(
            self.snapshot.manifest,
            entries,
            target=str(self.address),
            catalog=catalog,
            found=found,
            create_schema=create_schema,
        )

    def look(
        self, writer: PostgresWriter, catalog: Catalog, wanted: set[str]
    ) -> dict[str, TargetTable]:
        """Lock the tables that will change and count what is in them."""
        tables = [t for t in catalog.tables if catalog.label(t) in wanted]
        writer.lock(tables)
        counts = writer.count(tables)
        found = {}
        for table, rows in zip(tables, counts, strict=True):
            found[catalog.label(table)] = TargetTable(rows, _defaults(writer, table, rows))
        return found

    def load(
        self, writer: PostgresWriter, plan: RestorePlan, entries: Sequence[TableEntry]
    ) -> None:
        by_label = {e.label: e for e in entries}
        keys, references = "", ""
        if plan.create_schema:
            before, keys, references = split_script(self.schema_sql())
            writer.execute(before, doing="creating tables")
        catalog = self.target_catalog(writer)
        tables = catalog.by_label()
        with SnapshotReader(
            self.snapshot,
            folder=self.folder,
            memory_bytes=self.limits.memory_bytes,
            threads=self.limits.threads,
        ) as reader:
            for fate in reversed(plan.tables):
                if fate.defaults:
                    writer.delete(tables[fate.label])
            with _deferred(writer, plan, tables, enabled=not plan.create_schema):
                for fate in plan.tables:
                    self.load_table(writer, reader, fate, by_label[fate.label], tables[fate.label])
        self.back.check_failures()
        if plan.create_schema:
            self.progress(Step("building keys and indexes", self.rows, plan.rows))
            writer.execute(keys, doing="building keys")
            writer.execute(references, doing="checking references")
        labels = {e.label for e in entries}
        self.set_sequences(writer, catalog, labels)

    def schema_sql(self) -> str:
        local = self.folder / "schema.sql"
        bring(self.snapshot.store, self.snapshot.manifest.schema_sql, local)
        return local.read_text()

    def target_catalog(self, writer: PostgresWriter) -> Catalog:
        catalog = writer.catalog()
        if catalog is None:
            raise RestoreError(f"{self.address}: the tables were not made")
        return catalog

    def load_table(
        self,
        writer: PostgresWriter,
        reader: SnapshotReader,
        fate: TableRestore,
        entry: TableEntry,
        table: Table,
    ) -> None:
        self.progress(Step(fate.label, self.rows, self.snapshot.manifest.rows))
        if not fate.rows:
            return
        counted = _Counted()
        rows = self.rows_of(reader, entry, table, counted)
        cast = [c.name for c in entry.columns if c.encoding == "text"]
        writer.load(table, rows, cast=cast)
        if counted.rows != entry.rows:
            raise RestoreError(
                f"{entry.label} has {counted.rows} rows, its manifest says {entry.rows}: "
                f"run verify on this snapshot"
            )
        self.rows += counted.rows

    def rows_of(
        self, reader: SnapshotReader, entry: TableEntry, table: Table, counted: _Counted
    ) -> pa.RecordBatchReader:
        """The table's rows with every field as the server's COPY takes it."""
        import pyarrow as pa

        layers = reader.fetch(entry.label)
        relation = f"({reader.relation(layers)})"
        columns = [c for c in entry.columns if not c.generated]
        secrets = self.secrets(entry)
        if self.back.has_work and secrets:
            rows = reader.db.execute(f"FROM {relation}").to_arrow_reader(20_000)
            treated = [self.back.treat(batch, entry.label, secrets) for batch in rows]
            reader.db.register("treated", pa.Table.from_batches(treated, rows.schema))
            relation = "treated"
        wanted = ", ".join(_wire(c) for c in columns)
        found = reader.db.execute(f"SELECT {wanted} FROM {relation}").to_arrow_reader(20_000)

        def count() -> Iterator[pa.RecordBatch]:
            for batch in found:
                counted.rows += batch.num_rows
                yield batch
            reader.drop(layers)

        return pa.RecordBatchReader.from_batches(found.schema, count())

    def secrets(self, entry: TableEntry) -> tuple[Secret, ...]:
        if entry.schema != self.snapshot.manifest.main_schema:
            return ()
        return secrets_of(entry.name, [c.name for c in entry.columns])

    def set_sequences(self, writer: PostgresWriter, catalog: Catalog, labels: set[str]) -> None:
        """Move sequences to where the source's were, and never behind the rows they number."""
        for entry in self.snapshot.manifest.sequences:
            if entry.owner is not None and entry.owner not in labels:
                continue
            sequence = find_sequence(entry, catalog)
            if sequence is None:
                continue
            value, called = self.sequence_state(writer, catalog, entry, sequence)
            writer.set_sequence(sequence, value, is_called=called)

    def sequence_state(
        self,
        writer: PostgresWriter,
        catalog: Catalog,
        entry: SequenceEntry,
        sequence: NumberSequence,
    ) -> tuple[int, bool]:
        down = sequence.increment < 0
        states = [(entry.last_value, entry.is_called), (sequence.last_value, sequence.is_called)]
        if entry.owner is not None and entry.owner_column is not None:
            table = catalog.by_label().get(entry.owner)
            numbered = writer.highest(table, entry.owner_column, lowest=down) if table else None
            if numbered is not None:
                states.append((numbered, True))
        return min(states, key=lambda s: (s[0], not s[1])) if down else max(states)


@dataclass
class _Counted:
    rows: int = 0


def _wire(column: ColumnEntry) -> str:
    template = wire(column.type) if column.encoding == "same" else "{0}"
    return f"{template.format(ident(column.name))} AS {ident(column.name)}"


def _defaults(writer: PostgresWriter, table: Table, rows: int) -> int:
    column = default_column(table.name)
    if not rows or table.name not in FRESH_TABLES or column is None:
        return 0
    values = writer.values(table, column)
    return sum(is_default(table.name, {column: value}) for value in values)


def find_sequence(entry: SequenceEntry, catalog: Catalog) -> NumberSequence | None:
    """The target's sequence for the same column, whatever it is called there; else by name."""
    for sequence in catalog.sequences:
        if entry.owner is not None and sequence.owner_table is not None:
            owner = catalog.label_of(sequence.owner_schema, sequence.owner_table)
            if (owner, sequence.owner_column) == (entry.owner, entry.owner_column):
                return sequence
    for sequence in catalog.sequences:
        if catalog.label_of(sequence.schema, sequence.name) == entry.label:
            return sequence
    return None


@contextmanager
def _deferred(
    writer: PostgresWriter, plan: RestorePlan, tables: dict[str, Table], *, enabled: bool
) -> Iterator[None]:
    """Let the foreign keys of a cycle wait for the last row, and make them strict again."""
    if not enabled or not plan.deferred:
        yield
        return
    names = [(qualified(tables[label].schema, tables[label].name), ident(key))
             for label, key in plan.deferred]  # fmt: skip
    for table, key in names:
        writer.execute(
            f"ALTER TABLE {table} ALTER CONSTRAINT {key} DEFERRABLE INITIALLY DEFERRED",
            doing="deferring references",
        )
    yield
    writer.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="checking references")
    for table, key in names:
        writer.execute(
            f"ALTER TABLE {table} ALTER CONSTRAINT {key} NOT DEFERRABLE",
            doing="restoring references",
        )
