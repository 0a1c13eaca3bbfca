"""Read a whole PostgreSQL database at one instant, without a row changing under us.

The order keeps the data true. First ACCESS SHARE locks on every table, because TRUNCATE and
table-rewriting ALTERs do not respect snapshots; then the catalogue; then the rows; all of
it in one REPEATABLE READ, READ ONLY transaction that DuckDB shares among its scan threads.

Nothing here knows what a snapshot is: rows leave as closed spool files. See `types` for how
each value travels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, Lineage, Table
from airkeep.database.duck import SMALL_BYTES, duckdb_bytes, open_postgres_duckdb
from airkeep.database.failure import explain, explain_connect
from airkeep.database.introspect import ordinary_tables, read_catalog, read_lineage
from airkeep.database.libpq import libpq
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import Choose
from airkeep.database.spool import SpoolFile, SpoolLimits, fitted, spool, spool_limits
from airkeep.database.sql import ident, literal, qualified
from airkeep.database.types import TEXT_SETTINGS, Travel, travel
from airkeep.database.width import Reading, measure, plan_reading, wide_tables
from airkeep.errors import BusyError, DatabaseError, LostConnectionError, PrivilegeError
from airkeep.interrupt import interruptible

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

T = TypeVar("T")

_DB = "pg"
# For the connections that a parallel scan opens. Ours has the lock, so theirs can only wait behind
# somebody who waits for ours: in vain (see `_is_waited_for`).
_SCAN_LOCK_TIMEOUT_S = 2
_NAMED = 10  # in an error; the others are counted
_ATTEMPTS = 5  # a table created or dropped between the first look and the locks


_MISSING_RIGHTS = """
SELECT coalesce(string_agg(DISTINCT t, ', '), '') FROM (
  SELECT t FROM unnest(ARRAY[{names}]) t
  WHERE to_regclass(t) IS NOT NULL AND NOT has_table_privilege(t, 'select')
  UNION ALL
  SELECT 'sequence ' || s.oid::regclass::text || ' of ' || t FROM unnest(ARRAY[{names}]) t
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(t)
    AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'select') END
  UNION ALL
  SELECT 'sequence ' || s.oid::regclass::text || ' of no table' FROM pg_class s
  JOIN pg_namespace n ON n.oid = s.relnamespace AND n.nspname IN ({schemas})
  WHERE CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'select') END
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
      AND d.objid = s.oid AND d.deptype IN ('a', 'i', 'e'))
) AS missing
"""


class PostgresReader:
    """One fixed instant of a database; a context manager.

    Attributes:
        catalog: as it is in the transaction, tables that are not touched included.
        fixed_at: the server's clock when the instant was fixed, UTC.
        lineage: which database, and its transaction horizon.
    """

    def __init__(self, address: Address, folder: Path, limits: ReadLimits) -> None:
        self._address, self._folder, self._limits = address, folder, limits
        self._sizes = spool_limits(limits.memory_bytes)
        self._stack = ExitStack()
        self._spools = 0
        self._backend = 0
        self._wide: frozenset[int] | None = None
        self.catalog: Catalog
        self.fixed_at: datetime
        self.lineage: Lineage | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._db = self._connect(stack)
            # Now, as a SELECT after the BEGIN would fix the instant before the locks; the
            # transaction gets the same connection from DuckDB, as no other is open.
            self._backend = int(self.ask("SELECT pg_backend_pid()::text"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _connect(self, stack: ExitStack) -> duckdb.DuckDBPyConnection:
        import duckdb

        limits = self._limits
        settings = {
            "search_path": "",
            "lock_timeout": f"{_SCAN_LOCK_TIMEOUT_S}s",
            "statement_timeout": f"{limits.statement_timeout_s}s",
            "idle_in_transaction_session_timeout": "0",
            **TEXT_SETTINGS,
            "row_security": "off",  # a hidden row is an error, never a row less
        }
        login = stack.enter_context(libpq(self._address, settings=settings, folder=self._folder))
        db = open_postgres_duckdb(
            memory_bytes=limits.memory_bytes,
            threads=limits.threads,
            spool=self._folder,
        )
        try:
            attach = f"ATTACH {literal(login.conninfo)} AS {_DB} (TYPE postgres, READ_ONLY)"
            interruptible(lambda: db.execute(attach))  # nothing can cancel a login
        except duckdb.Error as error:
            raise explain_connect(error, address=self._address) from None
        stack.callback(_close, db)
        return db

    def _cancel(self) -> None:
        """End what our connection waits for, in DuckDB and in the server.

        DuckDB's interrupt alone is heard when the server has answered: it waits in libpq. The
        connections of a parallel scan need no more: they read 8 MB a statement, and wait
        `_SCAN_LOCK_TIMEOUT_S` for a lock.
        """
        self._db.interrupt()
        statement = f"SELECT pg_cancel_backend({self._backend})"
        with self._db.cursor() as other:  # has a connection of its own
            other.execute(f"FROM postgres_query('{_DB}', {literal(statement)})")

    def fix(self, choose: Choose) -> None:
        """Lock every table that is wanted, then fix the instant and read the catalogue.

        Args:
            choose: gets all labels, gives those to touch; a missing right on others is no matter.

        Raises:
            NotAirflowError: this is not an Airflow database.
            PrivilegeError: tables that may not be read, by name.
            BusyError: a lock was not had in time.
        """
        for _ in range(_ATTEMPTS):
            if self._try_fix(choose):
                return
        raise BusyError(
            f"{self._address}: tables came and went {_ATTEMPTS} times between a first look and the "
            f"locks. Is a migration running? Try again when it is done."
        )

    def _try_fix(self, choose: Choose) -> bool:
        main, seen = ordinary_tables(self.ask)
        labels = {name if s == main else f"{s}.{name}": (s, name) for s, name in seen}
        touched = choose(labels)
        wanted = [place for label, place in labels.items() if label in touched]
        self._check_rights(wanted)
        try:
            self._begin(wanted)
        except (BusyError, LostConnectionError):
            raise
        except DatabaseError:
            self._db.execute("ROLLBACK")
            if ordinary_tables(self.ask) == (main, seen):
                raise
            return False  # the lock was asked of a table that had gone
        catalog = read_catalog(self.ask)
        if {(t.schema, t.name) for t in catalog.tables} != set(labels.values()):
            self._db.execute("ROLLBACK")
            return False
        self._check_columns({n: t for n, t in catalog.by_label().items() if n in touched})
        self.catalog = catalog
        clock = self.ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text")
        self.fixed_at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(clock))
        self.lineage = read_lineage(self.ask)
        return True

    def _check_columns(self, tables: Mapping[str, Table]) -> None:
        for label, table in tables.items():
            if not table.stored_columns:
                raise DatabaseError(
                    f"{self._address}: table {label} has no column whose values are stored, so a "
                    f"Parquet file cannot hold its rows: leave it out with --skip {label}"
                )
            names = [c.name.lower() for c in table.columns]
            if alike := [c.name for c in table.columns if names.count(c.name.lower()) > 1]:
                raise DatabaseError(
                    f"{self._address}: table {label} has columns that differ by case only "
                    f"({', '.join(alike)}), which readers of Parquet take for one: rename one, or "
                    f"leave the table out with --skip"
                )

    def _begin(self, tables: Sequence[tuple[str, str]]) -> None:
        self._db.execute("BEGIN")
        if tables:
            names = ", ".join(qualified(s, n) for s, n in tables)
            timeout = f"SET LOCAL lock_timeout = '{self._limits.lock_timeout_s}s'"
            self._execute(timeout, doing="locking tables")
            self._execute(f"LOCK TABLE ONLY {names} IN ACCESS SHARE MODE", doing="locking tables")

    def _check_rights(self, tables: Sequence[tuple[str, str]]) -> None:
        """Name every table that may not be read at once, rather than the first."""
        if not tables:
            return
        names = ", ".join(literal(qualified(s, n)) for s, n in tables)
        schemas = ", ".join(literal(s) for s in sorted({s for s, _ in tables}))
        missing = self.ask(_MISSING_RIGHTS.format(names=names, schemas=schemas))
        if missing:
            found = missing.replace('"', "").split(", ")
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise PrivilegeError(
                f"{self._address}: the database user may not read {', '.join(found[:_NAMED])}"
                f"{more}. Grant SELECT, or leave it out with --skip."
            )

    def ask(self, statement: str) -> str:
        """Run a SELECT of one text value inside the transaction."""
        [(value,)] = self.query(statement)
        return str(value)

    def query(self, statement: str, *, doing: str = "reading the catalogue") -> list[Any]:
        """Run any SELECT inside the transaction; a few rows."""
        with self._explained(doing):
            text = f"FROM postgres_query('{_DB}', {literal(statement)})"
            return self._run(text)

    def ways(self, table: Table) -> list[Travel]:
        """How the values of each stored column travel."""
        return [travel(c) for c in table.stored_columns]

    def _execute(self, statement: str, *, doing: str) -> None:
        with self._explained(doing):
            text = f"CALL postgres_execute('{_DB}', {literal(statement)})"
            self._run(text)

    def _run(self, statement: str) -> list[Any]:
        return self._wait(lambda: self._db.execute(statement).fetchall())

    def _wait(self, action: Callable[[], T]) -> T:
        return interruptible(action, cancel=self._cancel)

    def spool(self, table: Table, where: str | None = None) -> Iterator[SpoolFile]:
        """The table's rows as closed Parquet files; the caller deletes each when done.

        Args:
            where: a condition in PostgreSQL's SQL.

        Raises:
            LostConnectionError: the server went away.
            DiskFullError: the spool folder's disk is full.
        """
        least: dict[str, set[str]] = {}
        limits = self._sizes
        with self._explained(f"reading {table.name}"), self._reading(table) as reading:
            limits = replace(limits, row_group_rows=min(limits.row_group_rows, reading.rows))
            for condition in reading.conditions(where):
                query = self._select(table, condition)
                yield from self._spool(self._db, query, limits, least)
        self._check_times(table, least)

    def _spool(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        limits: SpoolLimits,
        least: dict[str, set[str]] | None = None,
    ) -> Iterator[SpoolFile]:
        def cancel() -> None:
            connection.interrupt()
            self._cancel()

        self._spools += 1
        folder = self._folder / f"{self._spools:05d}"
        return spool(connection, query, folder, limits, cancel=cancel, least=least)

    @contextmanager
    def _reading(self, table: Table) -> Iterator[Reading]:
        """Give DuckDB threads and memory that suit the width of this table's rows."""
        limits = self._limits
        ours = duckdb_bytes(limits.memory_bytes)
        if self._wide is None:
            self._wide = wide_tables(self.query)
        width = measure(self.query, table) if table.oid in self._wide else None
        reading = plan_reading(width, memory_bytes=ours, threads=limits.threads)
        if width is None:
            yield reading
            return
        try:
            self._tune(reading.threads, max(ours, 2 * reading.needed_bytes))
            yield reading
        finally:
            self._tune(1 if limits.memory_bytes < SMALL_BYTES else limits.threads, ours)

    def _tune(self, threads: int, memory_bytes: int) -> None:
        self._db.execute(f"SET threads = {threads}")
        self._db.execute(f"SET memory_limit = '{memory_bytes >> 20}MiB'")

    def _check_times(self, table: Table, least: Mapping[str, Collection[str]]) -> None:
        """Refuse times that DuckDB's 64 bits cannot hold: they come out as years before 4714 BC.

        PostgreSQL's last year is 294276, DuckDB's 294246. Parquet's least values tell, at no
        cost; only where `-infinity` hides them the server is asked.
        """
        for column in table.stored_columns:
            if travel(column).parquet not in ("TIMESTAMP", "TIMESTAMPTZ"):
                continue
            found = least.get(column.name, ())
            if any(map(_before_4714_bc, found)) or (
                "-infinity" in found and self._is_beyond(table, column.name)
            ):
                raise DatabaseError(
                    f"{self._address}: {table.name}.{column.name} holds a time after the year "
                    f"294246, while reading {table.name}: correct it, or leave the table out "
                    f"with --skip"
                )

    def _is_beyond(self, table: Table, column: str) -> bool:
        name = qualified(table.schema, table.name)
        asked = (
            f"SELECT 1 FROM ONLY {name} WHERE {ident(column)} >= '294247-01-01' "
            f"AND isfinite({ident(column)}) LIMIT 1"
        )
        return bool(self.query(asked, doing=f"reading {table.name}"))

    def batches(self, table: Table, where: str | None = None) -> Iterator[pa.RecordBatch]:
        """The table's rows as Arrow batches: for tables whose values must be looked at."""
        with self._explained(f"reading {table.name}"):
            query = self._select(table, where)
            rows = self._wait(lambda: self._db.execute(query).to_arrow_reader(10_000))
            while (batch := self._wait(lambda: next(rows, None))) is not None:
                yield batch

    def spool_gone(self, table: Table, parent_keys: str) -> Iterator[SpoolFile]:
        """The keys that `parent_keys` (DuckDB's SQL) has and the table has no more."""
        same = " AND ".join(f"p.{ident(k)} IS NOT DISTINCT FROM c.{ident(k)}" for k in table.key)
        query = f"SELECT p.* FROM ({parent_keys}) p ANTI JOIN ({self._keys(table)}) c ON {same}"
        with self._explained(f"comparing the keys of {table.name}"):
            yield from self._spool(self._db, query, self._sizes)

    def _keys(self, table: Table) -> str:
        only = replace(table, columns=tuple(table.column(k) for k in table.key))
        return self._select(only, None)

    def spool_batches(self, batches: pa.RecordBatchReader) -> Iterator[SpoolFile]:
        """Arrow batches as closed Parquet files, written as `spool` writes."""
        with self._db.cursor() as cursor, self._explained("spooling"):
            rows, limits = fitted(batches, self._sizes)
            cursor.register("batches", rows)
            yield from self._spool(cursor, "FROM batches", limits)

    def _select(self, table: Table, where: str | None) -> str:
        """DuckDB's statement: a parallel scan where every value is exact, else through text."""
        columns, ways = table.stored_columns, self.ways(table)
        wanted = ", ".join(
            f"{ident(c.name)}::{way.parquet} AS {ident(c.name)}"
            for c, way in zip(columns, ways, strict=True)
        )
        exact = where is None and not any(way.encoding == "text" for way in ways)
        if exact and not table.has_children and not self._is_waited_for(table):
            return f"SELECT {wanted} FROM {_DB}.{qualified(table.schema, table.name)}"
        inner = ", ".join(_server_side(c.name, way) for c, way in zip(columns, ways, strict=True))
        statement = f"SELECT {inner} FROM ONLY {qualified(table.schema, table.name)}"
        if where is not None:
            statement += f" WHERE {where}"
        return f"SELECT {wanted} FROM postgres_query('{_DB}', {literal(statement)})"

    def _is_waited_for(self, table: Table) -> bool:
        """Whether somebody waits to have the table alone, and so for the end of our transaction.

        A parallel scan's connections would queue behind them, and we would wait for each other.
        Our own connection has its lock and reads on.
        """
        return bool(
            self.query(
                f"SELECT 1 FROM pg_locks WHERE relation = {table.oid} AND NOT granted "
                f"AND mode = 'AccessExclusiveLock' AND database = "
                f"(SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"
            )
        )

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        import duckdb

        try:
            yield
        except (duckdb.Error, OSError) as error:
            raise explain(error, where=str(self._address), doing=doing) from None


def _before_4714_bc(text: str) -> bool:
    return "(BC)" in text and int(text.split("-", 1)[0]) > 4714


def _close(db: duckdb.DuckDBPyConnection) -> None:
    """End the transaction by name: closing an open one whose server is gone aborts the process."""
    import duckdb

    with suppress(duckdb.Error):
        db.execute("ROLLBACK")
    db.close()


def _server_side(name: str, way: Travel) -> str:
    return f"{ident(name)}::text AS {ident(name)}" if way.encoding == "text" else ident(name)
