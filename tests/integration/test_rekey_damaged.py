"""A new snapshot that is damaged is no dead end, and one that is so from the start is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import airkeep
from airkeep.cli.main import cli
from airkeep.errors import ExportError
from airkeep.snapshot.lake import Lake
from rekeyed import NEW_KEY, sqlite_lake
from rotting import RottingStore, damage
from servers import FERNET_KEY

BOTH = f"{NEW_KEY},{FERNET_KEY}"


@pytest.fixture
def lake(airflow_file: Callable[[str], Path], tmp_path: Path) -> Path:
    return sqlite_lake(airflow_file("airflow-3.3.2"), tmp_path / "lake")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["rekey", *arguments], env={"AIRKEEP_FERNET_KEY": BOTH})


def test_a_damaged_result_of_an_earlier_run_is_passed_over(lake: Path) -> None:
    old = str(Lake(str(lake))["latest"].name)
    first = airkeep.rekey_snapshot(str(lake), old, fernet_key=BOTH).made
    assert first is not None
    damage(lake, first)

    said = run(str(lake), old)

    assert said.exception is None
    assert f"{first}, made by an earlier run, is damaged and was passed over" in said.stderr
    latest = Lake(str(lake))["latest"].name
    assert str(latest) not in {old, first}
    assert airkeep.verify(str(lake), str(latest))[0].ok
    again = airkeep.rekey_snapshot(str(lake), old, fernet_key=BOTH)
    assert (again.made, again.found, again.damaged) == (str(latest), True, ())


def test_a_result_whose_manifest_cannot_be_read_is_passed_over(lake: Path) -> None:
    old = str(Lake(str(lake))["latest"].name)
    first = airkeep.rekey_snapshot(str(lake), old, fernet_key=BOTH).made
    [manifest] = lake.glob(f"snapshots/*/{str(first).partition('/')[2]}/manifest.json")
    manifest.write_bytes(b"{")
    again = airkeep.rekey_snapshot(str(lake), old, fernet_key=BOTH)
    assert again.made not in {old, first}
    assert airkeep.verify(str(lake), str(again.made))[0].ok


def test_a_result_that_does_not_verify_is_never_seen(lake: Path) -> None:
    [old] = Lake(str(lake)).names()
    rotting = Lake(RottingStore(lake, "/dag/"))
    with pytest.raises(ExportError, match=r"/dag/\S+ has sha256 \w+, .* no snapshot was made"):
        airkeep.rekey_snapshot(rotting, str(old), fernet_key=BOTH)
    assert Lake(str(lake)).committed() == [old]
    assert airkeep.rekey_snapshot(str(lake), str(old), fernet_key=BOTH).made is not None
    assert all(result.ok for result in airkeep.verify(str(lake)))
