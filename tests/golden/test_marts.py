"""Every mart on tables counted by hand: on DuckDB, on Spark, and once more in Python.

Staging models that count, rather than name things anew, have such tables, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from airkeep.lake.columns import arrow_type
from airkeep.lake.spark import SETTINGS, own_session
from airkeep.models.catalog import Model, models
from airkeep.models.dialects import transpile
from airkeep.models.made import maker_of
from grid import Grid, Row, parse, same_rows
from plain import PLAIN
from sparks import SPARK_4, asked_elsewhere, quick_session

FOLDER = Path(__file__).parent / "marts"
STAGING = Path(__file__).parent / "staging"
MARTS = [model.name for model in models().values() if model.kind == "mart"]
COUNTED = [*MARTS, *sorted(f.stem for f in STAGING.glob("*.txt"))]
SPARK = {
    "boolean": "boolean", "integer": "bigint", "float": "double", "text": "string",
    "bytes": "binary", "date": "date", "instant": "timestamp",
}  # fmt: skip


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Spark 3.5, as Glue 5 has it."""
    session = quick_session(tmp_path_factory.mktemp("spark"))
    yield own_session(session)
    session.stop()


def golden(name: str) -> tuple[Model, dict[str, Grid], Grid]:
    folder = FOLDER if name in MARTS else STAGING
    tables = parse((folder / f"{name}.txt").read_text(encoding="utf-8"))
    expected = tables.pop("expected")
    return models()[name], tables, expected


def with_made(model: Model, tables: Mapping[str, Grid]) -> dict[str, Grid]:
    """The tables, and what Python makes of them for the model."""
    found = dict(tables)
    for made in model.made:
        rows = maker_of(made.name)(*(list(tables[source].rows) for source in made.sources))
        named = (dict(zip(made.columns, row, strict=True)) for row in rows)
        found[made.name] = Grid(dict(made.columns), tuple(named))
    return found


def test_every_mart_has_a_golden_table_and_a_plain_twin() -> None:
    assert sorted(f.stem for f in FOLDER.glob("*.txt")) == sorted(MARTS) == sorted(PLAIN)


@pytest.mark.parametrize("name", COUNTED)
def test_duckdb_counts_as_a_person_does(name: str) -> None:
    model, tables, expected = golden(name)
    same_rows(on_duckdb(model, tables), expected.rows, model.key)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # py4j's sockets
@pytest.mark.parametrize("name", COUNTED)
def test_spark_counts_as_a_person_does(name: str, spark: Any) -> None:
    model, tables, expected = golden(name)
    for table, grid in with_made(model, tables).items():
        schema = ", ".join(f"{n} {SPARK[k]}" for n, k in grid.kinds.items())
        rows = [tuple(row.values()) for row in grid.rows]
        spark.createDataFrame(rows, schema).createOrReplaceTempView(table)
    found = spark.sql(transpile(model.sql, "spark"))
    same_rows([row.asDict() for row in found.collect()], expected.rows, model.key)
    # Elsewhere 1.0 is a decimal, and in Trino the mean of decimals has as few digits as they.
    assert [n for n, kind in found.dtypes if kind.startswith("decimal")] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # py4j's sockets
@pytest.mark.parametrize("name", ["pool_saturation", "concurrency_by_minute"])
def test_spark_numbers_hundreds_of_environments(name: str, spark: Any) -> None:
    known = "SELECT concat('e', id) AS environment, 'default_pool' AS pool, 8 AS slots"
    spark.sql(
        f"{known}, CAST(NULL AS TIMESTAMP) AS gone_at FROM range(300)"
    ).createOrReplaceTempView("pools")
    spark.sql(
        f"{known}, 1 AS pool_slots, TIMESTAMP '2026-11-01 10:00:10' AS began_at, "
        f"TIMESTAMP '2026-11-01 10:00:40' AS ended_at FROM range(300)"
    ).createOrReplaceTempView("slot_use")
    assert spark.sql(transpile(models()[name].sql, "spark")).count() == 300


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
                    {
                        n: "timestamp_ntz" if kind == "instant" else SPARK[kind]
                        for n, kind in grid.kinds.items()
                    },
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


@pytest.mark.parametrize("name", MARTS)
def test_plain_python_counts_as_a_person_does(name: str) -> None:
    model, tables, expected = golden(name)
    found = PLAIN[name]({table: grid.rows for table, grid in tables.items()})
    same_rows(found, expected.rows, model.key)


def on_duckdb(model: Model, tables: Mapping[str, Grid]) -> list[Row]:
    import duckdb
    import pyarrow as pa

    with duckdb.connect() as db:
        for table, grid in with_made(model, tables).items():
            fields = [(n, arrow_type(k)) for n, k in grid.kinds.items()]
            db.register(table, pa.Table.from_pylist(list(grid.rows), schema=pa.schema(fields)))
        found = db.execute(model.sql)
        names = [str(column[0]) for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
