"""Least-privilege policies: as AWS's grammar has them, with nothing open that need not be."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from airkeep.aws.bucket import bucket_settings, covers
from airkeep.aws.mwaa import Definition
from airkeep.aws.policies import policies
from airkeep.aws.policy import Names, Policy, Statement, placeholders
from airkeep.aws.session import HERE, AwsPlace
from airkeep.cli.context import Context
from airkeep.cli.main import cli, run
from airkeep.cli.output import Output
from airkeep.cli.place import recorded_place
from airkeep.config import load_settings
from airkeep.errors import ConfigError
from airkeep.provider.dags.variables import lake_of_bucket
from aws_server import AwsServer
from docs.pages import page
from told_mwaa import Reply, ToldMwaa, told_mwaa
from told_s3 import told_s3

with warnings.catch_warnings():  # of what it imports pkg_resources by
    warnings.simplefilter("ignore")
    import parliament

FULL = Names(
    environment="prod",
    region="eu-central-1",
    account="123456789012",
    bucket="keep",
    prefix="airflow",
    dags_bucket="dags-of-prod",
    execution_role="service-role/mwaa-prod",
    glue_role="airkeep-glue",
    subnets=("subnet-1", "subnet-2"),
    security_groups=("sg-1",),
    kms_key="arn:aws:kms:eu-central-1:123456789012:key/1",
    environment_key="arn:aws:kms:eu-central-1:123456789012:key/2",
    connection_key="arn:aws:kms:eu-central-1:123456789012:key/3",
    topic="arn:aws:sns:eu-central-1:123456789012:sleep",
    secret="arn:aws:secretsmanager:eu-central-1:123456789012:secret:airkeep-x",
)
EVERY = [pytest.param(one, id=f"{one.purpose}-{one.role}") for one in policies(FULL)]
# Where AWS knows no narrower resource, or gives the id only when the thing is made.
ANYWHERE = {"ListEnvironments", "LookAtSubnets", "LookAtNetwork", "Metrics"}


def findings(document: dict[str, Any]) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = parliament.analyze_policy_string(json.dumps(document)).findings
    return [f"{one.issue}: {one.detail}" for one in found]


@pytest.mark.parametrize("policy", EVERY)
def test_a_linter_of_policies_finds_nothing(policy: Policy) -> None:
    assert findings(policy.document()) == []


def test_that_linter_would_find_a_wrong_action_and_a_wrong_resource() -> None:
    [policy] = policies(FULL, ["deploy"])
    [first, *others] = policy.statements
    no_such = replace(policy, statements=(replace(first, actions=("airflow:GetFlow",)), *others))
    other = replace(policy, statements=(replace(first, resources=("arn:aws:s3:::x",)), *others))
    assert any("UNKNOWN_ACTION" in one for one in findings(no_such.document()))
    assert any("RESOURCE_MISMATCH" in one for one in findings(other.document()))


@pytest.mark.parametrize("policy", EVERY)
def test_no_action_is_open_and_only_what_must_be_is_allowed_anywhere(policy: Policy) -> None:
    for statement in policy.statements:
        assert not any("*" in action for action in statement.actions)
        assert ("*" in statement.resources) == (statement.sid in ANYWHERE)
    sids = [statement.sid for statement in policy.statements]
    assert len(set(sids)) == len(sids)


@pytest.mark.parametrize("policy", EVERY)
def test_a_role_is_passed_to_one_service_only(policy: Policy) -> None:
    passing = [s for s in policy.statements if "iam:PassRole" in s.actions]
    for statement in passing:
        assert [key for _, key, _ in statement.conditions] == ["iam:PassedToService"]
        assert all(arn.startswith("arn:aws:iam::123456789012:role/") for arn in statement.resources)


def test_where_an_object_is_missing_that_is_said_and_not_that_it_is_forbidden() -> None:
    """S3 tells so only whom it lets list, and such a request has no prefix; no emulator does so."""
    lists = [s for p in policies(FULL) for s in p.statements if "s3:ListBucket" in s.actions]
    assert len(lists) >= 5
    for statement in lists:
        [(operator, key, values)] = statement.conditions
        assert (operator, key) == ("StringLikeIfExists", "s3:prefix")
        assert all(value.split("/")[0] in ("airflow", "dags") for value in values)


# Of AmazonMWAAFullApiAccess, beside airflow:* (docs.aws.amazon.com/mwaa/latest/userguide/
# access-policies.html, with a customer's key): what AWS does in the caller's name.
IN_THE_CALLERS_NAME = {
    "iam:PassRole", "iam:CreateServiceLinkedRole", "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeRouteTables", "kms:DescribeKey",
    "kms:ListGrants", "kms:CreateGrant", "kms:RevokeGrant", "kms:Decrypt", "kms:Encrypt",
    "kms:GenerateDataKey*", "kms:ReEncrypt*", "s3:GetEncryptionConfiguration",
    "ec2:CreateVpcEndpoint", "ec2:CreateNetworkInterface",
}  # fmt: skip


def test_who_makes_an_environment_may_do_what_awss_own_policy_lists() -> None:
    [policy] = [one for one in policies(FULL, ["sleep"]) if one.role == "operator"]
    actions = [action for s in policy.statements for action in s.actions]
    missing = [one for one in IN_THE_CALLERS_NAME if not fnmatch.filter(actions, one)]
    assert missing == []
    assert any("s3:ListBucket" in s.actions and s.resources == ("arn:aws:s3:::dags-of-prod",)
               for s in policy.statements)  # fmt: skip


def statement(policy: Policy, sid: str) -> Statement:
    [found] = [one for one in policy.statements if one.sid == sid]
    return found


def test_a_job_in_another_subnet_may_have_its_interface_there() -> None:
    there = replace(FULL, job_subnet="subnet-9", job_groups=("sg-8", "sg-9"))
    for names, subnet, groups in (
        (FULL, "subnet-1", ["sg-1"]),
        (there, "subnet-9", ["sg-8", "sg-9"]),
    ):
        policy = policies(names, ["glue"])[-1]
        told = [arn.rpartition(":")[2] for arn in statement(policy, "Interfaces").resources]
        assert told == ["network-interface/*", f"subnet/{subnet}",
                        *(f"security-group/{one}" for one in groups)]  # fmt: skip


def test_a_password_that_the_catalog_encrypts_is_written_by_who_asks_and_read_by_the_job() -> None:
    mwaa, operator, job = policies(FULL, ["glue"])
    assert statement(job, "UseConnectionKey").actions == ("kms:Decrypt",)
    for one in (mwaa, operator):
        assert "kms:Encrypt" in statement(one, "UseConnectionKey").actions


def test_only_the_role_of_jobs_is_taken_on_by_a_service() -> None:
    trusted = {(p.role, json.dumps(p.trust())) for p in policies(FULL) if p.trust()}
    [(role, trust)] = trusted
    assert role == "glue"
    assert json.loads(trust)["Statement"][0]["Principal"] == {"Service": "glue.amazonaws.com"}


def test_what_is_filled_in_leaves_no_placeholder_and_nothing_leaves_them_all() -> None:
    assert placeholders([p.document() for p in policies(FULL)]) == ()
    assert placeholders([p.document() for p in policies(Names())]) == (
        "ACCOUNT", "BUCKET", "DAGS_BUCKET", "ENVIRONMENT", "EXECUTION_ROLE", "GLUE_ROLE", "REGION"
    )  # fmt: skip


def test_a_definition_fills_in_what_it_knows() -> None:
    names = Names(bucket="keep", glue_role="g").of(Definition({
        "Name": "prod", "Arn": "arn:aws-cn:airflow:cn-north-1:123456789012:environment/prod",
        "SourceBucketArn": "arn:aws-cn:s3:::dags-of-prod", "DagS3Path": "team/dags",
        "ExecutionRoleArn": "arn:aws-cn:iam::123456789012:role/x",
        "NetworkConfiguration": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    }))  # fmt: skip
    documents = json.dumps([p.document() for p in policies(names)])
    assert placeholders(documents) == ()
    assert "arn:aws-cn:airflow:cn-north-1:123456789012:role/prod/Op" in documents
    assert "arn:aws-cn:s3:::dags-of-prod/team/dags/*" in documents
    assert "arn:aws:" not in documents


def test_the_exports_go_to_glacier_and_end_as_they_should() -> None:
    settings = bucket_settings("keep", exports="exports")
    [rule, uploads] = settings["put-bucket-lifecycle-configuration"]["LifecycleConfiguration"][
        "Rules"
    ]
    assert rule["Filter"] == {"Prefix": "exports/"}
    assert rule["Transitions"] == [
        {"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 90, "StorageClass": "GLACIER"}
    ]  # fmt: skip
    assert rule["Expiration"] == {"Days": 365}
    assert "Expiration" not in uploads


@pytest.mark.parametrize(
    ("exports", "lake", "covered"),
    [("exports", "exports", True), ("exports/", "exports/prod", True), ("", "lake", True),
     ("exports", "exports2", False), ("exports/csv", "exports", False),
     ("exports/tables", "exports", True), ("csv", "", False), ("exports", "", True),
     ("lake/environments", "lake", True), ("environments", "", True)],
)  # fmt: skip
def test_a_lifecycle_that_takes_snapshots_is_known(exports: str, lake: str, covered: bool) -> None:
    assert covers(exports, lake) is covered


def iam(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["iam", *arguments])


def test_the_command_prints_one_bare_policy_or_all() -> None:
    flags = ("-e", "prod", "--region", "eu-central-1", "--account", "123456789012")
    bare = iam(*flags, "--for", "export", "--role", "mwaa", "--bucket", "keep", "--strict")
    assert json.loads(bare.stdout)["Statement"][0]["Resource"] == ["arn:aws:s3:::keep"]
    assert bare.stderr == ""
    every = iam(*flags)
    assert json.loads(every.stdout).keys() == {
        "export", "restore", "sleep", "glue", "deploy", "bucket"
    }  # fmt: skip
    assert "placeholders are left, for --bucket, --dags-bucket" in every.stderr
    trust = iam(*flags, "--for", "glue", "--role", "glue", "--trust")
    assert "glue.amazonaws.com" in trust.stdout


def test_a_lake_that_is_known_needs_no_flag_for_its_bucket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRKEEP_LAKE", "s3://keep/exports/prod")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    told = json.loads(iam("--for", "bucket", "--strict").stdout)
    assert told["put-bucket-encryption"]["Bucket"] == "keep"
    assert expiring(told) == "exports/prod/csv/"


def test_what_is_kept_of_glue_is_in_the_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ROLE", "keeper"), ("JOB", "nightly"), ("CONNECTION", "airflow-db")):
        monkeypatch.setenv(f"AIRKEEP_GLUE_{name}", value)
    told = iam("--for", "glue", "--role", "operator").stdout
    assert all(end in told for end in (":role/keeper", ":job/nightly", ":connection/airflow-db"))


def expiring(settings: dict[str, Any]) -> str:
    lifecycle = settings["put-bucket-lifecycle-configuration"]["LifecycleConfiguration"]
    [prefix] = [rule["Filter"]["Prefix"] for rule in lifecycle["Rules"] if "Expiration" in rule]
    return str(prefix)


@pytest.mark.parametrize("flags", [(), ("--prefix", "exports")])
def test_the_lifecycle_leaves_the_lake_of_the_ready_dags_alone(flags: tuple[str, ...]) -> None:
    lake = lake_of_bucket("b").removeprefix("s3://b/")
    told = iam("--for", "bucket", "--bucket", "b", *flags)
    assert expiring(json.loads(told.stdout)) == f"{lake}/csv/"


@pytest.mark.parametrize("exports", ["exports", "exports/tables", ""])
def test_a_lifecycle_that_takes_snapshots_is_refused(
    exports: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["iam", "--for", "bucket", "--bucket", "b", "--exports", exports]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "--exports exports/csv" in told.err


def test_strict_refuses_placeholders_and_names_their_flags(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["iam", "--for", "glue", "--role", "operator", "-e", "prod", "--strict"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    words = "give --account, --bucket, --glue-role, --region; --describe tells --account, --region"
    assert told.err.endswith(f"{words}\n")


PROD = {
    "Arn": "arn:aws:airflow:eu-west-1:123456789012:environment/acme-prod", "DagS3Path": "dags",
    "SourceBucketArn": "arn:aws:s3:::dags-of-prod",
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/mwaa",
    "NetworkConfiguration": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
}  # fmt: skip


@pytest.fixture
def mwaa(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToldMwaa]:
    with told_mwaa([PROD]) as told:
        for name, value in AwsServer(told.endpoint).variables.items():
            monkeypatch.setenv(name, value)
        yield told


@pytest.mark.parametrize("name", ["README.md", "docs/iam.md"])
def test_what_the_pages_print_runs(name: str, mwaa: ToldMwaa) -> None:
    commands = re.findall(r"^airkeep iam ([^#>\n]+)", page(name), re.MULTILINE)
    assert commands
    for command in commands:
        ran = iam(*command.split())
        assert ran.exit_code == 0, (command, ran.exception)
        assert json.loads(ran.stdout)


def test_describe_cannot_know_every_flag(
    mwaa: ToldMwaa, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["iam", "-e", "prod", "--describe", "--strict"]) == 3
    assert capsys.readouterr().err.endswith("give --bucket, --glue-role\n")


def test_an_environment_is_asked_for_where_env_add_has_it(
    mwaa: ToldMwaa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRKEEP_LAKE", str(tmp_path / "lake"))
    added = ("env", "add", "prod", "--kind", "mwaa", "--name", "acme-prod")
    assert CliRunner().invoke(cli, added).exit_code == 0
    told = iam("-e", "prod", "--describe", "--for", "sleep", "--role", "operator")
    assert "arn:aws:airflow:eu-west-1:123456789012:environment/acme-prod" in told.stdout
    iam("-e", "other", "--describe")
    assert [path for _, path, _ in mwaa.asked] == ["/environments/acme-prod", "/environments/other"]


def test_what_flags_say_of_a_place_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRKEEP_LAKE", str(tmp_path / "lake"))
    role = "arn:aws:iam::123456789012:role/keeper"
    added = ("env", "add", "prod", "--kind", "mwaa", "--name", "acme-prod", "--region", "eu-west-1",
             "--profile", "acme", "--role-arn", role, "--external-id", "x")  # fmt: skip
    assert CliRunner().invoke(cli, added).exit_code == 0
    ctx = Context(load_settings({}, os.environ, None), Output())
    assert recorded_place(ctx, "prod", HERE) == (
        "acme-prod", AwsPlace("eu-west-1", "acme", role, "x"),
    )  # fmt: skip
    mine = AwsPlace("eu-central-1", role_arn="arn:aws:iam::123456789012:role/mine")
    assert recorded_place(ctx, "prod", mine) == ("acme-prod", replace(mine, profile="acme"))


def test_a_job_is_of_the_environment_that_env_add_has_and_saves_by_our_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRKEEP_LAKE", str(tmp_path / "lake"))
    added = ("env", "add", "prod", "--kind", "mwaa", "--name", "acme-prod")
    assert CliRunner().invoke(cli, added).exit_code == 0
    replies: list[Reply] = [(200, {}), (200, {}), (200, {"state": "failed"})]
    with told_mwaa(rest=replies) as told, told_s3() as s3:
        for name, value in {**AwsServer(told.endpoint).variables, **s3.variables}.items():
            monkeypatch.setenv(name, value)
        where = ("--on", "dag", "-e", "prod", "--folder", "s3://bucket/jobs")
        words = ("export", "env:", "s3://bucket/lake")
        ran = CliRunner().invoke(cli, ["job", "run", *where, "--", *words])
    assert "left no result" in str(ran.exception)
    assert {path for _, path, _ in told.asked} == {"/restapi/acme-prod"}
    assert told.asked[1][2]["Body"]["conf"]["command"] == [
        "export", "--environment", "prod", "env:", "s3://bucket/lake", "--json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [["--trust"], ["--role", "mwaa"], ["--for", "bucket", "--role", "mwaa"],
     ["--for", "export", "--role", "glue"]],
)  # fmt: skip
def test_flags_that_make_no_sense_together_are_refused(arguments: list[str]) -> None:
    assert iam(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("flag", "value", "kind"),
    [
        ("--account", "12", "twelve digits"),
        ("--glue-role", "arn:aws:s3:::x", "a role's name or ARN"),
        ("--kms-key", "notarn", "a KMS key's ARN"),
    ],
)
def test_what_is_none_of_its_kind_is_refused(
    flag: str, value: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["iam", flag, value]) == ConfigError.exit_status
    assert f"{flag} is to be {kind}, not {value}" in capsys.readouterr().err
