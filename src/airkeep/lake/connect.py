"""A lake opened for SQL: views over its snapshots, made when a question first names them.

    with connect(Lake("s3://bucket/prefix"), folder=folder) as opened:
        opened.query("SELECT environment, state, count(*) FROM dag_run GROUP BY ALL").fetchall()

`dag_run` is the newest state of every environment, `dag_run_history` every version of every row
ever seen. A question about the newest states reads the newest manifests only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airkeep.database.duck import explained, open_duckdb
from airkeep.database.sql import ident, literal
from airkeep.errors import ConfigError, did_you_mean
from airkeep.lake.columns import SQL_TYPE, Kind, arrow_type
from airkeep.lake.pieces import pieces_of
from airkeep.lake.views import history_view, last_view, state_view
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake, SnapshotName
from airkeep.snapshot.manifest import FileEntry, Manifest
from airkeep.snapshot.read import bring
from airkeep.store.interface import Store
from airkeep.store.local import LocalStore

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

HISTORY = "_history"
_LOADERS = 16
_AT_ONCE = 2_048
_KEPT_AT_ONCE = 50_000


class Answer:
    """The rows that a question found; they are read once.

    Attributes:
        columns: their names.
    """

    def __init__(self, found: duckdb.DuckDBPyConnection, where: str) -> None:
        self._found, self._where = found, where
        self.columns = tuple(str(column[0]) for column in found.description or ())

    def rows(self, most: int | None = None) -> Iterator[tuple[Any, ...]]:
        """The next rows: times as naive UTC `datetime`, bytes as `bytes`."""
        left = most
        while left is None or left > 0:
            with _explained(self._where):
                rows = self._found.fetchmany(_AT_ONCE if left is None else min(left, _AT_ONCE))
            if not rows:
                return
            left = None if left is None else left - len(rows)
            yield from rows

    def batches(self) -> pa.RecordBatchReader:
        return self._found.to_arrow_reader(_AT_ONCE)


class OpenLake:
    """DuckDB over a lake. Views are made as they are asked for; see `connect`."""

    def __init__(
        self,
        lake: Lake,
        db: duckdb.DuckDBPyConnection,
        folder: Path,
        *,
        environments: Sequence[str] = (),
        at: datetime | None = None,
    ) -> None:
        self.db = db
        self._files = _Files(lake.store, folder)
        self._lake = lake
        self._manifests = _Manifests(lake, environments, at)
        self._made: set[str] = set()

    def query(self, statement: str) -> Answer:
        """Run one statement; whatever it names is there.

        Raises:
            ConfigError: it is no SQL, or names a table that no snapshot has, or it fails.
        """
        self.need(named_in(statement))
        with _explained(self._lake.url):
            return Answer(self.db.execute(statement), self._lake.url)

    def tables(self) -> list[str]:
        """Every table that a newest snapshot has."""
        return sorted({t.label for m in self._manifests.newest() for t in m.tables})

    def need(self, wanted: Iterable[str]) -> None:
        """Make the views of these names, once.

        Raises:
            ConfigError: there is no such table.
        """
        for name in wanted:
            if name not in self._made:
                self.db.execute(f"CREATE TEMP VIEW {ident(name)} AS {self._statement(name)}")
                self._made.add(name)

    def need_last(
        self, name: str, label: str, columns: Mapping[str, Kind], *, per: str | None = None
    ) -> None:
        """Make a view of every row of a table ever seen, as it was last seen.

        Args:
            columns: what is wanted, NULL where a snapshot has it not.
            per: a column whose every value counts as a row of its own.
        """
        pieces = pieces_of(self._manifests.all(), label)
        statement = last_view(pieces, columns, self._source, per=per)
        self.db.execute(f"CREATE TEMP VIEW {ident(name)} AS {statement}")
        self._made.add(name)

    def make_table(self, place: str, name: str, statement: str) -> None:
        """Make a table of an attached database; questions know it by its name."""
        with _explained(self._lake.url):
            self.db.execute(f"CREATE TABLE {place}.{ident(name)} AS {statement}")
            self.db.execute(f"CREATE TEMP VIEW {ident(name)} AS FROM {place}.{ident(name)}")
        self._made.add(name)

    def manifests(self) -> list[Manifest]:
        """Those of every snapshot, each environment's newest first."""
        return self._manifests.all()

    def rows_of(self, place: str, name: str, *, copy: bool) -> Iterator[dict[str, Any]]:
        """The rows of a table of an attached database, each a dict, read as they are asked for.

        Args:
            copy: the name is a view so far: it is made a table first, which costs its size once.
        """
        if copy:
            statement = f"CREATE TABLE IF NOT EXISTS {place}.{ident(name)} AS FROM {ident(name)}"
            with _explained(self._lake.url):
                self.db.execute(statement)
        # A cursor of its own, so that several tables can be read while another is written. It
        # sees no temporary view, hence the copy.
        with self.db.cursor() as cursor:
            found = Answer(cursor.execute(f"FROM {place}.{ident(name)}"), self._lake.url)
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
        self._made.add(name)

    def _statement(self, name: str) -> str:
        label = name.removesuffix(HISTORY)
        if pieces := pieces_of(self._manifests.newest(), name):
            return state_view(pieces, self._source)
        if label != name and (pieces := pieces_of(self._manifests.all(), label)):
            return history_view(pieces, self._source)
        known = self.tables()
        raise ConfigError(
            f"{self._lake.url} has no table {name!r}{did_you_mean(label, known)}: "
            f"`airkeep query LAKE --tables` lists them"
        )

    def _source(self, files: Sequence[FileEntry]) -> str:
        listed = ", ".join(literal(str(path)) for path in self._files.paths(files))
        return f"read_parquet([{listed}], hive_partitioning = true, hive_types_autocast = false)"


@contextmanager
def connect(
    lake: Lake,
    *,
    folder: Path,
    environments: Sequence[str] = (),
    at: datetime | None = None,
    memory_bytes: int = 2_000_000_000,
    threads: int = 2,
) -> Iterator[OpenLake]:
    """Open a lake for SQL.

    Args:
        folder: a private one: DuckDB spills to it, and a bucket's files are brought there.
        environments: only these; all of them when empty.
        at: as the lake was known at this time; now, when None.
    """
    db = open_duckdb(memory_bytes=memory_bytes, threads=threads, spool=folder)
    try:
        yield OpenLake(lake, db, folder, environments=environments, at=at)
    finally:
        db.close()


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """What a question itself is at fault for is said in DuckDB's words."""
    import duckdb

    with explained(where, "answering"):
        try:
            yield
        except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
            raise ConfigError(f"the question failed: {str(error).splitlines()[0]}") from None


def named_in(statement: str) -> list[str]:
    """The tables that a statement names and does not make itself.

    Raises:
        ConfigError: it is no SQL.
    """
    import sqlglot
    from sqlglot import exp

    try:
        parsed = sqlglot.parse(statement, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        said = str(error).splitlines()[0].removesuffix(".")
        raise ConfigError(f"this is no SQL that can be read: {said}") from None
    trees = [tree for tree in parsed if tree is not None]
    own = {cte.alias for tree in trees for cte in tree.find_all(exp.CTE)}
    found = (table for tree in trees for table in tree.find_all(exp.Table))
    named = (t.name for t in found if isinstance(t.this, exp.Identifier) and not t.db)
    return [name for name in dict.fromkeys(named) if name not in own]


class _Files:
    """Files where DuckDB can read them: a folder's where they are, a bucket's brought once.

    What is brought is hashed; a folder's files are believed, as `verify` is there to check them.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = store.folder if isinstance(store, LocalStore) else folder / "lake"

    def paths(self, files: Sequence[FileEntry]) -> list[Path]:
        """Their local paths, which say environment and snapshot as the lake's do."""
        if not isinstance(self._store, LocalStore):
            with ThreadPoolExecutor(_LOADERS) as pool:
                list(pool.map(self._bring, files))
        return [self._folder / file.path for file in files]

    def _bring(self, file: FileEntry) -> None:
        local = self._folder / file.path
        if not local.exists():
            local.parent.mkdir(parents=True, exist_ok=True)
            bring(self._store, file, local)


class _Manifests:
    """The manifests of a lake, read when they are needed, each once."""

    def __init__(self, lake: Lake, environments: Sequence[str], at: datetime | None) -> None:
        self._lake, self._environments = lake, environments
        self._last = None if at is None else names.make_id(at.astimezone(UTC))
        self._known: dict[SnapshotName, Manifest] = {}
        self._names: list[SnapshotName] | None = None

    def all(self) -> list[Manifest]:
        return self._load(self._all_names())

    def newest(self) -> list[Manifest]:
        """Per environment those down to the newest complete snapshot, and the chains of these."""
        by_environment: dict[str, list[SnapshotName]] = {}
        for name in self._all_names():
            by_environment.setdefault(name.environment, []).append(name)
        found: list[Manifest] = []
        for known in by_environment.values():
            found += self._down(known)
        return found

    def _down(self, known: Sequence[SnapshotName]) -> list[Manifest]:
        found: list[Manifest] = []
        needed: set[str] = set()
        for name in known:
            if found and any(m.complete for m in found) and name.id not in needed:
                continue
            [manifest] = self._load([name])
            found.append(manifest)
            if manifest.parent is not None:
                needed.add(manifest.parent.id)
        return found

    def _all_names(self) -> list[SnapshotName]:
        if self._names is None:
            for environment in self._environments:
                self._lake.check_environment(environment)
            environments = self._environments or self._lake.environments()
            found = [name for e in environments for name in self._lake.names(e)]
            self._names = [n for n in found if self._last is None or n.id <= self._last]
        return self._names

    def _load(self, wanted: Sequence[SnapshotName]) -> list[Manifest]:
        missing = [name for name in wanted if name not in self._known]
        with ThreadPoolExecutor(_LOADERS) as pool:
            loaded = pool.map(self._lake.manifest, missing)
            self._known.update(zip(missing, loaded, strict=True))
        return [self._known[name] for name in wanted]
