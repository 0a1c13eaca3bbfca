"""Change some values of a SQLite file where they stand. See `rewrite`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, Table
from airkeep.database.limits import ReadLimits
from airkeep.database.rewrite import Row, check_airflow, check_changed
from airkeep.database.sql import ident
from airkeep.database.sqlite_catalog import decode_text, read_catalog
from airkeep.database.sqlite_copy import check_is_file, copy_when_quiet, open_private
from airkeep.database.sqlite_failure import explained
from airkeep.database.sqlite_write import SqliteWriter

if TYPE_CHECKING:
    import sqlite3


class SqliteRewriter:
    """See `Rewriter`. A look is at a private copy: the file itself is not even opened for it."""

    def __init__(self, address: Address, folder: Path, limits: ReadLimits) -> None:
        self._source, self._shown = Path(address.database), address.database
        self._address, self._folder, self._limits = address, folder, limits
        self._stack = ExitStack()
        self._copy: sqlite3.Connection | None = None
        self._writer: SqliteWriter | None = None

    def __enter__(self) -> Self:
        with explained(self._shown, "looking for it"):
            check_is_file(self._source)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def look(self) -> None:
        copy = copy_when_quiet(self._source, self._folder)
        self._copy = self._stack.enter_context(closing(open_private(copy.path, shown=self._shown)))
        self._copy.text_factory = decode_text

    def catalog(self) -> Catalog:
        if self._copy is None:
            return check_airflow(self._opened().catalog(), self._shown)
        with explained(self._shown, "reading the catalogue"):
            return check_airflow(read_catalog(self._copy, shown=self._shown), self._shown)

    def _opened(self) -> SqliteWriter:
        if self._writer is None:
            self._writer = self._stack.enter_context(SqliteWriter(self._address))
        return self._writer

    def begin(self, tables: Sequence[Table]) -> None:
        """The file has one lock, which keeps other writers out of everything."""
        self._opened().begin(self._limits.lock_timeout_s)

    def rows(self, table: Table, columns: Sequence[str], filled: Sequence[str]) -> list[Row]:
        listed = ", ".join(map(ident, columns))
        some = " OR ".join(f"{ident(c)} <> ''" for c in filled)
        statement = f"SELECT rowid, {listed} FROM {ident(table.name)} WHERE {some}"
        if self._copy is None:
            return self._opened().query(statement, doing=f"reading {table.name}")
        with explained(self._shown, f"reading {table.name}"):
            return self._copy.execute(statement).fetchall()

    def rewrite(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        values = ", ".join(f"{ident(c)} = ?" for c in columns)
        changed = self._opened().change(
            f"UPDATE {ident(table.name)} SET {values} WHERE rowid = ?",
            [(*new, place) for place, *new in rows],
            f"writing {table.name}",
        )
        check_changed(table, changed, len(rows))

    def commit(self) -> None:
        self._opened().commit()
