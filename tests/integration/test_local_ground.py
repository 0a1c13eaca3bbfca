"""A local environment's database, its making and its removal, with no Airflow over it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import airkeep
from airkeep.database.address import Address
from airkeep.environment.events import LocalPlace
from airkeep.environment.local.check import check_port
from airkeep.environment.local.folder import Running
from airkeep.environment.local.ground import LocalGround, LocalMeans
from airkeep.environment.local.migration import migrate
from airkeep.errors import AirkeepError, HeldError, LocalAirflowError
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.progress import Step
from hollow_airflow import hollow_airflow
from servers import query, reachable_folder


class Bare(LocalGround):
    """Without the packages of an Airflow."""

    venv = Path("/none")
    migrated = False

    def _migrate(self, address: Address) -> None:
        assert self._server is not None
        tables = "CREATE TABLE dag_run (id int); CREATE TABLE dag (dag_id text, is_paused bool);"
        self._server.run("psql", database=address.database, stdin=tables)
        self.migrated = True


@pytest.fixture
def project() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


def ground(project: Path) -> Bare:
    return Bare("local", *given(project))


def given(project: Path) -> tuple[LocalPlace, LocalMeans]:
    place = LocalPlace(str(project / "local"), "3.3.2", "/dags")
    return place, LocalMeans(Lake(project / "lake"), project, is_new=True)


def test_it_is_whole_until_its_removal_has_begun(project: Path) -> None:
    one = ground(project)
    one.folder.postgres.mkdir(parents=True)
    assert (one.is_whole(), one.is_gone()) == (True, False)
    one.folder.postgres.rename(one.folder.gone)  # as a killed removal leaves it
    assert (one.exists(), one.is_whole(), one.is_gone()) == (False, False, False)
    one.delete()
    assert one.is_gone()


def test_what_cannot_be_removed_is_said(project: Path) -> None:
    one = ground(project)
    one.folder.path.mkdir(parents=True)
    one.folder.gone.write_text("a file, where a folder is awaited")
    with pytest.raises(LocalAirflowError, match=r"gone cannot be removed: Not a dir"):
        one.delete()


def test_only_what_was_never_whole_is_made_anew(project: Path) -> None:
    with ground(project) as one:
        one.folder.part.mkdir(parents=True)
        (one.folder.part / "half").touch()
        one.create(None, None)
        (one.folder.postgres / "ours").touch()
    with ground(project) as again:
        again.create(None, None)
        assert (again.folder.postgres / "ours").exists()
        again.delete()
        assert again.is_gone()
        again.create(None, None)
        assert not (again.folder.postgres / "ours").exists()


def test_data_that_nothing_else_speaks_of_is_not_removed(project: Path) -> None:
    one = ground(project)
    (one.folder.postgres / "data").mkdir(parents=True)
    shutil.copy(__file__, one.folder.postgres / "precious")
    with one:
        one.create(None, None)
    assert (one.folder.postgres / "precious").exists()


def test_what_a_killed_run_has_left_gives_its_port_back(project: Path) -> None:
    one = ground(project)
    (one.folder.postgres / "data").mkdir(parents=True)
    (one.folder.postgres / "data" / "PG_VERSION").touch()
    component = {"AIRFLOW_HOME": str(one.folder.home), "MWAA_AIRFLOW_COMPONENT": "webserver"}
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); " \
             "print(s.getsockname()[1], flush=True); time.sleep(60)"  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", listen], env=component, stdout=subprocess.PIPE, text=True
    ) as left:
        try:
            assert left.stdout is not None
            port = int(left.stdout.readline())
            with pytest.raises(LocalAirflowError, match=rf"port {port} cannot be had"):
                check_port("local", port)
            one.end_leftovers()
            check_port("local", port)
        finally:
            left.kill()


def test_what_another_process_holds_is_neither_removed_nor_anybody_ended(project: Path) -> None:
    one = ground(project)
    one.folder.make()
    one.folder.postgres.mkdir()
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        try:
            # Left by a run that was killed; the next one has told nothing yet.
            one.folder.tell(Running(stranger.pid, 8080, 1))
            with one.folder.hold():
                assert one.folder.running() is None
                with pytest.raises(HeldError, match="is being run: end that one first"):
                    one.delete()
            assert stranger.poll() is None
        finally:
            stranger.kill()
    assert one.is_whole()


def test_a_process_that_has_just_ended_stops_no_removal(project: Path) -> None:
    one = ground(project)
    one.folder.make()
    one.folder.postgres.mkdir()
    with subprocess.Popen(["/bin/true"]) as ended:
        pass

    with ExitStack() as holding:
        holding.enter_context(one.folder.hold())
        one.folder.tell(Running(ended.pid, 8080, 1))
        timer = threading.Timer(1, holding.close)
        timer.start()
        one.delete()
        timer.join()
    assert one.is_gone()


def test_a_restore_that_failed_halfway_is_not_taken_for_one(
    project: Path, airflow_dump: Callable[[str], str]
) -> None:
    lake = Lake(project / "lake")
    old = airkeep.export(airflow_dump("airflow-2112"), lake, environment="older", secrets="drop")
    new = airkeep.export(airflow_dump("airflow-332"), lake, environment="local", secrets="drop")
    with ground(project) as one:
        one.create(None, None)
        assert not one.is_restored(old)
        # The newer Airflow has made its tables; the older one's environment cannot be had.
        with pytest.raises(AirkeepError):
            one.restore(old, None, "t")
        assert one.migrated
        assert not one.is_restored(old)
        one.restore(new, None, "t")
        assert one.is_restored(new)
        runs = new.manifest.table("dag_run")
        assert runs is not None
        assert _count(one) >= runs.rows > 0  # and those in flight


def test_no_task_is_at_work_where_no_process_runs_its_airflow(
    project: Path, airflow_dump: Callable[[str], str]
) -> None:
    url = airflow_dump("airflow-332")
    query(url, "UPDATE dag_run SET state = 'running', last_scheduling_decision = start_date")
    snapshot = airkeep.export(url, Lake(project / "lake"), environment="local", secrets="drop")
    with ground(project) as one:
        one.create(None, None)
        one.restore(snapshot, None, "t")
        assert one._server is not None
        one.folder.tell(Running(os.getpid(), 8080, one._server.port))
        in_another_terminal = ground(project).pulse()
        assert (in_another_terminal.running > 0, in_another_terminal.orphaned) == (True, 0)
        assert in_another_terminal.closing > 0
    with ground(project) as after:  # nobody runs it any more
        found = after.pulse()
        assert (found.running, found.closing) == (0, 0)
        assert found.orphaned == in_another_terminal.running


@pytest.mark.parametrize("airflow_program", ["sys.exit(3)"], indirect=True)
def test_a_migration_that_failed_is_not_taken_for_a_database(
    project: Path, airflow_program: Path
) -> None:
    class Failing(LocalGround):
        venv = airflow_program.parent.parent

    with Failing("local", *given(project)) as one:
        one.create(None, None)
        for _ in range(2):  # nor by the next run
            with pytest.raises(LocalAirflowError, match=r"`airflow db migrate` .* status 3: .*log"):
                one.start()


@pytest.mark.parametrize("airflow_program", ["time.sleep(60)"], indirect=True)
def test_a_migration_that_takes_too_long_is_ended(project: Path, airflow_program: Path) -> None:
    with ground(project) as one:
        one.create(None, None)
        settings = {
            "AIRFLOW_HOME": str(project),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": one._address().reveal(),
        }
        with pytest.raises(LocalAirflowError, match="took longer than 1 s and was ended"):
            migrate(airflow_program, "3.3.2", settings, project / "log", timeout_s=1)


@pytest.fixture
def airflow_program(project: Path, request: pytest.FixtureRequest) -> Path:
    """It makes a table, and then does what the parameter says."""
    program = project / "venv" / "bin" / "airflow"
    program.parent.mkdir(parents=True)
    program.write_text(f"""#!{sys.executable}
import os, sys, time
from adbc_driver_postgresql import dbapi
url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE dag_run (id int)")
{request.param}
""")
    program.chmod(0o755)
    return program


def _count(one: Bare) -> int:
    assert one._server is not None
    said = one._server.run("psql", "-At", database="airflow", stdin="SELECT count(*) FROM dag_run")
    return int(said)


def test_it_is_said_that_its_packages_are_made(project: Path) -> None:
    hollow_airflow(project)
    place, means = given(project)
    said: list[Step] = []
    means = replace(means, cache=project / "airkeep" / "airflow", progress=said.append)
    LocalGround("local", place, means).install()
    assert [step.doing for step in said] == ["making Airflow 3.3.2's packages"]


def test_a_port_that_another_one_has_is_refused(project: Path) -> None:
    one = ground(project)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        one.place = msgspec.structs.replace(one.place, port=port)
        with pytest.raises(LocalAirflowError, match=f"port {port} cannot be had .*--port"):
            one.start()
        with pytest.raises(LocalAirflowError, match=f"port {port} cannot be had"):
            one.check(None)  # before there is a database to wait for
    assert not one.folder.path.exists()
