"""Every mart on tables counted by hand, on the Spark of Glue 6: in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_marts import MARTS, SPARK, golden, with_made

from airkeep.lake.spark import SETTINGS
from airkeep.models.dialects import transpile
from grid import same_rows
from sparks import SPARK_4, asked_elsewhere

NTZ = {**SPARK, "instant": "timestamp_ntz"}


@pytest.mark.slow
def test_spark_4_counts_as_a_person_does(tmp_path: Path) -> None:
    if not SPARK_4.is_dir():
        pytest.skip(f"{SPARK_4} is not there: `make spark4` installs it")
    questions = {}
    for name in MARTS:
        model, tables, _ = golden(name)
        questions[name] = {
            "sql": transpile(model.sql, "spark"),
            "tables": {
                table: (
                    {n: NTZ[kind] for n, kind in grid.kinds.items()},
                    [list(row.values()) for row in grid.rows],
                )
                for table, grid in with_made(model, tables).items()
            },
        }
    version, found = asked_elsewhere(questions, tmp_path, libraries=SPARK_4, session=SETTINGS)

    assert version.startswith("4.")
    for name in MARTS:
        model, _, expected = golden(name)
        same_rows(found[name], expected.rows, model.key)
