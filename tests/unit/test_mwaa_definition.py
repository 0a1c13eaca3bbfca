"""An environment's definition: kept as AWS told it, sent back as AWS takes it."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from airkeep.aws.mwaa import CREATABLE, OLDEST_MADE, TOLD_ONLY, Definition
from airkeep.tables.revisions import version_order

TOLD: dict[str, Any] = {
    "Name": "prod",
    "Arn": "arn:aws:airflow:eu-central-1:123456789012:environment/prod",
    "Status": "AVAILABLE",
    "CreatedAt": "2026-11-01T06:00:00+00:00",
    "LastUpdate": {"Status": "FAILED", "Error": {
        "ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": "no NAT\n gateway"}},
    "ServiceRoleArn": "arn:aws:iam::123456789012:role/aws-service-role/airflow.amazonaws.com/x",
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/service-role/mwaa-prod",
    "WebserverUrl": "abc.c1.eu-central-1.airflow.amazonaws.com",
    "CeleryExecutorQueue": "arn:aws:sqs:eu-central-1:999999999999:airflow-celery-x",
    "DatabaseVpcEndpointService": "com.amazonaws.vpce.x",
    "WebserverVpcEndpointService": "com.amazonaws.vpce.y",
    "AirflowVersion": "2.10.3",
    "SourceBucketArn": "arn:aws:s3:::dags-of-prod",
    "DagS3Path": "dags/",
    "RequirementsS3Path": "requirements.txt",
    "RequirementsS3ObjectVersion": "v1",
    "PluginsS3Path": "plugins.zip",
    "KmsKey": "",
    "MaxWorkers": 10,
    "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"],
                             "SecurityGroupIds": ["sg-1"]},
    "LoggingConfiguration": {"TaskLogs": {
        "Enabled": True, "LogLevel": "INFO",
        "CloudWatchLogGroupArn": "arn:aws:logs:eu-central-1:123456789012:log-group:x"}},
    "AirflowConfigurationOptions": {"smtp.smtp_password": "hunter2"},
    "Tags": {"team": "data", "aws:cloudformation:stack-name": "x"},
}  # fmt: skip


def model() -> Any:
    return botocore.session.get_session().get_service_model("mwaa")


def test_botos_model_has_no_field_that_we_do_not_know() -> None:
    create = model().operation_model("CreateEnvironment").input_shape.members
    get = model().operation_model("GetEnvironment").output_shape.members["Environment"].members
    assert set(create) == CREATABLE
    assert set(get) - CREATABLE == TOLD_ONLY


def test_the_oldest_airflow_that_aws_makes_is_the_one_that_boto_names() -> None:
    version = model().operation_model("CreateEnvironment").input_shape.members["AirflowVersion"]
    named = re.findall(r"<code>([\d.]+)</code>", version.documentation)
    assert min(named, key=version_order) == OLDEST_MADE


def test_what_is_sent_back_is_what_aws_takes() -> None:
    sent = Definition(TOLD).arguments()
    shape = model().operation_model("CreateEnvironment").input_shape
    assert not ParamValidator().validate(sent, shape).has_errors()
    assert sent.keys() == {
        "Name", "ExecutionRoleArn", "AirflowVersion", "SourceBucketArn", "DagS3Path",
        "RequirementsS3Path", "RequirementsS3ObjectVersion", "PluginsS3Path", "MaxWorkers",
        "NetworkConfiguration", "LoggingConfiguration", "AirflowConfigurationOptions", "Tags",
    }  # fmt: skip
    assert sent["LoggingConfiguration"] == {"TaskLogs": {"Enabled": True, "LogLevel": "INFO"}}
    assert sent["Tags"] == {"team": "data"}


def test_a_log_takes_no_setting_that_we_drop() -> None:
    create = model().operation_model("CreateEnvironment").input_shape.members
    log = create["LoggingConfiguration"].members["TaskLogs"].members
    assert set(log) == {"Enabled", "LogLevel"}


def test_a_definition_comes_back_from_its_document_and_shows_no_option() -> None:
    definition = Definition(TOLD)
    assert Definition.from_json(definition.json()) == definition
    assert "hunter2" not in repr(definition)


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", "prod"), ("account", "123456789012"), ("region", "eu-central-1"),
     ("bucket", "dags-of-prod"), ("dags", "dags"), ("subnets", ("subnet-1", "subnet-2")),
     ("security_groups", ("sg-1",)), ("reason", "INCORRECT_CONFIGURATION: no NAT gateway")],
)  # fmt: skip
def test_a_definition_tells(name: str, value: object) -> None:
    assert getattr(Definition(TOLD), name) == value


def test_files_are_held_at_the_versions_that_they_have() -> None:
    definition = Definition(TOLD)
    assert [(f.kind, f.path, f.version) for f in definition.files] == [
        ("Plugins", "plugins.zip", None), ("Requirements", "requirements.txt", "v1")
    ]  # fmt: skip
    assert definition.pinned({"Plugins": "v7"}).arguments()["PluginsS3ObjectVersion"] == "v7"
