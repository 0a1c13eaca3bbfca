"""A backup that lies in a bucket is adopted into a lake that lies in another."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import old_backups as old
from airkeep.store.open import open_store
from command import AIRKEEP
from s3_server import S3Server

AT = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


def run(server: S3Server, *arguments: str) -> str:
    done = subprocess.run(
        [*AIRKEEP, *arguments],
        env=server.environ(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", ["", "/exports"])
def test_a_backup_in_a_bucket_becomes_snapshots_in_another(
    folder: str, s3_server: S3Server, tmp_path: Path
) -> None:
    source, lake = f"s3://{s3_server.new_bucket()}", f"s3://{s3_server.new_bucket()}/lake"
    rows = old.Rows("dag", ("dag_id", "is_paused"), ("text",) * 2, [("a", True), ("b", None)])
    for day in (1, 2):
        old.write_dated(tmp_path / "exports" / "prod", [rows], AT.replace(day=day))
    bucket = open_store(source, options=s3_server.options)
    for file in (tmp_path / "exports").rglob("*.gz"):
        bucket.save_file(str(file.relative_to(tmp_path)), file)

    for known in (0, 2):
        told = json.loads(
            run(s3_server, "adopt", source + folder, lake, "-e", "prod", "--json", "-q")
        )
        assert (len(told["made"]), len(told["there"])) == (2 - known, known)
        assert told["source"] == source + folder
    run(s3_server, "verify", lake)
    paused = run(s3_server, "query", lake, "SELECT dag_id FROM dag WHERE is_paused", "--json")
    assert json.loads(paused) == [{"dag_id": "a"}]
