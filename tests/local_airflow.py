"""`airkeep up local` as a user runs it, in a folder of its own, and Airflow's REST API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airflows import ENVIRONMENTS
from running import free_port

UP_S, DONE_S = 240, 180
LOOPBACK, LISTENS = "0100007F", "0A"  # as in /proc/net/tcp
_KEPT = ("PATH", "HOME", "LANG", "CI", "UV", "PIP_", "SSL_")  # uv's index among them


class LocalAirflow:
    """One local environment.

    Args:
        folder: a project's: `dags` in it.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version, self.port = folder, version, free_port()
        # Of the project, for a virtual environment works only where it was made.
        cache = ENVIRONMENTS.parent / "xdg"
        (cache / "airkeep").mkdir(parents=True, exist_ok=True)
        if not (cache / "airkeep" / "airflow").exists():
            (cache / "airkeep" / "airflow").symlink_to(ENVIRONMENTS)
        kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
        self.variables = {**kept, "XDG_CACHE_HOME": str(cache), "AIRFLOW_VAR_MINE": "1"}

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "airkeep.cli", *words], cwd=self.folder, env=self.variables,
            capture_output=True, text=True, timeout=UP_S, check=False,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`airkeep up local`, and leave it running."""
        return subprocess.Popen(
            [sys.executable, "-m", "airkeep.cli", "up", "local", "--airflow", self.version,
             "--port", str(self.port), *words],
            cwd=self.folder, env=self.variables, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def kill(self, journey: str, *, after_s: float) -> None:
        """Begin a journey, and end its process as nothing can hear."""
        words = ["--airflow", self.version, "--port", str(self.port)] if journey == "up" else []
        process = subprocess.Popen(
            [sys.executable, "-m", "airkeep.cli", journey, "local", *words],
            cwd=self.folder, env=self.variables,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with process:
            time.sleep(after_s)
            process.kill()

    @contextmanager
    def up(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Up while the block runs; Ctrl-C ends it, if nothing else has."""
        with self.start(*words) as process:
            assert process.stdout is not None
            try:
                said: list[str] = []
                for line in process.stdout:  # how far it is, now and then, and then that it is up
                    said.append(line)
                    if "is up" in line:
                        break
                assert "is up" in "".join(said[-1:]), "".join(said) + self.logs()
                yield process
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    assert process.wait(60) == 0, process.stdout.read()
            finally:
                if process.poll() is None:
                    process.kill()

    def logs(self) -> str:
        """The end of what each process said."""
        files = sorted((self.folder / ".airkeep" / "local" / "logs").glob("*.log"))
        return "\n".join(f"== {f.name}\n{f.read_text()[-2000:]}" for f in files)

    def wait_until_nothing_runs(self, below: str = ".airkeep") -> None:
        """Until no process works in this environment's folder."""
        deadline = time.monotonic() + 60
        home = self.folder / below
        while any(place.is_relative_to(home) for _, place in _places_of_processes()):
            assert time.monotonic() < deadline, "a process is left"
            time.sleep(0.5)

    def listening(self) -> set[str]:
        """The addresses at which its processes listen, as the kernel writes them."""
        home = self.folder / ".airkeep"
        sockets = {
            socket
            for process, place in _places_of_processes()
            if place.is_relative_to(home)
            for socket in _sockets(process)
        }
        tables = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
        rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
        return {row[1].partition(":")[0] for row in rows if row[3] == LISTENS and row[9] in sockets}

    # Airflow's own REST API.

    def ask(self, path: str, body: object = None, *, method: str | None = None) -> Any:
        """One request: `dags`, `dags/~/dagRuns`, ..."""
        root = f"http://127.0.0.1:{self.port}"
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.version.startswith("3."):
            with urllib.request.urlopen(f"{root}/auth/token", timeout=30) as answer:
                headers["Authorization"] = f"Bearer {json.load(answer)['access_token']}"
        at = "api/v1" if self.version.startswith("2.") else "api/v2"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{root}/{at}/{path}", data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def wait_for(self, path: str, wanted: str) -> Any:
        """Ask until the answer's text holds a pattern."""
        deadline = time.monotonic() + DONE_S
        while True:
            try:
                answer = self.ask(path)
            except OSError as error:
                answer = {"error": str(error)}
            if re.search(wanted, json.dumps(answer)):
                return answer
            assert time.monotonic() < deadline, (
                f"{path}: {answer}\n{self.import_errors()}{self.logs()}"
            )
            time.sleep(1)

    def import_errors(self) -> str:
        """What Airflow says of DAG files that it could not read."""
        found = self.ask("importErrors")["import_errors"]
        return "\n".join(error["stack_trace"] for error in found)

    def history(self) -> dict[str, Any]:
        """What the API tells of every run: itself, its tasks, their XComs and notes."""
        found: dict[str, Any] = {}
        for run in self.ask("dags/~/dagRuns")["dag_runs"]:
            key = f"{run['dag_id']}/dagRuns/{run['dag_run_id']}"
            tasks = self.ask(f"dags/{key}/taskInstances")["task_instances"]
            tasks.sort(key=lambda task: str(task["task_id"]))  # 2.x tells them in any order
            found[key] = {"run": run, "tasks": tasks}
            for task in tasks:
                at = f"dags/{key}/taskInstances/{task['task_id']}/xcomEntries"
                entries = self.ask(at)["xcom_entries"]
                found[f"{key}/{task['task_id']}"] = [
                    self.ask(f"{at}/{key}") for key in sorted(entry["key"] for entry in entries)
                ]
        return dict(_leaves(found))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": [1]}` -> `("/a/0", 1)`: what differs is told by its path."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, f"{path}/{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _leaves(one, f"{path}/{number}")
    else:
        yield path, value


def run_words(local: LocalAirflow, *, note: str) -> None:
    """Trigger `words`, wait for its success, and leave a note on the run."""
    local.wait_for("dags/words", '"is_paused": false')
    body: dict[str, object] = {"conf": {"asked": note}}
    if local.version.startswith("3."):
        body["logical_date"] = None
    run = local.ask("dags/words/dagRuns", body)["dag_run_id"]
    local.wait_for(f"dags/words/dagRuns/{run}", '"state": "success"')
    at = f"dags/words/dagRuns/{run}"
    if local.version.startswith("3."):
        local.ask(f"{at}?update_mask=note", {"note": note}, method="PATCH")
    else:
        local.ask(f"{at}/setNote", {"note": note}, method="PATCH")


def _places_of_processes() -> Iterator[tuple[Path, Path]]:
    """Every process and its working folder: it may hide its variables behind a title."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            yield process, (process / "cwd").readlink()


def _sockets(process: Path) -> Iterator[str]:
    """The numbers of those that it has open."""
    for link in process.glob("fd/*"):
        with suppress(OSError):
            kind, _, number = str(link.readlink()).partition(":")
            if kind == "socket":
                yield number.strip("[]")
