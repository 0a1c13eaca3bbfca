"""Faults that strike half way: the server goes, a disk fills, somebody presses Ctrl-C.

The command line runs as a process of its own. Between it and the server stands a proxy that
slows the rows down, so that "half way" is a place and not a race, and cuts them on request.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster, Server
from command import start as start_airkeep
from compare import AS_IT_WAS, AS_IT_WAS_FLAGS, data_of
from servers import AIRFLOW_DATA, Databases, emptied, psql, query, wait_until_alone

# Sorts first among the rows that matter, holds some 20 MB that do not compress.
BIG = """
CREATE TABLE big (id bigint PRIMARY KEY, text text);
INSERT INTO big SELECT n, md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text)
FROM generate_series(1, 200000) n
"""
SMALL_BYTES = 2 << 20


@dataclass
class Wire:
    """A TCP proxy in front of a server.

    Attributes:
        hold_after: bytes in both directions after which it forwards slowly; 0 is never.
        held: set when it does.
    """

    upstream: tuple[str, int]
    hold_after: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    _passed: int = 0
    _cut: bool = False
    _open: list[socket.socket] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=socket.socket)

    def __post_init__(self) -> None:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def release(self) -> None:
        """Forward at full speed again."""
        self.hold_after = 0

    def cut(self) -> None:
        """Reset every connection and take no other."""
        self._cut = True
        for end in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                if end is not self._listener:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self.upstream)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                sink.sendall(data)
                self._passed += len(data)
                if self.hold_after and self._passed > self.hold_after:
                    self.held.set()
                    time.sleep(0.1)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def wire(url: str, hold_after: int) -> Iterator[tuple[Wire, str]]:
    """A proxy in front of a database, and the database's URL through it."""
    place = parse_address(url)
    proxy = Wire((place.host, place.port or 5432), hold_after)
    try:
        yield proxy, replace(place, port=proxy.port).reveal()
    finally:
        proxy.cut()


@dataclass
class Command:
    """A running command line; its temporary files are in `folder/temporary`."""

    folder: Path
    process: subprocess.Popen[str]

    def end(self, *, within_s: float = 60) -> tuple[int, str]:
        """Its status, and its one line on standard error."""
        out, err = self.process.communicate(timeout=within_s)
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("airkeep: "), err
        assert list((self.folder / "temporary").iterdir()) == []
        return self.process.returncode, err


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """`start(url, "export", ...)`: the command line, its database in the environment."""
    running: list[subprocess.Popen[str]] = []
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def start(url: str, *arguments: str, before: Callable[[], None] | None = None) -> Command:
        process = start_airkeep(tmp_path, url, *arguments, temporary=temporary, before=before)
        running.append(process)
        return Command(tmp_path, process)

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


Start = Callable[..., Command]


@pytest.fixture
def source(databases: Databases, server: Cluster) -> str:
    """An Airflow database with a big table beside."""
    url = databases.airflow("airflow-332")
    server.run("psql", "-qc", BIG, database=parse_address(url).database)
    return url


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def assert_nothing_listed_and_all_well(lake: str, url: str) -> None:
    """No snapshot came of it, and the next export works."""
    assert airkeep.Lake(lake).names() == []
    snapshot = airkeep.export(url, lake, environment="prod")
    assert [r.problems for r in airkeep.verify(lake)] == [()]
    assert snapshot.manifest.complete


# The server goes away.


def test_a_connection_cut_in_mid_export_is_said_so(source: str, lake: str, start: Start) -> None:
    with wire(source, SMALL_BYTES) as (proxy, url):
        command = start(url, "export", "env:", lake, "-e", "prod")
        assert proxy.held.wait(60)
        proxy.cut()
        status, said = command.end()

    assert re.search(r"closed the connection while reading \w+\. .*run it again", said), said
    assert status == 16
    assert_nothing_listed_and_all_well(lake, source)


def test_a_server_stopped_in_mid_export_is_said_so(
    lake: str, start: Start, server_folder: Path
) -> None:
    with Server.start(server_folder / "data") as own:
        own.create("airflow")
        own.restore_dump("airflow", AIRFLOW_DATA / "airflow-332.dump")
        own.run("psql", "-qc", BIG, database="airflow")
        with wire(own.address("airflow"), SMALL_BYTES) as (proxy, url):
            command = start(url, "export", "env:", lake, "-e", "prod")
            assert proxy.held.wait(60)
            own.stop()
            proxy.release()
            status, said = command.end()

    assert status == 16, said
    assert airkeep.Lake(lake).names() == []


def test_a_connection_cut_in_mid_restore_leaves_the_target_empty(
    source: str, lake: str, start: Start, databases: Databases
) -> None:
    airkeep.export(source, lake, environment="prod")
    target = databases.empty()
    with wire(target, SMALL_BYTES) as (proxy, url):
        command = start(url, "restore", lake, "latest", "env:", "--create-schema", *AS_IT_WAS_FLAGS)
        assert proxy.held.wait(60)
        proxy.cut()
        status, said = command.end()

    assert re.search(r"closed the connection while loading \w+\. .*run it again", said), said
    assert status == 16
    assert_empty_then_whole(lake, source, target)


def test_a_backend_that_an_operator_ends_leaves_the_target_empty(
    source: str, lake: str, start: Start, databases: Databases
) -> None:
    airkeep.export(source, lake, environment="prod")
    target = databases.empty()
    with wire(target, SMALL_BYTES) as (proxy, url):
        command = start(url, "restore", lake, "latest", "env:", "--create-schema", *AS_IT_WAS_FLAGS)
        assert proxy.held.wait(60)
        query(
            target,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'airkeep'",
        )
        status, said = command.end()

    assert status == 16, said
    assert_empty_then_whole(lake, source, target)


def assert_empty_then_whole(lake: str, source: str, target: str) -> None:
    """The target is as it was, and takes the snapshot at the next attempt."""
    wait_until_alone(target)
    assert data_of(target) == {}
    airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)
    assert data_of(target) == data_of(source)


# A dropped terminal, Ctrl-C, and what a container's runtime sends.

STOPS = [
    (signal.SIGHUP, 129, "hung up"),
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
]
# All three are one handler's, and all are sent to an export: to a restore the others are slow.
STOPS_OF_A_RESTORE = [
    pytest.param(*stop, marks=() if stop[0] is signal.SIGINT else pytest.mark.slow)
    for stop in STOPS
]


@pytest.mark.parametrize(("number", "expected", "word"), STOPS)
def test_a_signal_in_mid_export_leaves_nothing(
    number: signal.Signals, expected: int, word: str, source: str, lake: str, start: Start
) -> None:
    with wire(source, SMALL_BYTES) as (proxy, url):
        command = start(url, "export", "env:", lake, "-e", "prod")
        assert proxy.held.wait(60)
        command.process.send_signal(number)
        time.sleep(0.5)
        proxy.release()  # what is under way on the wire may be drained
        status, said = command.end(within_s=20)

    assert (status, said.partition(";")[0]) == (expected, f"airkeep: {word}")
    assert_nothing_listed_and_all_well(lake, source)


@pytest.mark.parametrize(("number", "expected", "word"), STOPS)
def test_a_signal_while_secrets_are_sealed_leaves_nothing(
    number: signal.Signals,
    expected: int,
    word: str,
    source: str,
    lake: str,
    start: Start,
    server: Cluster,
) -> None:
    server.run("psql", "-qc",
               "INSERT INTO variable (key, val, is_encrypted) "
               "SELECT 'k' || n, repeat(md5(n::text), 20), false FROM generate_series(1, 20000) n",
               database=parse_address(source).database)  # fmt: skip
    with wire(source, SMALL_BYTES) as (proxy, url):
        command = start(
            url, "export", "env:", lake, "-e", "prod", "--tables", "variable,dag,dag_run"
        )
        assert proxy.held.wait(60)
        command.process.send_signal(number)
        time.sleep(0.5)
        proxy.release()  # what is under way on the wire may be drained
        status, said = command.end(within_s=20)

    assert (status, said.partition(";")[0]) == (expected, f"airkeep: {word}")
    assert airkeep.Lake(lake).names() == []


@pytest.mark.parametrize(("number", "expected", "word"), STOPS_OF_A_RESTORE)
def test_a_signal_in_mid_restore_leaves_the_target_empty(
    number: signal.Signals,
    expected: int,
    word: str,
    source: str,
    lake: str,
    start: Start,
    databases: Databases,
) -> None:
    airkeep.export(source, lake, environment="prod")
    target = databases.empty()
    with wire(target, SMALL_BYTES) as (proxy, url):
        command = start(url, "restore", lake, "latest", "env:", "--create-schema", *AS_IT_WAS_FLAGS)
        assert proxy.held.wait(60)
        command.process.send_signal(number)
        time.sleep(0.5)
        proxy.release()  # what is under way on the wire may be drained
        status, said = command.end(within_s=20)

    assert (status, said.partition(";")[0]) == (expected, f"airkeep: {word}")
    assert_empty_then_whole(lake, source, target)


WAITING_FOR_A_LOCK = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.mark.parametrize(("number", "expected", "word"), STOPS)
def test_a_signal_while_an_export_waits_for_a_lock_is_heard_at_once(
    number: signal.Signals, expected: int, word: str, lake: str, start: Start, databases: Databases
) -> None:
    from adbc_driver_postgresql import dbapi

    source = databases.airflow("airflow-332")
    with dbapi.connect(source, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript("BEGIN; LOCK TABLE dag IN ACCESS EXCLUSIVE MODE")
        command = start(source, "export", "env:", lake, "-e", "prod", "--lock-timeout", "0")
        wait_for(source, WAITING_FOR_A_LOCK, command)
        command.process.send_signal(number)
        status, said = command.end(within_s=10)

        assert (status, said.partition(";")[0]) == (expected, f"airkeep: {word}")
        wait_until_alone(source)


# A value that the server turns into text for a minute. `variable` is looked through for secrets.
SLOW = """
CREATE TYPE slow AS (n int);
CREATE FUNCTION slow(slow) RETURNS text LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_catalog.pg_sleep(60); RETURN ''; END $$;
CREATE CAST (slow AS text) WITH FUNCTION slow(slow);
ALTER TABLE {table} ADD COLUMN slow slow DEFAULT ROW(1)::slow
"""


@pytest.mark.parametrize(
    ("table", "secrets"), [("dag", "keep"), ("variable", "keep"), ("variable", "drop")]
)
def test_ctrl_c_while_the_server_is_busy_for_an_export_is_heard_at_once(
    table: str, secrets: str, lake: str, start: Start, databases: Databases, server: Cluster
) -> None:
    source = databases.airflow("airflow-332")
    server.run("psql", "-qc", SLOW.format(table=table), database=parse_address(source).database)
    command = start(source, "export", "env:", lake, "-e", "prod", "--secrets", secrets)
    busy = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    wait_for(source, busy, command)
    command.process.send_signal(signal.SIGINT)
    status, said = command.end(within_s=10)

    assert (status, said.partition(";")[0]) == (130, "airkeep: interrupted")
    wait_until_alone(source)


def wait_for(url: str, count: str, command: Command) -> None:
    """Until a query counts something, while the command runs."""
    while query(url, count) == [(0,)]:
        assert command.process.poll() is None
        time.sleep(0.1)


@pytest.mark.parametrize("arguments", [("export", "env:", "{lake}", "-e", "prod"),
                                       ("restore", "{lake}", "latest", "env:")])  # fmt: skip
def test_ctrl_c_while_a_server_does_not_answer_a_login_is_heard_at_once(
    arguments: tuple[str, ...], lake: str, start: Start, databases: Databases
) -> None:
    airkeep.export(databases.airflow("airflow-332"), lake, environment="prod")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://me:secret@127.0.0.1:{mute.getsockname()[1]}/db?connect_timeout=60"
        command = start(url, *(part.format(lake=lake) for part in arguments))
        login, _ = mute.accept()
        with login:
            command.process.send_signal(signal.SIGINT)
            status, said = command.end(within_s=10)

    assert (status, said.partition(";")[0]) == (130, "airkeep: interrupted")


@pytest.mark.parametrize(("number", "expected", "word"), STOPS_OF_A_RESTORE)
def test_a_signal_while_a_restore_waits_for_a_lock_is_heard_at_once(
    number: signal.Signals,
    expected: int,
    word: str,
    lake: str,
    start: Start,
    databases: Databases,
    server: Cluster,
) -> None:
    from adbc_driver_postgresql import dbapi

    airkeep.export(databases.airflow("airflow-332"), lake, environment="prod")
    target = emptied(server, databases.airflow("airflow-332"))
    with dbapi.connect(target, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript("BEGIN; LOCK TABLE xcom IN SHARE MODE")
        command = start(target, "restore", lake, "latest", "env:")
        wait_for(target, WAITING_FOR_A_LOCK, command)
        command.process.send_signal(number)
        status, said = command.end(within_s=10)

    assert (status, said.partition(";")[0]) == (expected, f"airkeep: {word}")
    wait_until_alone(target)


# A disk is full.


def _may_mount() -> bool:
    return (
        os.getuid() == 0
        and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode
        == 0
    )


@contextmanager
def tiny_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of this size on a folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def file_limit(limit_bytes: int) -> Callable[[], None]:
    """No file may grow beyond; Python ignores the signal, so writing fails."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return limit


def test_a_spool_that_takes_no_more_is_said_so(source: str, lake: str, start: Start) -> None:
    command = start(source, "export", "env:", lake, "-e", "prod", before=file_limit(1 << 20))
    status, said = command.end()
    assert re.search(r"no space left while reading big: .*--spool", said), said
    assert status == 24
    assert_nothing_listed_and_all_well(lake, source)


def test_a_lake_that_takes_no_more_is_said_so(source: str, lake: str, start: Start) -> None:
    command = start(source, "export", "env:", lake, "-e", "prod", before=file_limit(8192))
    status, said = command.end()
    assert re.search(r"lake/snapshots/\S+schema\.sql cannot be written.*free some space", said), (
        said
    )
    assert status == 24
    assert_nothing_listed_and_all_well(lake, source)


def test_no_room_for_what_comes_from_the_lake_is_said_so(
    source: str, lake: str, start: Start, databases: Databases
) -> None:
    airkeep.export(source, lake, environment="prod")
    target = databases.empty()
    command = start(
        target,
        "restore",
        lake,
        "latest",
        "env:",
        "--create-schema",
        *AS_IT_WAS_FLAGS,
        before=file_limit(1 << 20),
    )
    status, said = command.end()
    assert re.search(r"cannot be written \(File too large\): free some space", said), said
    assert status == 24
    assert_empty_then_whole(lake, source, target)


# 70 MB of keys that compress to 1: their files fit where DuckDB's own do not.
WIDE = """
CREATE TABLE wide AS SELECT repeat('k', 60) || n AS k FROM generate_series(1, 1000000) n;
ALTER TABLE wide ADD PRIMARY KEY (k)
"""


def test_a_spool_without_room_to_look_at_a_snapshot_is_said_so(
    databases: Databases, server: Cluster, lake: str, start: Start
) -> None:
    url = databases.airflow("airflow-332")
    psql(server, url, WIDE)
    for _ in range(2):
        airkeep.export(url, lake, environment="prod", tables=["wide"])
        query(url, "UPDATE wide SET k = 'another' WHERE k LIKE '%k1'")
    first, second = (name.id for name in airkeep.Lake(lake).names())
    for doing, arguments in (("counting", ["verify", lake, first]),
                             ("comparing", ["diff", lake, first, second])):  # fmt: skip
        command = start(url, *arguments, "--memory", "200MB", before=file_limit(4 << 20))
        status, said = command.end()
        assert f"no space left while {doing} wide: free some, or name another folder" in said
        assert status == 24


if _may_mount():  # else the three above stand alone: not everybody may make a file system

    @pytest.mark.parametrize("where", ["spool", "lake"])
    def test_a_full_file_system_is_said_so(
        where: str, source: str, tmp_path: Path, start: Start
    ) -> None:
        spool, lake = tmp_path / "spool", tmp_path / "tiny" / "lake"
        tiny = spool if where == "spool" else lake.parent
        (lake.parent if where == "spool" else spool).mkdir()
        with tiny_disk(tiny, "3m"):
            command = start(
                source, "export", "env:", str(lake), "-e", "prod", "--spool", str(spool)
            )
            status, said = command.end()
            assert re.search(r"[Nn]o space left|cannot be written", said), said
            assert status == 24
            assert list(spool.iterdir()) == []
            assert airkeep.Lake(str(lake)).names() == []

    def test_a_spool_without_room_for_a_password_is_said_so(
        source: str, tmp_path: Path, lake: str, start: Start
    ) -> None:
        spool = tmp_path / "spool"
        with tiny_disk(spool, "4k"):
            (spool / "stone").write_bytes(b"x" * 4096)
            command = start(source, "export", "env:", lake, "-e", "prod", "--spool", str(spool))
            status, said = command.end()
        assert "No space left" in said
        assert status == 24
