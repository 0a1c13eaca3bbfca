"""Our command line as a job on Glue: an emulator that runs the script, against a real database."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from airkeep.aws import glue_connections, glue_jobs, mwaa
from airkeep.aws.glue_jobs import JobRun
from airkeep.aws.mwaa import Definition
from airkeep.aws.session import client
from airkeep.aws.wait import Patience, until
from airkeep.cli.main import run
from airkeep.database.address import Address, parse_address
from airkeep.errors import JobError
from airkeep.jobs.glue import RETRY_S, run_on_glue
from airkeep.jobs.glue_plan import (
    SCRIPT,
    TOKEN,
    GlueShape,
    job_definition,
    run_arguments,
    script_name,
)
from airkeep.jobs.job import Outcome
from airkeep.jobs.record import Record
from airkeep.snapshot.lake import Lake
from airkeep.store.interface import Store
from airkeep.store.open import open_store
from aws_server import AwsServer, running_aws_server
from glue_gap import whole_glue

SHAPE = GlueShape(retries=0)  # the emulator tries no run again
ADDRESS = Address("postgresql", "airflow", "db.example.org", 5432, "airflow", "p")  # not called
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


@dataclass
class Account:
    """An AWS with an environment of MWAA, a bucket, a role."""

    server: AwsServer
    environment: str
    bucket: str
    told: list[str]

    @property
    def lake(self) -> str:
        return f"s3://{self.bucket}/lake"

    @property
    def folder(self) -> Store:
        return open_store(f"{self.lake}/jobs")

    def run(self, *command: str, **options: Any) -> Outcome:
        given = {"environment": self.environment, "folder": self.folder, "role": "glue",
                 "token": uuid.uuid4().hex, "patience": Patience(120, 0.2), "shape": SHAPE,
                 "now": NOW, "tell": self.told.append}  # fmt: skip
        return run_on_glue(command, **{**given, **options})

    def runs(self, token: str) -> list[dict[str, Any]]:
        job = f"{self.environment}_airkeep"
        runs: list[dict[str, Any]] = self.server.client("glue").get_job_runs(JobName=job)["JobRuns"]
        return [one for one in runs if one["Arguments"].get(TOKEN) == token]


@pytest.fixture(scope="module")
def glue_server() -> Iterator[tuple[AwsServer, str]]:
    with running_aws_server() as server, whole_glue(server.endpoint) as glue:
        yield server, glue


@pytest.fixture
def account(glue_server: tuple[AwsServer, str], monkeypatch: pytest.MonkeyPatch) -> Account:
    server, glue = glue_server
    for name, value in {**server.variables, "AWS_ENDPOINT_URL_GLUE": glue}.items():
        monkeypatch.setenv(name, value)
    ec2 = server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)["Subnet"]
        for n, zone in enumerate(["us-east-1b", "us-east-1a"])
    ]
    bucket, name = server.new_bucket(), f"prod-{uuid.uuid4().hex[:8]}"
    mwaa.create(Definition({
        "Name": name, "SourceBucketArn": f"arn:aws:s3:::{bucket}", "DagS3Path": "dags",
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/mwaa",
        "NetworkConfiguration": {"SubnetIds": [s["SubnetId"] for s in subnets],
                                 "SecurityGroupIds": ["sg-1", "sg-2"]},
    }))  # fmt: skip
    return Account(server, name, bucket, [])


@pytest.fixture
def database(airflow_dump: Callable[[str], str]) -> Address:
    return parse_address(airflow_dump("airflow-332"))


def test_an_export_runs_on_glue_with_keys_of_a_secret_and_leaves_no_password_anywhere(
    account: Account, database: Address
) -> None:
    archive, fernet = (Fernet.generate_key().decode() for _ in range(2))
    keys = {"AIRKEEP_ARCHIVE_KEY": archive, "AIRKEEP_FERNET_KEY": fernet}
    secret = account.server.client("secretsmanager").create_secret(
        Name=uuid.uuid4().hex, SecretString=json.dumps(keys)
    )["ARN"]
    done = account.run(
        "export", "--json", "env:", account.lake, "--secrets", "drop", address=database,
        secret=secret, token="first",
    )  # fmt: skip
    assert done.result.status == 0, done.result
    [snapshot] = Lake(open_store(account.lake)).snapshots()
    assert done.result.summary["id"] == snapshot.id
    assert snapshot.environment == account.environment
    assert done.run in done.logs

    glue = account.server.client("glue")
    job = glue.get_job(JobName=f"{account.environment}_airkeep")["Job"]
    shown = json.dumps([job, account.runs("first"), account.told], default=str)
    assert database.password not in shown
    assert archive not in shown
    connection = glue_connections.find(f"{account.environment}_conn")
    assert connection is not None
    assert connection.zone == "us-east-1b"
    assert connection.security_groups == ("sg-1", "sg-2")
    assert database.password not in repr(connection)


def test_a_password_that_was_rotated_is_brought_to_the_connection(
    account: Account, database: Address
) -> None:
    command = ("export", "--json", "env:", account.lake, "--secrets", "drop")
    old = account.run(*command, address=replace(database, password="of yesterday"))
    assert old.result.status == 12
    assert "password" in old.result.error
    assert "of yesterday" not in old.result.error
    new = account.run(*command, address=database)
    assert new.result.status == 0
    name = f"{account.environment}_conn"
    said = [line for line in account.told if "connection" in line]
    assert said == [f"created the connection {name}", f"updated the connection {name}"]
    kept = glue_connections.find(name)
    assert kept is not None
    assert kept.password == database.password
    assert glue_connections.put(kept) == "same"


def test_a_job_is_one_for_its_token(account: Account) -> None:
    first = account.run("iam", "--for", "bucket", address=ADDRESS, token="t")
    again = account.run("iam", "--for", "bucket", token="t")
    assert again == first
    assert len(account.runs("t")) == 1
    with pytest.raises(JobError, match="another job was asked for"):
        Record(account.folder, "t").ask("glue", account.environment, ["clean"], NOW)


def test_whoever_is_killed_before_the_start_starts_it_then(account: Account) -> None:
    command = ["iam", "--for", "bucket"]
    assert Record(account.folder, "t").ask("glue", account.environment, command, NOW)
    now = [0.0]
    patience = Patience(1e6, 30, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s))
    done = account.run(*command, address=ADDRESS, token="t", patience=patience)
    assert done.result.status == 0
    assert len(account.runs("t")) == 1


def test_whoever_is_killed_after_the_start_waits_for_that_run(account: Account) -> None:
    command = ["iam", "--for", "bucket"]
    account.run(*command, address=ADDRESS)  # the job and its connection are there
    record = Record(account.folder, "t")
    record.ask("glue", account.environment, command, NOW)
    arguments = run_arguments(
        command, token="t", result=record.kept.url, region="us-east-1", secret=None
    )
    run_id = glue_jobs.start(f"{account.environment}_airkeep", arguments)
    done = account.run(*command, token="t")
    assert done.run == run_id
    assert len(account.runs("t")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("comes_again", [True, False])
def test_a_run_that_died_is_waited_for_as_long_as_glue_may_try_again(
    comes_again: bool, account: Account
) -> None:
    """The emulator does not try again: the test does so in Glue's place, while we sleep."""
    command, job = ["iam", "--for", "bucket"], f"{account.environment}_airkeep"
    account.run(*command, address=ADDRESS)  # the job and its connection are there
    record, now = Record(account.folder, "t"), [0.0]
    whole = run_arguments(
        command, token="t", result=record.kept.url, region="us-east-1", secret=None
    )
    glue_jobs.start(job, {TOKEN: "t"})  # dies: it is not told where its result goes
    died = until(lambda: _dead(job), Patience(60, 0.2))
    assert "was not given --AIRKEEP_JOB_RESULT" in died.error

    def sleep(wait_s: float) -> None:
        if comes_again and not now[0]:
            glue_jobs.start(job, whole)
        time.sleep(0.2)
        now[0] += wait_s

    asked = partial(
        account.run, *command, token="t", shape=replace(SHAPE, retries=1),
        patience=Patience(1e6, 10, lambda: now[0], sleep),
    )  # fmt: skip
    if comes_again:
        assert asked().result.status == 0
        return
    with pytest.raises(JobError, match=r"ended as FAILED: .*was not given"):
        asked()
    assert now[0] >= RETRY_S


def _dead(job: str) -> JobRun | None:
    run = glue_jobs.newest_run(job, (TOKEN, "t"))
    return run if run is not None and run.state == "FAILED" else None


def test_a_run_that_takes_too_long_is_stopped(account: Account) -> None:
    with pytest.raises(JobError, match=r"not done within 0 s and was stopped\. Logs: CloudWatch"):
        account.run(
            "export", "env:", account.lake, address=ADDRESS, token="t", patience=Patience(0)
        )
    [stopped] = account.runs("t")
    assert stopped["JobRunState"] == "STOPPED"


def test_without_a_connection_and_without_an_address_there_is_no_job(account: Account) -> None:
    with pytest.raises(JobError, match="or give --database"):
        account.run("iam")
    assert list(open_store(account.lake).list()) == []


def test_what_an_admin_set_on_a_job_stays(account: Account) -> None:
    name, glue = uuid.uuid4().hex, client("glue")
    made = partial(job_definition, role="r", script="s3://b/s.py", connection="c", environment="e")
    glue_jobs.put_job(name, made(SHAPE))
    arguments = {"--enable-metrics": "true", **made(SHAPE)["DefaultArguments"]}
    admins = {"SecurityConfiguration": "kms", "MaintenanceWindow": "Sun:3", "LogUri": "s3://b/l",
              "NonOverridableArguments": {"--class": "GlueApp"}}  # fmt: skip
    theirs = {**made(SHAPE), **admins, "DefaultArguments": arguments}
    glue.update_job(JobName=name, JobUpdate=theirs)
    glue_jobs.put_job(name, made(replace(SHAPE, workers=4)))
    job = glue.get_job(JobName=name)["Job"]
    assert {key: job[key] for key in admins} == admins
    assert job["DefaultArguments"] == arguments
    assert job["NumberOfWorkers"] == 4


def test_a_script_that_is_another_than_ours_is_not_run(account: Account) -> None:
    script = f"scripts/{script_name()}"
    account.folder.save(script, b"print('mine')")
    with pytest.raises(JobError, match="is not the script that was saved there"):
        account.run("iam", address=ADDRESS)
    assert account.folder.load(script) != SCRIPT.encode()


def test_the_command_line_does_all_that_with_what_is_kept_in_its_file(
    account: Account,
    database: Address,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    names = {"glue_job": f"job-{account.environment}", "glue_connection": account.environment}
    kept = {"environment": account.environment, "lake": account.lake, "glue_role": "glue", **names}
    (tmp_path / "airkeep.toml").write_text("\n".join(f'{k} = "{v}"' for k, v in kept.items()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", database.reveal())
    command = ["--", "export", "env:", account.lake, "--secrets", "drop"]
    quickly = ["job", "run", "--on", "glue", "--poll", "0.2"]
    assert run([*quickly, "--database", "env:", *command]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["environment"] == account.environment
    assert "ended with 0; logs: CloudWatch" in told.err
    assert database.password not in told.out + told.err

    assert run([*quickly, *command]) == 0  # the connection is there by now
    glue = account.server.client("glue")
    job = glue.get_job(JobName=names["glue_job"])["Job"]
    assert job["Connections"] == {"Connections": [names["glue_connection"]]}
    assert len(glue.get_job_runs(JobName=names["glue_job"])["JobRuns"]) == 2
