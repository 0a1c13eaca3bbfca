"""Our command line in a DAG run of a real Airflow 3, asked for through MWAA's InvokeRestApi."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from airflows import Airflow
from airkeep.aws import mwaa
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.mwaa import Definition
from airkeep.aws.wait import Patience
from airkeep.database.address import parse_address
from airkeep.errors import AirflowRestError
from airkeep.jobs.dag import run_on_dag
from airkeep.snapshot.lake import Lake
from airkeep.store.open import open_store
from aws_server import running_aws_server
from running import Running
from servers import Databases

pytestmark = pytest.mark.slow
DAGS = Path(__file__).parents[1] / "job_dags"


def test_an_airflow_exports_its_own_database_when_it_is_asked_to(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = Airflow("3.3.2")
    airflow.install()
    url = databases.empty()
    address = parse_address(url)
    secrets = {"username": address.user, "password": address.password}
    work = Running(
        airflow, tmp_path / "home", url, DAGS,
        AIRKEEP_PYTHON=sys.executable, DB_SECRETS=json.dumps(secrets),
        POSTGRES_HOST=address.host, POSTGRES_PORT=str(address.port), POSTGRES_DB=address.database,
        AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="True",
    )  # fmt: skip
    work.run("db", "migrate")
    with running_aws_server({"MWAA_BASE_PORT": str(work.port)}) as server, work.processes():
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        mwaa.create(Definition({
            "Name": "prod", "SourceBucketArn": "arn:aws:s3:::dags", "DagS3Path": "dags",
            "ExecutionRoleArn": "arn:aws:iam::000000000000:role/mwaa",
            "NetworkConfiguration": {"SubnetIds": ["a", "b"], "SecurityGroupIds": ["c"]},
        }))  # fmt: skip
        mwaa.wait_ready("prod", Patience(30, 0.2))
        work.wait("SELECT count(*) FROM dag", lambda n: n == 1, timeout_s=120)

        lake, folder = str(tmp_path / "lake"), str(tmp_path / "jobs")
        command = ["export", "--json", "env:", lake, "-e", "prod", "--secrets", "drop"]
        ask = partial(run_on_dag, command, environment="prod", folder=folder, token="t")
        done = ask(patience=Patience(200, 1))
        assert done.result.status == 0, done.result
        [snapshot] = Lake(open_store(lake)).snapshots()
        assert done.result.summary["id"] == snapshot.id
        assert ask(patience=Patience(0)) == done

        rest = AirflowRest("prod")
        [dag] = rest.list("/dags", "dags", "dag_id")
        assert (dag["dag_id"], dag["is_paused"]) == ("airkeep_job", False)
        [run] = rest.list("/dags/airkeep_job/dagRuns", "dag_runs", "run_id")
        assert (run["dag_run_id"], run["state"]) == ("airkeep__t", "success")
        again = {"dag_run_id": "airkeep__t", "logical_date": run["logical_date"], "conf": {}}
        with pytest.raises(AirflowRestError) as refused:
            rest.post("/dags/airkeep_job/dagRuns", again)
        assert refused.value.status == 409
        with pytest.raises(AirflowRestError, match="logical_date") as refused:
            rest.post("/dags/airkeep_job/dagRuns", {"dag_run_id": "x"})
        assert refused.value.status == 422
