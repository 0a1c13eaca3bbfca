"""SIGKILL while an upgrade is at work: a whole snapshot or none, a target untouched or complete."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import airkeep
from airflows import Airflow
from command import start
from compare import AS_IT_WAS_FLAGS, data_of
from running import for_airflow
from servers import FERNET_KEY, Databases, wait_until_alone

pytestmark = pytest.mark.slow

ROUNDS, SEED = 50, 20261122


@pytest.fixture(scope="module")
def airflow() -> Airflow:
    made = Airflow("3.3.2")
    made.install()
    return made


def test_there_is_the_whole_snapshot_or_none(
    airflow: Airflow, databases: Databases, server_folder: Path, tmp_path: Path
) -> None:
    lake, url = str(tmp_path / "lake"), databases.airflow("airflow-2112")
    airkeep.export(url, lake, environment="source")
    words = (
        "upgrade", "-q", lake, "source/latest", "--to", "3.3.2", "--airflow", str(airflow.folder),
    )  # fmt: skip
    began = time.monotonic()
    assert status(start(tmp_path, url, *words, "-o", "whole", temporary=server_folder)) == 0
    took, chance, at_work = time.monotonic() - began, random.Random(SEED), 0

    for number in range(ROUNDS):
        name = f"killed-{number}"
        process = start(tmp_path, url, *words, "-o", name, temporary=server_folder)
        at_work += killed(process, chance.uniform(0.05, 1.0) * took)
        made = airkeep.Lake(lake).names(name)
        assert all(r.ok for n in made for r in airkeep.verify(lake, str(n)))

    assert at_work >= ROUNDS / 2
    assert status(start(tmp_path, url, *words, "-o", "last", temporary=server_folder)) == 0
    assert all(r.ok for r in airkeep.verify(lake, "last/latest"))


def test_a_target_of_both_in_one_step_is_untouched_or_complete(
    airflow: Airflow,
    databases: Databases,
    server_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRKEEP_FERNET_KEY", FERNET_KEY)
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="source")

    def migrated() -> str:
        target = databases.empty()
        airflow.migrate(tmp_path, for_airflow(target))
        return target

    def run(target: str) -> subprocess.Popen[str]:
        words = ("restore", "-q", lake, "latest", "env:", "--upgrade", *AS_IT_WAS_FLAGS)
        given = ("--airflow", str(airflow.folder))
        return start(tmp_path, target, *words, *given, temporary=server_folder)

    target = migrated()
    began = time.monotonic()
    assert status(run(target)) == 0
    took, chance, at_work = time.monotonic() - began, random.Random(SEED), 0
    whole, target = rows_of(target), migrated()
    before = data_of(target)

    for _ in range(ROUNDS):
        at_work += killed(run(target), chance.uniform(0.05, 1.0) * took)
        wait_until_alone(target)
        if data_of(target) != before:
            assert rows_of(target) == whole
            target = migrated()
            before = data_of(target)

    assert at_work >= ROUNDS / 2
    if data_of(target) == before:
        assert status(run(target)) == 0
    assert rows_of(target) == whole


def rows_of(url: str) -> dict[str, int]:
    """How many each table has: migrations give other uuids and times each time."""
    return {table: len(rows) for table, rows in data_of(url).items()}


def killed(process: subprocess.Popen[str], after_s: float) -> bool:
    """Kill it then; whether it was still at work."""
    time.sleep(after_s)
    alive = process.poll() is None
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    status(process)
    return alive


def status(process: subprocess.Popen[str]) -> int:
    """Its status; a child of a killed one may hold its streams open, so they are not read."""
    found = process.wait(timeout=300)
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    return found
