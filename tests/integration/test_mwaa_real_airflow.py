"""An environment of MWAA whose Airflow is a real one: its own REST API is asked."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_api import RefusedError
from airflows import Airflow as Installed
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.wait import Patience
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.environment.metadata import Metadata
from airkeep.environment.mwaa.airflow import Airflow
from airkeep.snapshot.manifest import DagRunEntry
from aws_server import AwsServer
from mwaa_environments import ACTIVE, definition, made
from mwaa_journeys import travel, variables
from mwaa_server import Api, Made, MwaaServer, running_mwaa
from running import Running
from servers import Databases, query

pytestmark = pytest.mark.slow
LISTENS_S = 240
OF_2 = {
    "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
    "AIRFLOW__WEBSERVER__WORKERS": "1",
}


@dataclass
class RealApi:
    """A web server of a real Airflow, over HTTP."""

    root: str
    token: str = ""

    def answer(self, method: str, path: str, given: dict[str, Any], body: dict[str, Any]) -> Any:
        query = f"?{urllib.parse.urlencode(given)}" if given else ""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(
            f"{self.root}{urllib.parse.quote(path, safe='/~')}{query}",
            data=json.dumps(body).encode() if body else None,
            method=method,
            headers=headers,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, "", error.read().decode()[:500]) from None


@dataclass
class RealAirflows:
    """One web server an environment's database, started when it is first asked for."""

    version: str
    folder: Path
    stack: ExitStack
    found: dict[str, RealApi] = field(default_factory=dict)

    def __call__(self, made: Made) -> Api:
        if made.url not in self.found:
            self.found[made.url] = self.start(made)
        return self.found[made.url]

    def start(self, made: Made) -> RealApi:
        is_2 = self.version.startswith("2.")
        home, dags = self.folder / f"home{len(self.found)}", self.folder / "dags"
        dags.mkdir(exist_ok=True)
        airflow = Installed(self.version)
        airflow.install()
        more = {"AIRFLOW__CORE__FERNET_KEY": made.fernet_key, **(OF_2 if is_2 else {})}
        running = Running(airflow, home, made.url, dags, **more)
        port = running.port
        if is_2:
            home.joinpath("webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\n')
        of_2 = ("webserver", "--hostname", "127.0.0.1")
        of_3 = ("api-server", "--workers", "1", "--host", "127.0.0.1")
        self.stack.enter_context(running.process(*(of_2 if is_2 else of_3), "--port", str(port)))
        root = f"http://127.0.0.1:{port}"
        api = RealApi(f"{root}/api/v1" if is_2 else f"{root}/api/v2")
        deadline = time.monotonic() + LISTENS_S
        while True:
            try:
                if not is_2:
                    with urllib.request.urlopen(f"{root}/auth/token", timeout=30) as answer:
                        api.token = json.load(answer)["access_token"]
                api.answer("GET", "/version", {}, {})
            except (OSError, RefusedError, ValueError):
                assert time.monotonic() < deadline, running.said()
                time.sleep(1)
            else:
                return api


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def told(mwaa: MwaaServer, name: str) -> list[Any]:
    """Every run and every DAG, as Airflow itself tells them."""
    api = mwaa.api_of(mwaa.made[name])
    runs = api.answer("POST", "/dags/~/dagRuns/list", {}, {"page_limit": 100})["dag_runs"]
    dags = api.answer("GET", "/dags", {"limit": 100, "exclude_stale": "false"}, {})["dags"]
    kept = ("dag_id", "dag_run_id", "state", "start_date", "end_date", "note", "conf", "run_type")
    return [
        sorted(json.dumps({k: run.get(k) for k in kept}) for run in runs
               if "airkeep_asleep_until" not in run["dag_run_id"]),
        sorted((dag["dag_id"], dag["is_paused"]) for dag in dags),
    ]  # fmt: skip


def test_a_real_airflow_tells_the_same_after_its_sleep(
    mwaa: MwaaServer, tmp_path: Path, stack: ExitStack
) -> None:
    mwaa.api_of = RealAirflows("3.3.2", tmp_path, stack)
    way = made(mwaa, tmp_path, "real")
    before = told(mwaa, way.name)
    assert len(before[0]) > 50
    assert travel(way, "down").standing == "asleep"
    assert travel(way, "up").standing == "awake"
    assert told(mwaa, way.name) == before


@pytest.mark.parametrize(
    ("dump", "version"), [("airflow-2112", "2.11.2"), ("airflow-332", "3.3.2")]
)
def test_a_real_airflow_understands_what_it_is_asked(
    dump: str,
    version: str,
    aws_server: AwsServer,
    server: Cluster,
    databases: Databases,
    tmp_path: Path,
    stack: ExitStack,
) -> None:
    with running_mwaa(aws_server, server, databases, dump) as mwaa, variables(mwaa.variables):
        mwaa.api_of = RealAirflows(version, tmp_path, stack)
        name = f"real-{os.getpid()}-{dump}"
        own = mwaa.own(name, definition(aws_server, name, AirflowVersion=version))
        ours = Airflow(AirflowRest(name), version, Patience(60, 0.5))
        plain = Airflow(AirflowRest(name), version, Patience(60, 0.5))
        assert ours.answers()
        [(total,)] = query(own.url, "SELECT count(*) FROM dag")
        active = [dag for (dag,) in query(own.url, ACTIVE)]
        assert len(plain.dags()) == total
        assert ours.set_paused([*active, "gone"], paused=True) == ("gone",)
        assert query(own.url, ACTIVE) == []
        ours.set_paused(active[:2], paused=False)
        assert [dag for (dag,) in query(own.url, ACTIVE)] == active[:2]
        [(last, ended)] = query(
            own.url, "SELECT max(end_date), count(*) FROM dag_run "
                     "WHERE state IN ('success', 'failed')"
        )  # fmt: skip
        assert ours.ended(None, ())[0] == last
        assert ours.ended(last.replace(year=2000), ()) == (last, ended)
        [(tasks,)] = query(
            own.url, "SELECT count(*) FROM task_instance WHERE state IN ('running', 'queued')"
        )  # fmt: skip
        assert ours.at_work(()) == tasks
        query(own.url, "UPDATE dag_run SET state = 'running', "
                       "last_scheduling_decision = start_date WHERE state = 'success'")  # fmt: skip
        closing = Metadata(parse_address(own.url)).pulse(None).closing
        assert ours.closing(last.replace(year=2000), ()) == closing > 0
        [(dag, run)] = query(
            own.url, "SELECT dag_id::text, run_id::text FROM dag_run "
                     "ORDER BY start_date DESC LIMIT 1"
        )  # fmt: skip
        assert ours.has(DagRunEntry(dag, run))
        assert not ours.has(DagRunEntry(dag, "another"))
