"""Of a model that nobody asked for only what is read is made, and the answers stay the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.models.build import make_models
from airkeep.models.catalog import Model, models
from airkeep.models.narrow import is_selection, narrowed, needs_no_table
from airkeep.snapshot.lake import Lake
from grid import same_rows
from servers import airflow_sqlite

MARTS = [model.name for model in models().values() if model.kind == "mart"]


def answers(lake: Lake, folder: Path, asked: list[str]) -> dict[str, list[dict[str, Any]]]:
    folder.mkdir()
    found = {}
    with connect(lake, folder=folder) as opened:
        make_models(opened, asked, folder)
        for name in MARTS:
            answer = opened.query(f"SELECT * FROM {name}")
            found[name] = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows()]
    return found


def test_marts_over_narrow_models_say_what_they_say_over_whole_ones(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    for name in ("airflow-2.11.2", "airflow-3.3.2"):
        export(airflow_sqlite(name, tmp_path), lake, environment=name, allow_plain=True)

    narrow = answers(lake, tmp_path / "narrow", MARTS)
    whole = answers(lake, tmp_path / "whole", list(models()))

    for name in MARTS:
        same_rows(narrow[name], whole[name], models()[name].key)


def test_a_column_that_no_reader_names_is_left_out() -> None:
    tasks, churn = models()["tasks"], models()["duration_variance"]
    text = narrowed(tasks, [churn])
    assert text.startswith('SELECT "environment", "dag_id", "task_id", "state", "duration_s" FROM')


def test_a_column_of_the_same_name_elsewhere_in_a_reader_does_not_count() -> None:
    use, waste = models()["slot_use"], models()["retry_waste"]  # which asks another for run_id
    columns = narrowed(use, [waste]).partition(" FROM ")[0]
    assert columns == 'SELECT "environment", "dag_id", "pool_slots", "state", "held_s"'


@pytest.mark.parametrize("model", models().values(), ids=lambda model: model.name)
def test_columns_are_called_by_their_names(model: Model) -> None:
    tree = sqlglot.parse_one(model.sql, dialect="duckdb")
    assert not [join for join in tree.find_all(exp.Join) if join.method == "NATURAL"]
    assert not list(tree.find_all(exp.Columns))
    renamed = [alias for alias in tree.find_all(exp.TableAlias) if alias.args.get("columns")]
    assert all(isinstance(alias.parent, exp.Values) for alias in renamed)


def test_only_a_model_that_is_read_in_one_place_need_not_be_kept() -> None:
    reader = models()["slot_use"]
    assert needs_no_table(models()["run_dates"], [models()["xcoms"]])
    assert not needs_no_table(models()["reschedules"], [reader])
    assert not needs_no_table(models()["runs"], [models()["dag_week"], models()["stuck_runs"]])


def test_a_model_that_only_selects_rows_of_another_need_not_be_kept() -> None:
    two = [models()["slot_use"], models()["first_try_success"]]
    assert is_selection(models()["tasks"])
    assert needs_no_table(models()["tasks"], two)
    assert not is_selection(models()["runs"])


def test_what_a_selection_does_not_hand_on_is_not_read() -> None:
    tasks, states, churn = (models()[n] for n in ("tasks", "task_states", "duration_variance"))
    text = narrowed(tasks, [churn], where="queued_at IS NOT NULL")
    below = narrowed(states, [replace(tasks, sql=text)])
    read = {"environment", "dag_id", "task_id", "state", "started_at", "ended_at", "noted_s"}
    assert set(columns_of(below)) == read | {"queued_at", "is_newest"}


def columns_of(sql: str) -> list[str]:
    return sql.removeprefix("SELECT ").partition(" FROM")[0].replace('"', "").split(", ")


def test_all_columns_stay_for_a_reader_that_gives_all_it_reads() -> None:
    tasks = models()["tasks"]
    for sql in ("SELECT * FROM tasks", "SELECT dag_id FROM (SELECT DISTINCT * FROM tasks) AS t"):
        assert narrowed(tasks, [replace(models()["lost_hours"], sql=sql)]) == tasks.sql
