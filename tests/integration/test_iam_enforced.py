"""Our code under its own policies, where IAM is enforced: it works, and with less it does not.

The emulator checks actions, resources and conditions of a user's policy, but of MWAA's calls not
which environment they are about: there it knows `*` alone, and is given that. A job or connection
that a call names by `Name` is a table to it, and is given that too. It does not check who may pass
a role, nor what AWS does in a caller's name: `UNPROVED` names those statements.
"""

from __future__ import annotations

import json
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airkeep.aws import glue, glue_connections, mwaa, s3, secrets, sns
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.hive import HivePartition, HiveTable
from airkeep.aws.mwaa import Definition
from airkeep.aws.policies import Names, Policy, Purpose, Role, policies
from airkeep.aws.session import client
from airkeep.aws.wait import Patience
from airkeep.database.address import Address
from airkeep.errors import (
    AwsAccessError,
    AwsError,
    JobError,
    StoreAccessError,
)
from airkeep.jobs.glue import run_on_glue
from airkeep.jobs.job import Result
from airkeep.jobs.record import run_once
from airkeep.provider.reports import save_report
from airkeep.store.open import open_store
from airkeep.store.retry import Retry
from aws_server import AwsServer, running_aws_server
from told_mwaa import told_mwaa

ACCOUNT, USER, WITH_AIRFLOW = "000000000000", "keeper", "first"
UNPROVED = {
    "PassExecutionRole", "PassGlueRole",  # the emulator passes any role
    "MakeServiceRole", "LookAtDagsBucket", "ConnectEnvironment", "EnvironmentInterfaces",
    # What AWS does in the caller's name, or the Glue service by the job's role:
    "LookAtNetwork", "LookAtVpc", "Interfaces", "EndInterfaces", "MarkInterfaces", "Logs",
    "Metrics", "UseLakeKey", "UseEnvironmentKey",  # S3 with the key; MWAA with the other
}  # fmt: skip
REFUSED = (AwsAccessError, StoreAccessError)


@dataclass(frozen=True)
class Account:
    """An AWS where policies count, with a lake, an environment, a topic."""

    server: AwsServer
    names: Names
    key: dict[str, str]

    def act_as(self, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on this process is a user who may do what the policy says, and no more."""
        document = json.dumps(for_emulator(policy))
        self.server.client("iam").put_user_policy(
            UserName=USER, PolicyName="airkeep", PolicyDocument=document
        )
        for variable, value in (self.server.variables | self.key).items():
            monkeypatch.setenv(variable, value)

    @property
    def lake(self) -> str:
        return f"s3://{self.names.bucket}/{self.names.prefix}"


def for_emulator(policy: Policy) -> dict[str, Any]:
    document = policy.document()
    for statement in document["Statement"]:
        arns = statement["Resource"]
        named = [
            re.sub(r":(job|connection|database)/", ":table/", arn)
            for arn in arns
            if ":glue:" in arn
        ]
        statement["Resource"] = ["*" if ":airflow:" in arn else arn for arn in [*arns, *named]]
    return document


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with (
        told_mwaa([{}]) as airflow,  # in an Airflow's place: it answers, and that is enough
        running_aws_server(
            {"AUTH": "true", "MWAA_BASE_PORT": airflow.endpoint.rpartition(":")[2]}
        ) as server,
    ):
        bucket, dags = server.new_bucket(), server.new_bucket()
        own = server.client("s3")
        own.put_object(Bucket=dags, Key="requirements.txt", Body=b"x")
        own.put_object(Bucket=dags, Key="dags/a.py", Body=b"x")
        own.put_object(Bucket=bucket, Key="airflow/tables/there", Body=b"x")
        topic = server.client("sns").create_topic(Name="sleep")["TopicArn"]
        secret = server.client("secretsmanager").create_secret(
            Name="airkeep", SecretString='{"AIRKEEP_ARCHIVE_KEY": "k"}'
        )["ARN"]
        names = Names(
            environment="prod", region="us-east-1", account=ACCOUNT, bucket=bucket,
            prefix="airflow", dags_bucket=dags, execution_role="mwaa", glue_role="glue",
            topic=topic, secret=secret, subnets=_subnets(server),
        )  # fmt: skip
        # The first that is made is the one with the Airflow.
        server.client("mwaa").create_environment(
            **definition(replace(names, environment=WITH_AIRFLOW)).arguments()
        )
        iam = server.client("iam")
        iam.create_user(UserName=USER)
        key = iam.create_access_key(UserName=USER)["AccessKey"]
        yield Account(
            server,
            names,
            {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            },
        )


def _subnets(server: AwsServer) -> tuple[str, ...]:
    ec2 = server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return tuple(
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"]
        for n in range(2)
    )


def definition(names: Names) -> Definition:
    return Definition({
        "Name": names.environment, "DagS3Path": "dags",
        "SourceBucketArn": f"arn:aws:s3:::{names.dags_bucket}",
        "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/mwaa",
        "NetworkConfiguration": {"SubnetIds": list(names.subnets),
                                 "SecurityGroupIds": ["sg-1"]},
        "Arn": f"arn:aws:airflow:us-east-1:{ACCOUNT}:environment/{names.environment}",
    })  # fmt: skip


def list_lake(a: Account) -> None:
    assert [e.path for e in open_store(a.lake).list("tables/") if e.path.endswith("there")]


def read_lake(a: Account) -> None:
    assert open_store(a.lake).load("tables/there") == b"x"


def write_lake(a: Account) -> None:
    open_store(a.lake, retry=Retry()).save(f"tables/{uuid.uuid4().hex}", b"y")


def end_uploads(a: Account) -> None:
    store = open_store(a.lake)
    path = f"uploads/{uuid.uuid4().hex}"
    a.server.client("s3").put_object(Bucket=a.names.bucket, Key=f"airflow/{path}", Body=b"x")
    store.delete([path])


def live(a: Account) -> None:
    """An environment's whole life, as `down` and `up` lead it."""
    wanted = definition(a.names)
    mwaa.create(wanted)
    try:
        mwaa.update(wanted.name, {"MaxWorkers": 3})
        found = mwaa.describe(wanted.name)
        assert found.told["MaxWorkers"] == 3
    finally:
        mwaa.delete(wanted.name)


def list_environments(_: Account) -> None:
    mwaa.names()


def ask_airflow(_: Account) -> None:
    AirflowRest(WITH_AIRFLOW).get("/dags")


def look_at_files(a: Account) -> None:
    assert s3.object_version(a.names.dags_bucket, "requirements.txt") is not None


def tell(a: Account) -> None:
    assert a.names.topic is not None
    sns.publish(a.names.topic, "prod", "down")


def look_at_environment(a: Account) -> None:
    with suppress(AwsError):
        a.server.client("mwaa").create_environment(**definition(a.names).arguments())
    assert mwaa.find(a.names.environment) is not None
    a.server.client("mwaa").delete_environment(Name=a.names.environment)


def list_dags(a: Account) -> None:
    store = open_store(f"s3://{a.names.dags_bucket}/dags")
    assert [entry.path for entry in store.list()]


def write_dags(a: Account) -> None:
    store = open_store(f"s3://{a.names.dags_bucket}/dags")
    store.save("b.py", b"y")
    store.delete(["b.py"])


def start_job(a: Account) -> None:
    """A job on Glue, to its end: the emulator runs no Spark, so there is never a result."""
    with suppress(AwsError):
        a.server.client("mwaa").create_environment(**definition(a.names).arguments())
    try:
        with pytest.raises(JobError, match="left no result"):
            run_on_glue(
                ["iam"], environment=a.names.environment, folder=f"{a.lake}/jobs", role="glue",
                token=uuid.uuid4().hex, patience=Patience(30, 0.2),
                address=Address("postgresql", "airflow", "db.example.org", 5432, "u", "p"),
            )  # fmt: skip
    finally:
        a.server.client("mwaa").delete_environment(Name=a.names.environment)


def read_connection(a: Account) -> None:
    own = a.server.client("glue")
    own.create_connection(ConnectionInput={
        "Name": a.names.connection, "ConnectionType": "JDBC", "ConnectionProperties": {},
    })  # fmt: skip
    assert glue_connections.find(a.names.connection) is not None


def read_keys(a: Account) -> None:
    assert a.names.secret is not None
    assert secrets.variables(a.names.secret) == {"AIRKEEP_ARCHIVE_KEY": "k"}


def save_result(a: Account) -> None:
    """As the DAG run of a job does."""
    url = f"{a.lake}/jobs/{uuid.uuid4().hex}/result.json"
    for found in ("done", "not asked for again"):
        assert run_once(url, partial(Result, 0, found), print) == Result(0, "done")


def keep_one_report(a: Account) -> None:
    """As the ready DAG does from its 31st report on."""
    store = open_store(a.lake)
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(2):
            save_report(store, Path(file.name), at=datetime.now(UTC), keep=1)


def register_tables(a: Account) -> None:
    """One that is new, one that has changed, one that is gone; and their partitions."""
    tables, snapshots = f"{a.lake}/tables", [f"id={name}" for name in "ab"]
    for columns, found in (("n",), snapshots), (("n", "m"), snapshots[1:]):
        partitions = tuple(HivePartition((one,), f"{tables}/{one}") for one in found)
        table = HiveTable(
            "dag_run", "", tuple((name, "bigint") for name in columns), ("id",), tables, partitions
        )
        glue.register(a.names.catalog, [table], a.lake)
    glue.register(a.names.catalog, [], a.lake)


DEEDS: dict[tuple[Purpose, Role], dict[str, Callable[[Account], None]]] = {
    ("export", "mwaa"): {
        "ListLake": list_lake, "WriteLake": write_lake, "EndUploads": end_uploads,
        "EndReports": keep_one_report, "Catalog": register_tables,
    },
    ("restore", "mwaa"): {
        "ListLake": list_lake, "ReadLake": read_lake, "SaveResult": save_result,
    },
    ("sleep", "mwaa"): {
        "ListLake": list_lake, "WriteLake": save_result, "EndUploads": end_uploads,
    },
    ("sleep", "operator"): {
        "Environment": live, "ListEnvironments": list_environments, "AskAirflow": ask_airflow,
        "LookAtDagsFiles": look_at_files, "Tell": tell,
        "ListLake": list_lake, "WriteLake": write_lake, "EndUploads": end_uploads,
    },
    ("glue", "operator"): {
        "Job": start_job, "Connection": start_job, "Environment": start_job,
        "LookAtSubnets": start_job, "Scripts": start_job,
    },
    ("glue", "glue"): {
        "Connection": read_connection, "Keys": read_keys,
        "ListLake": list_lake, "WriteLake": write_lake, "EndUploads": end_uploads,
    },
    ("deploy", "operator"): {
        "Environment": look_at_environment, "ListDags": list_dags, "WriteDags": write_dags,
    },
}  # fmt: skip
EACH = [
    pytest.param(*key, sid, id=f"{key[0]}-{key[1]}-{sid}")
    for key, deeds in DEEDS.items()
    for sid in deeds
]


def policy_of(account: Account, purpose: Purpose, role: Role) -> Policy:
    [found] = [one for one in policies(account.names, [purpose]) if one.role == role]
    return found


@pytest.mark.parametrize(("purpose", "role", "sid"), EACH)
def test_what_is_allowed_works_and_without_its_statement_is_refused(
    purpose: Purpose, role: Role, sid: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, deed = policy_of(account, purpose, role), DEEDS[purpose, role][sid]
    account.act_as(policy, monkeypatch)
    deed(account)
    account.act_as(policy.without(sid), monkeypatch)
    with pytest.raises(REFUSED):
        deed(account)


def test_every_statement_is_proved_or_said_not_to_be(account: Account) -> None:
    for policy in policies(account.names):
        role = "operator" if policy.role == "mwaa" and policy.purpose == "glue" else policy.role
        assert policy.statements == policy_of(account, policy.purpose, role).statements
        proved = set(DEEDS[policy.purpose, role])
        if policy.purpose == "glue":  # where S3 answers 403 for a missing object, the emulator 404
            proved.add("ListLake")
        assert proved | (UNPROVED & {s.sid for s in policy.statements}) == {
            s.sid for s in policy.statements
        }, (policy.purpose, policy.role)


def test_who_may_write_one_prefix_may_not_write_another(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.act_as(policy_of(account, "export", "mwaa"), monkeypatch)
    other = open_store(f"s3://{account.names.bucket}/elsewhere")
    with pytest.raises(StoreAccessError):
        other.save("x", b"y")
    with pytest.raises(StoreAccessError):
        list(other.list())
    with pytest.raises(StoreAccessError):
        open_store(account.lake).delete(["tables/there"])


def test_a_message_of_a_refusal_names_what_was_tried(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.act_as(policy_of(account, "restore", "mwaa"), monkeypatch)
    with pytest.raises(AwsAccessError, match="listing environments was refused: AccessDenied"):
        mwaa.names()
    assert client("sts").get_caller_identity()["Account"] == ACCOUNT
