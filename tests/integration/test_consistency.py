"""One instant, whatever others do meanwhile; and a connection that leaves no trace behind."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.limits import ReadLimits
from airkeep.database.read import PostgresReader
from airkeep.database.server import Cluster
from airkeep.errors import AirkeepError, BusyError, LostConnectionError
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.progress import Step
from airkeep.snapshot.read import SnapshotReader
from servers import Databases, psql, query

# Less than 300 MB makes small spool files; `late` is read last, `dag` first.
SMALL = ReadLimits(memory_bytes=250 << 20, lock_timeout_s=4)
ROWS = 200_000
CORE = """
CREATE TABLE dag (dag_id text PRIMARY KEY, amount int);
CREATE TABLE dag_run (dag_id text PRIMARY KEY, amount int);
CREATE TABLE heavy (id int PRIMARY KEY, a text, b text, c text);
CREATE TABLE task_instance (id int PRIMARY KEY, amount int);
CREATE TABLE zone (id int PRIMARY KEY, amount int);
INSERT INTO dag_run SELECT 'd' || n, 100 FROM generate_series(1, 10) n;
INSERT INTO zone SELECT n, 100 FROM generate_series(1, 10) n;
INSERT INTO task_instance SELECT n, 1 FROM generate_series(1, 1000) n;
"""
HEAVY = (
    "INSERT INTO heavy SELECT n, sha512(n::text::bytea)::text, sha512(('b' || n)::bytea)::text, "
    f"sha512(('c' || n)::bytea)::text FROM generate_series(1, {ROWS}) n"
)


@pytest.fixture
def source(server: Cluster, databases: Databases) -> str:
    url = databases.empty()
    psql(server, url, CORE)
    return url


@pytest.fixture
def heavy(server: Cluster, source: str) -> str:
    psql(server, source, HEAVY, "ANALYZE")  # analysed, so that scans go parallel
    return source


def export(url: str, lake: Path, **more: Any) -> Snapshot:
    return airkeep.export(url, str(lake), environment="prod", limits=SMALL, **more)


def rows(snapshot: Snapshot, label: str, folder: Path) -> list[tuple[object, ...]]:
    with SnapshotReader(snapshot, folder=folder) as reader:
        return sorted(tuple(r.values()) for b in reader.batches(label) for r in b.to_pylist())


def once(action: Callable[[], None], *, at: str) -> Callable[[Step], None]:
    """Progress that does something when an export first comes to a table."""
    done: list[bool] = []

    def progress(step: Step) -> None:
        if step.doing == at and not done:
            done.append(True)
            action()

    return progress


class Other:
    """Another transaction's statement, in a thread: it may have to wait."""

    def __init__(self, url: str, statement: str) -> None:
        self.error: Exception | None = None
        self.is_done = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(url, statement))
        self._url, self._statement = url, statement

    def _run(self, url: str, statement: str) -> None:
        from adbc_driver_manager import Error

        try:
            query(url, statement)
        except Error as error:
            self.error = error
        self.is_done.set()

    def start_and_queue(self) -> None:
        """Return when the server has it waiting for a lock."""
        self._thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        for _ in range(200):
            [(count,)] = query(self._url, waiting)
            if count:
                return
        raise AssertionError(f"{self._statement} did not wait")

    def end(self) -> None:
        self._thread.join(60)
        assert self.error is None
        assert self.is_done.is_set()


INTRUSIONS = (
    "TRUNCATE {table}",
    "ALTER TABLE {table} ALTER COLUMN {column} TYPE text USING 'changed'",
    "ALTER TABLE {table} DROP COLUMN {column}",
    "DROP TABLE {table}",
)


@pytest.mark.parametrize("statement", INTRUSIONS)
def test_what_would_pull_a_table_away_waits_until_the_export_is_done(
    statement: str, source: str, tmp_path: Path
) -> None:
    other = Other(source, statement.format(table="task_instance", column="amount"))
    finished_early: list[bool] = []

    def look(step: Step) -> None:
        queue(step)
        finished_early.append(other.is_done.is_set())

    queue = once(other.start_and_queue, at="dag")
    snapshot = export(source, tmp_path, progress=look)

    other.end()
    assert not any(finished_early)
    assert rows(snapshot, "task_instance", tmp_path) == [(n, 1) for n in range(1, 1001)]


@pytest.mark.parametrize("statement", INTRUSIONS)
def test_the_same_holds_for_a_table_that_is_read_by_several_connections(
    statement: str, heavy: str, tmp_path: Path
) -> None:
    other = Other(heavy, statement.format(table="heavy", column="a"))
    snapshot = export(heavy, tmp_path, progress=once(other.start_and_queue, at="dag"))

    other.end()
    entry = snapshot.manifest.table("heavy")
    assert entry is not None
    assert entry.rows == ROWS
    assert [row[0] for row in rows(snapshot, "heavy", tmp_path)] == list(range(1, ROWS + 1))


def test_a_transaction_that_truncates_before_the_locks_is_seen_whole(
    source: str, tmp_path: Path
) -> None:
    """The instant is fixed after the locks: before them, that table would read as empty."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(source) as other, other.cursor() as cursor:
        for statement in (
            "TRUNCATE task_instance",
            "INSERT INTO task_instance VALUES (1, 77)",
            "UPDATE zone SET amount = 77",
        ):
            cursor.execute(statement)
        done = threading.Timer(1.0, other.commit)
        done.start()
        snapshot = export(source, tmp_path)
        done.join()
    assert rows(snapshot, "task_instance", tmp_path) == [(1, 77)]
    assert {row[1] for row in rows(snapshot, "zone", tmp_path)} == {77}


@pytest.mark.parametrize("increment", [False, True])
def test_a_lock_that_is_not_had_in_time_is_a_busy_database_and_no_snapshot(
    source: str, tmp_path: Path, *, increment: bool
) -> None:
    from adbc_driver_postgresql import dbapi

    spool = tmp_path / "spool"
    spool.mkdir()
    with dbapi.connect(source) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE task_instance IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BusyError, match="a lock was not had in time") as caught:
            airkeep.export(
                source,
                str(tmp_path / "lake"),
                environment="prod",
                increment=increment,
                spool=spool,
                limits=ReadLimits(lock_timeout_s=1),
            )
        other.rollback()
    assert caught.value.exit_status == 15
    assert Lake(str(tmp_path / "lake")).names() == []
    assert list(spool.iterdir()) == []


@contextmanager
def mover(url: str) -> Iterator[list[int]]:
    """Moves amounts from one table to another, again and again, and grows a third."""
    from adbc_driver_postgresql import dbapi

    moved: list[int] = []
    stop = threading.Event()

    def move() -> None:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                n = len(moved) % 10 + 1
                for statement in (
                    f"UPDATE zone SET amount = amount + 1 WHERE id = {n}",
                    f"INSERT INTO task_instance VALUES ({10_000 + len(moved)}, 0)",
                    f"UPDATE heavy SET a = 'moved' WHERE id = {len(moved) + 1}",
                    f"UPDATE dag_run SET amount = amount - 1 WHERE dag_id = 'd{n}'",
                ):
                    cursor.execute(statement)
                connection.commit()
                moved.append(n)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield moved
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "change", ["DROP TABLE came", "DROP TABLE came; CREATE TABLE went (n int)",
               "CREATE TABLE went (n int)"]
)  # fmt: skip
def test_a_table_that_comes_or_goes_before_the_locks_is_seen(
    change: str, source: str, tmp_path: Path
) -> None:
    query(source, "CREATE TABLE came (n int)")
    looks: list[set[str]] = []

    def choose(labels: Collection[str]) -> set[str]:
        if not looks:
            for statement in change.split("; "):
                query(source, statement)
        looks.append(set(labels))
        return set(labels)

    with PostgresReader(parse_address(source), tmp_path, ReadLimits()) as reader:
        reader.fix(choose)
        assert len(looks) == 2
        assert set(reader.catalog.by_label()) == looks[1] != looks[0]
        assert reader.ask("SELECT current_setting('transaction_isolation')") == "repeatable read"


def test_every_table_shows_the_same_instant_while_writers_go_on(heavy: str, tmp_path: Path) -> None:
    during: list[int] = []
    with mover(heavy) as moved:
        for number in range(3):
            before = len(moved)
            # The parent of each increment was made among running transactions, too.
            snapshot = export(heavy, tmp_path, increment=number > 0)
            during.append(len(moved) - before)

            given = 1000 - sum(int(str(r[1])) for r in rows(snapshot, "dag_run", tmp_path))
            taken = sum(int(str(r[1])) for r in rows(snapshot, "zone", tmp_path)) - 1000
            grown = len(rows(snapshot, "task_instance", tmp_path)) - 1000
            marked = [r for r in rows(snapshot, "heavy", tmp_path) if r[1] == "moved"]
            assert given == taken == grown == len(marked)
            assert snapshot.manifest.mode == ("increment" if number else "full")
    [first] = [s for s in Lake(str(tmp_path)).names() if Lake(str(tmp_path)).get(s).parent is None]
    files = Lake(str(tmp_path)).get(first).manifest.table("heavy")
    assert files is not None
    assert len(files.files) > 2
    assert all(during)


# What the server and the disk see of an export.


def test_the_server_knows_the_connection_by_name_and_holds_it_to_its_limits(
    source: str, tmp_path: Path
) -> None:
    limits = ReadLimits(lock_timeout_s=7, statement_timeout_s=2)
    with PostgresReader(parse_address(source), tmp_path, limits) as reader:
        reader.fix(lambda labels: labels)
        settings = {
            "transaction_read_only": "on",
            "transaction_isolation": "repeatable read",
            "lock_timeout": "7s",
            "statement_timeout": "2s",
            "application_name": "airkeep",
        }
        found = {name: reader.ask(f"SELECT current_setting('{name}')") for name in settings}
        assert found == settings
        seen = query(
            source,
            "SELECT DISTINCT application_name::text FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert seen == [("airkeep",)]
        with pytest.raises(BusyError, match=r"statement timeout ran out .*--statement-timeout"):
            reader.query("SELECT pg_sleep(30)")


def files_below(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


class Watch:
    """What lies in the spool folder at each step of an export."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.passfiles: set[tuple[int, int]] = set()
        self.spooled = 0

    def __call__(self, _: Step) -> None:
        for path in files_below(self.spool):
            if path.suffix == ".pass":
                modes = (path.stat().st_mode, path.parent.stat().st_mode)
                self.passfiles.add((stat.S_IMODE(modes[0]), stat.S_IMODE(modes[1])))
            elif path.suffix == ".parquet":
                self.spooled += 1


def test_the_password_lies_in_a_private_file_for_as_long_as_the_export_runs(
    heavy: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    watch = Watch(spool)
    export(heavy, tmp_path / "lake", spool=spool, progress=watch)

    assert watch.passfiles == {(0o600, 0o700)}
    assert watch.spooled
    assert list(spool.iterdir()) == []


OURS = "FROM pg_stat_activity WHERE application_name = 'airkeep' AND datname = current_database()"


def terminate(url: str) -> None:
    query(url, f"SELECT pg_terminate_backend(pid) {OURS}")


def test_an_export_whose_server_goes_away_leaves_nothing_on_the_disk(
    heavy: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    with pytest.raises(LostConnectionError):
        export(
            heavy,
            tmp_path / "lake",
            spool=spool,
            progress=once(lambda: terminate(heavy), at="heavy"),
        )
    assert list(spool.iterdir()) == []
    assert Lake(str(tmp_path / "lake")).names() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, AirkeepError])
def test_an_export_that_is_interrupted_leaves_nothing_on_the_disk_or_the_server(
    error: type[BaseException], heavy: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()

    def interrupt(step: Step) -> None:
        if step.doing == "heavy" and step.rows:
            assert files_below(spool)
            raise error

    with pytest.raises(error):
        export(heavy, tmp_path / "lake", spool=spool, progress=interrupt)
    assert list(spool.iterdir()) == []
    assert Lake(str(tmp_path / "lake")).names() == []
    for _ in range(100):
        if not query(heavy, f"SELECT pid {OURS}"):
            return
    raise AssertionError("a connection is still there")
