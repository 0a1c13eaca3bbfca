"""SQL that runs on PostgreSQL and on SQLite alike: what the two spell differently.

Statements of a restore are made from the columns that are there, over tables that the caller
names: its own target's, or temporary ones that hold a snapshot's rows before they are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from airkeep.database.catalog import Engine
from airkeep.database.sql import ident, literal

Columns = Mapping[str, Collection[str]]
Relation = Callable[[str], str]


@dataclass(frozen=True)
class Statement:
    """One statement; `label` says what it does, for progress and errors."""

    label: str
    sql: str


@dataclass(frozen=True)
class Dialect:
    """One engine's spelling."""

    engine: Engine

    @property
    def is_sqlite(self) -> bool:
        return self.engine == "sqlite"

    @property
    def row(self) -> str:
        """A row's address, which stays as long as the row is not changed."""
        return "rowid" if self.is_sqlite else "ctid"

    @property
    def only(self) -> str:
        """A table's own rows, not those of tables that inherit from it."""
        return "" if self.is_sqlite else "ONLY "

    def time(self, at: datetime) -> str:
        """An instant; SQLite keeps naive UTC as text, as SQLAlchemy writes it."""
        utc = at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        return literal(utc) if self.is_sqlite else f"TIMESTAMPTZ '{utc}+00'"

    def later(self, one: str, other: str) -> str:
        """The later of two instants; NULL beside an instant is not asked."""
        return f"{'max' if self.is_sqlite else 'GREATEST'}({one}, {other})"

    def seconds(self, start: str, end: str) -> str:
        """From one instant to another."""
        if self.is_sqlite:
            return f"round((julianday({end}) - julianday({start})) * 86400.0, 3)"
        return f"EXTRACT(EPOCH FROM ({end} - {start}))::double precision"

    def uuid(self) -> str:
        """A new random one; SQLite keeps it as 32 hex digits."""
        if not self.is_sqlite:
            # gen_random_uuid() is there from PostgreSQL 13.
            return "md5(random()::text || clock_timestamp()::text || random()::text)::uuid"
        three = "substr(hex(randomblob(2)), 2)"
        six = "hex(randomblob(6))"
        return f"lower({six} || '4' || {three} || '8' || {three} || {six})"

    def false(self) -> str:
        return "0" if self.is_sqlite else "false"

    def true(self) -> str:
        return "1" if self.is_sqlite else "true"

    def text(self, columns: Sequence[str], alias: str) -> str:
        """All of a row's values as one text that is equal only where they are, NULLs too."""
        names = [f"{alias}.{ident(c)}" for c in columns]
        if self.is_sqlite:
            return " || ',' || ".join(f"quote({n})" for n in names)
        return f"ROW({', '.join(names)})::text"

    def mark(self, columns: Sequence[str], alias: str) -> str:
        """A short form of `text` that is as good for comparing (128 bits)."""
        text = self.text(columns, alias)
        return text if self.is_sqlite else f"md5({text})"

    def empty(self, name: str, columns: Mapping[str, str]) -> str:
        """Make an empty temporary table; SQLite takes any value without a type."""
        listed = ", ".join(c if self.is_sqlite else f"{c} {t}" for c, t in columns.items())
        return f"CREATE TEMPORARY TABLE {ident(name)} ({listed}){self._gone}"

    def temporary(self, name: str, select: str) -> str:
        """Make a temporary table of a query; see `aside`."""
        return f"CREATE TEMPORARY TABLE {ident(name)}{self._gone} AS {select}"

    def aside(self, name: str) -> str:
        """A temporary table's name, whatever the search path is."""
        return f"{'temp' if self.is_sqlite else 'pg_temp'}.{name}"

    @property
    def _gone(self) -> str:
        return "" if self.is_sqlite else " ON COMMIT DROP"


def same(columns: Collection[str], one: str, other: str) -> str:
    """`one.a = other.a AND ...`."""
    return " AND ".join(f"{one}.{ident(c)} = {other}.{ident(c)}" for c in columns)


def listed(columns: Collection[str], alias: str = "") -> str:
    """`alias.a, alias.b`."""
    before = f"{alias}." if alias else ""
    return ", ".join(f"{before}{ident(c)}" for c in columns)
