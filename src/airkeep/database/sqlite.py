"""Read a whole SQLite database at one instant: from a private copy of it (`sqlite_copy`).

SQLite types values, not columns, so how a column travels is decided by what it holds: one
storage class throughout (NULLs aside) is BIGINT, DOUBLE, VARCHAR or BLOB, and comes back the
same; several classes, or text that is not valid UTF-8, travel as literals (`sqlite_value`).
Nothing but NULLs is VARCHAR. In a UTF-16 database text is what SQLite itself makes of it in
UTF-8. Rows are read in bounded batches and written by DuckDB, as PostgreSQL's are.

There are no row versions, so there are no increments: every snapshot is full.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, Lineage, Table
from airkeep.database.duck import open_duckdb
from airkeep.database.failure import explain
from airkeep.database.introspect import AIRFLOW_CORE
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import Choose
from airkeep.database.spool import SpoolFile, fitted, spool, spool_limits
from airkeep.database.sql import ident
from airkeep.database.sqlite_catalog import decode_text, read_catalog
from airkeep.database.sqlite_copy import (
    WAITS_S,
    check_is_file,
    check_pages,
    copy_when_quiet,
    open_private,
)
from airkeep.database.sqlite_failure import explain_sqlite, explained
from airkeep.database.sqlite_value import literal_of
from airkeep.database.types import Travel
from airkeep.errors import AirkeepError, DatabaseError, NotAirflowError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000
BATCH_BYTES = 8 << 20  # of text and blobs; one serialized DAG may have a megabyte

_PARQUET = {
    None: "VARCHAR",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "text": "VARCHAR",
    "blob": "BLOB",
}
_LITERAL = Travel("VARCHAR", "literal")
_SHOWN_NAMES = 5

Row = tuple[Any, ...]


class SqliteReader:
    """One fixed instant of a database file; a context manager.

    Attributes:
        catalog: as it is in the copy, tables that are not touched included.
        fixed_at: our clock at the instant that the copy shows, UTC.
        lineage: None: SQLite keeps no row versions.
    """

    def __init__(
        self,
        address: Address,
        folder: Path,
        limits: ReadLimits,
        *,
        waits_s: Sequence[float] = WAITS_S,
    ) -> None:
        self._source, self._folder = Path(address.database), folder
        self._limits, self._waits_s = limits, waits_s
        self._shown = str(self._source)
        self._stack = ExitStack()
        self._spools = 0
        self._ways: dict[str, list[Travel]] = {}
        self.catalog: Catalog
        self.fixed_at: datetime
        self.lineage: Lineage | None = None

    def __enter__(self) -> Self:
        with explained(self._shown, "looking for it"):
            check_is_file(self._source)
        with ExitStack() as stack:
            self._duck = open_duckdb(
                memory_bytes=self._limits.memory_bytes,
                threads=self._limits.threads,
                spool=self._folder,
            )
            stack.callback(self._duck.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fix(self, choose: Choose) -> None:
        """Take the private copy and read the catalogue.

        Args:
            choose: gets all labels, gives those to touch.

        Raises:
            AddressError: no such file.
            PrivilegeError: the file may not be read.
            NotAirflowError: not a SQLite database, or not Airflow's.
            BusyError: the file was never quiet.
            DatabaseError: it is damaged, or a table cannot be kept.
        """
        copy = copy_when_quiet(self._source, self._folder, waits_s=self._waits_s)
        self.fixed_at = copy.fixed_at
        # Two connections: one gives text as str, the other as the bytes that are stored.
        self._db = self._stack.enter_context(closing(open_private(copy.path, shown=self._shown)))
        self._db.text_factory = decode_text
        self._raw = self._stack.enter_context(closing(open_private(copy.path, shown=self._shown)))
        self._raw.text_factory = bytes
        check_pages(self._db, shown=self._shown)
        with explained(self._shown, "reading the catalogue"):
            self.catalog = read_catalog(self._db, shown=self._shown)
        labels = self.catalog.by_label()
        self._check_airflow(labels)
        touched = choose(labels)
        self._check_names([t for label, t in labels.items() if label in touched])

    def _check_airflow(self, labels: dict[str, Table]) -> None:
        if missing := sorted(AIRFLOW_CORE - labels.keys()):
            seen = ", ".join(list(labels)[:_SHOWN_NAMES]) + ", ..." * (len(labels) > _SHOWN_NAMES)
            raise NotAirflowError(
                f"{self._shown} is a SQLite database, but not Airflow's: {', '.join(missing)} not "
                f"found among {len(labels)} tables{f' ({seen})' if seen else ''}. Check the path."
            )

    def _check_names(self, tables: Sequence[Table]) -> None:
        for table in tables:
            if not table.name or not all(c.name for c in table.columns):
                raise DatabaseError(
                    f"{self._shown}: table {table.name!r} or a column of it has an empty name, "
                    f"which Parquet readers do not take: rename it, or leave it out with --skip"
                )

    def query(self, statement: str) -> list[Any]:
        """Run any SELECT on the copy; a few rows."""
        with explained(self._shown, "reading the catalogue"):
            return self._db.execute(statement).fetchall()

    def ways(self, table: Table) -> list[Travel]:
        """How the values of each stored column travel, from all that the table holds."""
        if table.name not in self._ways:
            with explained(self._shown, f"looking at {table.name}"):
                self._ways[table.name] = self._find_ways(table)
        return self._ways[table.name]

    def _find_ways(self, table: Table) -> list[Travel]:
        names = [c.name for c in table.stored_columns]
        classes = [f"nullif(typeof({ident(n)}), 'null')" for n in names]
        ends = ", ".join(f"min({c}), max({c})" for c in classes)
        found = self._db.execute(f"SELECT {ends} FROM {ident(table.name)}").fetchone()
        lowest, highest = found[::2], found[1::2]
        only = dict(zip(names, lowest, strict=True))
        mixed = {n for n, a, b in zip(names, lowest, highest, strict=True) if a != b}
        mixed |= self._invalid(table, [n for n in names if only[n] == "text" and n not in mixed])
        return [_LITERAL if n in mixed else Travel(_PARQUET[only[n]]) for n in names]

    def _invalid(self, table: Table, names: Sequence[str]) -> set[str]:
        """Which of these columns of text hold some that is not valid UTF-8."""
        import pyarrow as pa

        invalid: set[str] = set()
        if not names:
            return invalid
        for rows in self._rows(f"SELECT {_listed(names)} FROM {ident(table.name)}"):
            for name, values in zip(names, zip(*rows, strict=True), strict=True):
                try:
                    pa.array(values, pa.binary()).cast(pa.string())
                except pa.ArrowInvalid:
                    invalid.add(name)
        return invalid

    def spool(self, table: Table, where: str | None = None) -> Iterator[SpoolFile]:
        """The table's rows as closed Parquet files; the caller deletes each when done.

        Args:
            where: a condition in SQLite's SQL.

        Raises:
            DatabaseError: the file is damaged.
            DiskFullError: the spool folder's disk is full.
        """
        import pyarrow as pa

        schema, ways = self._schema(table), self.ways(table)
        failed: list[sqlite3.Error] = []

        def batches() -> Iterator[pa.RecordBatch]:
            """Run by DuckDB's threads, which would put SQLite's error into one of their own."""
            try:
                yield from self._batches(table, where, schema, ways)
            except sqlite3.Error as error:
                failed.append(error)
                raise

        doing = f"reading {table.name}"
        try:
            reader = pa.RecordBatchReader.from_batches(schema, batches())
            yield from self._spool(reader, doing)
        except (AirkeepError, RuntimeError, sqlite3.Error):
            if failed:
                raise explain_sqlite(failed[0], where=self._shown, doing=doing) from None
            raise

    def spool_batches(self, batches: pa.RecordBatchReader) -> Iterator[SpoolFile]:
        """Arrow batches as closed Parquet files, written as `spool` writes."""
        return self._spool(batches, "spooling")

    def _spool(self, batches: pa.RecordBatchReader, doing: str) -> Iterator[SpoolFile]:
        self._spools += 1
        folder = self._folder / f"{self._spools:05d}"
        with self._duck.cursor() as cursor, self._explained(doing):
            rows, limits = fitted(batches, spool_limits(self._limits.memory_bytes))
            cursor.register("batches", rows)
            yield from spool(cursor, "FROM batches", folder, limits)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        import duckdb

        try:
            yield
        except (duckdb.Error, OSError) as error:
            raise explain(error, where=self._shown, doing=doing) from None

    def batches(self, table: Table, where: str | None = None) -> Iterator[pa.RecordBatch]:
        """The table's rows as Arrow batches: for tables whose values must be looked at."""
        with explained(self._shown, f"reading {table.name}"):
            yield from self._batches(table, where, self._schema(table), self.ways(table))

    def spool_gone(self, table: Table, parent_keys: str) -> Iterator[SpoolFile]:
        """Never asked for: without row versions every snapshot is full."""
        raise NotImplementedError("SQLite has no increments")

    def _schema(self, table: Table) -> pa.Schema:
        import pyarrow as pa

        types = {
            "BIGINT": pa.int64(),
            "DOUBLE": pa.float64(),
            "VARCHAR": pa.string(),
            "BLOB": pa.binary(),
        }
        columns = zip(table.stored_columns, self.ways(table), strict=True)
        return pa.schema([(column.name, types[way.parquet]) for column, way in columns])

    def _batches(
        self, table: Table, where: str | None, schema: pa.Schema, ways: Sequence[Travel]
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        literal = [n for n, way in enumerate(ways) if way.encoding == "literal"]
        classes = "".join(f", typeof({ident(schema.names[n])})" for n in literal)
        statement = f"SELECT {_listed(schema.names)}{classes} FROM {ident(table.name)}"
        for rows in self._rows(statement + ("" if where is None else f" WHERE {where}")):
            columns = list(zip(*rows, strict=True))
            for n, storage in zip(literal, columns[len(ways) :], strict=True):
                pairs = zip(columns[n], storage, strict=True)
                columns[n] = tuple(literal_of(value, s.decode()) for value, s in pairs)
            arrays = [_array(columns[n], field.type) for n, field in enumerate(schema)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _rows(self, statement: str) -> Iterator[list[Row]]:
        """The rows in groups that end at a number of rows or of bytes, whichever comes first."""
        rows: list[Row] = []
        size = 0
        for row in self._raw.execute(statement):
            rows.append(row)
            size += sum([len(value) for value in row if type(value) is bytes])
            if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield rows
                rows, size = [], 0
        if rows:
            yield rows


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """An array of exactly this type; text arrives as bytes and is checked to be UTF-8."""
    import pyarrow as pa

    if pa.types.is_string(kind) and any(isinstance(value, bytes) for value in values):
        return pa.array(values, pa.binary()).cast(kind)
    return pa.array(values, kind)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(ident(n) for n in names)
