"""A restore's target on SQLite: a new file, an empty one, or a migrated Airflow's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, Table
from airkeep.database.limits import ReadLimits
from airkeep.database.sqlite_write import SqliteWriter
from airkeep.restore.fresh import TargetTable, look_at
from airkeep.restore.plan import RestorePlan
from airkeep.restore.rows import TableRows
from airkeep.snapshot.manifest import SequenceEntry


class SqliteTarget:
    """See `Target`. References are not enforced: real files have orphans, which are reported."""

    def __init__(self, address: Address, limits: ReadLimits) -> None:
        self._writer, self._limits = SqliteWriter(address), limits

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

    def commit(self) -> None:
        self._writer.commit()
