"""What the ground of an environment of MWAA makes of what its Airflow says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from airkeep.aws.wait import Patience, until
from airkeep.cli.main import cli
from airkeep.environment.contents import begins_active
from airkeep.environment.events import MwaaPlace, Placed, Recorded
from airkeep.environment.ground import Pulse
from airkeep.environment.journal import Journal
from airkeep.environment.mwaa.ground import MwaaGround, MwaaMeans
from airkeep.environment.mwaa.own_database import ADDRESS
from airkeep.errors import JourneyError, TooLongError
from airkeep.jobs.dag import DAG
from airkeep.jobs.job import Result
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.names import SnapshotName
from airkeep.store.local import LocalStore
from aws_server import AwsServer
from mwaa_journeys import variables
from servers import Databases, query
from told_mwaa import told_mwaa
from written_lake import Written

QUICK = Patience(0.5, 0.01)


def runs(state: str, run: str = "airkeep__up-3-ab", at: datetime | None = None) -> dict[str, Any]:
    """What Airflow lists: this one."""
    ended = (at or datetime(2026, 11, 22, 10, tzinfo=UTC)).isoformat()
    one = {"dag_id": DAG, "dag_run_id": run, "state": state, "end_date": ended}
    return {"dag_runs": [one], "total_entries": 1}


DAGS = {"dags": [{"dag_id": DAG, "is_paused": False}], "total_entries": 1}
QUIET: dict[str, Any] = {"task_instances": [], "total_entries": 0}
NO_RUNS: dict[str, Any] = {"dag_runs": [], "total_entries": 0}


@pytest.fixture
def asked() -> list[str]:
    """The tokens of the jobs that were begun."""
    return []


@contextmanager
def saying(
    folder: Path,
    asked: list[str],
    *replies: dict[str, Any],
    version: str = "3.0.6",
    exported: Snapshot | None = None,
    own: str = "",
    gone: bool = False,
) -> Iterator[MwaaGround]:
    """One whose Airflow says this, one after the other, the last one for ever.

    Args:
        exported: what its jobs export, which run here.
        own: the database that this process's variables name.
        gone: it is not there until it is made.
    """

    def run(words: Sequence[str], token: str) -> Result:
        asked.append(token)
        return Result(0, exported and {"environment": "prod", "id": exported.id})

    is_here = exported is not None
    means = MwaaMeans(
        Lake(LocalStore(folder)), run, job_dag=None if is_here else DAG, is_here=is_here,
        busy=QUICK, steady=QUICK, parsing=QUICK,
    )  # fmt: skip
    there = {"Status": "AVAILABLE", "AirflowVersion": version}
    with told_mwaa([404, there] if gone else [there], [(200, reply) for reply in replies]) as mwaa:
        aws = {**AwsServer(mwaa.endpoint).variables, "AWS_ENDPOINT_URL_MWAA": mwaa.endpoint}
        with variables({**aws, ADDRESS: own}):
            yield MwaaGround("prod", MwaaPlace("prod"), means)


def snapshot(folder: Path) -> Snapshot:
    """One in which no DAG has ever run."""
    store = LocalStore(folder)
    made = Written(store).save("prod", {"dag": pa.table({"id": ["daily"]})})
    return Lake(store).get(SnapshotName("prod", made.id))


def of_runs(folder: Path, *runs: str) -> Snapshot:
    """One in which these have run."""
    store = LocalStore(folder)
    rows = pa.table({
        "id": list(range(len(runs))), "dag_id": [DAG] * len(runs), "run_id": list(runs),
        "start_date": ["2026-11-22"] * len(runs),
    })  # fmt: skip
    made = Written(store).save("prod", {"dag_run": rows})
    return Lake(store).get(SnapshotName("prod", made.id))


def having_run(url: str, runs: list[str] | None) -> str:
    """A database in which these have run; None: it is no Airflow's."""
    if runs is not None:
        query(url, "CREATE TABLE dag_run (dag_id text, run_id text, start_date timestamptz)")
    for run in runs or ():
        query(url, f"INSERT INTO dag_run VALUES ('{DAG}', '{run}', now())")
    return url


def test_who_looks_for_a_wrong_name_is_told_what_is_there(tmp_path: Path) -> None:
    journal = Journal(LocalStore(tmp_path), "prod")
    journal.append(Placed(MwaaPlace("prd", "us-east-1", jobs="here")))
    with told_mwaa([404]) as mwaa:
        mwaa.names = ["prod", "dev"]
        with variables(
            {**AwsServer(mwaa.endpoint).variables, "AWS_ENDPOINT_URL_MWAA": mwaa.endpoint}
        ):
            done = CliRunner().invoke(cli, ["down", "prod", "--lake", str(tmp_path)])
    assert "prod (MWAA prd in us-east-1) is not there (there are: dev, prod)" in str(done.exception)


@pytest.mark.parametrize(
    ("theirs", "said", "why"),
    [
        (["one"], [runs("success", "other")], "its run airkeep_job one is not there"),
        (["one"], [runs("success", "one"), runs("success", "two")], "has no run airkeep_job two"),
        ([], [runs("success", "two")], "has no run airkeep_job two"),
        (None, [NO_RUNS], "it holds no Airflow of MWAA's"),
    ],
)  # fmt: skip
def test_nothing_is_exported_of_another_database(
    theirs: list[str] | None,
    said: list[dict[str, Any]],
    why: str,
    databases: Databases,
    tmp_path: Path,
    asked: list[str],
) -> None:
    own = having_run(databases.empty(), theirs)
    with (
        saying(tmp_path, asked, *said, exported=snapshot(tmp_path), own=own) as ground,
        pytest.raises(JourneyError, match=f"names another database than that of prod .*{why}"),
    ):
        ground.export("down-1-ab")
    assert asked == []


def test_its_own_database_is_exported(
    databases: Databases, tmp_path: Path, asked: list[str]
) -> None:
    made, later = snapshot(tmp_path), datetime.now(UTC) + timedelta(hours=1)
    one = runs("success", "one")
    for theirs, said in (
        (["one"], [one, one]), (["one"], [one, NO_RUNS]), ([], [NO_RUNS]),
        (["one"], [one, runs("success", "later", later)]),  # the gate hears of that one
    ):  # fmt: skip
        own = having_run(databases.empty(), theirs)
        with saying(tmp_path, asked, *said, exported=made, own=own) as ground:
            assert ground.export("down-1-ab").name == made.name


def test_a_restore_here_waits_for_the_address_of_what_is_new(
    databases: Databases, tmp_path: Path, asked: list[str]
) -> None:
    slept, fresh = of_runs(tmp_path, "one"), having_run(databases.empty(), [])
    definition = Recorded((), '{"Name": "prod"}')
    with saying(tmp_path, asked, NO_RUNS, exported=slept, gone=True) as ground:
        ground.create(definition, slept)
        with pytest.raises(JourneyError, match=r"is made, and its database .* set AIRFLOW__DATA"):
            ground.restore(slept, None, "up-1-ab")
    theirs = having_run(databases.empty(), ["other"])
    with (
        saying(tmp_path, asked, NO_RUNS, exported=slept, own=theirs) as ground,
        pytest.raises(JourneyError, match="its run airkeep_job other is not there"),
    ):
        ground.restore(slept, None, "up-1-ab")
    assert asked == []
    with (
        saying(tmp_path, asked, NO_RUNS, exported=slept, own=fresh) as ground,
        pytest.raises(
            JourneyError,
            match=r"names another database than that of prod .*prod/\S+ was restored into it",
        ),
    ):
        ground.restore(slept, None, "up-2-ab")
    with saying(
        tmp_path, asked, NO_RUNS, runs("success", "one"), exported=slept, own=fresh
    ) as ground:
        ground.restore(slept, None, "up-3-ab")


@pytest.mark.parametrize(("state", "is_restored"), [("success", True), ("failed", False)])
def test_the_restores_own_run_proves_it_where_the_snapshot_has_none(
    state: str, is_restored: bool, tmp_path: Path, asked: list[str]
) -> None:
    with saying(tmp_path, asked, runs(state)) as ground:
        assert ground.is_restored(snapshot(tmp_path)) is is_restored


@pytest.mark.parametrize(("version", "doubts"), [("2.6.3", 1), ("2.7.2", 0), ("2.10.3", 0)])
def test_an_airflow_that_aws_makes_no_more_would_sleep_for_good(
    version: str, doubts: int, tmp_path: Path, asked: list[str]
) -> None:
    with saying(tmp_path, asked, QUIET, version=version) as ground:
        found = ground.doubts()
    assert len(found) == doubts
    assert all(f"no environment of Airflow {version} any more" in doubt for doubt in found)


def test_a_restore_that_failed_is_no_work_of_anybodys(tmp_path: Path, asked: list[str]) -> None:
    with saying(tmp_path, asked, QUIET, NO_RUNS, runs("failed")) as ground:
        assert ground.pulse() == Pulse(0, None)
    with saying(tmp_path, asked, QUIET, NO_RUNS, runs("failed", "airkeep__other")) as ground:
        assert ground.pulse().last_finish is not None


@pytest.mark.parametrize(
    ("form", "begins"),
    [('{"dag": {"is_paused_upon_creation": false}}', True), (None, True),
     ('{"dag": {"is_paused_upon_creation": true}}', False), ('{"dag": {}}', False)],
)  # fmt: skip
def test_a_snapshot_tells_whether_a_dag_begins_unpaused(
    form: str | None, begins: bool, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path)
    rows = pa.table({"id": ["a", "b"], "data": pa.array(["{}", form], pa.string())})
    made = Written(store).save("prod", {"serialized_dag": rows})
    assert begins_active(Lake(store).get(SnapshotName("prod", made.id))) is begins
    assert not begins_active(snapshot(tmp_path / "none"))


def test_no_restore_begins_beside_one_that_is_at_work(tmp_path: Path, asked: list[str]) -> None:
    at_work, asleep = runs("running"), snapshot(tmp_path)
    with saying(tmp_path, asked, DAGS, at_work, at_work, runs("success")) as ground:
        ground.restore(asleep, None, "up-4-ab")
        assert asked == []
    with saying(tmp_path, asked, DAGS, at_work, at_work, runs("failed")) as ground:
        ground.restore(asleep, None, "up-4-ab")
        assert asked == ["up-4-ab"]
    with saying(tmp_path, asked, DAGS, at_work) as ground:
        ground.restore(asleep, None, "up-3-ab")  # the same one: its job waits for it
        assert asked == ["up-4-ab", "up-3-ab"]
    words = r"airkeep__up-3-ab .* still at work: wait for its"
    with (
        saying(tmp_path, asked, DAGS, at_work) as ground,
        pytest.raises(TooLongError, match=words),
    ):
        ground.restore(asleep, None, "up-4-ab")


def test_a_restore_that_none_is_beside_is_begun(tmp_path: Path, asked: list[str]) -> None:
    none = {"dag_runs": [], "total_entries": 0}
    with saying(tmp_path, asked, DAGS, none) as ground:
        ground.restore(snapshot(tmp_path), None, "up-4-ab")
    assert asked == ["up-4-ab"]


def test_who_stops_waiting_for_aws_is_told_that_it_goes_on(tmp_path: Path) -> None:
    place = Placed(MwaaPlace("prod", "us-east-1", jobs="here"))
    Journal(LocalStore(tmp_path), "prod").append(place)
    with told_mwaa([{"Status": "CREATING"}]) as mwaa:
        aws = {**AwsServer(mwaa.endpoint).variables, "AWS_ENDPOINT_URL_MWAA": mwaa.endpoint}
        process = subprocess.Popen(
            [sys.executable, "-m", "airkeep.cli", "up", "prod", "--lake", str(tmp_path)],
            env={**os.environ, **aws}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            until(lambda: len(mwaa.asked) > 2 or None, Patience(60, 0.05))
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "what AWS was asked to make it goes on making, and it costs money: airkeep up" in said
