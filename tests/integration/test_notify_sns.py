"""A topic of SNS is told, by real calls to an emulator."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airkeep.environment.news import News
from airkeep.environment.notify import send, target
from airkeep.errors import AwsError
from aws_server import AwsServer

FAILED = News(
    environment="prod",
    journey="up",
    outcome="failed",
    due_at=datetime(2026, 11, 24, 5, tzinfo=UTC),
    why="no subnet is left",
)


@pytest.fixture
def as_aws(aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    for name, value in aws_server.variables.items():
        monkeypatch.setenv(name, value)
    return aws_server


def test_a_topic_is_told_what_failed_and_why(as_aws: AwsServer) -> None:
    sns, sqs = as_aws.client("sns"), as_aws.client("sqs")
    topic = sns.create_topic(Name="airflow")["TopicArn"]
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = asked["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    send(target(f"sns:{topic}"), FAILED)
    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    told = json.loads(message["Body"])
    assert told["Subject"] == "airkeep: prod: up failed"
    assert told["Message"] == (
        "airkeep: prod: up failed (due 2026-11-24 05:00 UTC): no subnet is left"
    )


def test_a_topic_that_is_not_there_is_an_error(as_aws: AwsServer) -> None:
    with pytest.raises(AwsError, match="telling arn:aws:sns"):
        send(target("sns:arn:aws:sns:us-east-1:123456789012:none"), FAILED)
