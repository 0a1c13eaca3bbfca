"""Environments of MWAA, their Airflow's REST API, and roles: real calls of boto over HTTP."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from airkeep.aws import mwaa, s3, sns
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.mwaa import Definition
from airkeep.aws.session import AwsPlace, client, region_of
from airkeep.aws.wait import Patience, until
from airkeep.errors import (
    AirflowRestError,
    AwsAccessError,
    AwsError,
    AwsUnavailableError,
    EnvironmentStateError,
    NoEnvironmentError,
)
from aws_server import AwsServer
from told_mwaa import ToldMwaa, told_mwaa

REST = "/restapi/prod"


class Time:
    """A clock that moves by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def patience(self, timeout_s: float, every_s: float = 30) -> Patience:
        return Patience(timeout_s, every_s, lambda: self.now, self.sleep)

    def sleep(self, wait_s: float) -> None:
        self.now += wait_s


@pytest.fixture
def aws(aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    for name, value in aws_server.variables.items():
        monkeypatch.setenv(name, value)
    return aws_server


def use(told: ToldMwaa, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = AwsServer(told.endpoint).variables
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def definition(bucket: str) -> Definition:
    return Definition({
        "Name": f"prod-{uuid.uuid4().hex[:8]}",
        "SourceBucketArn": f"arn:aws:s3:::{bucket}",
        "DagS3Path": "dags",
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/mwaa",
        "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"],
                                 "SecurityGroupIds": ["sg-1"]},
        "MaxWorkers": 7,
        "Tags": {"team": "data"},
        "Status": "AVAILABLE",
    })  # fmt: skip


def test_an_environment_is_made_found_changed_and_made_again_as_it_was(aws: AwsServer) -> None:
    asked = definition(aws.new_bucket())
    mwaa.create(asked)
    seen: list[str] = []
    made = mwaa.wait_ready(
        asked.name, Patience(30, 0.1), progress=lambda found: seen.append(found.status)
    )
    assert seen[-1] == "AVAILABLE"
    assert asked.name in mwaa.names()
    mwaa.update(asked.name, {"MaxWorkers": 9})
    changed = mwaa.describe(asked.name)
    kept = Definition.from_json(changed.json())

    assert mwaa.delete(asked.name)
    assert until(lambda: mwaa.find(asked.name) is None or None, Patience(30, 0.1))
    assert not mwaa.delete(asked.name)

    mwaa.create(kept)
    again = mwaa.wait_ready(asked.name, Patience(30, 0.1))
    assert again.arguments() == changed.arguments() != made.arguments()
    mwaa.delete(asked.name)


def test_a_name_that_is_none_is_answered_with_those_that_are(aws: AwsServer) -> None:
    asked = definition(aws.new_bucket())
    mwaa.create(asked)
    with pytest.raises(NoEnvironmentError, match=rf"did you mean {asked.name}\?"):
        mwaa.describe(asked.name + "x")
    mwaa.delete(asked.name)


def test_a_wait_ends_with_awss_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"Status": "CREATE_FAILED", "LastUpdate": {
        "Status": "FAILED",
        "Error": {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": "no route to S3"},
    }}  # fmt: skip
    creating = {"Status": "CREATING"}
    with told_mwaa([creating, creating, failed]) as told:
        use(told, monkeypatch)
        time = Time()
        with pytest.raises(EnvironmentStateError, match=r"CREATE_FAILED: INCORRECT.*no route"):
            mwaa.wait_ready("prod", time.patience(3600))
    assert time.now == 60


def test_a_wait_is_over_in_time_and_looks_again_after_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = Time()
    with told_mwaa([{"Status": "UPDATING"}]) as told:
        use(told, monkeypatch)
        with pytest.raises(AwsUnavailableError, match="not ready within 100 s"):
            mwaa.wait_ready("prod", time.patience(100))
    assert time.now == 100


def test_a_look_that_finds_nobody_does_not_end_a_wait() -> None:
    time, looks = Time(), iter([AwsUnavailableError("busy"), None, 7])

    def look() -> int | None:
        found = next(looks)
        if isinstance(found, AwsUnavailableError):
            raise found
        return found

    assert until(look, time.patience(100)) == 7


def page(*dags: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"dags": [{"dag_id": dag} for dag in dags], **more}


@pytest.mark.parametrize(
    ("pages", "offsets"),
    [([page("a", "b", total_entries=3), page("b", "c", total_entries=3)], [0, 1]),
     ([page("a", "b"), page("b", "c"), page("c")], [0, 1, 2]),
     # b went after it was read: c would be missed.
     ([page("a", "b", total_entries=4), page("c", "d", total_entries=3),
       page("a", "c", total_entries=3), page("c", "d", total_entries=3)], [0, 1, 0, 1])],
    ids=["all", "no total", "one went"],
)  # fmt: skip
def test_airflow_is_asked_page_by_page(
    pages: list[tuple[int, dict[str, Any]]], offsets: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    last = [one["dag_id"] for one in pages[-1][1]["dags"]]
    with told_mwaa(rest=pages) as told:
        use(told, monkeypatch)
        dags = AirflowRest("prod").list("/dags", "dags", "dag_id", paused=True)
        found = [one["dag_id"] for one in dags]
    assert found == sorted({*found, *last})
    assert len(found) == 3
    assert [body["QueryParameters"]["offset"] for _, _, body in told.asked] == offsets


def test_a_list_that_changes_all_the_time_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    with told_mwaa(rest=[page("a", "b", total_entries=9)]) as told:
        use(told, monkeypatch)
        with pytest.raises(AirflowRestError, match="dags changed while they were read"):
            AirflowRest("prod").list("/dags", "dags", "dag_id")


@pytest.mark.parametrize("body", ["<html>", [1]])
def test_what_is_no_document_is_said_so(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with told_mwaa(rest=[(200, body)]) as told:
        use(told, monkeypatch)
        with pytest.raises(AirflowRestError, match=r"answered 200, with a (str|list), no document"):
            AirflowRest("prod").get("/version")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [(404, {"detail": "DAG not found", "title": "x"}, "answered 404, DAG not found"),
     (422, {"detail": [{"msg": "Field required", "loc": ["body", "logical_date"]}]},
      r"answered 422, Field required .*logical_date"),
     (409, {}, "answered 409$")],
)  # fmt: skip
def test_a_refusal_of_airflows_has_its_status_and_words(
    status: int, body: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told_mwaa(rest=[(status, body)]) as told:
        use(told, monkeypatch)
        with pytest.raises(AirflowRestError, match=words) as refused:
            AirflowRest("prod").post("/dags/x/dagRuns", {"conf": {}})
    assert refused.value.status == status
    assert told.asked[0][2]["Body"] == {"conf": {}}


def test_objects_have_versions_where_the_bucket_keeps_them(aws: AwsServer) -> None:
    bucket, own = aws.new_bucket(), aws.client("s3")
    own.put_object(Bucket=bucket, Key="requirements.txt", Body=b"a")
    assert s3.object_version(bucket, "none") is None
    plain = s3.object_version(bucket, "requirements.txt")
    assert plain is not None
    assert (plain.version, plain.bytes) == (None, 1)

    own.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    told = own.put_object(Bucket=bucket, Key="requirements.txt", Body=b"bb")
    versioned = s3.object_version(bucket, "requirements.txt")
    assert versioned is not None
    assert (versioned.version, versioned.bytes) == (told["VersionId"], 2)
    own.delete_object(Bucket=bucket, Key="requirements.txt")
    assert s3.object_version(bucket, "requirements.txt") is None
    old = s3.object_version(bucket, "requirements.txt", version=told["VersionId"])
    assert old == versioned
    own.delete_object(Bucket=bucket, Key="requirements.txt", VersionId=told["VersionId"])
    assert s3.object_version(bucket, "requirements.txt", version=told["VersionId"]) is None


def test_a_message_reaches_who_subscribed(aws: AwsServer) -> None:
    topic = aws.client("sns").create_topic(Name="sleep")["TopicArn"]
    queues = aws.client("sqs")
    queue = queues.create_queue(QueueName="sleep")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    aws.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
    )
    sns.publish(topic, "prod schläft\n" + "x" * 200, "down at 20:00")
    [message] = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    told = json.loads(message["Body"])
    assert told["Message"] == "down at 20:00"
    assert told["Subject"].startswith("prod schl?ft xxx")
    assert len(told["Subject"]) == 100


def test_a_role_of_another_account_is_assumed_with_its_external_id(aws: AwsServer) -> None:
    iam = aws.client("iam")
    iam.create_role(RoleName="keeper", AssumeRolePolicyDocument=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }))  # fmt: skip
    place = AwsPlace(
        "eu-west-1", role_arn="arn:aws:iam::000000000000:role/keeper", external_id="seven"
    )
    told = client("sts", place).get_caller_identity()
    assert told["Arn"].endswith(":assumed-role/keeper/airkeep")
    assert region_of(place) == "eu-west-1"
    assert region_of() == "us-east-1"


def test_a_profile_that_is_not_there_is_said_so(aws: AwsServer) -> None:
    with pytest.raises(AwsAccessError, match="no such AWS profile"):
        client("sts", AwsPlace(profile="nobody"))


def test_no_url_of_a_bucket_is_said_so() -> None:
    with pytest.raises(AwsError.__mro__[1], match="expected s3://bucket/prefix"):
        s3.split_url("https://bucket/x")
