"""What a restore asks of a target, whichever engine it is, and how one is opened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, NumberSequence, Table
from airkeep.database.limits import ReadLimits
from airkeep.restore.fresh import TargetTable
from airkeep.restore.merge_sql import Unique
from airkeep.restore.plan import RestorePlan
from airkeep.restore.rows import TableRows
from airkeep.restore.statements import Dialect
from airkeep.snapshot.manifest import SequenceEntry


class Target(Protocol):
    """A database in one transaction; a context manager that undoes what was not committed."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def begin(self) -> None:
        """Take what a restore needs to write, after a first look; a dry run does not call this."""

    def catalog(self) -> Catalog | None:
        """What is there now; None when there is no table."""

    def lock(self, tables: Sequence[Table]) -> None:
        """Keep other writers out of these tables until the end."""

    def look(self, tables: Sequence[Table]) -> list[TargetTable]:
        """What stands in each table; no lock is waited for or taken that a writer minds."""

    def create(self, schema_sql: str) -> None:
        """Make the tables; keys and indexes may wait for `finish`."""

    def begin_loading(self, plan: RestorePlan) -> None:
        """Just before the first row."""

    def clear(self, table: Table) -> None:
        """Delete all rows of a table."""

    def load(self, table: Table, rows: TableRows) -> None:
        """Insert rows into an empty table."""

    def finish(self, plan: RestorePlan) -> tuple[str, ...]:
        """After the last row: keys, references. Returns what people should know."""

    def set_sequences(self, entries: Sequence[SequenceEntry], labels: Collection[str]) -> None:
        """Move sequences to where the source's were, and never behind the rows they number.

        Args:
            labels: of the tables that were restored.
        """

    def commit(self) -> None:
        """Make all of it visible at once."""

    @property
    def dialect(self) -> Dialect:
        """How its SQL is spelled."""

    def clock(self) -> datetime:
        """What time it is there."""

    # A living target: see `merge`.

    def begin_looking(self) -> None:
        """What a dry run needs to make temporary tables; nothing that a writer minds.

        What is read from here on is the target, or a copy of it.
        """

    def has_rows(self, tables: Sequence[Table]) -> list[bool]:
        """Whether each table has a row."""

    def uniques(self, table: Table) -> tuple[Unique, ...]:
        """The table's unique rules, the primary key among them."""

    def stage_table(self, table: Table, name: str, columns: Sequence[str]) -> None:
        """Make an empty temporary table with some of a table's columns, types as there."""

    def stage(self, table: Table, name: str, rows: TableRows) -> None:
        """Fill it."""

    def analyze(self, name: str) -> None:
        """Tell the planner what a temporary table holds."""

    def lock_living(self, tables: Sequence[Table]) -> None:
        """Keep other writers out until the end, all tables in one short step.

        Raises:
            BusyError: somebody held one of them all the time.
        """

    def barrier(self, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Keep other writers out until its end only."""

    def move_sequence(self, sequence: NumberSequence, past: int) -> None:
        """Let it go on after `past`, if it is not there yet."""

    def next_number(self, sequence: NumberSequence) -> str:
        """The SQL of a number that nobody else is given."""

    def change(self, statement: str, *, doing: str) -> None:
        """Run one statement of ours."""

    def query(self, statement: str, *, doing: str) -> list[Any]:
        """The rows of a SELECT of ours."""


def open_target(address: Address, folder: Path, limits: ReadLimits) -> Target:
    """The target for an address; nothing is connected before `with`."""
    if address.kind == "sqlite":
        from airkeep.restore.sqlite import SqliteTarget

        return SqliteTarget(address, folder, limits)
    from airkeep.restore.postgres import PostgresTarget

    return PostgresTarget(address, folder, limits)
