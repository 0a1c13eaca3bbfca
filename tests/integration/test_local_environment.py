"""A local environment, as a user has it: up, DAGs that run, down, and up with all of it there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections.abc import Iterator

import pytest

import airkeep
from airflows import Airflow
from local_airflow import LocalAirflow, run_words
from servers import PROJECT, reachable_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAGS = PROJECT / "examples" / "local" / "dags"
VERSIONS = ("2.11.2", "3.3.2")


@pytest.fixture(params=VERSIONS)
def local(request: pytest.FixtureRequest) -> Iterator[LocalAirflow]:
    Airflow(request.param).install()
    with reachable_folder() as folder:
        shutil.copytree(DAGS, folder / "dags")
        yield LocalAirflow(folder, request.param)


def test_what_ran_before_its_sleep_is_there_after(local: LocalAirflow) -> None:
    with local.up():
        run_words(local, note="before")
        before, dags = local.history(), local.ask("dags")
        assert [v for path, v in before.items() if path.endswith("/run/note")] == ["before"]
        done = local.command("down", "local")
        assert done.returncode == 0, done.stderr + local.logs()
    assert not (local.folder / ".airkeep" / "local" / "postgres").exists()
    [name] = airkeep.Lake(local.folder / ".airkeep" / "lake").names()
    assert str(name) in done.stdout

    with local.up():
        assert local.history() == before
        paused = {d["dag_id"]: d["is_paused"] for d in local.ask("dags")["dags"]}
        assert paused == {d["dag_id"]: d["is_paused"] for d in dags["dags"]}
        assert paused == {"words": False, "silent": True}
        run_words(local, note="after")
        history = local.history()
        assert {k: history[k] for k in before} == before
        assert len(history) == pytest.approx(2 * len(before), rel=0.1)


def test_what_is_ended_and_started_again_goes_on_and_leaves_nothing_behind(
    local: LocalAirflow,
) -> None:
    with local.up() as process:
        run_words(local, note="once")
        before = local.history()
        secrets = local.folder / ".airkeep" / "local" / "secrets.json"
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
        again = local.command("up", "local")
        assert again.returncode == 96
        assert f"process {process.pid}, at port {local.port}" in again.stderr
    assert json.loads(local.command("status", "local", "--json").stdout)[0]["standing"] == "awake"
    with local.up() as process:
        assert local.history() == before
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        local.wait_until_nothing_runs()
        done = local.command("down", "local")
        assert done.returncode == 0, done.stderr
    assert "is asleep as" in done.stdout
