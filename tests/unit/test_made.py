"""What Python makes for models: each line that asks has its function, and its rows arrive."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from pathlib import Path

from airkeep.lake.connect import connect
from airkeep.models.build import make_models
from airkeep.models.catalog import MADE, models
from airkeep.models.made import MAKERS
from airkeep.snapshot.lake import Lake
from fake_lake import save_snapshot, snapshot_name


def test_every_table_that_is_made_has_its_function_and_one_model_that_asks_for_it() -> None:
    asked = [made.name for model in models().values() for made in model.made]
    assert sorted(asked) == sorted(MADE + name for name in MAKERS)


def test_manifests_are_rows_of_a_model(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    for number in (0, 1):
        save_snapshot(lake.store, snapshot_name(number))

    with connect(lake, folder=tmp_path) as opened:
        make_models(opened, ["snapshots"], tmp_path)
        answer = opened.query("SELECT taken_at, airflow_version FROM snapshots ORDER BY taken_at")

        assert list(answer.rows()) == [
            (datetime(2026, 11, 20, 12), "3.3.2"),
            (datetime(2026, 11, 21, 12), "3.3.2"),
        ]


def test_rows_are_taken_in_pieces_and_none_is_lost(tmp_path: Path) -> None:
    with connect(Lake(str(tmp_path)), folder=tmp_path, warn=print) as opened:
        opened.db.execute("ATTACH ':memory:' AS place")
        rows = ((n, None if n % 2 else "even") for n in range(120_001))
        opened.keep_rows("place", "numbers", {"n": "integer", "said": "text"}, rows)
        opened.keep_rows("place", "none", {"n": "integer"}, iter(()))

        back = opened.rows_of("place", "numbers", copy=False)
        assert all(row["n"] == n for n, row in zip(count(), back, strict=False))
        found = opened.query(
            "SELECT count(*), count(said), (SELECT count(*) FROM none) FROM numbers"
        )
        assert list(found.rows()) == [(120_001, 60_001, 0)]
