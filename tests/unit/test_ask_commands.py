"""`airkeep query` and `airkeep models` as a person types them, over a database of Airflow 3.3."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import airkeep
from airkeep.cli.main import cli
from airkeep.cli.output import Output
from airkeep.cli.rows import show
from airkeep.errors import ConfigError, NoSuchSnapshotError
from airkeep.export.run import export
from airkeep.models.catalog import models
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import manifest_path
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


def test_a_table_rounds_floats_and_a_file_does_not(lake: Path) -> None:
    question = "SELECT CAST(1.0 AS DOUBLE) / 3 AS third, CAST(1e-9 AS DOUBLE) / 3 AS little"

    table = run("query", lake, question).stdout.splitlines()[1].split()
    exact = run("query", lake, question, "--format", "csv").stdout.splitlines()[1].split(",")

    assert table == ["0.333333", "3.33e-10"]
    assert [float(cell) for cell in exact] == [1.0 / 3, 1e-9 / 3]


def test_an_answer_without_rows_says_so(lake: Path) -> None:
    found = run("query", lake, f"SELECT * FROM ({COUNT}) WHERE runs < 0")

    assert found.stdout.split() == ["state", "runs"]
    assert "no rows" in found.stderr


def test_the_sql_of_a_model_needs_no_lake(lake: Path) -> None:
    alone = run("models", "--sql", "queue_wait")

    assert alone.exit_code == 0
    assert alone.stdout == run("models", lake, "queue_wait", "--sql").stdout
    assert "no model" in str(run("models", "--sql", "queue_weight").exception)


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
        assert pq.read_table(file).to_pylist()[1] == {"state": "success", "runs": 74}


def test_a_question_that_fails_half_way_leaves_no_file(lake: Path, tmp_path: Path) -> None:
    fails_late = (
        "SELECT CAST(CASE WHEN i < 9000 THEN '1' ELSE 'x' END AS INT) FROM range(10000) AS t(i)"
    )
    for form in ("csv", "json", "parquet"):
        result = run("query", lake, fails_late, "--format", form, "-o", tmp_path / form)
        assert "Could not convert string 'x'" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


class Watched:
    """Rows that look, when they are asked for, whether the file is there already."""

    columns = ("is_there",)

    def __init__(self, file: Path) -> None:
        self._file = file

    def rows(self, most: int | None = None) -> Iterator[tuple[bool]]:
        yield (self._file.exists(),)

    def batches(self) -> pa.RecordBatchReader:
        schema = pa.schema([("is_there", pa.bool_())])
        found = (pa.record_batch([[one for (one,) in self.rows()]], schema=schema) for _ in "1")
        return pa.RecordBatchReader.from_batches(schema, found)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"found.{form}"
    show(Watched(file), form, file, Output())

    assert list(tmp_path.iterdir()) == [file]
    if form == "parquet":
        assert pq.read_table(file).to_pylist() == [{"is_there": False}]
    else:
        assert "false" in file.read_text().lower()


@pytest.mark.parametrize(
    "command", [["report"], ["query", "FROM dag", "--format", "csv"], ["models", "runs"]]
)
def test_a_dash_is_no_file(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(command[0], lake, *command[1:], "-o", "-")

    assert isinstance(result.exception, ConfigError)
    assert "name a file" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_models_that_are_named_are_listed_alone(lake: Path) -> None:
    listed = json.loads(run("models", lake, "--list", "--json", "runs", "lost_hours").stdout)
    wrong = run("models", lake, "--list", "lost_hour")

    assert [m["name"] for m in listed] == ["lost_hours", "runs"]
    assert str(wrong.exception) == str(run("models", lake, "lost_hour").exception)
    assert "did you mean lost_hours" in str(wrong.exception)


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


def said_of(result: Result) -> str:
    return f"{result.exception} {result.output}"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("SELECT stat FROM dag_run", '"state"'),
        ("SELECT coun(*) FROM dag_run", '"count"'),
        ("SELECT * FROM lost_hour", "did you mean lost_hours"),
        ("SELECT * FROM Dag_Rum_History", "did you mean dag_run"),
    ],
)
def test_what_is_misspelt_in_a_question_is_told_with_what_is_near(
    lake: Path, question: str, said: str
) -> None:
    result = run("query", lake, question)

    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert "LINE 1" not in str(result.exception)


def test_a_missing_table_names_the_command_that_lists_this_lakes(lake: Path) -> None:
    assert f"`airkeep query {lake} --tables`" in said_of(run("query", lake, "FROM nope"))
    assert "`airkeep models --list`" in said_of(run("models", lake, "nope"))


@pytest.mark.parametrize(
    "question",
    [
        "SELECT count(*) AS n FROM DAG_RUN",
        "SELECT count(*) AS n FROM Dag_Run d JOIN dag_run e ON d.id = e.id",
        "SELECT count(*) AS n FROM Dag_Run_HISTORY",
        "WITH dag_run AS (SELECT * FROM dag_run WHERE id > 0) SELECT count(*) AS n FROM dag_run",
        "WITH Dag_Run AS (FROM dag_run), b AS (FROM DAG_RUN) SELECT count(*) AS n FROM b",
    ],
)
def test_names_are_those_of_sql(lake: Path, question: str) -> None:
    assert json.loads(run("query", "--json", lake, question).stdout) == [{"n": 76}]


def test_models_are_found_whatever_their_capitals(lake: Path) -> None:
    asked = json.loads(
        run("query", "--json", lake, "SELECT sum(runs) n FROM Success_By_DAG_Day").stdout
    )
    named = json.loads(run("models", "-q", "--json", lake, "Success_By_DAG_Day").stdout)

    assert asked == [{"n": 74}]
    assert sum(row["runs"] for row in named) == 74


def test_a_question_cannot_reach_what_this_process_knows(lake: Path) -> None:
    result = run("query", lake, "SELECT * FROM query_table('statement')")

    assert "does more than read" in said_of(result)


def test_a_user_may_join_a_file_of_his_own(lake: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("state,word\nsuccess,fine\n")
    question = f"SELECT DISTINCT word FROM dag_run JOIN read_csv('{mine}') USING (state)"

    assert json.loads(run("query", "--json", lake, question).stdout) == [{"word": "fine"}]


def test_an_environment_that_is_not_there_is_told_whatever_is_asked(lake: Path) -> None:
    for question in ("SELECT 1", "FROM dag_run"):
        result = run("query", lake, "-e", "prd", question)
        assert isinstance(result.exception, NoSuchSnapshotError)
        assert "did you mean prod" in str(result.exception)


@pytest.mark.parametrize(
    "command",
    [["query", "LAKE", "FROM dag_run"], ["query", "LAKE", "SELECT 1"], ["models", "LAKE", "runs"]],
)
def test_a_time_before_the_first_snapshot_names_the_oldest(lake: Path, command: list[str]) -> None:
    result = run(*(str(lake) if a == "LAKE" else a for a in command), "--as-of", "2020-01-01")
    oldest = Lake(str(lake)).names()[-1]

    assert isinstance(result.exception, NoSuchSnapshotError)
    assert f"before 2020-01-01T00:00:00Z: the oldest is {oldest}" in str(result.exception)


def test_an_empty_lake_is_told_and_a_folder_that_is_not_there_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("empty").mkdir()
    table = run("query", tmp_path / "empty", "FROM dag_run")
    model = run("models", "-q", tmp_path / "empty", "lost_hours")
    told = run("models", tmp_path / "empty", "lost_hours")
    page = run("report", tmp_path / "empty", "-o", tmp_path / "page.html")

    assert "holds no snapshot" in str(table.exception)
    assert model.exit_code == told.exit_code == page.exit_code == 0
    assert model.stdout.split()[0] == "environment"
    for result in (told, page):
        assert "empty holds no snapshot" in result.stderr
    commands: list[list[str | Path]] = [
        ["query", "FROM dag_run"],
        ["models", "lost_hours"],
        ["report", "-o", tmp_path / "other.html"],
    ]
    for command in commands:
        result = run(command[0], tmp_path / "nosuch", *command[1:])
        assert isinstance(result.exception, NoSuchSnapshotError)
    with pytest.raises(NoSuchSnapshotError, match="there is no folder"):
        airkeep.query(tmp_path / "nosuch", "SELECT 1")
    with pytest.raises(NoSuchSnapshotError, match="there is no folder"):
        airkeep.report(tmp_path / "nosuch", tmp_path / "other.html")


def test_a_damaged_snapshot_is_told_by_whatever_reads_it(lake: Path, tmp_path: Path) -> None:
    there = tmp_path / "lake"
    shutil.copytree(lake, there)
    file = next(there.glob("tables/dag_run/*/*/*.parquet"))
    with file.open("r+b") as damaged:
        damaged.seek(-1, os.SEEK_END)
        damaged.write(b"?")
    airkeep.verify(there, "latest")
    newest = Lake(str(there)).names()[0]

    commands: list[list[str | Path]] = [
        ["query", there, "SELECT count(*) FROM dag"],
        ["models", there, "version_churn"],
        ["query", there, "SELECT 1"],
    ]
    for command in commands:
        result = run(*command)
        assert result.exit_code == 0
        [line] = [one for one in result.stderr.splitlines() if "damaged" in one]
        assert f"{newest} was found damaged on " in line
        assert "dag_run" in line
    assert "damaged" not in run("query", lake, "SELECT 1").stderr


def test_a_manifest_that_cannot_be_read_is_told_of_once(lake: Path, tmp_path: Path) -> None:
    there = tmp_path / "lake"
    shutil.copytree(lake, there)
    export(str(airflow_sqlite("airflow-3.3.2", tmp_path)), str(there), environment="prod",
           allow_plain=True)  # fmt: skip
    newest = Lake(str(there)).names()[0]
    (there / manifest_path(newest.environment, newest.id)).write_text("no JSON")
    airkeep.verify(there, str(newest))

    result = run("query", there, "SELECT count(*) FROM dag")

    [line] = [one for one in result.stderr.splitlines() if str(newest) in one]
    assert "was passed over" in line


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_file_is_written_as_its_name_ends(lake: Path, tmp_path: Path, form: str) -> None:
    import pyarrow.parquet as pq

    file = tmp_path / f"found.{form}"
    asked, named = (
        run("query", lake, COUNT, "-o", file),
        run("query", lake, COUNT, "-o", f"{file}2"),
    )
    model = run(
        "models", "-q", lake, "success_by_dag_day", "-o", tmp_path / f"model.{form.upper()}"
    )
    contrary = ("--format", {"csv": "json"}.get(form, "csv"), "-o", tmp_path / f"other.{form}")
    other = run("query", lake, COUNT, *contrary)

    assert (asked.exit_code, model.exit_code) == (0, 0)
    assert "say --format" in said_of(named)
    assert "say one of them" in said_of(other)
    if form == "parquet":
        assert pq.read_table(file).num_rows == 2
    elif form == "json":
        assert len(json.loads(file.read_text())) == 2
    else:
        assert file.read_text().splitlines()[0] == "state,runs"


@pytest.mark.parametrize(
    "command",
    [
        ["query", "FROM nope"],
        ["models", "runs"],
        ["query", "FROM dag", "--engine", "spark"],
        ["models", "runs", "--engine", "spark"],
        ["models", "lost_hours", "--engine", "athena"],
    ],
)
def test_a_file_that_cannot_be_new_is_told_before_the_work(
    tmp_path: Path, lake: Path, command: list[str]
) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    for file, said in ((tmp_path / "no" / "o.csv", "there is no folder"), (there, "already")):
        result = run(command[0], lake, *command[1:], "-o", file)
        assert isinstance(result.exception, ConfigError)
        assert said in str(result.exception)
    assert there.read_text() == "mine"


def test_an_answer_without_rows_shows_its_columns(lake: Path) -> None:
    result = run("query", lake, "SELECT dag_id, state FROM dag_run WHERE false")

    assert result.stdout.split() == ["dag_id", "state"]


def test_marts_are_listed_first_and_under_a_heading() -> None:
    lines = run("models", "--list").stdout.splitlines()
    listed = json.loads(run("models", "--list", "--json").stdout)
    kinds = [one["kind"] for one in listed]

    assert lines[0].startswith("Marts")
    [other] = [n for n, line in enumerate(lines) if line.startswith("Staging")]
    assert other == 1 + kinds.count("mart")
    assert kinds == sorted(kinds)


def test_what_was_written_is_told(lake: Path, tmp_path: Path) -> None:
    result = run("models", lake, "lost_hours", "stale_dags", "-o", tmp_path / "answers")

    assert result.stdout == ""
    assert f"{tmp_path / 'answers'}: 2 parquet files" in result.stderr


def test_a_misspelt_command_is_told_with_the_one_that_is_near() -> None:
    result = run("modles")

    assert result.exit_code == 2
    assert "did you mean models?" in result.output


def test_a_plan_is_drawn_as_it_is(lake: Path) -> None:
    lines = run("query", lake, "EXPLAIN SELECT * FROM dag").stdout.splitlines()

    assert lines[0].startswith("┌")
    assert len(lines) > 5


@pytest.mark.parametrize("hidden", [False, True])
def test_no_function_of_a_question_writes_a_file(
    lake: Path, tmp_path: Path, *, hidden: bool
) -> None:
    file = tmp_path / "mine.json"
    file.write_text("mine")
    for call in (
        f"SELECT * FROM enable_profiling(format='json', save_location='{file}')",
        f"SELECT * FROM enable_logging(level='trace', storage='file', storage_path='{tmp_path}')",
    ):
        inner = call.replace("'", "''")
        asked = f"SELECT * FROM query('{inner}')" if hidden else call
        script = CliRunner().invoke(cli, ["shell", str(lake)], input=f"{asked};\nSELECT 1;\n")
        assert "does more than read" in str(script.exception)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("mine.json", "mine")]


def test_spark_is_given_no_statement_that_changes_a_table(lake: Path, tmp_path: Path) -> None:
    for more in ([], ["--execute"], ["--output", tmp_path / "script.py"]):
        found = run("query", lake, "DROP TABLE prod.important", "--engine", "spark", *more)
        assert isinstance(found.exception, ConfigError)
        assert "Spark is only asked" in str(found.exception)
    assert list(tmp_path.iterdir()) == []


ZONED = """-- when; it was
    SELECT TIMESTAMPTZ '2026-01-02 03:04:05.678901+01' AS "the time", 1::HUGEINT AS n,
    [TIMESTAMPTZ '2026-01-02 01:00:00+01'] AS list, {'a': TIMESTAMPTZ 'infinity'} AS struct,
    MAP {'k': TIMESTAMPTZ '2026-01-02 01:00:00+01'} AS map, NULL::TIMESTAMPTZ AS "the time"
    ; -- so
"""
UTC_TIME = datetime(2026, 1, 2, 2, 4, 5, 678901)
UTC_MIDNIGHT = datetime(2026, 1, 2)


def test_times_with_a_zone_become_utc_without_one(lake: Path, tmp_path: Path) -> None:
    found = airkeep.query(str(lake), ZONED)
    assert found.column_names == ["the time", "n", "list", "struct", "map", "the time"]
    assert found.schema.types[0] == pa.timestamp("us")
    assert [column.to_pylist() for column in found.columns[:3]] == [
        [UTC_TIME], [1], [[UTC_MIDNIGHT]],
    ]  # fmt: skip
    assert found.column(4).to_pylist() == [[("k", UTC_MIDNIGHT)]]

    assert run("query", lake, "SELECT now()").exit_code == 0
    script = CliRunner().invoke(cli, ["shell", str(lake), "--format", "csv"], input=ZONED)
    rows = list(csv.reader(io.StringIO(script.stdout)))
    assert rows == [
        ["the time", "n", "list", "struct", "map", "the time"],
        ["2026-01-02 02:04:05.678901", "1", *rows[1][2:5], ""],
    ]
    assert "9999" in rows[1][3]
    [row] = json.loads(run("query", "--json", lake, "SELECT to_timestamp(0) AS t").stdout)
    assert row == {"t": "1970-01-01 00:00:00"}
    saved = run("query", lake, "SELECT to_timestamp(0) AS t", "-o", tmp_path / "t.parquet")
    assert saved.exit_code == 0
    assert pq.read_schema(tmp_path / "t.parquet").field("t").type == pa.timestamp("us")


@pytest.mark.parametrize(
    "question",
    [
        "FROM (VALUES (now()))",
        "WITH a AS (SELECT now() AS n) FROM a",
        "PIVOT (SELECT now() AS n, 'a' AS k) ON k USING max(n)",
        "SELECT union_value(k := now())",
        "(SELECT now());",
        ";SELECT now()",
        f"SELECT size, last_modified FROM read_text('{__file__}')",
    ],
)
def test_every_kind_of_question_may_give_times_with_a_zone(lake: Path, question: str) -> None:
    result = run("query", lake, question, "--format", "csv")
    assert result.exit_code == 0, result.exception
    assert "+00" not in result.stdout


def test_rows_with_times_keep_their_order(lake: Path) -> None:
    sorted_ = "SELECT hash(range) % 9973 AS a, to_timestamp(0) AS t FROM range(200000) ORDER BY a"
    found = airkeep.query(str(lake), sorted_).column("a").to_pylist()
    assert found == sorted(found)


def test_a_table_with_times_of_a_zone_is_made_and_asked(lake: Path) -> None:
    made = "CREATE TABLE mine (t TIMESTAMPTZ);\nINSERT INTO mine VALUES (to_timestamp(0));\n"
    ask = ["shell", str(lake), "--format", "csv"]
    asked = CliRunner().invoke(cli, ask, input=f"{made}FROM mine;\n")
    refused = CliRunner().invoke(cli, ask, input=f"{made}DELETE FROM mine RETURNING t;\n")

    assert asked.stdout.splitlines()[-1] == "1970-01-01 00:00:00"
    assert "cast them" in str(refused.exception)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("FROM read_csv('/nosuch.csv')", 'No files found that match the pattern "/nosuch.csv"'),
        ("FROM read_csv('https://127.0.0.1:1/a.csv')", "extension httpfs, which is not installed"),
    ],
)
def test_a_file_that_a_question_names_wrongly_is_the_questions_fault(
    lake: Path, question: str, said: str
) -> None:
    result = run("query", lake, question)

    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("the question failed: ")
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE dag",
        "DROP VIEW IF EXISTS temp.dag_history",
        "DROP TABLE runs",
        "INSERT INTO Dag VALUES (1)",
        "WITH mine AS (SELECT 1) DELETE FROM dag",
        "UPDATE dag SET dag_id = ''",
        "ALTER TABLE dag ADD COLUMN a INT",
        "TRUNCATE dag",
        "MERGE INTO dag USING dag_run ON true WHEN MATCHED THEN DELETE",
        "EXPLAIN ANALYZE DROP TABLE dag",
        "DROP VIEW history.dag",
        "DELETE FROM history.dag",
    ],
)
def test_no_question_changes_a_table_of_the_lake(lake: Path, statement: str) -> None:
    script = f"FROM dag;\nFROM history.dag;\n{statement};\n"
    for result in (
        run("query", lake, statement),
        CliRunner().invoke(cli, ["shell", str(lake)], input=script),
    ):
        assert isinstance(result.exception, ConfigError)
        assert "does not change the lake's tables" in str(result.exception)


def test_a_question_may_change_what_questions_made(lake: Path) -> None:
    script = """CREATE TABLE mine AS SELECT 1 AS a; INSERT INTO mine VALUES (2);
    UPDATE mine SET a = 3 WHERE a = 1; SELECT sum(a) FROM mine; DROP TABLE mine;
    CREATE TABLE dag AS SELECT 7 AS a; DELETE FROM dag; DROP TABLE dag;
    SELECT count(*) > 1 AS is_the_lakes FROM dag;"""
    done = CliRunner().invoke(cli, ["shell", str(lake), "--format", "csv"], input=script)

    assert done.exit_code == 0, done.exception
    assert "\r\n5\r\n" in done.stdout or "\n5\n" in done.stdout
    assert done.stdout.split()[-1] == "True"
