"""What a question may be, and which tables it names."""

from __future__ import annotations

import pytest

from airkeep.errors import ConfigError
from airkeep.lake.statement import named_in


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("SELECT * FROM dag_run JOIN dag USING (dag_id)", ["dag_run", "dag"]),
        ("WITH a AS (SELECT 1) SELECT * FROM a", []),
        ("WITH dag_run AS (SELECT * FROM dag_run) SELECT * FROM dag_run", ["dag_run"]),
        ("WITH a AS (FROM b), b AS (SELECT 1) FROM a, b", ["b"]),
        ("WITH b AS (SELECT 1), a AS (FROM B) FROM A", []),
        ("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) FROM n", []),
        ("SELECT * FROM (WITH a AS (SELECT 1) FROM a), a", ["a"]),
        ("SELECT * FROM dag WHERE id IN (WITH dag AS (FROM dag_run) SELECT id FROM dag)",
         ["dag", "dag_run"]),
        ("CREATE TEMP TABLE mine AS SELECT * FROM dag", ["dag"]),
        ("DROP TABLE IF EXISTS mine", []),
        ("EXPLAIN SELECT * FROM dag", ["dag"]),
        ("EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM dag", ["dag"]),
        ("explain analyze (SELECT * FROM dag)", ["dag"]),
        ("SET VARIABLE wanted = 3", []),
        ("SELECT * FROM read_parquet('mine.parquet')", []),
    ],
)  # fmt: skip
def test_the_tables_are_those_that_no_with_makes(statement: str, named: list[str]) -> None:
    assert sorted(named_in(statement)) == sorted(named)


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO '/tmp/never.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/never.csv'",
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '/tmp/never.csv'",
        "EXPLAIN -- so\n ANALYZE COPY (SELECT 1) TO '/tmp/never.csv'",
        "PREPARE p AS COPY (SELECT 1) TO '/tmp/never.csv'",
        "EXPORT DATABASE '/tmp/never'",
        "IMPORT DATABASE '/tmp/never'",
        "ATTACH '/tmp/never.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '1TB'",
        "SET log_query_path = '/tmp/never'",
        "RESET ALL",
        "PRAGMA profiling_output = '/tmp/never'",
        "USE other",
        "CHECKPOINT",
        "SHOW dag_run",
        "CREATE PERSISTENT SECRET s (TYPE http)",
        "SELECT 1; COPY dag TO '/tmp/never.csv'",
        "EXPLAIN SELECT 1; COPY dag TO '/tmp/never.csv'",
        "EXPLAIN",
        "",
        "-- nothing",
        ";",
    ],
)
def test_what_writes_files_loads_code_or_changes_settings_is_no_question(statement: str) -> None:
    with pytest.raises(ConfigError, match=r"no question|no SQL|writes no files|one question"):
        named_in(statement)
