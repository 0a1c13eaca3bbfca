"""Change some values of a live database where they stand: all of them in one transaction, or none.

    with open_rewriter(address, folder, limits) as target:
        catalog = target.catalog()
        target.begin([table])                        # other writers wait from here on
        rows = target.rows(table, ["password"])      # (place, value), ...
        target.rewrite(table, ["password"], changed)
        target.commit()

A row is known by its place (`ctid`, `rowid`), which holds while nobody else writes: no key is
needed, and none is believed. `look` instead of `begin` reads at one instant and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, Table
from airkeep.database.introspect import AIRFLOW_CORE
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import ident, qualified
from airkeep.database.write import PostgresWriter
from airkeep.errors import ChangedError, NotAirflowError

Row = tuple[Any, ...]

_STAGE = "airkeep_values"


class Rewriter(Protocol):
    """A database in one transaction; a context manager that undoes what was not committed."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def look(self) -> None:
        """Read only, and at one instant; comes first."""

    def catalog(self) -> Catalog:
        """What the database holds.

        Raises:
            NotAirflowError: no Airflow's tables.
        """

    def begin(self, tables: Sequence[Table]) -> None:
        """Keep other writers out of these tables until the end.

        Raises:
            BusyError: not to be had in time.
        """

    def rows(self, table: Table, columns: Sequence[str], filled: Sequence[str]) -> list[Row]:
        """The place and these columns of each row, where one of `filled` is neither NULL nor ''."""

    def rewrite(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Set columns of text.

        Args:
            rows: the place and a value for each column.

        Raises:
            ChangedError: not every row was found.
        """

    def commit(self) -> None:
        """Make all of it visible at once."""


def open_rewriter(address: Address, folder: Path, limits: ReadLimits) -> Rewriter:
    """The one for an address; nothing is connected before `with`.

    Args:
        folder: private; the caller removes it.
    """
    if address.kind == "sqlite":
        from airkeep.database.sqlite_rewrite import SqliteRewriter

        return SqliteRewriter(address, folder, limits)
    return PostgresRewriter(address, folder, limits)


class PostgresRewriter:
    """See `Rewriter`. New values go in by COPY: no statement holds one that a log might keep."""

    def __init__(self, address: Address, folder: Path, limits: ReadLimits) -> None:
        self._writer = PostgresWriter(address, folder, limits)
        self._address = address

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._writer.__exit__(*details)

    def look(self) -> None:
        self._writer.execute(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", doing="beginning"
        )

    def catalog(self) -> Catalog:
        found = self._writer.catalog()
        if found is None:
            raise NotAirflowError(f"{self._address} has no tables: correct the database's name")
        return found

    def begin(self, tables: Sequence[Table]) -> None:
        self._writer.lock_politely(tables)

    def rows(self, table: Table, columns: Sequence[str], filled: Sequence[str]) -> list[Row]:
        # A flag stays a boolean, the rest is text: names are numbers and uuids, too.
        kinds = {c.name: c.type for c in table.columns}
        listed = ", ".join(
            ident(c) if kinds[c] == "boolean" else f"{ident(c)}::text" for c in columns
        )
        some = " OR ".join(f"{ident(c)}::text <> ''" for c in filled)
        return self._writer.query(
            f"SELECT ctid::text, {listed} FROM ONLY {qualified(table.schema, table.name)} "
            f"WHERE {some}",
            doing=f"reading {table.name}",
        )

    def rewrite(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        import pyarrow as pa

        kinds = {c.name: c.type for c in table.columns}
        fields = ["airkeep_place", *columns]
        batch = pa.RecordBatch.from_arrays(
            [pa.array(values, pa.string()) for values in zip(*rows, strict=True)], fields
        )
        made = ", ".join(f"{ident(f)} text" for f in fields)
        stage = Table("pg_temp", _STAGE, ())
        self._writer.execute(
            f"CREATE TEMPORARY TABLE {_STAGE} ({made}) ON COMMIT DROP", doing="staging values"
        )
        self._writer.load(stage, pa.RecordBatchReader.from_batches(batch.schema, [batch]))
        values = ", ".join(f"{ident(c)} = s.{ident(c)}::{kinds[c]}" for c in columns)
        changed = self._writer.query(
            f"WITH changed AS (UPDATE ONLY {qualified(table.schema, table.name)} AS t "
            f"SET {values} FROM pg_temp.{_STAGE} AS s "
            f"WHERE t.ctid = s.airkeep_place::tid RETURNING 1) SELECT count(*) FROM changed",
            doing=f"writing {table.name}",
        )
        self._writer.execute(f"DROP TABLE pg_temp.{_STAGE}", doing="staging values")
        check_changed(table, changed[0][0], len(rows))

    def commit(self) -> None:
        self._writer.commit()


def check_changed(table: Table, changed: int, wanted: int) -> None:
    """Refuse when another number of rows changed than was to be.

    Raises:
        ChangedError: it did; the caller's transaction ends without a commit.
    """
    if changed != wanted:
        raise ChangedError(
            f"{table.name}: {changed} of {wanted} rows could be written, so none is: "
            f"something changes them at the same time. Run it again."
        )


def check_airflow(catalog: Catalog | None, shown: str) -> Catalog:
    """Refuse a file that holds no Airflow.

    Raises:
        NotAirflowError: it holds something else, or nothing.
    """
    labels = set() if catalog is None else set(catalog.by_label())
    if catalog is None or not labels >= AIRFLOW_CORE:
        missing = ", ".join(sorted(AIRFLOW_CORE - labels))
        raise NotAirflowError(f"{shown} is not Airflow's: {missing} not found. Check the path.")
    return catalog
