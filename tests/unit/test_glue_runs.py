"""A run on Glue: started where there is room for it, stopped when nobody waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airkeep.aws.session import HERE
from airkeep.aws.wait import Patience
from airkeep.jobs.glue import _Job, cancel_on_glue, close
from airkeep.jobs.glue_plan import TOKEN, GlueShape
from airkeep.jobs.job import Result
from airkeep.jobs.record import Record
from airkeep.store.local import LocalStore
from told_glue import JSON, VARIABLES
from told_http import Answer, Asked, told_http

FULL = Answer(400, b'{"__type": "ConcurrentRunsExceededException", "Message": "1"}', JSON)


def said(document: dict[str, Any]) -> Answer:
    return Answer(body=json.dumps(document).encode(), headers=JSON)


def run_of(token: str, state: str) -> dict[str, Any]:
    return {
        "Id": f"jr_{token}",
        "JobRunState": state,
        "StartedOn": 1.0,
        "Arguments": {TOKEN: token},
    }


class Glue:
    """One that has these runs, and room for another after so many refusals."""

    def __init__(self, runs: list[dict[str, Any]], refusals: int = 0) -> None:
        self.runs, self.refusals, self.calls = runs, refusals, list[str]()

    def answer(self, asked: Asked) -> Answer:
        call = asked.headers["X-Amz-Target"].removeprefix("AWSGlue.")
        self.calls.append(call)
        if call == "GetJobRuns":
            return said({"JobRuns": self.runs})
        if call == "BatchStopJobRun":
            return said({})
        self.refusals -= 1
        return FULL if self.refusals >= 0 else said({"JobRunId": "jr_new"})


@pytest.fixture
def with_glue(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(glue: Glue, do: Callable[[], Any]) -> Any:
        with told_http(glue.answer) as url:
            for name, value in {**VARIABLES, "AWS_ENDPOINT_URL_GLUE": url}.items():
                monkeypatch.setenv(name, value)
            return do()

    return run


def job(folder: Path, patience: Patience) -> _Job:
    return _Job("j", Record(LocalStore(folder), "t"), GlueShape(), patience, HERE, print)


def test_where_another_run_is_at_work_its_end_is_waited_for(with_glue: Any, tmp_path: Path) -> None:
    glue, now = Glue([run_of("other", "RUNNING")], refusals=2), [0.0]
    patience = Patience(600, 10, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s))
    assert with_glue(glue, lambda: job(tmp_path, patience).start({})) == "jr_new"
    assert now == [20]
    assert glue.calls == ["GetJobRuns", "StartJobRun"] * 3


def test_a_run_whose_start_was_not_answered_is_not_started_twice(
    with_glue: Any, tmp_path: Path
) -> None:
    glue = Glue([run_of("t", "STARTING")])
    assert with_glue(glue, lambda: job(tmp_path, Patience(0)).start({})) == "jr_t"
    assert glue.calls == ["GetJobRuns"]


@pytest.mark.parametrize(
    ("runs", "stopped"),
    [([run_of("t", "RUNNING")], True), ([run_of("t", "FAILED")], False), ([], False)],
)
def test_a_job_that_nobody_waits_for_is_stopped_and_its_token_used_up(
    runs: list[dict[str, Any]], stopped: bool, with_glue: Any, tmp_path: Path
) -> None:
    glue = Glue(runs)
    with_glue(glue, lambda: cancel_on_glue(environment="e", folder=LocalStore(tmp_path), token="t"))
    assert ("BatchStopJobRun" in glue.calls) == stopped
    result = Record(LocalStore(tmp_path), "t").result()
    assert result is not None
    assert (result.status, "was stopped" in result.error) == (77, True)


def test_a_result_that_a_run_left_stays(tmp_path: Path) -> None:
    record = Record(LocalStore(tmp_path), "t")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "result.json").write_bytes(Result(0, "done").json())
    close(record, "it died")
    assert record.result() == Result(0, "done")
