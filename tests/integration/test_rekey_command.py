"""What `rekey` says of a wish that it cannot fulfil, or only in part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airkeep.cli.main import cli
from airkeep.errors import RekeyError
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.pruned import mark
from rekeyed import NEW_KEY, sqlite_lake
from servers import FERNET_KEY


@pytest.fixture
def lake(airflow_file: Callable[[str], Path], tmp_path: Path) -> Path:
    return sqlite_lake(airflow_file("airflow-3.3.2"), tmp_path / "lake")


def run(*arguments: str) -> Result:
    keys = {"AIRKEEP_FERNET_KEY": f"{NEW_KEY},{FERNET_KEY}"}
    return CliRunner().invoke(cli, ["rekey", *arguments], env=keys)


@pytest.mark.parametrize("place", ["", "s3://bucket/lake", "gs://b", "az://c/d", "file:///tmp"])
def test_a_lake_without_a_snapshot_is_told_apart_from_a_database(
    place: str, tmp_path: Path
) -> None:
    place = place or str(tmp_path)
    said = run(place)
    assert said.exit_code == 2
    assert f"{place} is a lake: name the SNAPSHOT, too: airkeep rekey {place} latest" in said.stderr


def test_nobody_is_told_to_remove_one_that_holds_pruned_rows(lake: Path) -> None:
    old = Lake(str(lake))["latest"]
    mark(old, cutoff=datetime.now(UTC), rows={"log": 1})
    said = run(str(lake), str(old.name))
    assert said.exception is None
    assert "--remove-old" not in said.stderr
    assert f"{old.name} stays, and the old key opens it" in said.stderr
    assert "rows that a prune deleted" in said.stderr


def test_a_dry_run_with_remove_old_says_whether_it_would_go(lake: Path) -> None:
    old = Lake(str(lake))["latest"]
    said = run(str(lake), str(old.name), "--dry-run", "--remove-old")
    assert f"in a new snapshot; {old.name} would be removed" in said.stdout
    assert "would be removed" not in run(str(lake), str(old.name), "--dry-run").stdout
    mark(old, cutoff=datetime.now(UTC), rows={"log": 1})
    refused = run(str(lake), str(old.name), "--dry-run", "--remove-old")
    assert isinstance(refused.exception, RekeyError)
    assert "rows that a prune deleted" in str(refused.exception)


def test_remove_old_says_that_one_under_the_new_key_stays(lake: Path) -> None:
    run(str(lake), "latest")
    made = Lake(str(lake))["latest"].name
    said = run(str(lake), "latest", "--remove-old")
    assert "nothing to do" in said.stdout
    assert f"{made} was not removed: it is under that key already" in said.stderr
    assert len(Lake(str(lake)).names()) == 2
