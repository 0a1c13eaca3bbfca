"""Whether a target's tables hold only what a fresh Airflow has.

Where an Airflow ran, tables that a fresh one leaves empty (`job`, `dag_run`) have rows: they are
asked first, for one row each. Only when none has one are the others read, as how often each value
of one column stands there: however large a wrong target is, little of it comes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from airkeep.database.catalog import Table
from airkeep.tables.defaults import default_column, is_default

# A `log` in use shows it within these; a fresh Airflow's tables have some 250 rows at most.
_FIRST_ROWS = 1_000


@dataclass(frozen=True)
class TargetTable:
    """What stands in a target's table before.

    Attributes:
        used: there is a row that no fresh Airflow has.
        defaults: rows that every fresh Airflow has; counted only where no table is used.
    """

    used: bool = False
    defaults: int = 0


class Rows(Protocol):
    """What is asked of a target; the writers of both engines answer it."""

    def has_rows(self, tables: Sequence[Table]) -> list[bool]: ...
    def tally(
        self, table: Table, column: str, most: int | None = None
    ) -> list[tuple[str, int]]: ...


def look_at(target: Rows, tables: Sequence[Table]) -> list[TargetTable]:
    """What stands in each table."""
    empty = [t for t in tables if default_column(t.name) is None]
    used = {t for t, has in zip(empty, target.has_rows(empty), strict=True) if has}
    if used:
        return [TargetTable(used=t in used) for t in tables]
    return [_defaults(target, t, default_column(t.name)) for t in tables]


def _defaults(target: Rows, table: Table, column: str | None) -> TargetTable:
    if column is None:
        return TargetTable()
    values = target.tally(table, column, _FIRST_ROWS)
    if all(is_default(table.name, {column: value}) for value, _ in values):
        values = target.tally(table, column)
    if all(is_default(table.name, {column: value}) for value, _ in values):
        return TargetTable(defaults=sum(rows for _, rows in values))
    return TargetTable(used=True)
