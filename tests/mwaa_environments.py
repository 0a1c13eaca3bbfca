"""Environments of MWAA for tests, at rest, and what is compared of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airkeep.environment.events import MwaaPlace, Recorded
from airkeep.environment.journal import Journal
from aws_server import AwsServer
from mwaa_journeys import Way
from mwaa_server import MwaaServer
from servers import query

SECRET = "hunter2-of-the-mail-server"
ACTIVE = "SELECT dag_id::text FROM dag WHERE NOT is_paused ORDER BY 1"
RUNS = (
    "SELECT dag_id::text, run_id::text, state::text, start_date, end_date FROM dag_run "
    "WHERE run_id NOT LIKE '%airkeep_asleep_until%' ORDER BY 1, 2"
)
TASKS = "SELECT dag_id::text, run_id::text, task_id::text, map_index, try_number FROM task_instance"


def definition(aws: AwsServer, name: str, **more: Any) -> dict[str, Any]:
    """All that an environment can be made with, its files in a bucket that keeps versions."""
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("requirements.txt", "plugins.zip", "startup.sh"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return {
        "Name": name,
        "AirflowVersion": "3.3.2",
        "AirflowConfigurationOptions": {"smtp.smtp_password": SECRET, "core.parallelism": "7"},
        "SourceBucketArn": f"arn:aws:s3:::{bucket}",
        "DagS3Path": "dags",
        "RequirementsS3Path": "requirements.txt",
        "PluginsS3Path": "plugins.zip",
        "StartupScriptS3Path": "startup.sh",
        "EnvironmentClass": "mw1.medium",
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/mwaa",
        "KmsKey": "arn:aws:kms:us-east-1:000000000000:key/1",
        "LoggingConfiguration": {"TaskLogs": {"Enabled": True, "LogLevel": "INFO"}},
        "MaxWorkers": 7, "MinWorkers": 2, "Schedulers": 3, "MaxWebservers": 3, "MinWebservers": 2,
        "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"],
                                 "SecurityGroupIds": ["sg-1"]},
        "Tags": {"team": "data"},
        "WebserverAccessMode": "PUBLIC_ONLY",
        "WeeklyMaintenanceWindowStart": "SUN:03:00",
        **more,
    }  # fmt: skip


def settled(url: str) -> str:
    """No task at work, and more than one DAG active, one of them without a file."""
    query(url, "UPDATE task_instance SET state = 'success', end_date = start_date "
               "WHERE state IN ('running', 'queued', 'restarting')")  # fmt: skip
    query(url, "UPDATE dag SET is_paused = dag_id IN (SELECT dag_id FROM dag ORDER BY 1 LIMIT 4)")
    return url


def made(mwaa: MwaaServer, folder: Path, environment: str, **more: Any) -> Way:
    name = f"{environment}-{folder.name[-20:]}".replace("_", "-")
    settled(mwaa.own(name, definition(mwaa.aws, name, **more)).url)
    place = MwaaPlace(name, "us-east-1", jobs="here")
    way = Way(mwaa.endpoint, mwaa.variables, folder / environment, environment, name, place)
    way.add()
    return way


def recorded(way: Way) -> Recorded:
    entries = Journal(way.lake.store, way.environment).entries()
    return [e.event for e in entries if isinstance(e.event, Recorded)][-1]
