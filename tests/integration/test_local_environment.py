"""A local environment, as a user has it: up, DAGs that run, down, and up with all of it there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
from collections.abc import Iterator
from datetime import datetime

import pytest

import airkeep
from airflows import Airflow
from airkeep.snapshot.names import id_time
from local_airflow import LOOPBACK, LocalAirflow, run_words
from servers import PROJECT, reachable_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAGS = PROJECT / "examples" / "local" / "dags"
VERSIONS = ("2.11.2", "3.3.2")


@pytest.fixture(params=VERSIONS)
def local(request: pytest.FixtureRequest) -> Iterator[LocalAirflow]:
    Airflow(request.param).install()
    with reachable_folder() as folder:
        shutil.copytree(DAGS, folder / "dags")
        (folder / "dags" / "naps.py").write_text(NAPS)
        yield LocalAirflow(folder, request.param)


NAPS = """
import time
from datetime import datetime
try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

with DAG("naps", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    @task
    def nap(**context):
        time.sleep(context["dag_run"].conf["s"])
    nap()
"""


def nap(local: LocalAirflow, *, seconds: int) -> str:
    """Trigger a run whose one task lasts so long, and wait until it is at work."""
    local.wait_for("dags/naps", '"is_paused": false')
    body: dict[str, object] = {"conf": {"s": seconds}}
    if local.version.startswith("3."):
        body["logical_date"] = None
    path = f"dags/naps/dagRuns/{local.ask('dags/naps/dagRuns', body)['dag_run_id']}"
    local.wait_for(f"{path}/taskInstances", '"state": "running"')
    return path


def test_what_ran_before_its_sleep_is_there_after(local: LocalAirflow) -> None:
    with local.up():
        run_words(local, note="before")
        before = local.history()
        napping = nap(local, seconds=10)  # its task ends while its DAG is paused
        dags = local.ask("dags")
        assert [v for path, v in before.items() if path.endswith("/run/note")] == ["before"]
        done = local.command("down", "local")
        assert done.returncode == 0, done.stderr + local.logs()
    assert not (local.folder / ".airkeep" / "local" / "postgres").exists()
    [name] = airkeep.Lake(local.folder / ".airkeep" / "lake").names()
    assert str(name) in done.stdout

    with local.up():
        napped = local.ask(napping)
        assert napped["state"] == "success"
        assert datetime.fromisoformat(napped["end_date"]) < id_time(name.id)
        history = local.history()
        assert {k: v for k, v in history.items() if not k.startswith("/naps")} == before
        paused = {d["dag_id"]: d["is_paused"] for d in local.ask("dags")["dags"]}
        assert paused == {d["dag_id"]: d["is_paused"] for d in dags["dags"]}
        assert paused == {"words": False, "silent": True, "naps": False}
        run_words(local, note="after")
        history = local.history()
        assert {k: history[k] for k in before} == before
        words = [k for k in history if k.startswith("/words")]
        assert len(words) == pytest.approx(2 * len(before), rel=0.1)


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
        nap(local, seconds=3_600)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        local.wait_until_nothing_runs(".airkeep/local/postgres")
        done = local.command("down", "local", "--drain-minutes", "0")
        assert done.returncode == 0, done.stderr
        local.wait_until_nothing_runs()  # the task has been ended, too
    assert "tasks at work when Airflow was ended: 1. They sleep as they stood" in done.stderr
    assert "is asleep as" in done.stdout


SAYS = """
import time
from datetime import datetime, timedelta
try:
    from airflow.sdk import DAG, BaseOperator, task
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
except ImportError:
    from airflow import DAG
    from airflow.decorators import task
    from airflow.models import BaseOperator
    from airflow.triggers.temporal import TimeDeltaTrigger

class Defer(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="execute")

with DAG("says", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    @task
    def short():
        print("said by a task that ends")
    @task
    def long():
        print("said by a task at work")
        time.sleep(3600)
    short()
    long()
    Defer(task_id="deferred")
"""


def test_it_listens_on_the_loopback_alone_and_its_logs_are_read(local: LocalAirflow) -> None:
    (local.folder / "dags" / "says.py").write_text(SAYS)
    with local.up():
        local.wait_for("dags/says", '"is_paused": false')
        body = {"logical_date": None} if local.version.startswith("3.") else {}
        run = local.ask("dags/says/dagRuns", body)["dag_run_id"]
        tasks = f"dags/says/dagRuns/{run}/taskInstances"
        for task, state, said in (
            ("short", "success", "said by a task that ends"),
            ("long", "running", "said by a task at work"),
            ("deferred", "deferred", "trigger starting"),
        ):
            local.wait_for(f"{tasks}/{task}", f'"state": "{state}"')
            local.wait_for(f"{tasks}/{task}/logs/1", said)
        assert local.listening() == {LOOPBACK}


@pytest.fixture
def of_two() -> Iterator[LocalAirflow]:
    for version in VERSIONS:
        Airflow(version).install()
    with reachable_folder() as folder:
        shutil.copytree(DAGS, folder / "dags")
        yield LocalAirflow(folder, "2.11.2")


def test_it_wakes_in_a_newer_airflow_with_packages_and_plugins_of_its_own(
    of_two: LocalAirflow,
) -> None:
    local = of_two
    with local.up():
        run_words(local, note="in two")
        states = {p: v for p, v in local.history().items() if p.endswith("/state")}
    assert local.command("down", "local").returncode == 0
    refused = local.command("up", "local", "--requirements", "requirements.txt")
    assert (refused.returncode, "--requirements" in refused.stderr) == (3, True)

    (local.folder / "requirements.txt").write_text("pyfiglet==1.0.2\n")
    (local.folder / "plugins").mkdir()
    (local.folder / "plugins" / "ours.py").write_text("WORD = 'ours'\n")
    (local.folder / "dags" / "more.py").write_text(MORE)
    local.version = "3.3.2"
    with local.up("--requirements", "requirements.txt", "--plugins", "plugins"):
        after = {p: v for p, v in local.history().items() if p.endswith("/state")}
        assert after == states
        local.wait_for("dags/more", '"is_paused": false')
        run = local.ask("dags/more/dagRuns", {"logical_date": None})["dag_run_id"]
        local.wait_for(f"dags/more/dagRuns/{run}", '"state": "success"')
        told = local.ask(f"dags/more/dagRuns/{run}/taskInstances/tell/xcomEntries/return_value")
        assert told["value"] == ["ours", "1.0.2", "local", "1"]


MORE = """
import os
from datetime import datetime
from importlib.metadata import version
import pyfiglet
from airflow.sdk import DAG, Variable, task
from ours import WORD

with DAG("more", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    @task
    def tell():
        assert pyfiglet
        return [WORD, version("pyfiglet"), os.environ["AIRFLOW_ENV_NAME"], Variable.get("mine")]
    tell()
"""


@pytest.mark.timeout(1800)
def test_killed_on_its_way_it_comes_to_the_same_end(of_two: LocalAirflow) -> None:
    local = of_two
    local.version = "3.3.2"
    chance = random.Random(5)
    with local.up():
        run_words(local, note="kept")
        before = local.history()
    for journey, longest_s in (("down", 6), ("up", 18), ("down", 6), ("up", 18)):
        for _ in range(2):
            local.kill(journey, after_s=chance.uniform(0.3, longest_s))
            local.wait_until_nothing_runs()
        if journey == "down":
            done = local.command("down", "local")
            assert done.returncode == 0, done.stderr
            assert not (local.folder / ".airkeep" / "local" / "postgres").exists()
        else:
            with local.up():
                assert local.history() == before
