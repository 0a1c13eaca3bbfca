"""Prune a living database: only what a verified snapshot holds unchanged leaves it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import airkeep
from compare import data_of
from servers import Databases

AIRFLOW = "airflow-332"


def test_old_rows_leave_and_the_snapshot_holds_every_one_of_them(
    databases: Databases, tmp_path: Path
) -> None:
    url, lake = databases.airflow(AIRFLOW), str(tmp_path / "lake")
    airkeep.export(url, lake, environment="prod")
    before = data_of(url)
    result = airkeep.prune(url, lake, older_than=timedelta(0), pause_ms=0)
    after = data_of(url)
    for label, rows in before.items():
        assert set(after[label]) <= set(rows)
    assert result.total > 0
