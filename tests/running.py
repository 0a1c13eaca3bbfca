"""A real Airflow at work on a database, for as long as a test needs it.

Each process listens on the loopback only, leads a group of its own and is ended by that group's
id. What it says goes to a file of its name in AIRFLOW_HOME; a wait that runs out shows their ends.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from airflows import Airflow
from servers import FERNET_KEY, query

# Airflow 2 and 3 write them differently.
_ERROR = re.compile(
    r"\[(error|critical) |\b(ERROR|CRITICAL) - |Traceback \(most recent call last\)"
)
_OF_A_TASK = re.compile(r"\[task\]|XCom not found")
READY_S, RUN_S, END_S = 180, 240, 20


def for_airflow(url: str) -> str:
    """The URL of a database as SQLAlchemy wants it."""
    return url.replace("postgresql://", "postgresql+psycopg2://")


class Running:
    """One Airflow on one database.

    Args:
        home: its AIRFLOW_HOME.
        url: of its database.
        dags: its folder of DAGs.
        settings: more variables of its environment.
    """

    def __init__(self, airflow: Airflow, home: Path, url: str, dags: Path, **settings: str) -> None:
        self.airflow, self.home, self.url = airflow, home, url
        home.mkdir(exist_ok=True)
        port = self.port = free_port()
        self._scheduler = ("scheduler", "--skip-serve-logs")
        self._others: tuple[tuple[str, ...], ...] = ()
        if airflow.version.startswith("3."):
            at = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
            self._others = (("api-server", *at), ("dag-processor",))
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": for_airflow(url),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-only-" * 5,
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
            "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **settings,
        }

    def set(self, name: str, value: str) -> None:
        """A variable of what is started from now on."""
        self._environment[name] = value

    def run(self, *words: str) -> str:
        """`airflow ...` as this environment is set."""
        done = subprocess.run(
            [str(self.airflow.folder / "bin" / "airflow"), *words],
            env=self._environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def processes(self, *, triggerer: bool = False) -> Iterator[None]:
        """The scheduler and what it needs to run tasks, until the block ends."""
        began = query(self.url, "SELECT clock_timestamp()")[0][0].isoformat()
        more = (("triggerer", "--skip-serve-logs"),) if triggerer else ()
        with ExitStack() as stack:
            for words in (self._scheduler, *self._others, *more):
                stack.enter_context(self.process(*words))
            self.wait(
                f"SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'running' "
                f"AND latest_heartbeat > '{began}'",
                lambda running: running >= 1,
                timeout_s=READY_S,
            )
            if self._others:
                self._wait_for_port()
            yield

    def _wait_for_port(self) -> None:
        """Until the API server listens: a task that asks before waits for many seconds."""
        deadline = time.monotonic() + READY_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    @contextmanager
    def process(self, *words: str) -> Iterator[None]:
        """One process, say ("triggerer", "--skip-serve-logs"), until the block ends."""
        with (self.home / f"{words[0]}.out").open("ab") as log:
            process = subprocess.Popen(
                [str(self.airflow.folder / "bin" / "airflow"), *words],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=self.home,
            )  # fmt: skip
            try:
                yield
            finally:
                end_group(process)

    def wait(self, sql: str, until: Callable[[Any], bool], *, timeout_s: float = RUN_S) -> Any:
        """Ask every second until the one value suffices; it is given back."""
        deadline = time.monotonic() + timeout_s
        while True:
            value = query(self.url, sql)[0][0]
            if until(value):
                return value
            assert time.monotonic() < deadline, f"{sql} gives {value}\n{self.said()}"
            time.sleep(1)

    def wait_for_runs(self, dag: str, runs: int) -> None:
        """Until so many runs of a DAG have ended well."""
        sql = f"SELECT state::text FROM dag_run WHERE dag_id = '{dag}'"
        deadline = time.monotonic() + RUN_S
        while (states := [state for (state,) in query(self.url, sql)]).count("success") < runs:
            in_time = "failed" not in states and time.monotonic() < deadline
            assert in_time, f"{dag}: {states}\n{self.said()}"
            time.sleep(1)

    def said(self) -> str:
        """Which tasks are not done, and the end of what each process said."""
        tasks = query(
            self.url,
            "SELECT concat_ws(' ', dag_id, run_id, task_id, map_index, state, try_number) "
            "FROM task_instance WHERE state IS DISTINCT FROM 'success' ORDER BY 1",
        )
        open_tasks = "\n".join(task for (task,) in tasks)
        return f"{open_tasks}\n" + "\n".join(
            f"== {f.name}\n{f.read_text()[-3000:]}" for f in self.home.glob("*.out")
        )

    def errors(self) -> list[str]:
        """What the processes called an error; what a task says is its own affair."""
        files = (*self.home.glob("*.out"), *self.home.glob("logs/scheduler/**/*.log"))
        return [
            f"{file.name}: {line[:300]}"
            for file in files
            for line in file.read_text(errors="replace").splitlines()
            if _ERROR.search(line) and not _OF_A_TASK.search(line)
        ]


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and the group that it leads."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait(END_S)


def free_port() -> int:
    """A port of the loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
