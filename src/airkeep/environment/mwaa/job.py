"""The seam to jobs: one of our own commands, run where the environment's database is reached.

Who runs it is handed in: AWS Glue, a DAG run, or a process of this machine (`Here`). The token is
of one attempt: asked for again with it, a job that runs is waited for and one that has ended is not
run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airkeep.errors import JourneyError


@dataclass(frozen=True)
class JobOutcome:
    """What came of a command.

    Attributes:
        status: its exit status.
        summary: what it printed: the document of `--json`, or a text.
    """

    status: int
    summary: Any


class RunJob(Protocol):
    """Run a command line to its end; words without `airkeep`."""

    def __call__(self, words: Sequence[str], token: str) -> JobOutcome: ...


@dataclass(frozen=True)
class Here:
    """Jobs as processes of this machine, which end when this one does: for who is in the VPC.

    Attributes:
        environ: the whole environment of a job: the database's address, and the keys.
    """

    environ: Mapping[str, str]

    def __call__(self, words: Sequence[str], token: str) -> JobOutcome:
        done = subprocess.run(  # noqa: S603 - this interpreter, and no shell
            [sys.executable, "-m", "airkeep.cli", *words],
            env=dict(self.environ), stdin=subprocess.DEVNULL, capture_output=True,
            encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        return JobOutcome(done.returncode, _document(done.stdout) or done.stderr.strip())


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def succeeded(doing: str, outcome: JobOutcome) -> JobOutcome:
    """The outcome of a job that went well.

    Raises:
        JourneyError: it did not.
    """
    if outcome.status == 0:
        return outcome
    said = outcome.summary if isinstance(outcome.summary, str) else json.dumps(outcome.summary)
    last = (said or "it said nothing").splitlines()[-1][:500]
    raise JourneyError(f"{doing} ended with status {outcome.status}: {last}")


def snapshot_named(outcome: JobOutcome, environment: str) -> str:
    """The name of the snapshot that an export tells of.

    Raises:
        JourneyError: it names none, or one of another environment.
    """
    told = outcome.summary if isinstance(outcome.summary, Mapping) else {}
    if told.get("environment") != environment or not isinstance(told.get("id"), str):
        raise JourneyError(
            f"the export of {environment} ended well, and its result names no snapshot of it: is "
            f"its airkeep of the same version?"
        )
    return f"{environment}/{told['id']}"
