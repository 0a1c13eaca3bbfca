"""`airkeep query` and `airkeep models` as a person types them, over a database of Airflow 3.3."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airkeep.cli.main import cli
from airkeep.export.run import export
from airkeep.models.catalog import models
from servers import airflow_sqlite


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    file = airflow_sqlite("airflow-3.3.2", folder)
    export(str(file), str(folder / "lake"), environment="prod", allow_plain=True)
    return folder / "lake"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


COUNT = "SELECT state, count(*) AS runs FROM dag_run GROUP BY state ORDER BY state"


def test_a_question_is_answered_as_a_table_csv_and_json(lake: Path) -> None:
    table = run("query", lake, COUNT)
    rows = list(csv.reader(io.StringIO(run("query", lake, COUNT, "--format", "csv").stdout)))
    document = json.loads(run("query", "--json", lake, COUNT).stdout)
    assert json.loads(run("query", "--format", "json", lake, COUNT).stdout) == document

    assert table.exit_code == 0
    assert table.stdout.splitlines()[0].split() == ["state", "runs"]
    assert rows == [["state", "runs"], ["running", "2"], ["success", "74"]]
    assert document == [{"state": "running", "runs": 2}, {"state": "success", "runs": 74}]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_rows_go_to_a_new_file_and_to_no_other(lake: Path, tmp_path: Path, form: str) -> None:
    file = tmp_path / "found"
    first = run("query", lake, COUNT, "--format", form, "-o", file)
    size = file.stat().st_size
    again = run("query", lake, COUNT, "--format", form, "-o", file)

    assert first.exit_code == 0
    assert size > 10
    assert again.exit_code != 0
    assert "is there already" in str(again.exception)
    assert file.stat().st_size == size
    if form == "parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(file).to_pylist()[1] == {"state": "success", "runs": 74}


def test_a_question_that_fails_half_way_leaves_no_file(lake: Path, tmp_path: Path) -> None:
    fails_late = (
        "SELECT CAST(CASE WHEN range < 9000 THEN '1' ELSE 'x' END AS INT) FROM range(10000)"
    )
    for form in ("csv", "json", "parquet"):
        result = run("query", lake, fails_late, "--format", form, "-o", tmp_path / form)
        assert result.exit_code != 0
    assert list(tmp_path.iterdir()) == []


def test_the_tables_and_the_models_are_listed(lake: Path) -> None:
    tables = run("query", lake, "--tables").stdout.split()
    listed = json.loads(run("models", "--list", "--json").stdout)

    assert {"dag_run", "task_instance", "log"} <= set(tables)
    assert {"runs", "lost_hours"} <= {m["name"] for m in listed}
    assert all(m["answers"] and m["grain"] and m["units"] for m in listed)


def test_a_model_is_answered_and_its_sql_shown(lake: Path) -> None:
    answered = json.loads(run("models", "-q", "--json", lake, "success_by_dag_day").stdout)
    text = run("models", lake, "success_by_dag_day", "--sql").stdout

    assert sum(row["runs"] for row in answered) == 74
    assert {row["environment"] for row in answered} == {"prod"}
    assert text.startswith("SELECT")


def test_every_mart_goes_to_a_file_of_a_new_folder(lake: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "out" / "answers"
    done = run("models", lake, "--all", "-o", folder, "--memory", "1GB", "--threads", "2", "-q")

    assert (done.exit_code, done.output) == (0, "")
    assert sorted(f.stem for f in folder.iterdir()) == sorted(
        m.name for m in models().values() if m.kind == "mart"
    )
    assert list(folder.parent.iterdir()) == [folder]
    found = pq.read_table(folder / "success_by_dag_day.parquet").to_pylist()
    assert sum(row["runs"] for row in found) == 74
    for file in folder.iterdir():
        assert not any(map(pa.types.is_decimal, pq.read_schema(file).types)), file


@pytest.mark.parametrize("form", ["csv", "json"])
def test_models_that_are_named_go_to_files_in_a_form(lake: Path, tmp_path: Path, form: str) -> None:
    tmp_path.joinpath("empty").mkdir()
    names = ["lost_hours", "runs", "lost_hours"]
    done = run("models", lake, *names, "-o", tmp_path / "empty", "--format", form, "-q")

    assert done.exit_code == 0
    assert {f.name for f in (tmp_path / "empty").iterdir()} == {
        f"lost_hours.{form}",
        f"runs.{form}",
    }
    again = run("models", lake, *names, "-o", tmp_path / "empty", "-q")
    assert again.exit_code != 0
    assert "a new folder, or an empty one" in str(again.exception)


def test_models_that_fail_leave_no_folder(lake: Path, tmp_path: Path) -> None:
    done = run("models", lake, "runs", "tasks", "-e", "prdo", "-o", tmp_path / "answers")

    assert done.exit_code != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["models", "LAKE", "lost_hour"], "did you mean lost_hours"),
        (["query", "LAKE", "SELECT * FROM dag_rum"], "did you mean dag_run"),
        (["query", "LAKE", "SELECT 1/"], "no SQL"),
        (["query", "LAKE", "-e", "prdo", "SELECT 1 FROM dag_run"], "prdo"),
        (["query", "LAKE"], "write a question"),
        (["models"], "name a LAKE"),
        (["models", "LAKE", "runs", "tasks"], "need --output FOLDER"),
        (["models", "LAKE", "runs", "--all"], "or say --all"),
        (["models", "LAKE", "runs", "tasks", "--engine", "athena"], "no other engine"),
        (["query", "LAKE", COUNT, "--format", "parquet"], "needs a file"),
    ],
)
def test_what_cannot_be_is_said(lake: Path, arguments: list[str], said: str) -> None:
    result = run(*(str(lake) if a == "LAKE" else a for a in arguments))

    assert result.exit_code != 0
    assert said in f"{result.exception} {result.output}"
