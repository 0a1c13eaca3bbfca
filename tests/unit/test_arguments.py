"""What the library's functions are given: wrong values are refused, before anything is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import airkeep
from airkeep.config import SECRETS_MODES
from airkeep.database.address import Address, open_address
from airkeep.errors import ConfigError, NoSuchSnapshotError
from airkeep.export.plan import ExportOptions, choose_tables
from airkeep.export.rows import cutoff
from airkeep.snapshot.choose import choose_entries, named
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import id_time, make_id, parse_time
from fake_lake import make_manifest, save_snapshot, snapshot_name

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-1))


@pytest.mark.parametrize("mode", ["Drop", "sealed", "SEAL", "", None])
@pytest.mark.parametrize("export", [airkeep.export, airkeep.export_csv])
def test_a_misspelled_way_with_secrets_is_refused_before_anything_is_read(
    export: Any, mode: Any, tmp_path: Path
) -> None:
    nowhere = Address("postgresql", "airflow", host="192.0.2.1")
    with pytest.raises(ConfigError, match=f"secrets: expected one of {', '.join(SECRETS_MODES)}"):
        export(nowhere, str(tmp_path), environment="prod", secrets=mode)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"threads": 0}, "threads: expected a whole number from 1 to 256, found 0"),
        ({"memory_bytes": 1000}, "memory_bytes: .* at least 150MB, found 1000"),
        ({"lock_timeout_s": -1}, "lock_timeout_s: .* found -1"),
        ({"statement_timeout_s": -1}, "statement_timeout_s: .* found -1"),
    ],
)
def test_limits_are_those_of_the_settings(limits: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        airkeep.ReadLimits(**limits)


@pytest.mark.parametrize("sample", [5, -1, 0, float("nan")])
def test_a_sample_is_a_share(sample: float, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    save_snapshot(lake.store, snapshot_name(0))
    with pytest.raises(ConfigError, match="sample: expected a share above 0"):
        airkeep.verify(lake, "latest", sample=sample)
    assert not list(tmp_path.rglob("verified/*"))


@pytest.mark.parametrize(
    "given",
    [
        {"keep": timedelta(days=-3)},
        {"keep_last": -1},
        {"keep_daily": -1},
        {"keep_weekly": -1},
        {"keep_monthly": -1},
        {"grace": timedelta(seconds=-1)},
    ],
)
def test_clean_takes_nothing_below_0(given: dict[str, Any], tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    for number in range(3):
        save_snapshot(lake.store, snapshot_name(number))
    with pytest.raises(ConfigError, match=f"{next(iter(given))}: expected 0.* or more, found -"):
        airkeep.clean(lake, **given)
    assert len(lake.names()) == 3


def test_a_window_of_the_future_is_refused() -> None:
    with pytest.raises(ConfigError, match="still to come"):
        cutoff(timedelta(days=-3), NOW)


@pytest.mark.parametrize(
    "since",
    [
        datetime(1, 1, 1, tzinfo=EAST),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=WEST),
        timedelta(days=999_999),
    ],
)
def test_a_window_outside_the_calendar_is_refused(since: timedelta | datetime) -> None:
    with pytest.raises(ConfigError, match="outside the years 1 to 9999"):
        cutoff(since, NOW)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"])
def test_a_name_with_a_time_outside_the_calendar_is_no_name(time: str, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    save_snapshot(lake.store, snapshot_name(0))
    with pytest.raises(NoSuchSnapshotError, match="is no time"):
        lake.find(f"prod@{time}")


def test_a_time_before_the_year_1000_is_before_every_snapshot(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    save_snapshot(lake.store, snapshot_name(0))
    with pytest.raises(NoSuchSnapshotError, match="holds no snapshot"):
        lake.find("prod@0999-01-01")
    early = parse_time("0999-01-01")
    assert id_time(make_id(early)) == early


def test_a_table_alone_is_one_table() -> None:
    assert (named("dag_run"), named(["a", "b"]), named(())) == (("dag_run",), ("a", "b"), ())
    manifest = make_manifest(snapshot_name(0))
    assert [t.label for t in choose_entries(manifest, "dag", ())] == ["dag"]


def test_a_choice_that_leaves_no_table_is_refused() -> None:
    manifest = make_manifest(snapshot_name(0))
    with pytest.raises(ConfigError, match="--tables and --skip leave no table"):
        choose_entries(manifest, ["dag"], ["dag"])
    options = ExportOptions("prod", tables=("dag_run",), skip=("dag_run",))
    with pytest.raises(ConfigError, match=r"^--tables and --skip leave no table"):
        choose_tables({"dag", "dag_run"}, options)
    own = ExportOptions("prod", tables=("mine",), airflow_only=True)
    with pytest.raises(ConfigError, match=r"^--airflow-only, --tables and --skip leave no table"):
        choose_tables({"dag", "mine"}, own)


def test_a_path_names_a_lake_and_a_file_of_sqlite(tmp_path: Path) -> None:
    save_snapshot(Lake(tmp_path).store, snapshot_name(0))
    assert airkeep.clean(tmp_path, dry_run=True).plan.remove == ()
    file = tmp_path / "airflow"
    assert open_address(file) == Address("sqlite", str(file))
    assert open_address(open_address(str(tmp_path / "a.db"))).database == str(tmp_path / "a.db")
