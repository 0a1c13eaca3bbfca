"""Backups in the layouts of other tools, written from real rows, beside an ordinary export."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import airkeep
import old_backups as old
from adopted import assert_told
from airkeep.adopt.run import adopt
from airkeep.snapshot.lake import Snapshot

AT = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)
DUMPS = {
    "airflow-263": "2.6.2 to 2.6.3",
    "airflow-2112": "2.10.3 to 2.11.2",
    "airflow-332": "3.3.0 or later",
}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def ordinary(url: str, lake: Path) -> Snapshot:
    return airkeep.export(url, str(lake), environment="live", allow_plain=True)


@pytest.mark.parametrize("name", DUMPS)
def test_a_dated_export_is_the_database_but_for_what_is_reported(
    name: str, airflow_dump: Callable[[str], str], tmp_path: Path, lake: Path
) -> None:
    url = airflow_dump(name)
    tables = [old.read(url, t) for t in old.tables_of(url)]
    tables = [t for t in tables if t.rows]
    old.write_dated(tmp_path / "exports/prod", tables, AT, counts={"celery": 0})

    done = adopt(str(tmp_path / "exports"), str(lake), environment="prod", allow_plain=True)

    [snapshot] = done.made
    assert (done.layout, snapshot.id) == ("dated-csv", "20261101T023000.000000Z")
    assert snapshot.manifest.airflow_version == DUMPS[name]
    assert not snapshot.manifest.complete
    live = ordinary(url, lake)
    for table in tables:
        assert_told(lake, live, snapshot, table.table)
    assert airkeep.verify(str(lake), "prod/latest")[0].ok
