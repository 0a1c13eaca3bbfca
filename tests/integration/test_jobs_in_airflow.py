"""Jobs and a real Airflow 3 with our provider: its ready DAG, asked for through MWAA's
InvokeRestApi, and its Glue operator with a connection, a triggerer, and a user who ends tasks.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from airkeep.aws import mwaa
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.mwaa import Definition
from airkeep.aws.wait import Patience, until
from airkeep.database.address import parse_address
from airkeep.errors import AirflowRestError
from airkeep.jobs.dag import run_on_dag
from airkeep.snapshot.lake import Lake
from airkeep.store.open import open_store
from aws_server import AwsServer, running_aws_server
from glue_gap import whole_glue
from provided import EXAMPLES, NEWEST, Provided
from running import Running
from servers import Databases, Templates

pytestmark = pytest.mark.slow
PATIENCE = Patience(240, 1)
# Their database is the one of a connection that Airflow keeps in its own.
ON_GLUE = """
from datetime import datetime  # DAGs of Airflow
from airkeep.provider.compatibility import DAG
from airkeep.provider.operators import AirkeepGlueOperator
for name, deferrable in (("waiting", False), ("deferred", True)):
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1)) as dag:
        AirkeepGlueOperator(
            task_id="export", conn_id="meta", role_name="glue", deferrable=deferrable,
            command=["export", "env:", "-", "--secrets", "drop"],
        )
    globals()[name] = dag
"""


@dataclass
class World:
    """An Airflow at work as MWAA's environment `prod`."""

    work: Running
    server: AwsServer
    lake: str
    kept: str

    def start(self, dag: str, **conf: Any) -> str:
        """Start a run, and give back its path."""
        at = datetime.now(UTC).isoformat()
        run = {"dag_run_id": f"{dag}__{uuid4().hex}", "logical_date": at, "conf": conf}
        self.rest.patch(f"/dags/{dag}", {"is_paused": False}, update_mask="is_paused")
        self.rest.post(f"/dags/{dag}/dagRuns", run)
        return f"/dags/{dag}/dagRuns/{run['dag_run_id']}"

    def ended(self, path: str) -> str:
        def look() -> str | None:
            state = str(self.rest.get(path)["state"])
            return state if state in ("success", "failed") else None

        return self.seen(look)

    def seen(self, look: Callable[[], str | None]) -> str:
        try:
            return until(look, PATIENCE)
        except TimeoutError:
            raise AssertionError(self.work.said()) from None

    @property
    def rest(self) -> AirflowRest:
        return AirflowRest("prod")

    def glue_runs(self) -> dict[str, str]:
        """The job's runs and their states."""
        try:
            found = self.server.client("glue").get_job_runs(JobName="prod_airkeep")["JobRuns"]
        except self.server.client("glue").exceptions.EntityNotFoundException:
            return {}
        return {run["Id"]: run["JobRunState"] for run in found}


@pytest.fixture(scope="module", params=[NEWEST])
def world(
    request: pytest.FixtureRequest, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    airflow, databases = Provided(request.param), Databases(templates)
    airflow.install()
    folder = tmp_path_factory.mktemp("airflow")
    shutil.copytree(EXAMPLES, folder / "dags")
    (folder / "dags" / "on_glue.py").write_text(ON_GLUE)
    url, kept = databases.empty(), databases.airflow("airflow-332")
    address = parse_address(url)
    work = Running(
        airflow, folder / "home", url, folder / "dags",
        DB_SECRETS=json.dumps({"username": address.user, "password": address.password}),
        POSTGRES_HOST=address.host, POSTGRES_PORT=str(address.port), POSTGRES_DB=address.database,
        AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="True", AIRFLOW_ENV_NAME="prod",
    )  # fmt: skip
    with ExitStack() as stack:
        stack.callback(databases.drop)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        own = {"MWAA_BASE_PORT": str(work.port), "AIRKEEP_LOCK_TIMEOUT_S": "300"}
        server = stack.enter_context(running_aws_server(own))
        lake = f"s3://{server.new_bucket()}/lake"
        glue = stack.enter_context(whole_glue(server.endpoint))
        for name, value in {**server.variables, "AWS_ENDPOINT_URL_GLUE": glue}.items():
            patch.setenv(name, value)
            work.set(name, value)
        work.set("AIRKEEP_LAKE", lake)
        make_environment(server)
        work.run("db", "migrate")
        work.run("connections", "add", "meta", "--conn-uri", kept)
        stack.enter_context(work.processes(triggerer=True))
        work.wait("SELECT count(*) FROM dag", lambda n: n == 7, timeout_s=180)
        yield World(work, server, lake, kept)


def make_environment(server: AwsServer) -> None:
    ec2 = server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"]
        for n in (0, 1)
    ]
    mwaa.create(Definition({
        "Name": "prod", "SourceBucketArn": "arn:aws:s3:::dags", "DagS3Path": "dags",
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/mwaa",
        "NetworkConfiguration": {"SubnetIds": subnets, "SecurityGroupIds": ["sg-1"]},
    }))  # fmt: skip
    mwaa.wait_ready("prod", Patience(30, 0.2))


def test_an_airflow_exports_its_own_database_when_it_is_asked_to(
    world: World, tmp_path: Path
) -> None:
    lake, folder = str(tmp_path / "lake"), open_store(str(tmp_path / "jobs"))
    command = ["export", "--json", "env:", lake, "-e", "prod", "--secrets", "drop"]
    ask = partial(run_on_dag, command, environment="prod", folder=folder, token="t")
    done = ask(patience=PATIENCE)
    assert done.result.status == 0, done.result
    [snapshot] = Lake(open_store(lake)).snapshots()
    assert done.result.summary["id"] == snapshot.id
    assert ask(patience=Patience(0)) == done

    rest = world.rest
    assert not rest.get("/dags/airkeep_job")["is_paused"]
    [run] = rest.list("/dags/airkeep_job/dagRuns", "dag_runs", "run_id")
    assert (run["dag_run_id"], run["state"]) == ("airkeep__t", "success")
    again = {"dag_run_id": "airkeep__t", "logical_date": run["logical_date"], "conf": {}}
    with pytest.raises(AirflowRestError) as refused:
        rest.post("/dags/airkeep_job/dagRuns", again)
    assert refused.value.status == 409
    with pytest.raises(AirflowRestError, match="logical_date") as refused:
        rest.post("/dags/airkeep_job/dagRuns", {"dag_run_id": "x"})
    assert refused.value.status == 422


def test_what_fails_inside_comes_back_with_its_reason(world: World, tmp_path: Path) -> None:
    command = [
        "export",
        "--json",
        "env:",
        str(tmp_path / "lake"),
        "-e",
        "prod",
        "--secrets",
        "seal",
    ]
    done = run_on_dag(
        command,
        environment="prod",
        folder=open_store(str(tmp_path / "jobs")),
        token="k",
        patience=PATIENCE,
    )
    assert done.result.status == 61
    assert "AIRKEEP_ARCHIVE_KEY" in done.result.error

    result = f"{tmp_path}/results/one.json"
    assert world.ended(world.start("airkeep_job", command=["sh"], result=result)) == "failed"
    told = json.loads(Path(result).read_bytes())
    assert (told["status"], "no command for a job" in told["error"]) == (3, True)


# In a triggerer of 3.0 a connection is had on its own loop, and not from a thread of ours.
@pytest.mark.parametrize("world", [NEWEST, "3.0.6"], indirect=True)
@pytest.mark.parametrize("dag", ["waiting", "deferred"])
def test_a_job_on_glue_has_the_database_of_a_connection(world: World, dag: str) -> None:
    before = len(list(Lake(world.lake).names()))
    assert world.ended(world.start(dag)) == "success", world.work.said()
    assert len(list(Lake(world.lake).names())) == before + 1


@pytest.mark.parametrize("dag", ["waiting", "deferred"])
def test_who_ends_a_task_stops_its_job(world: World, dag: str) -> None:
    before = world.glue_runs()

    def states() -> list[str]:
        return [state for run, state in world.glue_runs().items() if run not in before]

    with held(world.kept):
        path = world.start(dag)
        world.seen(lambda: "started" if states() == ["RUNNING"] else None)
        world.rest.patch(path, {"state": "failed"})
        world.seen(lambda: None if states() == ["RUNNING"] else "ended")
        assert states() == ["STOPPED"]


@contextmanager
def held(url: str) -> Iterator[None]:
    """A database of which nobody else can export a row."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript("BEGIN; LOCK TABLE dag_run")
        yield
