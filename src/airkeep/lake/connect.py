"""A lake opened for SQL: views over its snapshots, made when a question first names them.

    with connect(Lake("s3://bucket/prefix"), folder=folder) as opened:
        opened.query("SELECT environment, state, count(*) FROM dag_run GROUP BY ALL").fetchall()

`dag_run` is the newest state of every environment, `dag_run_history` every version of every row
ever seen, `history.dag_run` too. A question about the newest states reads the newest manifests
only.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airkeep.database.duck import open_duckdb
from airkeep.database.sql import ident, literal
from airkeep.errors import ConfigError, NoSuchSnapshotError, did_you_mean
from airkeep.lake.columns import SQL_TYPE, Kind, arrow_type
from airkeep.lake.files import LakeFiles
from airkeep.lake.histories import SCHEMA, as_written, histories, in_sql
from airkeep.lake.manifests import Manifests, Warn
from airkeep.lake.statement import changed_in, named_in, without_zones
from airkeep.lake.views import (
    OWN,
    history_view,
    last_view,
    newest_view,
    shape_of,
    state_view,
    versions_view,
)
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import id_time, manifest_path
from airkeep.snapshot.outline import Outline
from airkeep.snapshot.results import gravest, newest_verified_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_AT_ONCE = 2_048
_KEPT_AT_ONCE = 50_000


class Answer:
    """The rows that a question found; they are read once.

    Attributes:
        columns: their names.
    """

    def __init__(self, found: duckdb.DuckDBPyConnection, files: LakeFiles) -> None:
        self._found, self._files = found, files
        self.columns = tuple(str(column[0]) for column in found.description or ())

    def rows(self, most: int | None = None) -> Iterator[tuple[Any, ...]]:
        """The next rows: times as naive UTC `datetime`, bytes as `bytes`."""
        left = most
        while left is None or left > 0:
            with self._files.explained():
                rows = self._found.fetchmany(_AT_ONCE if left is None else min(left, _AT_ONCE))
            if not rows:
                return
            left = None if left is None else left - len(rows)
            yield from rows

    def table(self) -> pa.Table:
        """All rows, in memory."""
        with self._files.explained():
            return self._found.to_arrow_table()

    def batches(self) -> pa.RecordBatchReader:
        return self._found.to_arrow_reader(_AT_ONCE)


class OpenLake:
    """DuckDB over a lake. Views are made as they are asked for; see `connect`."""

    def __init__(
        self,
        lake: Lake,
        db: duckdb.DuckDBPyConnection,
        files: LakeFiles,
        *,
        environments: Sequence[str] = (),
        at: datetime | None = None,
        warn: Warn,
        also: Collection[str] = (),
        listed_by: str,
    ) -> None:
        self.db = db
        self._files = files
        self._lake = lake
        self._manifests = Manifests(lake, environments, at, warn)
        self._warn, self._also, self._listed_by = warn, also, listed_by
        self._made: dict[str, str] = {}  # by lower case, as they were written
        self._is_told = False

    def query(self, statement: str) -> Answer:
        """Run one statement; whatever it names is there.

        Times with a zone become times in UTC without one: DuckDB gives Python the others through a
        library that is not there. Such a statement runs twice.

        Raises:
            ConfigError: it is no SQL, or names a table that no snapshot has, or would change one
                that is not its own, or it fails.
        """
        self._tell_damaged()
        self._check_kept(changed_in(statement))
        self.need(named_in(statement))
        with self._files.explained():
            found = self.db.execute(statement)
            columns = [(str(name), str(kind)) for name, kind, *_ in found.description or ()]
            # Only now are the types known; to describe every statement first would have all of
            # them read their files' footers twice.
            if (plain := without_zones(statement, columns)) is not None:
                found = self.db.execute(plain)
            return Answer(found, self._files)

    def tables(self) -> list[str]:
        """Every table that a newest snapshot has."""
        return sorted({label for m in self._manifests.newest() for label in m.labels})

    def has(self, name: str) -> bool:
        """Whether something of that name has been made."""
        lower = name.lower()
        known = (
            "SELECT 1 FROM duckdb_tables() "
            "WHERE ? IN (lower(table_name), lower(schema_name || '.' || table_name))"
        )
        return lower in self._made or self.db.execute(known, [lower]).fetchone() is not None

    def columns(self, name: str) -> list[str]:
        """The columns of something that has been made, or of a table's newest state."""
        if self.has(name):
            described = self.db.execute(f"DESCRIBE {in_sql(name)}").fetchall()
            return [str(column) for column, *_ in described]
        if pieces := self._manifests.state(name):
            return [*OWN, *shape_of(pieces).kinds]
        for label in histories(name):
            if pieces := self._manifests.state(label):
                return [*OWN, "valid_from", "valid_to", *shape_of(pieces).kinds]
        return []

    def need(self, wanted: Iterable[str]) -> None:
        """Make the views of these names, once.

        Raises:
            ConfigError: there is no such table.
        """
        for name in wanted:
            made = self._made.get(name.lower(), name)
            # A database may hold "Dag" beside "dag", which are one name to DuckDB.
            if not self.has(name) or (made != name and self._manifests.state(name)):
                self._make_view(name, self._statement(name))

    def need_last(
        self, name: str, label: str, columns: Mapping[str, Kind], *, key: Sequence[str]
    ) -> None:
        """Make a view of every row of a table ever seen, as it was last seen.

        Args:
            columns: what is wanted, NULL where a snapshot has it not.
            key: of these, what tells rows apart over every database of an environment.
        """
        pieces = self._manifests.history(label)
        statement = last_view(pieces, columns, self._files.source, key=key)
        self._make_view(name, statement)  # anew, where other columns are wanted than before

    def need_versions(self, name: str, label: str, columns: Mapping[str, Kind]) -> None:
        """Make a view of every version of every row of a table: a history with these columns.

        Args:
            columns: what is wanted, NULL where no snapshot has it.
        """
        pieces = self._manifests.history(label)
        self._make_view(name, versions_view(pieces, columns, self._files.source))

    def need_newest(self, name: str, label: str, columns: Mapping[str, Kind]) -> None:
        """Make a view of the rows of a table that are there: its newest states.

        Args:
            columns: what is wanted, NULL where no snapshot has it.
        """
        pieces = self._manifests.state(label)
        self._make_view(name, newest_view(pieces, columns, self._files.source))

    def make_table(self, place: str, name: str, statement: str) -> None:
        """Make a table of an attached database; questions know it by its name.

        Sums are BIGINT there, as every other whole number: DuckDB's HUGEINT is no type of Arrow's.
        """
        with self._files.explained():
            self.db.execute(f"CREATE TABLE {place}.{ident(name)} AS {statement}")
        described = self.db.execute(f"DESCRIBE {place}.{ident(name)}").fetchall()
        columns = ", ".join(
            f"CAST({ident(n)} AS BIGINT) AS {ident(n)}" if kind == "HUGEINT" else ident(n)
            for n, kind, *_ in described
        )
        self.db.execute(
            f"CREATE TEMP VIEW {ident(name)} AS SELECT {columns} FROM {place}.{ident(name)}"
        )
        self._made[name.lower()] = name

    def drop(self, place: str, name: str) -> None:
        """Forget what was made under a name, in an attached database too."""
        self.db.execute(f"DROP VIEW IF EXISTS temp.main.{ident(name)}")
        self.db.execute(f"DROP TABLE IF EXISTS {place}.{ident(name)}")
        self._made.pop(name.lower(), None)

    def manifests(self) -> list[Outline]:
        """Those of every snapshot, each environment's newest first."""
        return self._manifests.all()

    def one_environment(self, what: str, told: str) -> tuple[str, datetime]:
        """The only environment that is open, and when its newest snapshot was taken.

        Args:
            what: is asked for, and `told` what it is made from, to end messages with.

        Raises:
            NoSuchSnapshotError: there is no snapshot.
            ConfigError: there are several environments.
        """
        manifests = self.manifests()
        names = sorted({m.environment for m in manifests})
        if not names:
            raise NoSuchSnapshotError(f"{self.url} has no snapshot to tell {told} from")
        if len(names) > 1:
            raise ConfigError(
                f"{what} is of one environment, found {', '.join(names)}: name it with "
                f"--environment"
            )
        return names[0], max(id_time(m.id) for m in manifests)

    def rows_of(self, place: str, name: str, *, copy: bool) -> Iterator[dict[str, Any]]:
        """The rows of a table of an attached database, each a dict, read as they are asked for.

        Args:
            copy: the name is a view so far: it is made a table first, which costs its size once.
        """
        if copy:
            statement = f"CREATE TABLE IF NOT EXISTS {place}.{ident(name)} AS FROM {ident(name)}"
            with self._files.explained():
                self.db.execute(statement)
        # A cursor of its own, so that several tables can be read while another is written. It
        # sees no temporary view, hence the copy.
        with self.db.cursor() as cursor:
            found = Answer(cursor.execute(f"FROM {place}.{ident(name)}"), self._files)
            for row in found.rows():
                yield dict(zip(found.columns, row, strict=True))

    def keep_rows(
        self, place: str, name: str, columns: Mapping[str, Kind], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        """Make a table of an attached database from rows; questions know it by its name.

        Args:
            rows: values in the order of the columns; instants are naive UTC `datetime`s.
        """
        import pyarrow as pa

        typed = ", ".join(f"{ident(n)} {SQL_TYPE[kind]}" for n, kind in columns.items())
        self.db.execute(f"CREATE TABLE {place}.{ident(name)} ({typed})")
        schema = pa.schema([(n, arrow_type(kind)) for n, kind in columns.items()])
        left = iter(rows)
        while some := list(islice(left, _KEPT_AT_ONCE)):
            by_column = zip(zip(*some, strict=True), schema.types, strict=True)
            arrays = [pa.array(values, kind) for values, kind in by_column]
            self.db.register("some_rows", pa.table(arrays, schema=schema))
            self.db.execute(f"INSERT INTO {place}.{ident(name)} FROM some_rows")
            self.db.unregister("some_rows")
        self.db.execute(f"CREATE TEMP VIEW {ident(name)} AS FROM {place}.{ident(name)}")
        self._made[name.lower()] = name

    @property
    def url(self) -> str:
        return self._lake.url

    def _check_kept(self, name: str | None) -> None:
        """What questions made is theirs to change, under a name of the lake's too.

        Raises:
            ConfigError: the name is the lake's or a model's.
        """
        if name is None:
            return
        lower = name.lower()
        known = {one.lower() for one in (*self.tables(), *self._also)}
        if lower not in self._made and not {lower, *histories(lower)} & known:
            return
        # The lake's are temporary views or histories, a model's table is of an attached database.
        own = (
            "SELECT 1 FROM duckdb_tables() "
            "WHERE lower(table_name) = $1 AND database_name IN ('memory', 'temp') UNION ALL "
            "SELECT 1 FROM duckdb_views() "
            "WHERE lower(view_name) = $1 AND database_name = 'memory' "
            f"AND schema_name <> {literal(SCHEMA)}"
        )
        if self.db.execute(own, [lower]).fetchone() is None:
            raise ConfigError(
                f"a question does not change the lake's tables or models, and {name} is one: make "
                f"your own, CREATE TABLE mine AS FROM {name}"
            )

    def _make_view(self, name: str, statement: str) -> None:
        with self._files.explained():
            if in_sql(name) != ident(name):
                self.db.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                self.db.execute(f"CREATE OR REPLACE VIEW {in_sql(name)} AS {statement}")
            if in_sql(name) == ident(name) or self._manifests.state(name):
                self.db.execute(f"CREATE OR REPLACE TEMP VIEW {ident(name)} AS {statement}")
        self._made[name.lower()] = name

    def _statement(self, name: str) -> str:
        if pieces := self._manifests.state(name):
            return state_view(pieces, self._files.source)
        for label in (labels := histories(name)):
            if pieces := self._manifests.history(label):
                return history_view(pieces, self._files.source)
        known = self.tables()
        for label in (name, *labels):
            self._manifests.check_readable(label, known)
        written = as_written(name, known)
        if written != name:  # names of SQL are the same in capitals
            return self._statement(written)
        if not self._manifests.newest_names():
            raise NoSuchSnapshotError(f"{self._lake.url} holds no snapshot: nothing can be asked")
        near = did_you_mean([name, *labels][-1], [*known, *self._also])
        raise ConfigError(f"{self._lake.url} has no table {name!r}{near}: {self._listed_by}")

    def _tell_damaged(self) -> None:
        """Warn of each environment's newest snapshot that `verify` found to be damaged, once.

        Older ones are not looked at: that is a request for every snapshot of the lake.

        Raises:
            NoSuchSnapshotError: there is no such environment, or nothing as old as that.
        """
        if self._is_told:
            return
        self._is_told = True
        newest = self._manifests.newest_names()
        if not newest:
            self._warn(f"{self._lake.url} holds no snapshot")
        for name, found in zip(newest, newest_verified_of(self._lake.store, newest), strict=True):
            if found is not None and not found.ok:
                worst = gravest(found.problems)
                if worst.path == manifest_path(name.environment, name.id):
                    continue  # one that cannot be read is passed over, with words of its own
                self._warn(
                    f"{name} was found damaged on {found.at:%Y-%m-%d} ({worst.path}): what is "
                    f"answered from it may be wrong"
                )


@contextmanager
def connect(
    lake: Lake,
    *,
    folder: Path,
    environments: Sequence[str] = (),
    at: datetime | None = None,
    warn: Warn = warnings.warn,
    memory_bytes: int = 2_000_000_000,
    threads: int = 2,
    also: Collection[str] = (),
    listed_by: str | None = None,
) -> Iterator[OpenLake]:
    """Open a lake for SQL.

    Args:
        folder: a private one, DuckDB spills to it.
        environments: only these; all of them when empty.
        at: as the lake was known at this time; now, when None.
        warn: told of a snapshot that cannot be read and was passed over, or that is damaged.
        also: names that a question may mean beside the lake's tables.
        listed_by: what an error says of where the tables are listed.

    Raises:
        NoSuchSnapshotError: the lake is a folder that is not there.
    """
    lake.check_there()
    db = open_duckdb(memory_bytes=memory_bytes, threads=threads, spool=folder)
    # Else a name that a function of DuckDB is given could mean a variable of this process.
    db.execute("SET python_enable_replacements = false")
    files = LakeFiles(lake.store, db)
    try:
        yield OpenLake(
            lake,
            db,
            files,
            environments=environments,
            at=at,
            warn=warn,
            also=also,
            listed_by=listed_by or f"`airkeep query {lake.url} --tables` lists them",
        )
    finally:
        files.close()
        db.close()
