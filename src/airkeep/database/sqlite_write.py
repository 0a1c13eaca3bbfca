"""Put rows into a SQLite file: all of them, or none.

    with SqliteWriter(address) as target:
        target.begin()
        target.create(schema_sql)                 # or delete(), into a migrated database
        for each table: target.load(table, columns, batches)
        target.set_sequences({"dataset": 7})
        target.finish()                           # indexes, triggers, views
        target.check_references()
        target.commit()

A file that was there is changed in one transaction, which SQLite's own journal undoes when we
are killed. A file that was not there is written under another name beside it, and takes its
place, create-if-absent, when it is whole.

Rows are loaded as they were. Foreign keys are not enforced meanwhile, because real databases
hold orphans; triggers do not fire; and since a column's affinity might make another value of
one, the storage classes of what arrived are counted and compared.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, Protocol, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, Table
from airkeep.database.sql import ident
from airkeep.database.sqlite_catalog import decode_text, read_catalog
from airkeep.database.sqlite_copy import (
    SIDE_FILES,
    check_is_file,
    check_is_sqlite,
    copy_when_quiet,
)
from airkeep.database.sqlite_failure import explained
from airkeep.database.sqlite_value import RawText, value_of
from airkeep.errors import AddressError, DatabaseError, DifferenceError, NotEmptyError

if TYPE_CHECKING:
    import pyarrow as pa

LOCK_TIMEOUT_S = 30.0

_CREATE = re.compile(r"CREATE\s+(TABLE|(?:UNIQUE\s+)?INDEX|TRIGGER|VIEW)\b", re.IGNORECASE)
_STORAGE = {int: "integer", float: "real", str: "text", RawText: "text", bytes: "blob"}
_CLASSES = ("integer", "real", "text", "blob")
_MAX_RESULTS = 1000  # columns of one SELECT; SQLite takes 2000 unless it was built otherwise

Classes = Counter[tuple[str, str]]  # (column, storage class) -> values


class LoadColumn(Protocol):
    """What a manifest says of a column, as far as loading needs it."""

    @property
    def name(self) -> str: ...
    @property
    def encoding(self) -> str: ...


@dataclass(frozen=True)
class Orphans:
    """Rows of a table that point at nothing; `rows` is None where SQLite cannot tell."""

    table: str
    target: str
    rows: int | None


class SqliteWriter:
    """One file that rows go into; a context manager that undoes what was not committed."""

    def __init__(self, address: Address) -> None:
        self._shown = address.database
        self._target = Path(os.path.realpath(address.database))
        self._temporary: Path | None = None
        self._db: sqlite3.Connection | None = None
        self._later: list[str] = []

    def __enter__(self) -> Self:
        with explained(self._shown, "looking at it"):
            if self._has_bytes():
                check_is_file(self._target)
                check_is_sqlite(self._target, shown=Path(self._shown))
                self._open(self._target)
            else:
                self._check_side_files()
        return self

    def __exit__(self, *_: object) -> None:
        self.rollback()

    def _has_bytes(self) -> bool:
        if not self._target.parent.is_dir():
            raise AddressError(f"{self._shown}: there is no folder {self._target.parent}")
        return self._target.exists() and (
            not self._target.is_file() or self._target.stat().st_size > 0
        )

    def _check_side_files(self) -> None:
        """A WAL that outlived its database would be replayed into ours."""
        for suffix in SIDE_FILES:
            side = Path(f"{self._target}{suffix}")
            if side.exists() and side.stat().st_size:
                raise NotEmptyError(
                    f"{self._shown} is not there, but {side.name} of an older database is: SQLite "
                    f"would replay it into the new one. Move it away first."
                )

    def catalog(self) -> Catalog | None:
        """What is there already, or since `create`; None when there is no table."""
        if self._db is None:
            return None
        with explained(self._shown, "reading the catalogue"):
            found = read_catalog(self._db, shown=self._shown)
        return found if found.tables or found.left_out else None

    def begin(self, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Take the write lock; nothing is written before.

        Raises:
            BusyError: another process holds it.
            PrivilegeError: the file or its folder may not be written.
            DiskFullError: no space left.
        """
        with explained(self._shown, "taking its lock"):
            if self._db is None:
                self._open(self._target if self._target.exists() else self._make_temporary())
            db = self._connected()
            db.execute(f"PRAGMA busy_timeout = {int(lock_timeout_s * 1000)}")
            db.execute("PRAGMA foreign_keys = OFF")
            if self._temporary is not None:
                db.execute("PRAGMA journal_mode = MEMORY")  # until the rename nobody sees it
                db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN IMMEDIATE")
            triggers = db.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid"
            ).fetchall()
            for name, sql in triggers:
                db.execute(f"DROP TRIGGER {ident(name)}")
                self._later.append(sql)

    def begin_looking(self, folder: Path) -> None:
        """Go on with a private copy of the file, which is never written back.

        A read lock of ours would let nobody else commit to the file itself as long as it is held.

        Args:
            folder: private, and there until the end.

        Raises:
            BusyError: the file changed all the time, so no consistent copy was had.
            DiskFullError: no room for the copy.
        """
        self._close()
        copy = copy_when_quiet(Path(self._shown), folder)
        with explained(self._shown, "looking at its copy"):
            self._open(copy.path)
            self._connected().execute("BEGIN")

    def _make_temporary(self) -> Path:
        handle, name = mkstemp(prefix=f".{self._target.name}.airkeep-", dir=self._target.parent)
        os.close(handle)
        self._temporary = Path(name)
        return self._temporary

    def _open(self, path: Path) -> None:
        uri = path.as_uri() + "?mode=rw"
        self._db = sqlite3.connect(uri, uri=True, isolation_level=None)
        self._db.text_factory = decode_text
        self._db.execute("PRAGMA trusted_schema = OFF")

    def _connected(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("begin() comes first")
        return self._db

    def execute(self, statement: str, *, doing: str = "writing") -> None:
        """Run one statement."""
        with explained(self._shown, doing):
            self._connected().execute(statement)

    def query(self, statement: str, *, doing: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        with explained(self._shown, doing):
            return self._connected().execute(statement).fetchall()

    def uniques(self, table: Table) -> list[tuple[str, ...]]:
        """The columns of each unique rule, those over expressions or some rows left out."""
        found = [table.key] if table.key else []
        for _, name, unique, _, partial in self._ask(
            f"PRAGMA index_list({ident(table.name)})", table
        ):
            if unique and not partial:
                columns = self._ask(f"PRAGMA index_info({ident(name)})", table)
                if all(column is not None for *_, column in columns):
                    found.append(tuple(column for *_, column in columns))
        return list(dict.fromkeys(found))

    def create(self, schema_sql: str) -> None:
        """Make the tables of a snapshot's `schema.sql`; `finish` makes the rest.

        Raises:
            DatabaseError: a statement makes neither table, index, trigger nor view, or fails.
        """
        for statement in split_statements(schema_sql):
            made = _CREATE.match(statement)
            if made is None:
                raise DatabaseError(
                    f"{self._shown}: schema.sql holds a statement that is not SQLite's CREATE "
                    f"TABLE, INDEX, TRIGGER or VIEW: {statement[:40]!r}"
                )
            if made[1].upper() == "TABLE":
                with explained(self._shown, "creating tables"):
                    self._connected().execute(statement)
            else:
                self._later.append(statement)

    def has_rows(self, tables: Sequence[Table]) -> list[bool]:
        """Whether each table has a row."""
        return [bool(self._ask(f"SELECT 1 FROM {ident(t.name)} LIMIT 1", t)) for t in tables]

    def tally(self, table: Table, column: str, most: int | None = None) -> list[tuple[str, int]]:
        """How often each value of a column is there, as text; of the first `most` rows only."""
        values = f"SELECT {ident(column)} AS v FROM {ident(table.name)}"
        limit = "" if most is None else f" LIMIT {most}"
        found = self._ask(f"SELECT v, count(*) FROM ({values}{limit}) GROUP BY v", table)
        return [(str(value), rows) for value, rows in found]

    def delete(self, table: Table) -> int:
        """Delete all rows: how many there were."""
        with explained(self._shown, f"emptying {table.name}"):
            return self._connected().execute(f"DELETE FROM {ident(table.name)}").rowcount

    def _ask(self, statement: str, table: Table) -> list[tuple[Any, ...]]:
        with explained(self._shown, f"reading {table.name}"):
            return self._connected().execute(statement).fetchall()

    def change(self, statement: str, rows: Sequence[Sequence[Any]], doing: str) -> int:
        """Run an UPDATE for each of the rows: how many rows of the table it changed."""
        with explained(self._shown, doing):
            return self._connected().executemany(statement, rows).rowcount

    def load(
        self, table: Table, columns: Sequence[LoadColumn], batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Insert rows beside those that are there.

        Args:
            columns: the stored ones, as the manifest has them.
            batches: with a column of each name, in any order.

        Returns:
            How many rows.

        Raises:
            DatabaseError: a key is there already, or a value breaks a rule of the table.
            DifferenceError: a value has become another one.
            DiskFullError: no space left.
        """
        before = self._classes(table, columns)
        rows = 0
        for batch in batches:
            values = [_decoded(batch, column) for column in columns]
            for column, decoded in zip(columns, values, strict=True):
                for kind, number in Counter(map(type, decoded)).items():
                    if kind in _STORAGE:
                        before[column.name, _STORAGE[kind]] += number
            with explained(self._shown, f"loading {table.name}"):
                self._insert(table, columns, values)
            rows += batch.num_rows
        self._compare(table, before, self._classes(table, columns))
        return rows

    def _insert(
        self, table: Table, columns: Sequence[LoadColumn], values: Sequence[Sequence[Any]]
    ) -> None:
        db = self._connected()
        rows = zip(*values, strict=True)
        if not any(isinstance(v, RawText) for column in values for v in column):
            db.executemany(_statement(table, columns, ["?"] * len(columns)), rows)
            return
        self._check_encoding(table)
        for row in rows:
            marks = ["CAST(? AS TEXT)" if isinstance(v, RawText) else "?" for v in row]
            bound = [v.data if isinstance(v, RawText) else v for v in row]
            db.execute(_statement(table, columns, marks), bound)

    def _check_encoding(self, table: Table) -> None:
        [(encoding,)] = self._connected().execute("PRAGMA encoding")
        if encoding != "UTF-8":
            raise DatabaseError(
                f"{self._shown}: {table.name} has text that is not valid UTF-8, and the file's "
                f"encoding is {encoding}: restore into a file with encoding UTF-8"
            )

    def _classes(self, table: Table, columns: Sequence[LoadColumn]) -> Classes:
        """How many values of each storage class each column has."""
        found: Classes = Counter()
        places = [(column.name, storage) for column in columns for storage in _CLASSES]
        for start in range(0, len(places), _MAX_RESULTS):
            part = places[start : start + _MAX_RESULTS]
            sums = ", ".join(
                f"total(typeof({ident(name)}) = '{storage}')" for name, storage in part
            )
            [counts] = self._ask(f"SELECT {sums} FROM {ident(table.name)}", table)
            found.update(dict(zip(part, map(int, counts), strict=True)))
        return found

    def _compare(self, table: Table, expected: Classes, found: Classes) -> None:
        for column, storage in sorted(expected.keys() | found.keys()):
            wanted, had = expected[column, storage], found[column, storage]
            if wanted != had:
                raise DifferenceError(
                    f"{self._shown}: {table.name}.{column} has {had} values of class {storage} "
                    f"after loading, expected {wanted}: its type here is not the snapshot's"
                )

    def set_sequences(self, counted: Mapping[str, int]) -> None:
        """Let AUTOINCREMENT go on where it was; a sequence never moves back.

        Args:
            counted: the largest id ever given, by table.
        """
        with explained(self._shown, "setting sequences"):
            db = self._connected()
            for table, last in counted.items():
                moved = db.execute(
                    "UPDATE sqlite_sequence SET seq = max(CAST(seq AS INTEGER), ?) WHERE name = ?",
                    (last, table),
                )
                if not moved.rowcount:
                    db.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last))

    def finish(self) -> tuple[str, ...]:
        """Make indexes, triggers and views, after the rows: faster, and no trigger fires.

        Returns:
            The beginnings of statements whose table is not there, and which were left out.
        """
        left_out = []
        with explained(self._shown, "creating indexes, triggers and views"):
            while self._later:
                statement = self._later.pop(0)
                try:
                    self._connected().execute(statement)
                except sqlite3.OperationalError as error:
                    if "no such table" not in str(error):
                        raise
                    left_out.append(statement.partition("\n")[0].partition("(")[0].strip())
        return tuple(left_out)

    def check_references(self) -> list[Orphans]:
        """The rows that point at nothing: reported, since real data has them. After `finish`."""
        found: list[Orphans] = []
        catalog = self.catalog()
        for table in catalog.tables if catalog else ():
            if table.foreign_keys:
                found += self._orphans(table)
        return found

    def _orphans(self, table: Table) -> Iterator[Orphans]:
        with explained(self._shown, f"checking the references of {table.name}"):
            counted: Counter[str] = Counter()
            try:
                for _, _, target, _ in self._connected().execute(
                    f"PRAGMA foreign_key_check({ident(table.name)})"
                ):
                    counted[target] += 1
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise
                for target in sorted({f.target for f in table.foreign_keys}):
                    yield Orphans(table.name, target, None)  # the target has no such key
        for target, rows in sorted(counted.items()):
            yield Orphans(table.name, target, rows)

    def commit(self) -> None:
        """Make it all visible at once; `finish` is done if it was not.

        Raises:
            NotEmptyError: a file of that name has appeared meanwhile.
            DiskFullError: no space left.
        """
        self.finish()
        with explained(self._shown, "committing"):
            self._connected().execute("COMMIT")
            self._close()
            if self._temporary is not None:
                self._publish(self._temporary)

    def _publish(self, temporary: Path) -> None:
        _sync(temporary)
        self._check_side_files()
        try:
            self._take_name(temporary)
        except FileExistsError:
            raise NotEmptyError(
                f"{self._shown} was made by somebody else meanwhile; nothing was changed"
            ) from None
        _sync(self._target.parent)

    def _take_name(self, temporary: Path) -> None:
        """Give the file its name, if no other has it.

        Where a hard link cannot do that, an empty file takes the name and is replaced at once. A
        kill between the two leaves it empty: as good as none, for the next restore and for SQLite.
        """
        try:
            os.link(temporary, self._target)
        except FileExistsError:
            raise
        except OSError:  # file systems without hard links do not agree on what they say
            os.close(os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            try:
                temporary.replace(self._target)
            except OSError:
                self._target.unlink()
                raise

    def rollback(self) -> None:
        """Undo everything since `begin`; after a commit there is nothing to undo."""
        if self._db is not None and self._db.in_transaction:
            with explained(self._shown, "undoing"):
                self._db.execute("ROLLBACK")
        self._later.clear()
        self._close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    with _opened(path) as handle:
        os.fsync(handle)


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script, as SQLite itself finds their ends."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement.lstrip()
            statement = ""
    if statement.strip():
        yield statement.lstrip()


def _statement(table: Table, columns: Sequence[LoadColumn], marks: Sequence[str]) -> str:
    listed = ", ".join(ident(c.name) for c in columns)
    return f"INSERT INTO {ident(table.name)} ({listed}) VALUES ({', '.join(marks)})"


def _decoded(batch: pa.RecordBatch, column: LoadColumn) -> list[Any]:
    values: list[Any] = batch.column(batch.schema.get_field_index(column.name)).to_pylist()
    return [value_of(v) for v in values] if column.encoding == "literal" else values
