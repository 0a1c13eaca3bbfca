"""The provider in real Airflows, the oldest and the newest: its example DAGs run.

Against a PostgreSQL with Airflow's own rows and an AWS on the loopback.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import airkeep
from airkeep.snapshot.lake import Lake
from airkeep.version import __version__
from aws_server import AwsServer
from provided import EXAMPLES, NEWEST, OLDEST, Provided, Trial
from servers import PROJECT, Databases, Templates, query

DUMPS = {
    OLDEST: "airflow-2105-xcompickle",
    "2.11.2": "airflow-2112",
    "3.0.6": "airflow-306",
    NEWEST: "airflow-332",
}
VERSIONS = [v if v == NEWEST else pytest.param(v, marks=pytest.mark.slow) for v in DUMPS]
TASKS = {
    "airkeep_export": ["csv", "export", "register", "report", "verify"],
    "airkeep_export_glue": ["export", "verify"],
    "airkeep_job": ["run"],
    "airkeep_prune": ["prune"],
    "airkeep_restore": ["restore", "verify"],
}


@dataclass(frozen=True)
class World:
    """An Airflow whose daily export has run once, and what it said."""

    trial: Trial
    bucket: str
    aws: AwsServer
    went_well: bool
    said: str

    @property
    def lake(self) -> Lake:
        options = {name.lower(): value for name, value in self.aws.variables.items()}
        wanted = ("aws_access_key_id", "aws_secret_access_key", "aws_region")
        return Lake(
            f"s3://{self.bucket}/exports",
            options={n: options[n] for n in wanted} | {"aws_endpoint_url": self.aws.endpoint},
        )

    def states(self, dag: str) -> dict[str, str]:
        rows = query(
            self.trial.url,
            f"SELECT task_id, state::text FROM task_instance WHERE dag_id = '{dag}'",
        )
        return dict(rows)

    def job(self, command: list[str], **more: str) -> tuple[bool, str]:
        return self.trial.run_dag("airkeep_job", json.dumps({"command": command, **more}))


@pytest.fixture(scope="module", params=VERSIONS)
def airflow(request: pytest.FixtureRequest) -> Provided:
    found = Provided(request.param)
    found.install()
    return found


@pytest.fixture(scope="module")
def world(
    airflow: Provided,
    templates: Templates,
    aws_server: AwsServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    databases, bucket = Databases(templates), aws_server.new_bucket()
    trial = Trial(
        airflow,
        tmp_path_factory.mktemp("airflow"),
        databases.airflow(DUMPS[airflow.version]),
        **aws_server.variables,
        AIRFLOW_VAR_EXPORT_S3_BUCKET=bucket,
        AIRFLOW_VAR_DATABASE_NAME=f"of_{bucket.replace('-', '_')}",
    )
    try:
        yield World(trial, bucket, aws_server, *trial.run_dag("airkeep_export"))
    finally:
        databases.drop()


def test_every_example_dag_is_found_without_an_error_or_a_warning(
    airflow: Provided, tmp_path: Path
) -> None:
    found = bag(Trial(airflow, tmp_path, "postgresql://nobody@127.0.0.1:1/none"))

    assert found["errors"] == {}
    assert found["warned"] == []
    assert {dag: told["tasks"] for dag, told in found["dags"].items()} == TASKS
    daily = {
        dag for dag, told in found["dags"].items() if told["schedule"] in ("0 0 * * *", "@daily")
    }
    assert daily == {"airkeep_export", "airkeep_export_glue"}
    assert found["provider"] == __version__


def test_a_password_in_an_argument_is_refused_before_airflow_shows_it(
    airflow: Provided, tmp_path: Path
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    for name, database in {
        "literal": "postgresql://me:secret@127.0.0.1/airflow",
        "template": "postgresql://{{ var.value.user }}@127.0.0.1/airflow",
    }.items():
        (dags / f"{name}.py").write_text(
            "from datetime import datetime  # a DAG of Airflow\n"
            "from airkeep.provider.compatibility import DAG\n"
            "from airkeep.provider.operators import AirkeepExportOperator\n"
            f"with DAG('{name}', schedule=None, start_date=datetime(2026, 1, 1)) as dag:\n"
            f"    address = '{database}'\n"
            "    AirkeepExportOperator(task_id='export', database=address)\n"
        )
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    found = bag(Trial(airflow, tmp_path, nowhere, AIRFLOW__CORE__DAGS_FOLDER=str(dags)))

    assert set(found["dags"]) == {"template"}
    [error] = found["errors"].values()
    assert "database= holds a password" in error
    assert "secret" not in error


def bag(trial: Trial) -> dict[str, Any]:
    script = PROJECT / "tests" / "in_airflow" / "bag.py"
    well, said = trial.call("python", str(script))
    assert well, said
    found: dict[str, Any] = json.loads(said[said.index('{"errors"') : said.rindex("}") + 1])
    return found


def test_there_is_an_example_file_of_one_line_for_each_dag() -> None:
    for dag in TASKS:
        [line] = (EXAMPLES / f"{dag}.py").read_text().splitlines()
        assert line.startswith("from airkeep.provider.dags.")


def test_the_daily_export_takes_a_complete_snapshot_and_verifies_it(world: World) -> None:
    assert world.went_well, world.said[-3000:]
    assert world.states("airkeep_export") == dict.fromkeys(TASKS["airkeep_export"], "success")
    [name] = world.lake.names("prod")
    snapshot = world.lake[str(name)]
    assert snapshot.manifest.complete
    assert snapshot.manifest.dag_run is not None
    assert snapshot.manifest.dag_run.dag_id == "airkeep_export"
    [result] = airkeep.verify(world.lake, str(name))
    assert result.ok


def test_it_leaves_csv_files_of_thirty_days_a_catalog_and_a_report(world: World) -> None:
    keys = objects(world)
    [summary] = [k for k in keys if "/export_summary_" in k]
    assert airkeep.verify_csv(world.lake, summary.removeprefix("exports/")).ok
    assert json.loads(gzip.decompress(load(world, summary)))["max_age_days"] == 30
    glue = world.aws.client("glue")
    tables = glue.get_tables(DatabaseName=f"of_{world.bucket.replace('-', '_')}")["TableList"]
    assert "dag_run__files" in {table["Name"] for table in tables}
    [report] = [k for k in keys if k.startswith("exports/reports/")]
    assert load(world, report).startswith(b"<!doctype html>")


def objects(world: World) -> list[str]:
    listed = world.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=world.bucket)
    return [found["Key"] for page in listed for found in page.get("Contents", ())]


@pytest.mark.slow
def test_a_task_without_an_address_is_told_where_to_put_one(
    airflow: Provided, tmp_path: Path
) -> None:
    """As Airflow 3 leaves its tasks; Airflow 2 does not hide it, so there it was never set."""
    blocked = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "airflow-db-not-allowed:///"}
    script = (
        "from airkeep.provider.hook import AirkeepHook\n"
        f"AirkeepHook(database='env:', environ={blocked!r}).address()\n"
    )
    nowhere = Trial(airflow, tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    well, said = nowhere.call("python", "-c", script)
    assert not well
    assert "AddressError: env: found no database" in said
    assert ("AIRKEEP_DATABASE for the workers" in said) == airflow.version.startswith("3.")


@pytest.mark.slow
def test_a_job_leaves_its_outcome_once(world: World) -> None:
    result = f"s3://{world.bucket}/results/one.json"
    well, said = world.job(["snapshots", "-"], result=result)
    assert well, said[-3000:]
    outcome = json.loads(load(world, "results/one.json"))
    assert outcome["status"] == 0
    assert outcome["summary"][0]["name"].startswith("prod/")

    well, said = world.job(["clean", "-"], result=result)
    assert well
    assert "is not done again" in said
    assert json.loads(load(world, "results/one.json")) == outcome


@pytest.mark.slow
def test_a_job_that_fails_fails_its_run_and_says_so_in_its_outcome(world: World) -> None:
    well, said = world.job(
        ["show", "-", "prod/1999"], result=f"s3://{world.bucket}/results/two.json"
    )
    assert not well
    assert "no snapshot" in said
    assert json.loads(load(world, "results/two.json"))["status"] == 34


@pytest.mark.slow
def test_a_conf_that_is_no_command_runs_nothing(world: World) -> None:
    result = f"s3://{world.bucket}/results/three.json"
    well, said = world.job(["sh", "-c", "echo ran >&2"], result=result)
    assert not well
    told = json.loads(load(world, "results/three.json"))
    assert told["status"] == 3
    assert "'sh' is no command for a job" in told["error"]
    assert "is no command for a job" in said


def load(world: World, key: str) -> bytes:
    body: bytes = world.aws.client("s3").get_object(Bucket=world.bucket, Key=key)["Body"].read()
    return body


@pytest.mark.slow
def test_the_restore_dag_plans_first_and_then_puts_back_what_is_gone(world: World) -> None:
    url = world.trial.url
    count = "SELECT count(*) FROM slot_pool WHERE pool <> 'default_pool'"
    before = query(url, count)
    assert before[0][0] > 0
    query(url, "DELETE FROM slot_pool WHERE pool <> 'default_pool' RETURNING 1")

    well, said = world.trial.run_dag("airkeep_restore")
    assert well, said[-3000:]
    assert query(url, count) == [(0,)]

    well, said = world.trial.run_dag("airkeep_restore", '{"dry_run": false}')
    assert well, said[-3000:]
    assert query(url, count) == before


@pytest.mark.slow
def test_the_restore_dag_restores_what_it_verified(world: World) -> None:
    """The newest snapshot is not complete: a restore passes over it, and so does its verify."""
    [whole] = [name for name in world.lake.names("prod") if world.lake.get(name).manifest.complete]
    part = airkeep.export(world.trial.url, world.lake, environment="prod", tables=["slot_pool"])
    before = verified(world, whole.id)
    well, said = world.trial.run_dag("airkeep_restore")
    assert well, said[-3000:]
    assert len(verified(world, whole.id)) == len(before) + 1
    assert verified(world, part.id) == []


def verified(world: World, snapshot: str) -> list[str]:
    return [key for key in objects(world) if f"/{snapshot}/verified/" in key]


@pytest.mark.slow
def test_the_prune_dag_deletes_what_the_snapshot_holds(world: World) -> None:
    url = world.trial.url
    [(before,)] = query(url, "SELECT count(*) FROM log")
    well, said = world.trial.run_dag("airkeep_prune", '{"older_than_days": 0.0001}')
    assert well, said[-3000:]
    [(planned,)] = query(url, "SELECT count(*) FROM log")
    assert planned >= before

    well, said = world.trial.run_dag(
        "airkeep_prune", '{"older_than_days": 0.0001, "dry_run": false}'
    )
    assert well, said[-3000:]
    [(after,)] = query(url, "SELECT count(*) FROM log")
    assert after < before


@pytest.mark.slow
def test_a_connection_s_password_is_used_and_never_said(world: World, tmp_path: Path) -> None:
    """The database of a connection that is not there: the password is nowhere in the log."""
    (tmp_path / "by_connection.py").write_text(
        "from datetime import datetime  # a DAG of Airflow\n"
        "from airkeep.provider.compatibility import DAG\n"
        "from airkeep.provider.operators import AirkeepExportOperator\n"
        "with DAG('by_connection', schedule=None, start_date=datetime(2026, 1, 1)) as dag:\n"
        f"    AirkeepExportOperator(task_id='export', conn_id='meta', lake='{tmp_path}/lake')\n"
    )
    environment = {
        **world.trial.environment,
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW_CONN_META": "postgres://me:very%20secret@127.0.0.1:1/none",
    }
    by_connection = Trial(world.trial.airflow, tmp_path / "home", world.trial.url)
    by_connection.environment.update(environment)
    well, said = by_connection.run_dag("by_connection")
    # Airflow 3.0 itself tells, where it is debugged, what it is asked to hide.
    said = "\n".join(line for line in said.splitlines() if "MaskSecret" not in line)
    assert not well
    assert "airkeep: " in said
    assert "127.0.0.1" in said
    assert "very secret" not in said
    assert "very%20secret" not in said
