"""Which columns a sequence numbers, though none of them owns it.

A column's default says it, or the sequence's name alone: FAB on Airflow 3 makes `ab_user_id_seq`
apart from the table and asks it for numbers itself. Its names are those that PostgreSQL gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_NEXTVAL = re.compile(r"nextval\('(.+)'::regclass\)")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')

Place = tuple[str | None, ...]
"""A sequence's schema and name."""


class Column(Protocol):
    """A catalogue's column, or a manifest's."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def default(self) -> str | None: ...


class Table(Protocol):
    """A catalogue's table, or a manifest's."""

    @property
    def schema(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> Sequence[Column]: ...


def numbered_columns(sequence: Place, table: Table) -> list[str]:
    """The table's columns that the sequence numbers."""
    return [c.name for c in table.columns if sequence in _sequences(table, c)]


def numbered_tables(sequence: Place, tables: Mapping[str, Table]) -> set[str]:
    """The labels of the tables with such a column."""
    return {label for label, table in tables.items() if numbered_columns(sequence, table)}


def _sequences(table: Table, column: Column) -> Iterator[Place]:
    if column.type not in _INTEGERS:
        return
    yield table.schema, f"{table.name}_{column.name}_seq"
    if found := _NEXTVAL.fullmatch(column.default or ""):
        parts = _PART.findall(found[1].replace("''", "'"))
        yield tuple(quoted.replace('""', '"') or plain for quoted, plain in parts)
