"""Our command line in a DAG run: what Airflow is asked through MWAA, and what comes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airkeep.aws.wait import Patience
from airkeep.errors import AirflowRestError, AwsUnavailableError, JobError, NoEnvironmentError
from airkeep.jobs.dag import run_on_dag
from airkeep.jobs.job import Outcome, Result
from airkeep.jobs.record import Record
from airkeep.store.local import LocalStore
from aws_server import AwsServer
from told_http import Answer, told_http
from told_mwaa import JSON, Reply, ToldMwaa, told_mwaa
from told_s3 import told_s3

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
AWAKE: Reply = (200, {"dag_id": "airkeep_job", "is_paused": False})
STARTED: Reply = (200, {"dag_run_id": "airkeep__t", "state": "queued"})
COMMAND = ["verify", "--json", "s3://bucket/lake", "prod/latest"]


def state(name: str) -> Reply:
    return 200, {"state": name}


class Worker:
    """The environment's worker, which saves a result while we sleep."""

    def __init__(self, folder: Path, result: Result | None = None) -> None:
        self.folder, self.result, self.now = folder, result, 0.0

    def sleep(self, wait_s: float) -> None:
        self.now += wait_s
        if self.result is not None:
            file = self.folder / "t" / "result.json"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(self.result.json())

    def patience(self, timeout_s: float = 600) -> Patience:
        return Patience(timeout_s, 30, lambda: self.now, self.sleep)


@contextmanager
def airflow(monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> Iterator[ToldMwaa]:
    with told_mwaa(rest=replies) as told:
        for name, value in AwsServer(told.endpoint).variables.items():
            monkeypatch.setenv(name, value)
        yield told


def ask(folder: Path, patience: Patience, tell: Callable[[str], None] = lambda _: None) -> Outcome:
    return run_on_dag(
        COMMAND, environment="prod", folder=LocalStore(folder), token="t", patience=patience,
        now=NOW, tell=tell,
    )  # fmt: skip


def asked(told: ToldMwaa) -> list[tuple[str, str]]:
    return [(body["Method"], body["Path"]) for _, _, body in told.asked]


def test_a_command_runs_in_a_dag_run_and_its_result_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: Reply = (200, {"dag_id": "airkeep_job", "is_paused": True})
    worker, said = Worker(tmp_path, Result(0, {"files": 7})), list[str]()
    with airflow(monkeypatch, paused, AWAKE, STARTED, state("running"), state("success")) as told:
        done = ask(tmp_path, worker.patience(), said.append)
    assert done.result == Result(0, {"files": 7})
    assert (done.run, done.token) == ("airkeep__t", "t")
    run = "/dags/airkeep_job/dagRuns"
    assert asked(told) == [
        ("GET", "/dags/airkeep_job"), ("PATCH", "/dags/airkeep_job"), ("POST", run),
        ("GET", f"{run}/airkeep__t"), ("GET", f"{run}/airkeep__t"),
    ]  # fmt: skip
    assert told.asked[2][2]["Body"] == {
        "dag_run_id": "airkeep__t",
        "logical_date": "2026-11-21T14:30:00+00:00",
        "conf": {"command": COMMAND, "result": f"{tmp_path}/t/result.json"},
    }
    assert said[:2] == ["unpaused the DAG airkeep_job", "token t"]


def test_a_run_that_is_there_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, said = Worker(tmp_path, Result(0)), list[str]()
    there: Reply = (409, {"detail": "DAGRun with this ID already exists"})
    with airflow(monkeypatch, AWAKE, there, state("running"), state("success")):
        assert ask(tmp_path, worker.patience(), said.append).result == Result(0)
    assert said[:2] == ["token t", "waiting for airkeep__t, which was asked for already"]


def test_what_is_done_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker(tmp_path, Result(36, None, "it differs")).sleep(0)
    with airflow(monkeypatch, AWAKE) as told:
        assert ask(tmp_path, Patience(0)).result.status == 36
    assert told.asked == []


def test_the_status_of_a_command_that_failed_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(tmp_path, Result(31, None, "a file changed"))
    with airflow(monkeypatch, AWAKE, STARTED, state("running"), state("failed")):
        assert ask(tmp_path, worker.patience()).result == Result(31, None, "a file changed")


@pytest.mark.parametrize("ended", ["success", "failed"])
def test_a_run_without_a_result_is_an_error_that_names_its_logs(
    ended: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = rf"ended as {ended}, and left no result at .*Logs: Airflow of prod, DAG airkeep_job"
    with (
        airflow(monkeypatch, AWAKE, STARTED, state(ended)),
        pytest.raises(JobError, match=words),
    ):
        ask(tmp_path, Worker(tmp_path).patience())


def test_an_environment_without_the_dag_is_told_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        airflow(monkeypatch, (404, {"detail": "not found"})),
        pytest.raises(JobError, match=r"prod has no DAG airkeep_job: put airkeep\[airflow\]"),
    ):
        ask(tmp_path, Worker(tmp_path).patience())


def test_an_environment_that_is_not_there_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Answer(404, b"{}", {"x-amzn-ErrorType": "ResourceNotFoundException", **JSON})
    known = Answer(200, b'{"Environments": ["prod"]}', JSON)
    with told_http(lambda asked: known if asked.path == "/environments" else missing) as url:
        for name, value in AwsServer(url).variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(NoEnvironmentError, match=r"no environment prd \(did you mean prod\?\)"):
            run_on_dag(
                COMMAND,
                environment="prd",
                folder=LocalStore(tmp_path),
                token="t",
                patience=Patience(0),
            )
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_takes_too_long_is_made_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        airflow(monkeypatch, AWAKE, STARTED, state("running")) as told,
        pytest.raises(JobError, match="not done within 60 s and was made to fail"),
    ):
        ask(tmp_path, Worker(tmp_path).patience(60))
    last: dict[str, Any] = told.asked[-1][2]
    assert (last["Method"], last["Body"]) == ("PATCH", {"state": "failed"})


def test_a_run_is_named_when_airflow_does_not_answer_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        airflow(monkeypatch, AWAKE, STARTED, (503, {})),
        pytest.raises(JobError, match=r"the run airkeep__t was not done .* could not be stopped"),
    ):
        ask(tmp_path, Worker(tmp_path).patience(60))


def test_a_web_server_that_is_busy_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, busy = Worker(tmp_path, Result(0)), list[Reply]([(503, {}), (502, {})])
    replies = (*busy, AWAKE, *busy, STARTED, *busy, state("success"))
    with airflow(monkeypatch, *replies):
        assert ask(tmp_path, worker.patience()).result.status == 0


def test_a_run_is_not_begun_where_airflow_does_not_answer_for_five_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(tmp_path)
    with (
        airflow(monkeypatch, AWAKE, (504, {})),
        pytest.raises(AwsUnavailableError, match=r"POST .* answered 504"),
    ):
        ask(tmp_path, worker.patience(4_500))
    assert worker.now == 300


def test_ctrl_c_says_that_the_job_goes_on_and_how_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["-e", "prod", "--folder", "s3://b/jobs", "--poll", "0.1", "--token", "t"]
    with (
        airflow(monkeypatch, AWAKE, STARTED, state("running")),
        told_s3() as s3,
        subprocess.Popen(
            [sys.executable, "-m", "airkeep.cli", "job", "run", "--on", "dag", *words, "--",
             "clean", "s3://b/l"],
            stderr=subprocess.PIPE, text=True, cwd=tmp_path, env={**os.environ, **s3.variables},
        ) as asking,
    ):  # fmt: skip
        assert asking.stderr is not None
        said = iter(asking.stderr)
        assert "airkeep__t running\n" in said  # reads up to there
        asking.send_signal(signal.SIGINT)
        assert "a job that was started goes on, and --token t waits for it" in "".join(said)
    assert asking.returncode == 130


def test_another_refusal_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        airflow(monkeypatch, AWAKE, (422, {"detail": "conf is odd"})),
        pytest.raises(AirflowRestError, match="answered 422, conf is odd"),
    ):
        ask(tmp_path, Worker(tmp_path).patience())
    assert Record(LocalStore(tmp_path), "t").result() is None
