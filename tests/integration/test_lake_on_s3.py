"""The whole journey on a real S3 server, through the command line as its user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import airkeep
from airkeep.snapshot.lake import Lake
from command import AIRKEEP
from compare import AS_IT_WAS_FLAGS, data_of
from s3_server import S3Server
from servers import Databases, query

ODD_PREFIX = "lakes of üñï/a b+c%20"


def run(server: S3Server, *arguments: str) -> str:
    done = subprocess.run(
        [*AIRKEEP, *arguments],
        env=server.environ(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_out_and_back_with_an_increment_under_an_odd_prefix(
    s3_server: S3Server, databases: Databases
) -> None:
    source, target = databases.airflow("airflow-332"), databases.empty()
    lake = f"s3://{s3_server.new_bucket()}/{ODD_PREFIX}"
    run(s3_server, "export", source, lake, "-e", "prod")
    query(source, "DELETE FROM xcom WHERE map_index = 0")
    query(source, "UPDATE dag SET is_paused = NOT is_paused")
    run(s3_server, "export", source, lake, "-e", "prod", "--increment")
    run(s3_server, "verify", lake)
    run(s3_server, "verify", lake, "latest", "--against", source)
    run(s3_server, "restore", lake, "prod/latest", target, "--create-schema", *AS_IT_WAS_FLAGS)
    assert data_of(target) == data_of(source)

    listed = json.loads(run(s3_server, "snapshots", lake, "--json", "--all"))
    assert [one["summary"]["mode"] for one in listed] == ["increment", "full"]
    assert listed[0]["state"].startswith("verified ")


def test_clean_in_a_loop_beside_exports_never_hurts_one(
    s3_server: S3Server, databases: Databases, tmp_path: Path
) -> None:
    source = databases.airflow("airflow-332")
    lake = f"s3://{s3_server.new_bucket()}/lake"
    cleaning = subprocess.Popen(
        [sys.executable, "-c", CLEAN_LOOP, lake],
        env={**s3_server.environ(), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    opened = Lake(lake, options=s3_server.options)
    try:
        for number in range(6):
            query(source, f"UPDATE dag SET description = 'round {number}'")
            airkeep.export(source, opened, environment="prod", increment=number % 3 != 0)
    finally:
        cleaning.terminate()
        said = cleaning.communicate(timeout=30)
    assert "Traceback" not in said[1]
    assert opened.names()
    assert all(result.ok for result in airkeep.verify(opened, spool=tmp_path))
    assert airkeep.compare(opened, "latest", source).equal


CLEAN_LOOP = """
import sys
from datetime import timedelta
import airkeep
while True:
    airkeep.clean(sys.argv[1], keep_last=1, grace=timedelta(seconds=20))
"""
