"""The provider's Glue operator, as a task and as a trigger: an emulator runs the job."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module

import pytest

from aws_server import running_aws_server
from provided import NEWEST, OLDEST, Provided, Trial
from servers import Databases, Templates

pytestmark = pytest.mark.slow

DUMPS = {NEWEST: "airflow-332", OLDEST: "airflow-2105-xcompickle"}
# A Python shell is what the emulator runs; Spark it does not.
DAG = """
from datetime import datetime  # a DAG of Airflow
from airkeep.provider.compatibility import DAG
from airkeep.provider.glue import AirkeepGlueOperator
for deferrable in (False, True):
    name = "deferred" if deferrable else "waiting"
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1)) as dag:
        AirkeepGlueOperator(
            task_id="export",
            command=["export", "--json", "env:", "{lake}", "--secrets", "drop"],
            role_name="glue",
            lake="{lake}",
            timeout_s=120,
            shape={{"kind": "pythonshell", "retries": 0}},
            deferrable=deferrable,
        )
    globals()[name] = dag
"""


@pytest.fixture(scope="module", params=DUMPS)
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
        server.client("mwaa").create_environment(
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
            AWS_DISABLE_HOST_PREFIX_INJECTION="true",
            AIRFLOW__CORE__DAGS_FOLDER=str(folder / "dags"),
        )  # fmt: skip


@pytest.mark.parametrize("dag", ["waiting", "deferred"])
def test_an_export_on_glue_is_waited_for(trial: Trial, dag: str) -> None:
    well, said = trial.run_dag(dag)
    assert well, said[-4000:]
    assert '"id"' in said or "'id'" in said
