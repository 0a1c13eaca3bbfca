"""The record of a job in an S3: answers that are lost or late, and whose key it is asked with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from airkeep.cli.context import Context
from airkeep.cli.main import run
from airkeep.cli.output import Output
from airkeep.cli.travellers import mwaa_traveller
from airkeep.config import load_settings
from airkeep.environment.events import MwaaPlace
from airkeep.environment.journal import Journal
from airkeep.environment.mwaa.ground import MwaaGround
from airkeep.environment.mwaa.job import RunJob
from airkeep.jobs.job import Result
from airkeep.jobs.record import Record
from airkeep.snapshot.progress import silent
from airkeep.store.open import open_store
from told_s3 import ToldS3, told_s3

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
ROLE = "arn:aws:iam::999999999999:role/keeper"


@pytest.fixture
def s3() -> Iterator[ToldS3]:
    with told_s3() as server:
        yield server


@pytest.fixture
def record(s3: ToldS3) -> Record:
    return Record(open_store("s3://bucket/jobs", options=s3.options), "t")


def test_whoever_did_not_hear_that_a_job_was_asked_for_has_asked_for_it(
    s3: ToldS3, record: Record
) -> None:
    s3.odd = ["lost"]
    assert record.ask("glue", "prod", ["clean"], NOW)
    assert not record.ask("glue", "prod", ["clean"], NOW), "somebody else, at the same instant"


def test_a_result_is_not_lost_in_a_conflict(s3: ToldS3, record: Record) -> None:
    s3.odd = ["conflict", "conflict"]
    assert record.kept.save(Result(0).json())
    assert record.result() == Result(0)


@pytest.fixture
def as_another(s3: ToldS3, monkeypatch: pytest.MonkeyPatch) -> ToldS3:
    """The lake's S3 is told to the store; all else of AWS has other keys, and no server."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-another-account")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return s3


def job_of(place: MwaaPlace) -> RunJob:
    """Who runs the jobs of an environment's journeys."""
    ctx = Context(load_settings({"lake": "s3://bucket/lake"}, os.environ, None), Output())
    lake = ctx.lake("-", new=True)
    ground = mwaa_traveller(ctx, lake, Journal(lake.store, "prod"), place, silent).ground
    assert isinstance(ground, MwaaGround)
    return ground.means.run


def test_a_journeys_job_here_is_kept_in_a_lake_that_the_environments_role_may_not_touch(
    as_another: ToldS3,
) -> None:
    job = job_of(MwaaPlace("prod", "us-east-1", role_arn=ROLE, jobs="here"))
    done = job(["iam", "--for", "bucket"], "t")
    assert done.status == 0
    assert job(["iam", "--for", "bucket"], "t") == done
    folder = "/bucket/lake/jobs/t"
    assert sorted(as_another.objects) == [f"{folder}/asked.json", f"{folder}/result.json"]


def test_a_journeys_job_in_a_dag_run_is_asked_for_there_too(as_another: ToldS3) -> None:
    kept_job(as_another, ["clean"])
    job = job_of(MwaaPlace("prod", "us-east-1", role_arn=ROLE, jobs="dag"))
    assert job(["clean"], "t") == Result(0, {"files": 7})


def test_job_run_keeps_the_record_as_the_lake_is_read(
    as_another: ToldS3, capsys: pytest.CaptureFixture[str]
) -> None:
    kept_job(as_another, ["snapshots", "s3://bucket/lake", "--json"])
    words = ["-e", "prod", "--lake", "s3://bucket/lake", "--role-arn", ROLE, "--token", "t"]
    assert run(["job", "run", "--on", "dag", *words, "--", "snapshots", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": 7}


def kept_job(s3: ToldS3, command: list[str]) -> None:
    """A job that has ended, of the token `t`."""
    record = Record(open_store("s3://bucket/lake/jobs", options=s3.options), "t")
    record.ask("dag", "prod", command, NOW)
    record.kept.save(Result(0, {"files": 7}).json())
