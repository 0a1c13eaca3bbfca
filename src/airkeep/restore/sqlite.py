"""A restore's target on SQLite: a new file, an empty one, or a migrated Airflow's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, NumberSequence, Table
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import ident
from airkeep.database.sqlite_write import SqliteWriter
from airkeep.restore.fresh import TargetTable, look_at
from airkeep.restore.merge_sql import Unique
from airkeep.restore.plan import RestorePlan
from airkeep.restore.rows import TableRows
from airkeep.restore.statements import Dialect
from airkeep.snapshot.manifest import SequenceEntry


class SqliteTarget:
    """See `Target`. References are not enforced: real files have orphans, which are reported."""

    def __init__(self, address: Address, folder: Path, limits: ReadLimits) -> None:
        self._writer, self._folder, self._limits = SqliteWriter(address), folder, limits

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._writer.__exit__(*details)

    def begin(self) -> None:
        self._writer.begin(self._limits.lock_timeout_s)

    def catalog(self) -> Catalog | None:
        return self._writer.catalog()

    def lock(self, tables: Sequence[Table]) -> None:
        """`begin` took the file's one lock."""

    def look(self, tables: Sequence[Table]) -> list[TargetTable]:
        return look_at(self._writer, tables)

    def create(self, schema_sql: str) -> None:
        self._writer.create(schema_sql)

    def begin_loading(self, plan: RestorePlan) -> None:
        """Nothing to prepare."""

    def clear(self, table: Table) -> None:
        self._writer.delete(table)

    def load(self, table: Table, rows: TableRows) -> None:
        self._writer.load(table, rows.columns, rows.read())

    def finish(self, plan: RestorePlan) -> tuple[str, ...]:
        left_out = self._writer.finish()
        notes = [f"left out: {statement}" for statement in left_out]
        for orphans in self._writer.check_references():
            count = "some rows" if orphans.rows is None else f"{orphans.rows:,} rows"
            notes.append(f"{count} of {orphans.table} point at no row of {orphans.target}")
        return tuple(notes)

    def set_sequences(self, entries: Sequence[SequenceEntry], labels: Collection[str]) -> None:
        counted = {e.label: e.last_value for e in entries if (e.owner or e.label) in labels}
        self._writer.set_sequences(counted)

    @property
    def dialect(self) -> Dialect:
        return Dialect("sqlite")

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def commit(self) -> None:
        self._writer.commit()

    def begin_looking(self) -> None:
        self._writer.begin_looking(self._folder)

    def has_rows(self, tables: Sequence[Table]) -> list[bool]:
        return self._writer.has_rows(tables)

    def uniques(self, table: Table) -> tuple[Unique, ...]:
        return tuple(
            Unique(tuple(ident(c) for c in columns)) for columns in self._writer.uniques(table)
        )

    def stage_table(self, table: Table, name: str, columns: Sequence[str]) -> None:
        """With the types as they are declared: affinities decide what a value becomes."""
        listed = ", ".join(f"{ident(c)} {table.column(c).type}" for c in columns)
        self._writer.execute(f"CREATE TEMPORARY TABLE {name.rpartition('.')[2]} ({listed})")

    def stage(self, table: Table, name: str, rows: TableRows) -> None:
        staged = replace(table, name=name.rpartition(".")[2])
        self._writer.load(staged, rows.columns, rows.read())

    def analyze(self, name: str) -> None:
        """SQLite plans its joins well enough by the automatic indexes it makes."""

    def lock_living(self, tables: Sequence[Table]) -> None:
        """`begin` took the file's one lock."""

    def barrier(self, tables: Sequence[Table]) -> AbstractContextManager[None]:
        return nullcontext()

    def move_sequence(self, sequence: NumberSequence, past: int) -> None:
        """Nobody else numbers rows meanwhile, and the sequences are set at the end."""

    def next_number(self, sequence: NumberSequence) -> str:
        raise NotImplementedError(sequence)

    def change(self, statement: str, *, doing: str) -> None:
        self._writer.execute(statement, doing=doing)

    def query(self, statement: str, *, doing: str) -> list[Any]:
        return self._writer.query(statement, doing=doing)
