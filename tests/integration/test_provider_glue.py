"""The provider's Glue operator, as a task and as a trigger: an emulator runs the job."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest

from aws_server import AwsServer, running_aws_server
from provided import NEWEST, OLDEST, Provided, Trial
from servers import Databases, Templates

pytestmark = pytest.mark.slow

DUMPS = {NEWEST: "airflow-332", OLDEST: "airflow-2105-xcompickle"}
DAG = """
from datetime import datetime  # a DAG of Airflow
from airkeep.provider.compatibility import DAG
from airkeep.provider.glue import AirkeepGlueOperator
from airkeep.provider.operators import AirkeepVerifyOperator
for deferrable in (False, True):
    name = "deferred" if deferrable else "waiting"
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1)) as dag:
        export = AirkeepGlueOperator(
            task_id="export",
            command=["export", "--json", "env:", "-"],
            role_name="glue",
            lake="{lake}",
            timeout_s=120,
            shape={{"retries": 0}},
            deferrable=deferrable,
        )
        snapshot = "{{{{ ti.xcom_pull(task_ids='export')['result']['summary']['id'] }}}}"
        export >> AirkeepVerifyOperator(task_id="verify", snapshot=snapshot, lake="{lake}")
    globals()[name] = dag
"""


@pytest.fixture(scope="module")
def trial(
    request: pytest.FixtureRequest, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trial]:
    pytest.importorskip("airkeep.jobs.glue")
    airflow, folder = Provided(request.param), tmp_path_factory.mktemp("glue")
    airflow.install()
    name = f"prod-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        server = stack.enter_context(running_aws_server())
        glue = stack.enter_context(import_module("glue_gap").whole_glue(server.endpoint))
        bucket, ec2 = server.new_bucket(), server.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"]
            for n in (0, 1)
        ]
        mwaa(server).create_environment(
            Name=name, SourceBucketArn=f"arn:aws:s3:::{bucket}", DagS3Path="dags",
            ExecutionRoleArn="arn:aws:iam::000000000000:role/mwaa",
            NetworkConfiguration={"SubnetIds": subnets, "SecurityGroupIds": ["sg-1"]},
        )  # fmt: skip
        databases = Databases(templates)
        stack.callback(databases.drop)
        (folder / "dags").mkdir()
        (folder / "dags" / "glue.py").write_text(DAG.format(lake=f"s3://{bucket}/lake"))
        yield Trial(
            airflow, folder / "home", databases.airflow(DUMPS[airflow.version]),
            **server.variables, AWS_ENDPOINT_URL_GLUE=glue, AIRFLOW_ENV_NAME=name,
            AIRFLOW__CORE__DAGS_FOLDER=str(folder / "dags"),
        )  # fmt: skip


def mwaa(server: AwsServer) -> Any:
    """A client that does not put "api." before the server's name."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session("test", "test", region_name="us-east-1").client(
        "mwaa", endpoint_url=server.endpoint, config=Config(inject_host_prefix=False)
    )


@pytest.mark.parametrize("trial", [NEWEST], indirect=True)
@pytest.mark.parametrize("dag", ["waiting", "deferred"])
def test_an_export_on_glue_is_waited_for(trial: Trial, dag: str) -> None:
    well, said = trial.run_dag(dag)
    assert well, said[-4000:]
    assert "'complete': True" in said  # what the job printed


@pytest.mark.parametrize("trial", [OLDEST], indirect=True)
def test_what_goes_wrong_in_the_triggerer_is_the_task_s_one_line(trial: Trial) -> None:
    """The boto of that Airflow's days asks api.127.0.0.1 for MWAA, which nobody is."""
    well, said = trial.run_dag("deferred")
    assert not well
    assert "airkeep: looking at the environment" in said
    assert "AWS was not reached" in said
