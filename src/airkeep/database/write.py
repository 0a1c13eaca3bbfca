"""Write rows into a PostgreSQL database: one transaction, all of it or nothing.

Rows go in by binary COPY through ADBC, with every field already in the bytes that the server
takes (types.wire). Columns that travel as text go through a temporary table and a cast,
inside the same transaction. Nothing here knows what a snapshot is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import random
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, NumberSequence, Table
from airkeep.database.failure import explain, explain_connect
from airkeep.database.introspect import read_catalog, table_names
from airkeep.database.libpq import libpq
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import ident, literal, qualified
from airkeep.database.types import TEXT_SETTINGS
from airkeep.errors import BusyError, LostConnectionError, NotAirflowError
from airkeep.interrupt import interruptible

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_STAGE = "airkeep_stage"
_LOCK_WAIT_MS = 500
_LOCK_PAUSE_S = 0.1
_DEADLOCK_MS = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'"


class PostgresWriter:
    """One transaction on a target; a context manager that rolls back unless `commit` was called."""

    def __init__(self, address: Address, folder: Path, limits: ReadLimits) -> None:
        self._address, self._folder, self._limits = address, folder, limits
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._connection = self._connect(stack)
            self._cursor = stack.enter_context(self._connection.cursor())
            # What others committed before our locks must be seen, whatever the server's default.
            self.execute("BEGIN ISOLATION LEVEL READ COMMITTED", doing="beginning")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _connect(self, stack: ExitStack) -> Any:
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi

        settings = {
            "search_path": "",
            **TEXT_SETTINGS,
            "check_function_bodies": "off",  # they may speak of tables that come after them
            "lock_timeout": f"{self._limits.lock_timeout_s}s",
            "statement_timeout": f"{self._limits.statement_timeout_s}s",
            "idle_in_transaction_session_timeout": "0",  # files come from the lake meanwhile
            "row_security": "off",  # a hidden row is an error, never an empty table
        }
        login = stack.enter_context(libpq(self._address, settings=settings, folder=self._folder))
        try:
            # Autocommit, with a BEGIN of our own: ADBC's executescript commits whatever is open.
            connection = interruptible(lambda: dbapi.connect(login.uri, autocommit=True))
        except Error as error:
            raise explain_connect(error, address=self._address) from None
        stack.callback(connection.close)
        return connection

    # Looking.

    def ask(self, statement: str) -> str:
        [(value,)] = self.query(statement)
        return str(value)

    def query(self, statement: str, *, doing: str = "reading the target") -> list[Any]:
        def fetch() -> list[Any]:
            self._cursor.execute(statement)
            rows: list[Any] = self._cursor.fetchall()
            return rows

        return self._do(doing, fetch)

    def catalog(self) -> Catalog | None:
        """What the target holds; None when it has no table at all.

        Raises:
            NotAirflowError: it has tables, and they are not an Airflow's.
        """
        if not table_names(self.ask):
            return None
        try:
            return read_catalog(self.ask)
        except NotAirflowError as error:
            raise NotAirflowError(f"{self._address}: {error}") from None

    # Changing.

    def execute(self, statements: str, *, doing: str) -> None:
        """Run one or more statements, separated by semicolons."""
        if not statements.strip():
            return  # ADBC refuses an empty script
        self._do(doing, lambda: self._cursor.executescript(statements))

    def lock(self, tables: Sequence[Table]) -> None:
        """Keep every other writer out until the transaction ends; readers go on.

        Those who lock a row before they write it too: a DAG processor takes `dag` by SELECT FOR
        UPDATE, and each of us would wait for the other (seen with 3.3.2).
        """
        names = ", ".join(f"ONLY {qualified(t.schema, t.name)}" for t in tables)
        if names:
            self.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE", doing="locking tables")

    def lock_politely(self, tables: Sequence[Table]) -> None:
        """Keep other writers out of living tables until the transaction ends.

        All of them or none, asked for again and again: nobody waits behind a request of ours for
        longer than half the server's `deadlock_timeout`, so it is never an Airflow that
        PostgreSQL ends to break a deadlock with us.

        Raises:
            BusyError: one of them was not had within the lock timeout.
        """
        if not tables:
            return
        wait_ms = max(1, min(_LOCK_WAIT_MS, int(self.ask(_DEADLOCK_MS)) // 2))
        end = monotonic() + self._limits.lock_timeout_s
        # Of the whole statement: lock_timeout would count for each of its tables anew.
        self.execute(f"SET LOCAL statement_timeout = {wait_ms}", doing="locking tables")
        while not self._try_lock(tables, last=monotonic() >= end):
            sleep(_LOCK_PAUSE_S * (0.5 + random()))  # noqa: S311  (no two of us in step)
        timeout = f"SET LOCAL statement_timeout = '{self._limits.statement_timeout_s}s'"
        self.execute(timeout, doing="locking tables")

    def _try_lock(self, tables: Sequence[Table], *, last: bool) -> bool:
        self.execute("SAVEPOINT airkeep_lock", doing="locking tables")
        try:
            self.lock(tables)
        except BusyError:
            self.execute("ROLLBACK TO SAVEPOINT airkeep_lock", doing="locking tables")
            if last:
                raise BusyError(
                    f"{self._address}: the tables were never all free for a moment while locking "
                    f"them. Try again, or raise --lock-timeout."
                ) from None
            return False
        self.execute("RELEASE SAVEPOINT airkeep_lock", doing="locking tables")
        return True

    @contextmanager
    def barrier(self, tables: Sequence[Table]) -> Iterator[None]:
        """Keep other writers out until its end; what was done to rows in it is undone there.

        Sequences that were moved stay moved: whoever asked before has written and committed.
        """
        self.execute("SAVEPOINT airkeep_barrier", doing="locking tables")
        self.lock_politely(tables)
        yield
        self.execute("ROLLBACK TO SAVEPOINT airkeep_barrier", doing="unlocking tables")

    def move_sequence(self, sequence: NumberSequence, past: int) -> None:
        """Let a sequence go on after a number, unless it is there already."""
        name = qualified(sequence.schema, sequence.name)
        self.query(
            f"SELECT setval({literal(name)}, {past}) FROM {name} "
            f"WHERE last_value < {past} OR (last_value = {past} AND NOT is_called)",
            doing="setting sequences",
        )

    def has_rows(self, tables: Sequence[Table]) -> list[bool]:
        """Whether each table has a row."""
        if not tables:
            return []
        parts = " UNION ALL ".join(
            f"SELECT {n} AS n, EXISTS (SELECT FROM ONLY {qualified(t.schema, t.name)}) AS filled"
            for n, t in enumerate(tables)
        )
        return [filled for _, filled in sorted(self.query(parts))]

    def tally(self, table: Table, column: str, most: int | None = None) -> list[tuple[str, int]]:
        """How often each value of a column is there, as text; of the first `most` rows only."""
        values = (
            f"SELECT {ident(column)}::text AS v FROM ONLY {qualified(table.schema, table.name)}"
        )
        limit = "" if most is None else f" LIMIT {most}"
        found = self.query(f"SELECT v, count(*) FROM ({values}{limit}) AS s GROUP BY v")
        return [(str(value), rows) for value, rows in found]

    def delete(self, table: Table) -> None:
        name = qualified(table.schema, table.name)
        self.execute(f"DELETE FROM ONLY {name}", doing=f"emptying {table.name}")

    def load(
        self,
        table: Table,
        rows: pa.RecordBatchReader,
        *,
        cast: Sequence[str] = (),
        temporary: bool = False,
    ) -> None:
        """Copy rows in, all in one statement, so that self-references hold at its end.

        Args:
            rows: columns by name, in any order, each as `types.wire` says.
            cast: columns that come as the database's own text and are cast by it.
            temporary: the table is one, and its schema `pg_temp`.
        """
        if cast:
            self._do(f"loading {table.name}", lambda: self._stage(table, rows, cast))
            return
        self._do(
            f"loading {table.name}",
            lambda: self._cursor.adbc_ingest(
                table.name,
                rows,
                mode="append",
                db_schema_name=None if temporary else table.schema,
                temporary=temporary,
            ),
        )

    def _stage(self, table: Table, rows: pa.RecordBatchReader, cast: Sequence[str]) -> None:
        names = rows.schema.names
        types = {c.name: c.type for c in table.columns}
        columns = ", ".join(f"{ident(n)} {'text' if n in cast else types[n]}" for n in names)
        self._cursor.executescript(f"CREATE TEMPORARY TABLE {_STAGE} ({columns}) ON COMMIT DROP")
        self._cursor.adbc_ingest(_STAGE, rows, mode="append", temporary=True)
        wanted = ", ".join(ident(n) for n in names)
        values = ", ".join(f"{ident(n)}::{types[n]}" if n in cast else ident(n) for n in names)
        self._cursor.executescript(
            f"INSERT INTO {qualified(table.schema, table.name)} ({wanted}) "
            f"OVERRIDING SYSTEM VALUE SELECT {values} FROM pg_temp.{_STAGE}; "
            f"DROP TABLE pg_temp.{_STAGE}"
        )

    def set_sequence(self, sequence: NumberSequence, last_value: int, *, is_called: bool) -> None:
        """Move a sequence; not undone by a rollback, so callers only ever move it forward."""
        name = literal(qualified(sequence.schema, sequence.name))
        called = "true" if is_called else "false"
        self.query(f"SELECT setval({name}, {last_value}, {called})", doing="setting sequences")

    def highest(self, table: Table, column: str, *, lowest: bool = False) -> int | None:
        """The extreme of a column, None for an empty table."""
        function = "min" if lowest else "max"
        name = qualified(table.schema, table.name)
        [(value,)] = self.query(f"SELECT {function}({ident(column)})::bigint FROM ONLY {name}")
        return None if value is None else int(value)

    def commit(self) -> None:
        """Make all of it visible; without this, closing the connection undoes it."""
        try:
            self.execute("COMMIT", doing="committing")
        except LostConnectionError:
            raise LostConnectionError(
                f"{self._address}: the server went away during the commit, so all of the rows are "
                f"in, or none is: look, and run it again where none is"
            ) from None

    def _do(self, doing: str, action: Callable[[], T]) -> T:
        with self._explained(doing):
            return interruptible(action, cancel=self._cursor.adbc_cancel)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        from adbc_driver_manager import Error

        try:
            yield
        except Error as error:
            raise explain(error, where=str(self._address), doing=doing) from None
