"""What a question may be, and which tables it names."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from airkeep.errors import ConfigError
from airkeep.lake.register import Registered
from airkeep.lake.statement import named_in, query_of
from airkeep.models.athena import AthenaLake, question
from airkeep.models.script import job_of


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
        ("SELECT * FROM History.Dag, other.dag, a.history.dag", ["history.Dag"]),
        ("WITH dag AS (FROM history.dag) FROM dag, history.dag", ["history.dag"]),
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


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE prod.important",
        "TRUNCATE TABLE prod.important",
        "DELETE FROM prod.important",
        "UPDATE prod.important SET a = 1",
        "INSERT INTO prod.important SELECT 1",
        "CREATE TABLE prod.important AS SELECT 1",
        "CREATE VIEW important AS SELECT 1",
        "ALTER TABLE prod.important RENAME TO gone",
        "MERGE INTO prod.important USING dag ON (a = b) WHEN MATCHED THEN DELETE",
        "SELECT * INTO prod.important FROM range(3)",
        "SELECT * FROM (SELECT * INTO prod.important FROM range(3))",
        "WITH gone AS (DELETE FROM prod.important RETURNING *) SELECT * FROM gone",
        "EXPLAIN SELECT 1",
        "SET VARIABLE a = 1",
    ],
)
@pytest.mark.parametrize("engine", ["Spark", "Athena"])
def test_other_engines_are_given_nothing_that_changes_their_tables(
    statement: str, engine: str
) -> None:
    nothing = AthenaLake("file:///lake", Registered((), {}), {}, {}, ())
    ask: dict[str, Callable[[], object]] = {
        "Spark": lambda: job_of([], question=statement),
        "Athena": lambda: question(nothing, statement),
    }
    with pytest.raises(ConfigError, match=f"{engine} is only asked: write one SELECT"):
        ask[engine]()


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("SELECT * FROM history.dag", 'SELECT * FROM "history.dag" AS dag'),
        ("SELECT a.id FROM History.Dag AS a", 'SELECT a.id FROM "history.Dag" AS a'),
        ("SELECT history.dag.id FROM history.dag", 'SELECT dag.id FROM "history.dag" AS dag'),
        (
            "SELECT * FROM history.dag, dag_history",
            'SELECT * FROM "history.dag" AS dag, dag_history',
        ),
        ("SELECT history.job.id FROM log AS history", "SELECT history.job.id FROM log AS history"),
        ("SELECT * FROM a.history.dag", "SELECT * FROM a.history.dag"),
    ],
)
def test_other_engines_are_asked_histories_by_one_name(statement: str, asked: str) -> None:
    assert query_of(statement, "Spark").sql(dialect="duckdb") == asked


def test_other_engines_are_asked_what_reads() -> None:
    for statement in ("SELECT 1", "(SELECT 1)", "WITH a AS (SELECT 1) FROM a UNION ALL FROM a"):
        query_of(statement, "Spark")


@pytest.mark.parametrize("statement", ["SHOW TABLES", "show all tables;", "SHOW dag_run", "SHOW"])
def test_who_would_be_shown_tables_is_told_what_lists_them(statement: str) -> None:
    with pytest.raises(ConfigError, match=r"query LAKE --tables.*\.tables.*DESCRIBE"):
        named_in(statement)


_READ = [
    "duckdb_approx_database_count", "duckdb_columns", "duckdb_connection_count",
    "duckdb_constraints", "duckdb_coordinate_systems", "duckdb_databases",
    "duckdb_dependencies", "duckdb_extensions", "duckdb_external_file_cache",
    "duckdb_functions", "duckdb_indexes", "duckdb_keywords", "duckdb_log_contexts",
    "duckdb_logs", "duckdb_logs_parsed", "duckdb_memory", "duckdb_optimizers",
    "duckdb_prepared_statements", "duckdb_profiling_settings", "duckdb_schemas",
    "duckdb_secret_types", "duckdb_secrets", "duckdb_sequences", "duckdb_settings",
    "duckdb_table_sample", "duckdb_tables", "duckdb_temporary_files", "duckdb_types",
    "duckdb_variables", "duckdb_views", "pragma_collations", "pragma_database_size",
    "pragma_metadata_info", "pragma_platform", "pragma_show", "pragma_storage_info",
    "pragma_table_info", "pragma_user_agent", "pragma_version", "read_blob", "read_csv",
    "read_csv_auto", "read_duckdb", "read_json", "read_json_auto", "read_json_objects",
    "read_json_objects_auto", "read_ndjson", "read_ndjson_auto", "read_ndjson_objects",
    "read_parquet", "read_text", "parquet_bloom_probe", "parquet_file_metadata",
    "parquet_full_metadata", "parquet_kv_metadata", "parquet_metadata", "parquet_scan",
    "parquet_schema", "sniff_csv", "glob", "generate_series", "histogram", "histogram_values",
    "icu_calendar_names", "json_each", "json_tree", "pg_timezone_names", "range", "repeat",
    "repeat_row", "summary", "test_all_types", "test_vector_types", "unnest", "which_secret",
]  # fmt: skip
_DO_MORE = [
    "enable_logging", "enable_profiling", "disable_logging", "disable_profiling", "checkpoint",
    "force_checkpoint", "truncate_duckdb_logs", "query", "query_table",
    "json_execute_serialized_sql", "write_log", "arrow_scan", "arrow_scan_dumb", "pandas_scan",
    "python_map_function", "seq_scan",
]  # fmt: skip
_STAYS_HERE = [
    "current_connection_id", "current_query", "current_query_id", "current_transaction_id",
    "currval", "error", "gen_random_uuid", "nextval", "random", "setseed", "sleep_ms", "stats",
    "uuid", "uuidv4", "uuidv7",
]  # fmt: skip


def test_every_function_of_duckdb_is_known_to_read_or_is_refused() -> None:
    known = duckdb.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions()"
        " WHERE function_type IN ('table', 'table_macro') OR has_side_effects"
    ).fetchall()
    assert {name for (name,) in known} == {*_READ, *_DO_MORE, *_STAYS_HERE}


@pytest.mark.parametrize("name", [*_READ, *_STAYS_HERE])
def test_a_function_that_reads_is_called(name: str) -> None:
    named_in(f"SELECT * FROM {name}('a', 2)")


@pytest.mark.parametrize(
    "name", [*_DO_MORE, "postgres_execute", "sqlite_attach", "reflect", "java_method"]
)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {}('a')",
        "FROM system.main.{}(a = 'b') AS x",
        "SELECT ARRAY(FROM {} /* so */ ())",
        'EXPLAIN ANALYZE WITH a AS (FROM "{}"()) FROM dag',
        "CREATE MACRO m() AS TABLE FROM {}()",
        "SELECT {}('a') FROM dag",
        "SET VARIABLE a = (SELECT 1 FROM {}())",
        "PIVOT (FROM {}()) ON a",
        "SUMMARIZE FROM {}()",
        "SELECT * FROM dag, LATERAL {}('a')",
    ],
)
def test_a_function_that_does_more_than_read_is_called_nowhere(statement: str, name: str) -> None:
    for spelled in (name, name.upper()):
        with pytest.raises(ConfigError, match=rf"no question calls {name}\(\)"):
            named_in(statement.format(spelled))
