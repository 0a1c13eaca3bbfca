"""SQL that runs on PostgreSQL and on SQLite alike: what the two spell differently.

Statements of a restore are made from the columns that are there, over tables that the caller
names: its own target's, or temporary ones that hold a snapshot's rows before they are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from airkeep.database.sql import ident, literal

Dialect = Literal["postgresql", "sqlite"]
Columns = Mapping[str, Collection[str]]
Relation = Callable[[str], str]


@dataclass(frozen=True)
class Statement:
    """One statement; `label` says what it does, for progress and errors."""

    label: str
    sql: str


@dataclass(frozen=True)
class Words:
    """One dialect's spelling."""

    dialect: Dialect

    @property
    def is_sqlite(self) -> bool:
        return self.dialect == "sqlite"

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

    def temporary(self, name: str, select: str) -> str:
        """Make a temporary table of a query; see `aside`."""
        ending = "" if self.is_sqlite else " ON COMMIT DROP"
        return f"CREATE TEMPORARY TABLE {ident(name)}{ending} AS {select}"

    def aside(self, name: str) -> str:
        """A temporary table's name, whatever the search path is."""
        return f"{'temp' if self.is_sqlite else 'pg_temp'}.{ident(name)}"


def same(columns: Collection[str], one: str, other: str) -> str:
    """`one.a = other.a AND ...`."""
    return " AND ".join(f"{one}.{ident(c)} = {other}.{ident(c)}" for c in columns)


def listed(columns: Collection[str], alias: str = "") -> str:
    """`alias.a, alias.b`."""
    before = f"{alias}." if alias else ""
    return ", ".join(f"{before}{ident(c)}" for c in columns)
