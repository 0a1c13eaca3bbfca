"""A restore's target on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, NumberSequence, Table
from airkeep.database.ddl import split_script
from airkeep.database.limits import ReadLimits
from airkeep.database.numbering import numbered_columns
from airkeep.database.sql import ident, literal, qualified
from airkeep.database.types import same_wire, wire
from airkeep.database.write import PostgresWriter
from airkeep.restore.fresh import TargetTable, look_at
from airkeep.restore.from_sqlite import text_rows
from airkeep.restore.merge_sql import Unique, uniques_of
from airkeep.restore.plan import RestorePlan
from airkeep.restore.rows import TableRows
from airkeep.restore.statements import Dialect
from airkeep.snapshot.manifest import ColumnEntry, SequenceEntry


class PostgresTarget:
    """See `Target`. With a schema of our own making, keys are built after the rows: faster."""

    def __init__(self, address: Address, folder: Path, limits: ReadLimits) -> None:
        self._writer = PostgresWriter(address, folder, limits)
        self._keys = self._references = ""
        self._strict: list[tuple[str, str]] = []  # references that we made deferrable

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._writer.__exit__(*details)

    def begin(self) -> None:
        """The transaction is open since `with`."""

    def catalog(self) -> Catalog | None:
        return self._writer.catalog()

    def lock(self, tables: Sequence[Table]) -> None:
        self._writer.lock(tables)

    def look(self, tables: Sequence[Table]) -> list[TargetTable]:
        return look_at(self._writer, tables)

    def create(self, schema_sql: str) -> None:
        tables, self._keys, self._references = split_script(schema_sql)
        self._writer.execute(tables, doing="creating tables")

    def begin_loading(self, plan: RestorePlan) -> None:
        if plan.create_schema or not plan.deferred:
            return
        self._strict = list(self._not_deferrable(plan))
        for table, key in self._strict:
            self._writer.execute(
                f"ALTER TABLE {table} ALTER CONSTRAINT {key} DEFERRABLE INITIALLY DEFERRED",
                doing="deferring references",
            )
        self._writer.execute("SET CONSTRAINTS ALL DEFERRED", doing="deferring references")

    def _not_deferrable(self, plan: RestorePlan) -> Iterator[tuple[str, str]]:
        """Foreign keys of a cycle: they wait for the last row, and are made strict again."""
        catalog = self._writer.catalog()
        tables = catalog.by_label() if catalog else {}
        for label, key in plan.deferred:
            table = tables[label]
            if not any(k.deferrable for k in table.foreign_keys if k.name == key):
                yield qualified(table.schema, table.name), ident(key)

    def clear(self, table: Table) -> None:
        self._writer.delete(table)

    def load(self, table: Table, rows: TableRows) -> None:
        cast = _cast(table, rows)
        self._writer.load(table, rows.read(_select(rows, cast)), cast=cast)

    def finish(self, plan: RestorePlan) -> tuple[str, ...]:
        if plan.create_schema:
            self._writer.execute(self._keys, doing="building keys and indexes")
            self._writer.execute(self._references, doing="checking references")
            return ()
        if plan.deferred:
            self._writer.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="checking references")
        for table, key in self._strict:
            self._writer.execute(
                f"ALTER TABLE {table} ALTER CONSTRAINT {key} NOT DEFERRABLE",
                doing="making references strict again",
            )
        return ()

    def set_sequences(self, entries: Sequence[SequenceEntry], labels: Collection[str]) -> None:
        catalog = self._writer.catalog()
        if catalog is None:
            return
        for entry in entries:
            if entry.owner is not None and entry.owner not in labels:
                continue
            sequence = find_sequence(entry, catalog)
            if sequence is not None:
                value, called = self._state(catalog, entry, sequence)
                self._writer.set_sequence(sequence, value, is_called=called)

    def _state(
        self, catalog: Catalog, entry: SequenceEntry, sequence: NumberSequence
    ) -> tuple[int, bool]:
        """The furthest of the source's, the target's own, and the rows that are there."""
        down = sequence.increment < 0
        states = [(entry.last_value, entry.is_called), (sequence.last_value, sequence.is_called)]
        for table, column in _numbered(catalog, entry, sequence):
            numbered = self._writer.highest(table, column, lowest=down)
            if numbered is not None:
                states.append((numbered, True))
        return min(states, key=lambda s: (s[0], not s[1])) if down else max(states)

    @property
    def dialect(self) -> Dialect:
        return Dialect("postgresql")

    def clock(self) -> datetime:
        return datetime.fromisoformat(self._writer.ask("SELECT clock_timestamp()::text"))

    def commit(self) -> None:
        self._writer.commit()

    def begin_looking(self) -> None:
        """The transaction is open since `with`."""

    def has_rows(self, tables: Sequence[Table]) -> list[bool]:
        return self._writer.has_rows(tables)

    def uniques(self, table: Table) -> tuple[Unique, ...]:
        return uniques_of(table)

    def stage_table(self, table: Table, name: str, columns: Sequence[str]) -> None:
        listed = ", ".join(ident(c) for c in columns)
        self._writer.execute(
            f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT {listed} "
            f"FROM {qualified(table.schema, table.name)} WITH NO DATA",
            doing=f"staging {table.name}",
        )

    def stage(self, table: Table, name: str, rows: TableRows) -> None:
        schema, _, bare = name.rpartition(".")
        staged = replace(table, schema=schema, name=bare)
        if rows.engine == "sqlite":
            texts = text_rows(table, rows)
            self._writer.load(staged, texts, cast=texts.schema.names, temporary=True)
            return
        cast = _cast(table, rows)
        self._writer.load(staged, rows.read(_select(rows, cast)), cast=cast, temporary=True)

    def analyze(self, name: str) -> None:
        self._writer.execute(f"ANALYZE {name}", doing="analyzing")

    def lock_living(self, tables: Sequence[Table]) -> None:
        self._writer.lock_politely(tables)

    def barrier(self, tables: Sequence[Table]) -> AbstractContextManager[None]:
        return self._writer.barrier(tables)

    def move_sequence(self, sequence: NumberSequence, past: int) -> None:
        self._writer.move_sequence(sequence, past)

    def next_number(self, sequence: NumberSequence) -> str:
        return f"nextval({literal(qualified(sequence.schema, sequence.name))})"

    def change(self, statement: str, *, doing: str) -> None:
        self._writer.execute(statement, doing=doing)

    def query(self, statement: str, *, doing: str) -> list[Any]:
        return self._writer.query(statement, doing=doing)


def _cast(table: Table, rows: TableRows) -> list[str]:
    """The columns that go in as text and are cast: their own way, or the target's other type."""
    return [
        c.name
        for c in rows.columns
        if c.encoding == "text" or not same_wire(c.type, table.column(c.name).type)
    ]


def _select(rows: TableRows, cast: Collection[str]) -> list[str]:
    return [f"{_wire(c, text=c.name in cast)} AS {ident(c.name)}" for c in rows.columns]


def _wire(column: ColumnEntry, *, text: bool) -> str:
    if text and column.encoding == "same":
        return f"CAST({ident(column.name)} AS VARCHAR)"
    template = wire(column.type) if column.encoding == "same" else "{0}"
    return template.format(ident(column.name))


def _numbered(
    catalog: Catalog, entry: SequenceEntry, sequence: NumberSequence
) -> set[tuple[Table, str]]:
    """The columns that a sequence numbers, its owner among them."""
    found = {
        (table, column)
        for table in catalog.tables
        for column in numbered_columns((sequence.schema, sequence.name), table)
    }
    if entry.owner is not None and entry.owner_column is not None:
        found.add((catalog.by_label()[entry.owner], entry.owner_column))
    return found


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
