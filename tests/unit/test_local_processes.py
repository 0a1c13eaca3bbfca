"""The processes of a local environment, where the program is not an Airflow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airkeep.environment.local.processes import Processes
from airkeep.errors import LocalAirflowError

LIMIT_S = 30


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    variables = {"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    made = Processes(Path("/bin/sh"), lambda _: variables, tmp_path)
    yield made
    made.stop()


def test_one_that_keeps_ending_is_given_up_and_all_end_in_order(processes: Processes) -> None:
    processes.start({"scheduler": ("-c", "sleep 60"), "triggerer": ("-c", "exit 7")})
    with pytest.raises(LocalAirflowError, match=r"triggerer has ended 5 times .* status 7: .*log"):
        _look_on(processes)
    processes.stop()


def _look_on(processes: Processes) -> None:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        processes.look()
        time.sleep(0.02)
