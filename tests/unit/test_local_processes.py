"""The processes of a local environment, where the program is not an Airflow."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airkeep.environment.local.processes import Processes, end_leftovers
from airkeep.errors import LocalAirflowError

LIMIT_S = 30


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def processes(tmp_path: Path, said: list[str]) -> Iterator[Processes]:
    variables = {"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    made = Processes(Path("/bin/sh"), lambda _: variables, tmp_path, said.append)
    yield made
    made.stop()


def test_one_that_keeps_ending_is_given_up_and_all_end_in_order(
    processes: Processes, said: list[str]
) -> None:
    processes.start({"scheduler": ("-c", "sleep 60"), "triggerer": ("-c", "exit 7")})
    with pytest.raises(LocalAirflowError, match=r"triggerer has ended 5 times .* status 7: .*log"):
        _look_on(processes)
    again = f"Airflow's triggerer has ended with status 7 and is started again: {processes.logs}"
    assert said == [f"{again}/triggerer.log says why"] * 4
    processes.stop()


def _look_on(processes: Processes) -> None:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        processes.look()
        time.sleep(0.02)


def test_what_one_has_started_ends_with_it_in_whatever_group_it_is(tmp_path: Path) -> None:
    variables = {
        "AIRFLOW_HOME": str(tmp_path),
        "MWAA_AIRFLOW_COMPONENT": "scheduler",
        "PATH": "/usr/bin:/bin",
    }
    said: list[str] = []
    processes = Processes(Path("/bin/sh"), lambda _: variables, tmp_path, said.append)
    worker, task = tmp_path / "worker", tmp_path / "task"
    script = f"sleep 70 & echo $! >> {worker}; setsid sleep 70 & echo $! >> {task}; sleep 0.1"
    processes.start({"scheduler": ("-c", script)})
    try:
        first = _first_line(worker)
        _look_until(processes, lambda: not _is_alive(first))
        assert _is_alive(_first_line(task))  # it goes on under the new scheduler
    finally:
        processes.stop()
    left = [int(pid) for pid in (worker.read_text() + task.read_text()).split()]
    _wait_until(lambda: not any(map(_is_alive, left)))


def test_only_components_and_tasks_are_taken_for_leftovers(tmp_path: Path) -> None:
    mine = {"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    component = mine | {"MWAA_AIRFLOW_COMPONENT": "worker"}
    users = subprocess.Popen(["/bin/sleep", "70"], env=mine, cwd=tmp_path)
    others = subprocess.Popen(["/bin/sleep", "70"], env=component | {"AIRFLOW_HOME": "/other"})
    titled = subprocess.Popen(
        ["airflow worker", "70"], executable="/bin/sleep", env={}, cwd=tmp_path
    )
    task = subprocess.Popen(["/bin/sleep", "70"], env=component, cwd="/")
    try:
        end_leftovers(tmp_path)
        assert (titled.wait(LIMIT_S), task.wait(LIMIT_S)) == (-signal.SIGKILL, -signal.SIGKILL)
        assert (users.poll(), others.poll()) == (None, None)
    finally:
        for process in (users, others, titled, task):
            process.kill()
            process.wait()


def _first_line(file: Path) -> int:
    _wait_until(lambda: file.exists() and "\n" in file.read_text())
    return int(file.read_text().split()[0])


def _is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _look_until(processes: Processes, is_so: Callable[[], bool]) -> None:
    def look() -> bool:
        processes.look()
        return is_so()

    _wait_until(look)


def _wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)
