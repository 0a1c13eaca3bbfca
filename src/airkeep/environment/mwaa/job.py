"""Export and restore as jobs: where they run is handed in, and what came of them is read here.

The token is of one attempt: asked for again with it, one that has ended is not run again, and a DAG
run that is at work is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airkeep.aws.session import AwsPlace
from airkeep.aws.wait import Patience
from airkeep.errors import JourneyError
from airkeep.jobs.dag import run_on_dag
from airkeep.jobs.here import run_here
from airkeep.jobs.job import Result
from airkeep.jobs.record import Record
from airkeep.store.interface import Store

Tell = Callable[[str], None]
STARTS_S = 900  # what a worker may take before a command begins
EVERY_S = 10


class RunJob(Protocol):
    """Run a command line to its end; words without `airkeep`."""

    def __call__(self, words: Sequence[str], token: str) -> Result: ...


@dataclass(frozen=True)
class OnDag:
    """Jobs as DAG runs of an environment of MWAA itself.

    Attributes:
        folder: where the records of jobs are kept.
        patience: with a run, from when it is asked for.
    """

    environment: str
    folder: Store
    place: AwsPlace
    tell: Tell
    patience: Patience

    def __call__(self, words: Sequence[str], token: str) -> Result:
        return run_on_dag(
            words, environment=self.environment, folder=self.folder, token=token,
            patience=self.patience, place=self.place, tell=self.tell,
        ).result  # fmt: skip


@dataclass(frozen=True)
class Here:
    """Jobs as processes of this machine, which end when this one does: for who is in the network.

    Attributes:
        folder: where the records of jobs are kept.
        environ: of every job, with the database's address and the keys.
        timeout_s: what a command may take.
    """

    environment: str
    folder: Store
    environ: Mapping[str, str] = field(repr=False)
    tell: Tell
    timeout_s: float

    def __call__(self, words: Sequence[str], token: str) -> Result:
        return run_here(
            words, self.environ, environment=self.environment,
            record=Record(self.folder, token), timeout_s=self.timeout_s, tell=self.tell,
        ).result  # fmt: skip


def succeeded(doing: str, result: Result) -> Result:
    """The result of a job that went well.

    Raises:
        JourneyError: it did not.
    """
    if result.status == 0:
        return result
    said = result.summary if isinstance(result.summary, str) else json.dumps(result.summary)
    lines = (result.error or said or "it said nothing").splitlines()
    raise JourneyError(f"{doing} ended with status {result.status}: {lines[-1][:500]}")


def snapshot_named(result: Result, environment: str) -> str:
    """The name of the snapshot that an export tells of.

    Raises:
        JourneyError: it names none, or one of another environment.
    """
    told = result.summary if isinstance(result.summary, Mapping) else {}
    if told.get("environment") != environment or not isinstance(told.get("id"), str):
        raise JourneyError(
            f"the export of {environment} ended well, and its result names no snapshot of it: is "
            f"its airkeep of the same version?"
        )
    return f"{environment}/{told['id']}"
