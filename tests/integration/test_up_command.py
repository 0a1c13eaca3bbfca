"""`airkeep up local` on a terminal: what it says of an Airflow that is up, and how it ends."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airkeep.environment.events import Began, Ended, Event, Stepped
from airkeep.environment.journal import Journal
from airkeep.store.local import LocalStore
from hollow_airflow import VERSION, hollow_airflow
from running import free_port
from servers import reachable_folder

PATIENCE_S = 60


class Project:
    """A folder where `airkeep up local` runs on a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "dags").mkdir()
        hollow_airflow(folder / "cache")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.variables = {
            **kept, "XDG_CACHE_HOME": str(folder / "cache"), "TERM": "xterm", "COLUMNS": "200",
        }  # fmt: skip
        self.terminal, self._theirs = os.openpty()
        self.shown = ""

    def close(self) -> None:
        os.close(self._theirs)
        os.close(self.terminal)

    @contextmanager
    def up(self, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
        """Up while the block runs, which ends it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "airkeep.cli", "up", "local", "--airflow", VERSION,
             "--port", str(free_port()), *flags],
            cwd=self.folder, env=self.variables, start_new_session=True,
            stdin=self._theirs, stdout=self._theirs, stderr=self._theirs,
        )  # fmt: skip
        try:
            self.until("Ctrl-C ends it")
            yield process
        finally:
            process.terminate()  # its database ends with it: what is killed leaves it to a guard
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()
                process.wait()

    def until(self, wanted: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self.read(0.2)

    def read(self, for_s: float) -> str:
        """What is shown more, for as long."""
        before, until = len(self.shown), time.monotonic() + for_s
        while (left := until - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                self.shown += os.read(self.terminal, 65_536).decode()
        return self.shown[before:]

    def status(self) -> dict[str, object]:
        """What another terminal is told."""
        done = subprocess.run(
            [sys.executable, "-m", "airkeep.cli", "status", "--json"],
            cwd=self.folder, env=self.variables, capture_output=True, check=True,
        )  # fmt: skip
        [found] = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def say(self, *events: Event) -> None:
        """What another run writes into the journal."""
        journal = Journal(LocalStore(self.folder / ".airkeep" / "lake"), "local")
        journal.read()
        for event in events:
            journal.append(event)


@pytest.fixture
def project() -> Iterator[Project]:
    with reachable_folder() as folder:
        made = Project(folder)
        yield made
        made.close()


def plain(said: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)


def test_what_is_up_shows_no_bar_any_more_and_a_status_tells_whether_it_runs(
    project: Project,
) -> None:
    with project.up() as process:
        line = re.split(r"[\r\n]+", plain(project.shown).rstrip())[-1]
        assert line.startswith(f"local is up: Airflow {VERSION} at http://127.0.0.1:")
        assert project.read(2) == ""
        assert (project.status()["standing"], project.status()["runs"]) == ("awake", True)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    project.read(0.5)
    told = project.shown.partition("ending Airflow and its database")[2]  # before it has
    assert "local has ended: airkeep up local goes on where it was" in told
    assert (project.status()["standing"], project.status()["runs"]) == ("awake", False)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((Stepped("drain", is_done=False),), "local has ended, and its down is at work"),
        (
            (Stepped("gone", is_done=True), Ended("done")),
            "local is asleep: airkeep up local wakes it",
        ),
    ],
)
def test_who_is_ended_by_a_down_says_so(
    project: Project, events: tuple[Event, ...], told: str
) -> None:
    with project.up() as process:
        project.say(Began("down", datetime.now(UTC) + timedelta(minutes=5)), *events)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert told in project.read(0.5)


def test_who_wants_to_know_is_told_each_step_and_where_time_went(project: Project) -> None:
    with project.up("-vv"):
        shown = plain(project.shown)
    lines = re.split(r"[\r\n]+", shown)
    took = [re.fullmatch(r"local: (\w+) took [\d.]+ s *", line) for line in lines]
    assert [one[1] for one in took if one] == ["packages", "create", "start", "ready"]
    [where] = [line for line in lines if line.startswith("of ")]
    assert re.fullmatch(r"of [\d.]+ s: (\w+ [\d.]+ s, ){4}between them [\d.]+ s", where)
    assert "up start ━" in shown
