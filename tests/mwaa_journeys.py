"""Journeys of an environment of `mwaa_server.py`, in this process or in one that is killed.

A job is airkeep's own command line on the environment's database, with its Fernet key. Like a real
one it is known by its token: asked for again, its outcome is told again.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from airkeep.aws.wait import Patience as AwsPatience
from airkeep.cli.main import run
from airkeep.environment.events import MwaaPlace, Placed
from airkeep.environment.journal import Journal, folder_of
from airkeep.environment.journey import Traveller
from airkeep.environment.means import Arrived, Keys, Patience
from airkeep.environment.mwaa.ground import MwaaGround, MwaaMeans
from airkeep.environment.state import State
from airkeep.errors import AirkeepError
from airkeep.jobs.job import Result
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import SecretsMode
from airkeep.store.local import LocalStore
from command import VARIABLE
from rekeyed import ARCHIVE_KEY

QUICK = Patience(drain_s=2, ready_s=60, gone_s=60, every_s=0.02, lease_s=300, closing_s=0.2)
TIMEOUT_S = 120
When = Literal["before", "after"]


@dataclass(frozen=True)
class Kill:
    """When a run dies: before or after it has saved its nth entry, or the begin of a step."""

    when: When
    entry: int = 0
    step: str = ""

    def is_meant(self, number: int, data: bytes) -> bool:
        begun = f'"step":"{self.step}","is_done":false'
        return number == self.entry or (bool(self.step) and begun.encode() in data)


@dataclass(frozen=True)
class Way:
    """Where a journey is made.

    Attributes:
        variables: with which AWS is reached; `endpoint`: of the server.
        folder: of the lake, of jobs' outcomes, and of what was said.
        variables_of_jobs: more of them, for every job.
    """

    endpoint: str
    variables: Mapping[str, str]
    folder: Path
    environment: str
    name: str
    place: MwaaPlace
    secrets: SecretsMode = "seal"
    archive_key: str | None = ARCHIVE_KEY
    patience: Patience = QUICK
    variables_of_jobs: Mapping[str, str] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    @property
    def state(self) -> State:
        return Journal(self.lake.store, self.environment).read().state

    @property
    def said(self) -> list[str]:
        file = self.folder / "said"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def jobs(self) -> list[str]:
        """The commands that were really run, in order."""
        file = self.folder / "jobs"
        return file.read_text().splitlines() if file.exists() else []

    def add(self) -> None:
        (self.folder / "lake").mkdir(parents=True, exist_ok=True)
        Journal(self.lake.store, self.environment).append(Placed(self.place))

    def traveller(self, store: LocalStore | None = None) -> Traveller:
        lake = self.lake if store is None else Lake(store)
        journal = Journal(lake.store, self.environment)
        journal.read()
        quick = AwsPatience(20, 0.02)
        means = MwaaMeans(
            lake, self.run, self.archive_key, self.secrets, busy=quick, steady=quick, warn=self.warn
        )
        ground = MwaaGround(self.environment, self.place, means)
        return Traveller(lake, journal, ground, Keys(self.archive_key), self.patience)

    def prepare(self, command: str, outcome: Result) -> None:
        """Say what comes of the next jobs, without running one."""
        (self.folder / f"prepared-{command}.json").write_text(json.dumps(asdict(outcome)))

    def warn(self, text: str) -> None:
        with (self.folder / "said").open("a") as file:
            file.write(text + "\n")

    def run(self, words: Sequence[str], token: str) -> Result:
        """The seam: a command, run once a token."""
        done = self.folder / f"{token}.json"
        if not done.exists():
            with (self.folder / "jobs").open("a") as file:
                file.write(" ".join(words) + "\n")
            prepared = self.folder / f"prepared-{words[0]}.json"
            if prepared.exists():
                return Result(**json.loads(prepared.read_text()))
            done.write_text(json.dumps(asdict(self._run(words))))
        return Result(**json.loads(done.read_text()))

    def _run(self, words: Sequence[str]) -> Result:
        with urllib.request.urlopen(f"{self.endpoint}/world/{self.name}", timeout=30) as answer:
            where = json.load(answer)
        given = {
            VARIABLE: where["url"],
            "AIRKEEP_FERNET_KEY": where["fernet_key"],
            "AIRKEEP_ARCHIVE_KEY": ARCHIVE_KEY,
            **self.variables_of_jobs,
        }
        with variables(given), redirect_stdout(io.StringIO()) as out:
            status = run(list(words))
        said = out.getvalue()
        return Result(status, json.loads(said) if status == 0 else said)


@contextmanager
def variables(given: Mapping[str, str]) -> Iterator[None]:
    """The environment of this process, for a while."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class DeadlyStore(LocalStore):
    """A folder that kills who saves an entry of a journal."""

    def __init__(self, folder: Path, kill: Kill) -> None:
        super().__init__(folder)
        self._kill, self._entries = kill, 0

    def save(self, path: str, data: bytes) -> None:
        is_entry = "/journal/" in path
        self._entries += is_entry
        is_last = is_entry and self._kill.is_meant(self._entries, data)
        if is_last and self._kill.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().save(path, data)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)


def travel(way: Way, journey: str, **options: Any) -> Arrived:
    """One journey in this process."""
    with variables(way.variables):
        traveller = way.traveller()
        return traveller.down(**options) if journey == "down" else traveller.up(**options)


def travel_and_die(way: Way, journey: str, kill: Kill | None = None, **options: Any) -> int:
    """One in a process of its own: its exit status, -9 where it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mwaa_journeys"])
    process = context.Process(target=_child, args=(way, journey, kill, options))
    process.start()
    process.join(TIMEOUT_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"{journey} lasted for more than {TIMEOUT_S} s")
    return process.exitcode


def _child(way: Way, journey: str, kill: Kill | None, options: Mapping[str, Any]) -> None:
    os.environ.update(way.variables)
    store = None if kill is None else DeadlyStore(way.folder / "lake", kill)
    traveller = way.traveller(store)
    try:
        traveller.down(**options) if journey == "down" else traveller.up(**options)
    except AirkeepError as error:
        way.warn(f"{type(error).__name__}: {error}")
        os._exit(error.exit_status)


def elsewhere(way: Way, **changes: Any) -> Way:
    """The same with other means."""
    return replace(way, **changes)


def entries(way: Way) -> int:
    """How many entries its journal has."""
    return len(list((way.folder / "lake" / folder_of(way.environment)).glob("*/????????????.json")))
