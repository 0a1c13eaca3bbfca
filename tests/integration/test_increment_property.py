"""Whatever writers do, a chain of increments folds to exactly what a full snapshot holds.

Each example is a small Airflow database, a list of deeds done to it, and exports in between: an
increment into one lake and a full snapshot into another while every writer holds still. The two
are compared with each other and with what the database itself prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import airkeep
from airkeep.database.server import Cluster
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.read import SnapshotReader
from compare import AS_IT_WAS, data_of

KEYS = 8
WHOLE_LIFE = 12  # deeds between two exports, at most

Deed = tuple[Any, ...]


@dataclass(frozen=True)
class Shape:
    """One table of the source: how it is made, and the key of its n-th row as literals."""

    name: str
    columns: str
    key: dict[str, str]

    def made(self) -> str:
        return f"CREATE TABLE {self.name} ({self.columns})"

    def is_row(self, n: int) -> str:
        return " AND ".join(f"{c} = {v}" for c, v in self.row(n).items())

    def row(self, n: int) -> dict[str, str]:
        return {c: v.format(n=n, few=n % 3) for c, v in self.key.items()}


SHAPES = (
    Shape("dag", "dag_id text PRIMARY KEY, v text, n int", {"dag_id": "'d{few}'"}),
    Shape(
        "dag_run",
        "dag_id text REFERENCES dag ON DELETE CASCADE, run_id text, v text, n int, "
        "PRIMARY KEY (dag_id, run_id)",
        {"dag_id": "'d{few}'", "run_id": "'r{n}'"},
    ),
    Shape(
        "task_instance",
        "dag_id text, task_id text, run_id text, map_index int, v text, n int, "
        "PRIMARY KEY (dag_id, task_id, run_id, map_index)",
        {"dag_id": "'d{few}'", "task_id": "'t'", "run_id": "'r{n}'", "map_index": "{n}"},
    ),
    Shape("log", "id serial PRIMARY KEY, v text, n int", {"id": "{n}"}),
    Shape("loose", "k int, v text, n int", {"k": "{n}"}),
    Shape("moody", "id int PRIMARY KEY, m mood DEFAULT 'a', v text, n int", {"id": "{n}"}),
)
BY_NAME = {shape.name: shape for shape in SHAPES}
CORE = frozenset({"dag", "dag_run", "task_instance"})

# One change of one row; `swap` gives two rows each other's key.
CHANGES = ("insert", "insert", "update", "update", "noop", "delete", "again", "rekey")
ALTERATIONS = (
    "ALTER TABLE {t} ADD COLUMN IF NOT EXISTS x int DEFAULT {n}",
    "ALTER TABLE {t} DROP COLUMN IF EXISTS x",
    "ALTER TABLE {t} DROP COLUMN IF EXISTS x, ADD COLUMN x int DEFAULT 3",
    "ALTER TABLE {t} ALTER COLUMN n TYPE bigint USING n::bigint",
    "ALTER TABLE {t} ALTER COLUMN n TYPE text USING n::text",
    "ALTER TABLE {t} ALTER COLUMN v TYPE text USING v || '{n}'",
    "ALTER TABLE {t} RENAME COLUMN v TO w; ALTER TABLE {t} RENAME COLUMN n TO v; "
    "ALTER TABLE {t} ALTER COLUMN v TYPE text; ALTER TABLE {t} RENAME COLUMN w TO n",
    "ALTER TABLE {t} SET (fillfactor = 50)",
    "TRUNCATE {t} CASCADE",
    "ALTER TYPE mood RENAME VALUE 'a' TO 'z'; ALTER TYPE mood RENAME VALUE 'b' TO 'a'; "
    "ALTER TYPE mood RENAME VALUE 'z' TO 'b'",
)
UPKEEP = (
    "VACUUM {t}",
    "VACUUM (FREEZE) {t}",
    "VACUUM (FULL) {t}",
    "VACUUM (FULL, FREEZE) {t}",
    "CLUSTER {t} USING {t}_pkey",
    "ANALYZE {t}",
    "REINDEX TABLE {t}",
    "CHECKPOINT",
)

tables = st.sampled_from(sorted(BY_NAME))
rows = st.integers(0, KEYS - 1)
change = st.tuples(st.just("change"), st.sampled_from(CHANGES), tables, rows, rows)
in_transaction = st.one_of(
    change, change, change, st.tuples(st.sampled_from(("savepoint", "rollback to", "release")))
)
deeds = st.one_of(
    change,
    change,
    st.tuples(
        st.just("transaction"),
        st.lists(in_transaction, min_size=1, max_size=6),
        st.sampled_from(("COMMIT", "COMMIT", "ROLLBACK")),
    ),
    st.tuples(st.just("held"), st.lists(in_transaction, min_size=1, max_size=4)),
    st.tuples(st.just("end held"), st.sampled_from(("COMMIT", "COMMIT", "ROLLBACK", "PREPARE"))),
    st.tuples(st.just("end prepared"), st.sampled_from(("COMMIT", "COMMIT", "ROLLBACK"))),
    st.tuples(st.just("alter"), st.sampled_from(ALTERATIONS), tables, rows),
    st.tuples(st.just("undone"), st.sampled_from(ALTERATIONS), tables, rows),
    st.tuples(st.just("upkeep"), st.sampled_from(UPKEEP), tables),
    st.tuples(st.just("made anew"), tables, st.booleans()),
    st.tuples(st.just("burn"), st.integers(1, 5)),
)
lives = st.lists(st.lists(deeds, min_size=1, max_size=WHOLE_LIFE), min_size=2, max_size=4)


class World:
    """The source database, a writer that commits at once, and one that holds on."""

    def __init__(self, url: str) -> None:
        from adbc_driver_postgresql import dbapi

        self.url = url
        self._name = url.rsplit("/", 1)[1]
        self._writer = dbapi.connect(url, autocommit=True)
        self._holder = dbapi.connect(url, autocommit=True)
        self.is_held = False
        self.prepared: list[str] = []
        for connection in (self._writer, self._holder):
            # A change that meets a lock is no change: the holder keeps some for long.
            self._run(connection, "SET lock_timeout = '15ms'")
        self.run("CREATE TYPE mood AS ENUM ('a', 'b')")
        for shape in SHAPES:
            self.run(shape.made())
            for n in range(KEYS):
                if n % 2:
                    self.change(self._writer, "insert", shape.name, n, 0)

    def close(self) -> None:
        self.end_held("ROLLBACK")
        while self.prepared:
            self.end_prepared("ROLLBACK")
        self._writer.close()
        self._holder.close()

    def run(self, *statements: str) -> bool:
        return self._run(self._writer, *statements)

    @staticmethod
    def _run(connection: Any, *statements: str) -> bool:
        """Run every one; whether the server took the last.

        A key that is there already, a lock, a missing row: no matter.
        """
        from adbc_driver_manager import Error

        is_taken = False
        for statement in statements:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                is_taken = True
            except Error:
                is_taken = False
        return is_taken

    def do(self, deed: Deed) -> None:
        match deed:
            case ("alter", alteration, table, n):
                self.run(*alteration.format(t=table, n=n).split("; "))
            case ("undone", alteration, table, n):
                self.run("BEGIN", *alteration.format(t=table, n=n).split("; "), "ROLLBACK")
            case ("upkeep", upkeep, table):
                self.run(upkeep.format(t=table))
            case ("made anew", table, filled):
                self.make_anew(table, filled=filled)
            case ("burn", count):
                self.run(*["SELECT txid_current()"] * count)
            case _:
                self.write(deed)

    def write(self, deed: Deed) -> None:
        match deed:
            case ("change", kind, table, n, value):
                self.change(self._writer, kind, table, n, value)
            case ("transaction", steps, end):
                self.transaction(self._writer, steps)
                self.run(end)
            case ("held", steps):
                self.transaction(self._holder, steps)
                self.is_held = True
            case ("end held", end):
                self.end_held(end)
            case ("end prepared", end):
                self.end_prepared(end)

    def transaction(self, connection: Any, steps: list[Deed]) -> None:
        self._run(connection, "BEGIN", "SAVEPOINT own")
        for step in steps:
            match step:
                case ("change", kind, table, n, value):
                    self._run(connection, "SAVEPOINT one")
                    if not self.change(connection, kind, table, n, value):
                        self._run(connection, "ROLLBACK TO one")
                case ("savepoint",):
                    self._run(connection, "SAVEPOINT own")
                case (word,):
                    self._run(connection, f"{word} own", "SAVEPOINT own")

    def change(self, connection: Any, kind: str, table: str, n: int, value: int) -> bool:
        shape = BY_NAME[table]
        row, found = shape.row(n), shape.is_row(n)
        names, values = ", ".join((*row, "v", "n")), ", ".join((*row.values(), f"'v{value}'", "7"))
        insert = f"INSERT INTO {table} ({names}) VALUES ({values})"
        update = f"UPDATE {table} SET v = 'u{value}', n = '{value}' WHERE {found}"
        last = list(row)[-1]
        statements = {
            "insert": [insert],
            "update": [update],
            "noop": [f"UPDATE {table} SET v = v WHERE {found}"],
            "delete": [f"DELETE FROM {table} WHERE {found}"],
            "again": [f"DELETE FROM {table} WHERE {found}", insert],
            "rekey": [f"UPDATE {table} SET {last} = {shape.row(value)[last]} WHERE {found}"],
        }[kind]
        return self._run(connection, *statements)

    def end_held(self, end: str) -> None:
        if not self.is_held:
            return
        if end == "PREPARE":
            name = f"{self._name}_{uuid4().hex[:8]}"
            if self._run(self._holder, f"PREPARE TRANSACTION '{name}'"):
                self.prepared.append(name)
        self._run(self._holder, "ROLLBACK" if end == "PREPARE" else end)
        self.is_held = False

    def end_prepared(self, end: str) -> None:
        if self.prepared:
            self.run(f"{end} PREPARED '{self.prepared.pop(0)}'")

    def make_anew(self, table: str, *, filled: bool) -> None:
        """DROP and CREATE, in one transaction: only when nobody holds a lock on it."""
        steps = [f"DROP TABLE {table} CASCADE", BY_NAME[table].made()]
        if filled:
            row = BY_NAME[table].row(1)
            steps.append(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"
            )
        self.run("BEGIN", *steps, "COMMIT")

    def rows(self, table: str) -> list[tuple[str | None, ...]]:
        """What the database holds, each value as its text."""
        names = self._ask(
            f"SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass "
            f"AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        wanted = ", ".join(f'"{name}"::text' for (name,) in names)
        return sorted(self._ask(f"SELECT {wanted} FROM {table}"), key=repr)

    def _ask(self, statement: str) -> list[tuple[str | None, ...]]:
        with self._writer.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


def contents(snapshot: Snapshot, folder: Path) -> dict[str, list[tuple[str | None, ...]]]:
    """The folded rows of every table, each value as text."""
    found = {}
    with SnapshotReader(snapshot, folder=folder) as reader:
        for table in snapshot.tables:
            rows = [r for b in reader.batches(table.label) for r in b.to_pylist()]
            assert len(rows) == table.rows
            texts = [tuple(None if v is None else str(v) for v in r.values()) for r in rows]
            found[table.label] = sorted(texts, key=repr)
    return found


class Lakes:
    """A lake of increments beside one of full snapshots of the same instants."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.chain, self.full = Lake(str(folder / "chain")), Lake(str(folder / "full"))

    def export(self, world: World) -> Snapshot:
        tip = airkeep.export(world.url, self.chain, environment="prod", increment=True)
        full = airkeep.export(world.url, self.full, environment="prod")
        found = contents(tip, self._folder)
        assert found == contents(full, self._folder)
        assert found == {table: world.rows(table) for table in found}
        assert set(found) == set(BY_NAME)
        return tip


@contextmanager
def new_world(server: Cluster) -> Iterator[tuple[World, Lakes]]:
    name = f"airkeep_test_{uuid4().hex[:12]}"
    with TemporaryDirectory() as folder:
        world = World(server.create(name))
        try:
            yield world, Lakes(Path(folder))
        finally:
            world.close()
            server.drop(name)


def live(server: Cluster, life: list[list[Deed]]) -> None:
    with new_world(server) as (world, lakes):
        assert lakes.export(world).manifest.mode == "full"
        for part in life:
            for deed in part:
                world.do(deed)
            lakes.export(world)


def tables_of(url: str) -> dict[str, list[str]]:
    """Without sequences: a restore moves them beyond the rows that came with a number."""
    return {k: v for k, v in data_of(url).items() if not k.startswith("sequence ")}


COMMON = settings(
    deadline=None,  # a busy machine is no failure
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)


@settings(COMMON, max_examples=6)
@given(lives)
def test_a_chain_of_increments_is_what_a_full_snapshot_is(
    server: Cluster, life: list[list[Deed]]
) -> None:
    live(server, life)


@pytest.mark.slow
@settings(COMMON, max_examples=150)
@given(lives)
def test_a_chain_of_increments_is_what_a_full_snapshot_is_many_times(
    server: Cluster, life: list[list[Deed]]
) -> None:
    live(server, life)


@settings(COMMON, max_examples=2)
@given(lives)
def test_the_tip_of_a_chain_restores_to_its_source(server: Cluster, life: list[list[Deed]]) -> None:
    target = f"airkeep_test_{uuid4().hex[:12]}"
    with new_world(server) as (world, lakes):
        airkeep.export(world.url, lakes.chain, environment="prod")
        for part in life:
            for deed in part:
                world.do(deed)
            tip = airkeep.export(world.url, lakes.chain, environment="prod", increment=True)
        try:
            url = server.create(target)
            airkeep.restore(lakes.chain, tip, url, create_schema=True, **AS_IT_WAS)
            assert tables_of(url) == tables_of(world.url)
        finally:
            server.drop(target)
