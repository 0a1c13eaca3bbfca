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
_COMPUTED = {"AllocatedCapacity", "MaxCapacity"}  # from the workers; refused beside them
_LONGEST = 400  # of an error: a traceback says at its end what happened


@dataclass(frozen=True)
class JobRun:
    """One attempt of a run.

    Attributes:
        attempt: 0 for the first; Glue starts others by itself.
        logs: where a Spark job's are: what it printed, then what Spark itself had to say.
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
    """Have a job be this, in the words of CreateJob; one that is so is left alone.

    What somebody else set on it, and `wanted` says nothing of, stays: an update replaces all of a
    job, so it begins with what is there.

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
        whole = _over(there, wanted)
        if any(there.get(key) != value for key, value in whole.items()):
            taken = glue.meta.service_model.shape_for("JobUpdate").members.keys() - _COMPUTED
            kept = {key: there[key] for key in taken if there.get(key)}
            glue.update_job(JobName=name, JobUpdate={**kept, **whole})


def _over(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted, with arguments that somebody else gave the job."""
    arguments = {**there.get("DefaultArguments", {}), **wanted.get("DefaultArguments", {})}
    return {**wanted, "DefaultArguments": arguments}


def start(job: str, arguments: Mapping[str, str], place: AwsPlace = HERE) -> str:
    """Start a run: its id.

    Raises:
        AwsError: AWS refused or failed, also where as many runs as the job allows are at work.
    """
    glue = client("glue", place)
    with explained(f"starting the job {job}"):
        return str(glue.start_job_run(JobName=job, Arguments=dict(arguments))["JobRunId"])


def find_run(job: str, run: str, place: AwsPlace = HERE) -> JobRun | None:
    """One run, by its id; None where there is none (yet).

    Raises:
        AwsError: AWS refused or failed.
    """
    glue = client("glue", place)
    with explained(f"looking at the run {run}"):
        try:
            return _run(glue.get_job_run(JobName=job, RunId=run)["JobRun"])
        except glue.exceptions.EntityNotFoundException:
            return None


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
    if refused and not ((there := find_run(job, run, place)) and there.is_done):
        raise AwsError(f"stopping the run {run} failed: {refused[0].get('ErrorCode', 'unknown')}")


def _run(told: Mapping[str, Any]) -> JobRun:
    group = str(told.get("LogGroupName") or _LOG_GROUP).rstrip("/")
    return JobRun(
        str(told["Id"]),
        str(told["JobRunState"]),
        int(told.get("Attempt", 0)),
        told["StartedOn"],
        " ".join(str(told.get("ErrorMessage") or "").split())[-_LONGEST:],
        f"CloudWatch {group}/output and {group}/error, streams that begin with {told['Id']}",
    )
