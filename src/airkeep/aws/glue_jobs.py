"""Jobs of Glue and their runs: made as they should be, started, looked at, stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from airkeep.aws.session import HERE, AwsPlace, client, explained
from airkeep.errors import AwsError

MOST_RUNS = 1_000  # that are looked through for one of ours, the newest first
DONE = frozenset({"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"})
_LOG_GROUP = "/aws-glue/jobs"
_LONGEST = 400  # of an error: a traceback says at its end what happened


@dataclass(frozen=True)
class JobRun:
    """One attempt of a run.

    Attributes:
        attempt: 0 for the first; Glue starts others by itself.
        logs: the log group and stream.
    """

    id: str
    state: str
    attempt: int
    started: datetime
    error: str
    logs: str

    @property
    def is_done(self) -> bool:
        return self.state in DONE


def put_job(name: str, wanted: Mapping[str, Any], place: AwsPlace = HERE) -> None:
    """Have a job be exactly this, in the words of CreateJob; one that is so is left alone.

    Raises:
        AwsError: AWS refused or failed.
    """
    glue = client("glue", place)
    with explained(f"saving the job {name}"):
        try:
            there = glue.get_job(JobName=name)["Job"]
        except glue.exceptions.EntityNotFoundException:
            glue.create_job(Name=name, **wanted)
            return
        if any(there.get(key) != value for key, value in wanted.items()):
            glue.update_job(JobName=name, JobUpdate=dict(wanted))


def start(job: str, arguments: Mapping[str, str], place: AwsPlace = HERE) -> str:
    """Start a run: its id.

    Raises:
        AwsError: AWS refused or failed, also where as many runs as the job allows are at work.
    """
    glue = client("glue", place)
    with explained(f"starting the job {job}"):
        return str(glue.start_job_run(JobName=job, Arguments=dict(arguments))["JobRunId"])


def newest_run(job: str, argument: tuple[str, str], place: AwsPlace = HERE) -> JobRun | None:
    """The newest attempt of a job that was given an argument of this value; None without one.

    Raises:
        AwsError: AWS refused or failed.
    """
    glue = client("glue", place)
    name, value = argument
    with explained(f"looking at the runs of {job}"):
        pages = glue.get_paginator("get_job_runs").paginate(JobName=job)
        runs = islice((run for page in pages for run in page["JobRuns"]), MOST_RUNS)
        ours = [_run(run) for run in runs if run.get("Arguments", {}).get(name) == value]
    return max(ours, key=lambda run: (run.started, run.attempt), default=None)


def stop(job: str, run: str, place: AwsPlace = HERE) -> None:
    """Ask a run to end; one that has is fine. It ends some time later.

    Raises:
        AwsError: AWS refused or failed.
    """
    glue = client("glue", place)
    with explained(f"stopping the run {run}"):
        told = glue.batch_stop_job_run(JobName=job, JobRunIds=[run])
        # A refusal is part of an answer that is fine otherwise.
        refused = [one.get("ErrorDetail", {}) for one in told.get("Errors", ())]
        runs = glue.get_job_runs(JobName=job)["JobRuns"] if refused else ()
    if not refused or any(_run(one).is_done for one in runs if one["Id"] == run):
        return
    code = refused[0].get("ErrorCode", "unknown")
    raise AwsError(f"stopping the run {run} failed: {code}")


def _run(told: Mapping[str, Any]) -> JobRun:
    group = told.get("LogGroupName") or _LOG_GROUP
    return JobRun(
        str(told["Id"]),
        str(told["JobRunState"]),
        int(told.get("Attempt", 0)),
        told["StartedOn"],
        " ".join(str(told.get("ErrorMessage") or "").split())[-_LONGEST:],
        f"CloudWatch {group}, stream {told['Id']}",
    )
