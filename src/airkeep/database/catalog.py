"""What a database says about itself: tables, columns, keys, sequences, as frozen data.

Nothing here connects to anything. `introspect` and `sqlite` fill these in; `ddl` turns
them back into statements; the manifest of a snapshot records the parts that a reader
needs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

Engine = Literal["postgresql", "sqlite"]


@dataclass(frozen=True)
class Column:
    """One column, its type spelled as the database spells it."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    identity: Literal["", "a", "d"] = ""  # generated always | by default, as identity
    generated: str | None = None  # the expression of a generated column
    virtual: bool = False  # a generated column that is computed when read (PostgreSQL 18)
    collation: str | None = None
    not_null_name: str | None = None  # PostgreSQL 18 on: NOT NULL is a named constraint
    type_kind: str = "b"  # pg_type.typtype: b base, e enum, d domain, c composite, r range


@dataclass(frozen=True)
class ForeignKey:
    """A reference from a table's columns to another's."""

    name: str
    columns: tuple[str, ...]
    target_schema: str | None
    target: str
    target_columns: tuple[str, ...]
    deferrable: bool = False


@dataclass(frozen=True)
class Constraint:
    """A key, check or exclusion, with the database's own definition of it."""

    name: str
    kind: str  # p primary, u unique, c check, f foreign key, x exclusion
    definition: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """An index that is not made by a constraint."""

    name: str
    definition: str
    unique: bool
    clustered: bool = False


@dataclass(frozen=True)
class Table:
    """One table. `name` is its own; see `Catalog.label` for what a snapshot calls it."""

    schema: str | None
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[str, ...] = ()  # PostgreSQL's statements
    oid: int = 0
    persistence: str = "p"
    has_children: bool = False  # other tables inherit from it: read it with ONLY
    definition: str | None = None  # SQLite: the statement that made it

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns that hold something of their own: generated ones are computed again."""
        return tuple(c for c in self.columns if c.generated is None)


@dataclass(frozen=True)
class NumberSequence:
    """A sequence, its state, and the column it serves."""

    schema: str | None
    name: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    last_value: int
    is_called: bool
    owner_table: str | None = None
    owner_schema: str | None = None
    owner_column: str | None = None
    identity: bool = False


@dataclass(frozen=True)
class EnumType:
    """An enumerated type and its labels in order."""

    schema: str
    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Lineage:
    """Which database, and how far it was: what an increment compares (docs/format.md).

    `xmin` and `xmax` are the snapshot's horizon and next transaction id as 64-bit numbers.
    `server_start` is the postmaster's: a copy of the data folder cannot have the same.
    """

    system_identifier: str
    database_oid: int
    timeline: int | None
    server_start: str
    xmin: int
    xmax: int


@dataclass(frozen=True)
class Catalog:
    """Everything a database says about itself, at one instant."""

    engine: Engine
    server_version: str
    main_schema: str | None
    tables: tuple[Table, ...]
    revisions: tuple[str, ...] = ()
    sequences: tuple[NumberSequence, ...] = ()
    enums: tuple[EnumType, ...] = ()
    functions: tuple[str, ...] = ()  # PostgreSQL's statements
    schemas: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())  # views, partitioned tables, ...: named, not kept
    statements: tuple[str, ...] = ()  # SQLite: indexes, triggers, views, as written

    def label(self, table: Table) -> str:
        """What a snapshot calls the table: `dag`, or `celery.taskmeta` outside Airflow's schema."""
        return self.label_of(table.schema, table.name)

    def label_of(self, schema: str | None, name: str) -> str:
        return name if schema == self.main_schema else f"{schema}.{name}"

    def by_label(self) -> dict[str, Table]:
        return {self.label(t): t for t in self.tables}

    def select(self, labels: Collection[str]) -> Catalog:
        """The same catalogue with only these tables; sequences that nobody owns stay."""
        tables = tuple(t for t in self.tables if self.label(t) in labels)
        kept = {(t.schema, t.name) for t in tables}
        sequences = tuple(
            s
            for s in self.sequences
            if s.owner_table is None or (s.owner_schema, s.owner_table) in kept
        )
        gone = {i.definition for t in self.tables if t not in tables for i in t.indexes}
        statements = tuple(s for s in self.statements if s not in gone)
        return replace(self, tables=tables, sequences=sequences, statements=statements)
