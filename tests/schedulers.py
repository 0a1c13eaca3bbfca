"""Real Airflows at work: a scheduler and what it needs, for as long as a test watches.

Every process listens on the loopback only, leads a group of its own, and is ended by that group's
id. What they say goes to files in AIRFLOW_HOME; a wait that runs out shows their ends.

The DAGs of `dags/` cover what a quiet start must not get wrong: cron and timedelta schedules with
and without catch-up, data intervals and plain triggers, assets, a pause, tasks that depend on the
past. `shift` lets a database believe that it was left three days ago.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from airflows import Airflow
from servers import FERNET_KEY, PROJECT, query

DAGS = PROJECT / "tests" / "dags"
START_S, END_S = 180, 20


def for_airflow(url: str) -> str:
    """The URL of a database as SQLAlchemy wants it."""
    return url.replace("postgresql://", "postgresql+psycopg2://")


class AtWork:
    """One Airflow with its processes; `url` is its database."""

    def __init__(self, airflow: Airflow, home: Path, url: str, dags: Path, **settings: str) -> None:
        self.airflow, self.home, self.url = airflow, home, url
        self.is_three = airflow.version.startswith("3.")
        self._port = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": for_airflow(url),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self._port}/execution/",
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-tests-0123456789-0123456789-0123456789-0123",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **settings,
        }

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
        """The scheduler and what it needs, until the block ends."""
        parts = [["scheduler", "--skip-serve-logs"]]
        if self.is_three:
            host = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
            parts += [["api-server", *host], ["dag-processor"]]
        if triggerer:
            parts.append(["triggerer", "--skip-serve-logs"])
        began = query(self.url, "SELECT clock_timestamp()")[0][0].isoformat()
        with ExitStack() as stack:
            for words in parts:
                stack.enter_context(self._process(words))
            self.wait(
                f"SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'running' "
                f"AND latest_heartbeat > '{began}'",
                lambda n: n >= 1,
                timeout_s=START_S,
            )
            yield

    @contextmanager
    def _process(self, words: list[str]) -> Iterator[None]:
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

    def wait(self, sql: str, until: Callable[[Any], bool], *, timeout_s: float) -> Any:
        """Ask every second until the one value suffices; it is given back."""
        deadline = time.monotonic() + timeout_s
        while True:
            value = query(self.url, sql)[0][0]
            if until(value):
                return value
            assert time.monotonic() < deadline, f"{sql} is {value}\n{self.said()}"
            time.sleep(1)

    def said(self) -> str:
        """The end of what each process said."""
        return "\n".join(f"{f.name}: {f.read_text()[-2000:]}" for f in self.home.glob("*.out"))


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


# Airflow names a run by its date: theirs must not be those of the days that now lie ahead.
_OTHER_RUN_IDS = """
DO $$ DECLARE found text; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR found IN SELECT quote_ident(table_name) FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name = 'run_id'
  LOOP EXECUTE 'UPDATE ' || found || ' SET run_id = ''before_'' || run_id'; END LOOP;
END $$
"""


def shift(url: str, interval: str, *, starts: Mapping[datetime, datetime]) -> None:
    """Move every time in the database into the past, as if it had been left that long ago.

    Args:
        starts: the DAGs' start dates as the serialized DAGs have them, and what they become.
    """
    query(url, _OTHER_RUN_IDS)
    text = "data::text"
    for old, new in starts.items():
        text = f"replace({text}, '{old.timestamp()}', '{new.timestamp()}')"
    query(url, f"UPDATE serialized_dag SET data = ({text})::json RETURNING 1")
    columns = query(
        url, "SELECT quote_ident(table_name), string_agg(format('%1$I = %1$I - interval ', "
             "column_name), '|') FROM information_schema.columns WHERE table_schema = 'public' AND "
             "data_type LIKE 'timestamp%' GROUP BY 1"
    )  # fmt: skip
    for table, parts in columns:
        changes = ", ".join(f"{part}'{interval}'" for part in parts.split("|"))
        query(url, f"UPDATE {table} SET {changes} RETURNING 1")
