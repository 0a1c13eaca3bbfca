"""The ready DAG on Glue, as a task and as a trigger: an emulator runs its job."""

from __future__ import annotations

import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from aws_server import AwsServer, running_aws_server
from glue_gap import whole_glue
from provided import NEWEST, OLDEST, Provided, Trial
from servers import Databases, Templates
from told_http import Answer, Asked, told_http

pytestmark = pytest.mark.slow

DUMPS = {NEWEST: "airflow-332", OLDEST: "airflow-2105-xcompickle"}
DEFERRED = {"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}
# The ready DAG is tried again after five minutes.
ONCE = """
from datetime import datetime  # a DAG of Airflow
from airkeep.provider.compatibility import DAG
from airkeep.provider.operators import AirkeepGlueOperator
with DAG("once", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    AirkeepGlueOperator(
        task_id="export", command=["export", "env:", "-"], role_name="glue", deferrable=True
    )
"""


@pytest.fixture(scope="module", params=[NEWEST, OLDEST])
def trial(
    request: pytest.FixtureRequest, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trial]:
    airflow = Provided(request.param)
    airflow.install()
    name = f"prod-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        server = stack.enter_context(running_aws_server())
        glue = stack.enter_context(whole_glue(server.endpoint))
        proxy = stack.enter_context(proxy_of_mwaa(server))
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
        yield Trial(
            airflow, tmp_path_factory.mktemp("glue") / "home",
            databases.airflow(DUMPS[airflow.version]),
            **server.variables, **proxy, AWS_ENDPOINT_URL_GLUE=glue, AIRFLOW_ENV_NAME=name,
            AIRFLOW_VAR_EXPORT_S3_BUCKET=bucket, AIRFLOW_VAR_GLUE_ROLE_NAME="glue",
        )  # fmt: skip


@contextmanager
def proxy_of_mwaa(server: AwsServer) -> Iterator[dict[str, str]]:
    """Variables by which MWAA is found: the boto of an old Airflow's days puts "api." before it."""

    def answer(asked: Asked) -> Answer:
        path = asked.path.partition("mwaa.invalid")[2]
        names = ("Authorization", "X-Amz-Date", "Content-Type")
        passed = {name: asked.headers[name] for name in names if asked.headers[name]}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(server.endpoint + path, headers=passed), timeout=60
            ) as reply:
                return Answer(reply.status, reply.read(), {"Content-Type": "application/json"})
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())

    with told_http(answer) as proxy:
        yield {
            "AWS_ENDPOINT_URL_MWAA": "http://mwaa.invalid",
            "HTTP_PROXY": proxy,
            "NO_PROXY": "127.0.0.1,localhost",
        }


def mwaa(server: AwsServer) -> Any:
    """A client that does not put "api." before the server's name."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session("test", "test", region_name="us-east-1").client(
        "mwaa", endpoint_url=server.endpoint, config=Config(inject_host_prefix=False)
    )


def variant(trial: Trial, **variables: str) -> Trial:
    """The same Airflow, with these variables too."""
    home = Path(trial.environment["AIRFLOW_HOME"])
    return Trial(trial.airflow, home, trial.url, **{**trial.environment, **variables})


@pytest.mark.parametrize("variables", [{}, DEFERRED], ids=["waiting", "deferred"])
def test_the_daily_export_on_glue_is_waited_for_and_verified(
    trial: Trial, variables: dict[str, str]
) -> None:
    well, said = variant(trial, **variables).run_dag("airkeep_export_glue")
    assert well, said[-4000:]
    assert "'complete': True" in said  # what the job printed


def test_what_goes_wrong_in_the_triggerer_is_the_task_s_one_line(
    trial: Trial, tmp_path: Path
) -> None:
    (tmp_path / "once.py").write_text(ONCE)
    nobody = variant(
        trial,
        AWS_ENDPOINT_URL_MWAA="http://127.0.0.1:1",
        AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path),
        AIRKEEP_LAKE=f"s3://{trial.environment['AIRFLOW_VAR_EXPORT_S3_BUCKET']}/exports",
    )
    well, said = nobody.run_dag("once")
    assert not well
    assert "airkeep: looking at the environment" in said
    assert "AWS was not reached" in said


def test_without_a_role_the_variable_is_named(trial: Trial) -> None:
    well, said = variant(trial, AIRFLOW_VAR_GLUE_ROLE_NAME="").run_dag("airkeep_export_glue")
    assert not well
    assert "variable glue_role_name" in said
