"""Our commands under their own policies, where IAM is enforced: they work, and with less do not.

The emulator checks actions, resources and conditions of a user's policy, but of MWAA's calls not
which environment they are about: there it knows `*` alone, and is given that. A job or connection
that a call names by `Name` is a table to it, and is given that too. It does not check who may pass
a role, nor what AWS does in a caller's name: `UNPROVED` names those statements.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from airkeep.aws import glue, glue_connections, mwaa, s3, secrets, sns
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.hive import HivePartition, HiveTable
from airkeep.aws.mwaa import Definition
from airkeep.aws.policies import policies
from airkeep.aws.policy import Names, Policy, Purpose, Role
from airkeep.aws.session import client
from airkeep.aws.wait import Patience
from airkeep.cli.main import cli
from airkeep.database.address import Address
from airkeep.database.server import Cluster
from airkeep.environment.events import MwaaPlace
from airkeep.errors import (
    AwsAccessError,
    AwsError,
    JobError,
    JourneyError,
    StoreAccessError,
)
from airkeep.jobs.glue import run_on_glue
from airkeep.jobs.job import Result
from airkeep.jobs.record import document_at, run_once
from airkeep.provider.reports import save_report
from airkeep.snapshot.lake import Lake
from airkeep.store.open import open_store
from aws_server import AwsServer, running_aws_server
from mwaa_environments import definition as rested
from mwaa_environments import settled
from mwaa_journeys import Way, travel, variables
from mwaa_server import MwaaServer, running_mwaa
from servers import Databases, airflow_sqlite
from told_mwaa import told_mwaa

ACCOUNT, USER, WITH_AIRFLOW = "000000000000", "keeper", "first"
UNPROVED = {
    "PassExecutionRole", "PassGlueRole",  # the emulator passes any role
    "MakeServiceRole", "LookAtDagsBucket", "ConnectEnvironment", "EnvironmentInterfaces",
    # What AWS does in the caller's name, or the Glue service by the job's role:
    "LookAtNetwork", "LookAtVpc", "Interfaces", "EndInterfaces", "MarkInterfaces", "Logs",
    "Metrics", "UseLakeKey", "UseEnvironmentKey",  # S3 with the key; MWAA with the other
}  # fmt: skip
# Who may not list is told 403 by S3 where an object is missing, by the emulator 404.
FOR_404 = {
    ("glue", "mwaa"): {"ListLake"}, ("glue", "operator"): {"ListLake"},
    ("sleep", "operator"): {"ListDags"},
}  # fmt: skip
REFUSED = (AwsAccessError, StoreAccessError)
WORKER = "worker"


@dataclass(frozen=True)
class Account:
    """An AWS where policies count, with a lake, an environment, a topic.

    Attributes:
        folder: with a metadata database, and for what is restored.
    """

    server: AwsServer
    names: Names
    key: dict[str, str]
    folder: Path

    def allow(self, policy: Policy, user: str = USER) -> None:
        """The user may do what the policy says, and no more."""
        document = json.dumps(for_emulator(policy))
        self.server.client("iam").put_user_policy(
            UserName=user, PolicyName="airkeep", PolicyDocument=document
        )

    def act_as(self, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on this process is a user who may do what the policy says, and no more."""
        self.allow(policy)
        for variable, value in (self.server.variables | self.key).items():
            monkeypatch.setenv(variable, value)

    @property
    def lake(self) -> str:
        return f"s3://{self.names.bucket}/{self.names.prefix}"

    @property
    def database(self) -> str:
        return str(self.folder / "airflow-3.3.2.db")


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
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    database = airflow_sqlite("airflow-3.3.2", folder)
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
        topic = server.client("sns").create_topic(Name="sleep")["TopicArn"]
        secret = server.client("secretsmanager").create_secret(
            Name="airkeep", SecretString='{"AIRKEEP_ARCHIVE_KEY": "k"}'
        )["ARN"]
        names = Names(
            environment="prod", region="us-east-1", account=ACCOUNT, bucket=bucket,
            prefix="airflow", dags_bucket=dags, execution_role="mwaa", glue_role="glue",
            topic=topic, secret=secret, subnets=_subnets(server),
        )  # fmt: skip
        with variables(server.variables):
            lake = f"s3://{bucket}/{names.prefix}"
            whole = ("export", str(database), lake, "-e", "whole", "--allow-plain")
            airkeep(*whole)
        # The first that is made is the one with the Airflow.
        server.client("mwaa").create_environment(
            **definition(replace(names, environment=WITH_AIRFLOW)).arguments()
        )
        yield Account(server, names, new_user(server, USER), folder)


def new_user(server: AwsServer, name: str) -> dict[str, str]:
    """The variables of a user who may do nothing yet."""
    iam = server.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


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


def airkeep(*words: str) -> None:
    """A command, as it is typed."""
    CliRunner().invoke(cli, [*words, "-q"], catch_exceptions=False)


def export(a: Account) -> None:
    airkeep("export", a.database, a.lake, "-e", "prod", "--allow-plain", "--tables", "dag,dag_run")
    airkeep("verify", a.lake, "prod/latest")


def restore(a: Account) -> None:
    """A whole one, which the owner of the account has exported."""
    target = a.folder / uuid.uuid4().hex
    airkeep("verify", a.lake, "whole/latest")
    airkeep("restore", a.lake, "whole/latest", f"sqlite:///{target}", "--create-schema")


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
                ["iam"], environment=a.names.environment, folder=open_store(f"{a.lake}/jobs"),
                role="glue", token=uuid.uuid4().hex, patience=Patience(30, 0.2),
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
    kept = document_at(f"{a.lake}/jobs/{uuid.uuid4().hex}/result.json", {})
    for found in ("done", "not asked for again"):
        assert run_once(kept, partial(Result, 0, found), print) == Result(0, "done")


def keep_one_report(a: Account) -> None:
    """As the ready DAG does from its 31st report on."""
    store, file = open_store(a.lake), a.folder / "report.html"
    if not file.exists():
        airkeep("report", a.lake, "-o", str(file), "-e", "whole")
    for _ in range(2):
        save_report(store, file, at=datetime.now(UTC), keep=1)


def register(a: Account) -> None:
    """The lake's tables; then one that is new, has changed, is gone, and its partitions."""
    airkeep("register", a.lake, "--glue", a.names.catalog)
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
        "ListLake": export, "WriteLake": export, "EndUploads": end_uploads,
        "EndReports": keep_one_report, "Catalog": register,
    },
    ("restore", "mwaa"): {
        "ListLake": restore, "ReadLake": restore, "SaveResult": save_result,
    },
    ("sleep", "mwaa"): {
        "ListLake": export, "WriteLake": save_result, "EndUploads": end_uploads,
    },
    ("sleep", "operator"): {
        "Environment": live, "ListEnvironments": list_environments, "AskAirflow": ask_airflow,
        "LookAtDagsFiles": look_at_files, "Tell": tell,
        "ListLake": export, "WriteLake": export, "EndUploads": end_uploads,
    },
    ("glue", "operator"): {
        "Job": start_job, "Connection": start_job, "Environment": start_job,
        "LookAtSubnets": start_job, "Scripts": start_job,
    },
    ("glue", "glue"): {
        "Connection": read_connection, "Keys": read_keys,
        "ListLake": export, "WriteLake": export, "EndUploads": end_uploads,
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
        there, proved = {s.sid for s in policy.statements}, set(DEEDS[policy.purpose, role])
        said = (UNPROVED & there) | FOR_404.get((policy.purpose, policy.role), set())
        assert (proved | said, proved & said) == (there, set()), (policy.purpose, policy.role)


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


@dataclass(frozen=True)
class WayOnS3(Way):
    """One whose lake is in the account's bucket."""

    url: str = ""

    @property
    def lake(self) -> Lake:
        return Lake(self.url)


@pytest.fixture
def asleep_soon(
    account: Account, server: Cluster, databases: Databases, tmp_path: Path
) -> Iterator[tuple[MwaaServer, WayOnS3, Names]]:
    """An environment at rest whose jobs are another user's, as the execution role is."""
    with running_mwaa(account.server, server, databases, "airflow-332") as mwaa:
        mwaa.secrets[account.key["AWS_ACCESS_KEY_ID"]] = account.key["AWS_SECRET_ACCESS_KEY"]
        name = "rests"
        settled(mwaa.own(name, told := rested(mwaa.aws, name)).url)
        names = replace(account.names.of(Definition(told)), account=ACCOUNT, region="us-east-1")
        worker = new_user(account.server, WORKER)
        place = MwaaPlace(name, "us-east-1", jobs="here")
        way = WayOnS3(
            mwaa.endpoint, mwaa.variables | account.key, tmp_path, "rests", name, place,
            variables_of_jobs=worker, url=account.lake,
        )  # fmt: skip
        with variables(mwaa.variables):
            way.add()
        yield mwaa, way, names


def test_a_whole_sleep_needs_what_its_policies_allow_and_no_more(
    account: Account, asleep_soon: tuple[MwaaServer, WayOnS3, Names]
) -> None:
    mwaa, way, names = asleep_soon
    operator, worker = policies(names, ["sleep"])
    account.allow(worker, WORKER)
    for sid in ("Environment", "LookAtDagsFiles", "ListLake", "WriteLake"):
        account.allow(operator.without(sid))
        with pytest.raises(REFUSED):
            travel(way, "down")
    account.allow(operator)
    for sid in ("ListLake", "WriteLake"):
        account.allow(worker.without(sid), WORKER)
        with pytest.raises(JourneyError, match=rf"the export .* status {REFUSED[1].exit_status}"):
            travel(way, "down")
    assert way.name in mwaa.made
    account.allow(worker, WORKER)
    assert travel(way, "down").standing == "asleep"
    assert way.name not in mwaa.made
    assert travel(way, "up").standing == "awake"
    assert [job.split()[0] for job in way.jobs] == ["export", "export", "export", "restore"]
