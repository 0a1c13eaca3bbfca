"""Prune a living database: only what a verified snapshot holds unchanged leaves it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click import UsageError
from click.testing import CliRunner, Result

from airkeep.cli.main import cli
from airkeep.errors import ConfigError, NoSuchSnapshotError
from compare import data_of
from rewound import Rewound, an_old_run, is_there, prune
from servers import Templates, query

AIRFLOW = "airflow-332"


DUMPS = ["airflow-263", "airflow-2105-xcompickle", "airflow-2112", "airflow-306", AIRFLOW,
         "migrated-2112-to-332-fab"]  # fmt: skip


@pytest.mark.parametrize("dump", DUMPS)
def test_old_rows_leave_and_the_snapshot_holds_every_one_of_them(
    dump: str, templates: Templates, tmp_path: Path
) -> None:
    world = Rewound(templates, dump, tmp_path)
    url = world.again()
    result = prune(url, world)
    gone = world.gone(world.rows, url)
    assert gone == {t: n for t, n in result.rows.items() if n}
    assert gone == {t.table: t.rows for t in result.plan.tables if t.rows}
    assert gone["dag_run"] > 10
    assert gone["task_instance"] > 50
    assert gone["log"] > 20
    assert not {"dag", "connection", "variable", "trigger", "slot_pool"} & gone.keys()
    assert prune(url, world).total == 0
    world.drop()


def test_a_dry_run_says_the_same_and_deletes_nothing(world: Rewound) -> None:
    url = world.again()
    plan = prune(url, world, dry_run=True).plan
    assert data_of(url) == world.rows
    result = prune(url, world)
    assert plan.rows == result.total > 1_000
    assert plan.bytes == pytest.approx(result.bytes, rel=0.01)
    assert plan.bytes > 100_000
    assert plan.minutes > 0
    kept = query(url, "SELECT count(*) FROM dag_run")
    assert [(plan.kept_runs,)] == kept != [(0,)]


def test_a_young_row_stays(world: Rewound) -> None:
    url = world.again()
    [(first, middle)] = query(
        url,
        "SELECT min(start_date), percentile_disc(0.6) WITHIN GROUP (ORDER BY start_date) "
        "FROM dag_run",
    )
    assert prune(url, world, older_than=first).rows.get("dag_run", 0) == 0
    result = prune(url, world, older_than=middle)
    assert result.rows["dag_run"] > 0
    world.gone(world.rows, url)
    for table, column in (("dag_run", "start_date"), ("log", "dttm")):
        young = f"SELECT count(*) FROM {table} WHERE {column} >= '{middle.isoformat()}'"
        assert query(url, young) == query(world.then, young) != [(0,)]


def test_a_row_changed_since_the_snapshot_keeps_its_run_whole(world: Rewound) -> None:
    run, dag, name = an_old_run(world.again())
    url = world.again(
        f"UPDATE xcom SET value = '\"other\"' WHERE ctid = "
        f"(SELECT ctid FROM xcom WHERE dag_run_id = {run} LIMIT 1)"
    )
    before = data_of(url)
    count = f"SELECT count(*) FROM task_instance WHERE dag_id = '{dag}' AND run_id = '{name}'"
    tasks = query(url, count)
    result = prune(url, world)
    assert is_there(url, run)
    assert query(url, count) == tasks != [(0,)]
    assert result.rows["dag_run"] > 10
    assert [t.changed for t in result.plan.tables if t.table == "xcom"] == [1]
    world.gone(before, url)


def test_a_row_that_was_written_again_as_it_was_is_unchanged(world: Rewound) -> None:
    usual = prune(world.again(), world).rows
    url = world.again("UPDATE task_instance SET state = state", "UPDATE xcom SET value = value")
    assert prune(url, world).rows == usual


def test_what_a_changed_run_names_is_not_in_the_plan_either(
    templates: Templates, tmp_path: Path
) -> None:
    world = Rewound(templates, "airflow-2112", tmp_path)
    url = world.again()
    usual = prune(url, world).rows
    left = [sorted(n for (n,) in query(at, "SELECT id FROM job")) for at in (world.then, url)]
    gone = ", ".join(map(str, set(left[0]) - set(left[1])))
    [(run, jobs)] = query(
        world.then,
        f"SELECT r.id, count(DISTINCT job_id) FROM dag_run r JOIN task_instance t "
        f"USING (dag_id, run_id) WHERE job_id IN ({gone}) "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1",
    )
    url = world.again(f"UPDATE dag_run SET dag_hash = 'other' WHERE id = {run}")
    before = data_of(url)
    result = prune(url, world)
    fates = {t.table: t for t in result.plan.tables}
    assert {t: f.rows for t, f in fates.items() if f.rows} == world.gone(before, url)
    assert result.total == result.plan.rows
    assert fates["job"].named == jobs > 0
    assert fates["job"].rows == usual["job"] - jobs
    assert fates["job"].held == 0
    world.drop()


def test_a_foreign_key_of_somebody_is_known_to_the_plan(
    templates: Templates, tmp_path: Path
) -> None:
    world = Rewound(
        templates, AIRFLOW, tmp_path,
        "UPDATE task_instance t SET pid = l.id FROM (SELECT id, row_number() OVER (ORDER BY id) n "
        "FROM log) l, (SELECT id, row_number() OVER (ORDER BY id) n FROM task_instance) k "
        "WHERE k.id = t.id AND l.n = k.n",
        "UPDATE task_instance SET pid = NULL WHERE pid NOT IN (SELECT id FROM log)",
        "ALTER TABLE task_instance ADD FOREIGN KEY (pid) REFERENCES log (id)",
    )  # fmt: skip
    run, dag, name = an_old_run(world.again())
    url = world.again(f"UPDATE dag_run SET conf = '{{\"seen\": 1}}' WHERE id = {run}")
    before = data_of(url)
    result = prune(url, world)
    gone = world.gone(before, url)
    assert gone == {t.table: t.rows for t in result.plan.tables if t.rows}
    [(named, of_run)] = query(
        url,
        f"SELECT count(pid), count(pid) FILTER (WHERE dag_id = '{dag}' AND run_id = '{name}') "
        f"FROM task_instance",
    )
    assert [t.named for t in result.plan.tables if t.table == "log"] == [named]
    assert named > of_run > 0
    assert gone["log"] > named
    world.drop()


def test_a_plan_of_some_tables_knows_who_names_their_rows(
    templates: Templates, tmp_path: Path
) -> None:
    world = Rewound(templates, "airflow-2112", tmp_path)
    whole = prune(world.again(), world, dry_run=True).plan.units["job"]
    named = {}
    for tables in (["job"], ["job", "task_instance"], ["job", "xcom"], ["dataset_event"]):
        url = world.again()
        result = prune(url, world, tables=tables)
        assert result.plan.rows == result.total == sum(world.gone(world.rows, url).values())
        named[tuple(tables)] = sum(t.named for t in result.plan.tables if t.table == tables[0])
    assert named[("job",)] == named[("job", "xcom")] > whole / 2
    assert named[("job", "task_instance")] == 0
    assert named[("dataset_event",)] > 0
    world.drop()


@pytest.mark.parametrize(
    "added",
    [
        "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, "
        "timestamp) SELECT dag_run_id, task_id, map_index, 'later', false, dag_id, run_id, '1', "
        "timestamp FROM xcom WHERE dag_run_id = {run} LIMIT 1",
        "INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) "
        "VALUES ({run}, 'seen', now(), now())",
        "INSERT INTO task_instance_note (ti_id, content, created_at, updated_at) SELECT id, "
        "'seen', now(), now() FROM task_instance "
        "WHERE run_id = '{name}' AND dag_id = '{dag}' LIMIT 1",
        "CREATE TABLE audit (run int REFERENCES dag_run ON DELETE CASCADE); "
        "INSERT INTO audit VALUES ({run})",
        "CREATE SCHEMA team; CREATE TABLE team.audit (ti uuid REFERENCES task_instance (id) "
        "ON DELETE SET NULL); INSERT INTO team.audit SELECT id FROM task_instance "
        "WHERE run_id = '{name}' AND dag_id = '{dag}' LIMIT 1",
        "CREATE TABLE audit (run int REFERENCES dag_run ON DELETE CASCADE, n int) "
        "PARTITION BY RANGE (n); CREATE TABLE audit_1 PARTITION OF audit DEFAULT; "
        "INSERT INTO audit VALUES ({run}, 1)",
    ],
    ids=["an XCom", "a run's note", "a task's note", "a foreign table's row",
         "another schema's row", "a partitioned table's row"],
)  # fmt: skip
def test_a_child_that_is_new_keeps_its_run_whole(added: str, world: Rewound) -> None:
    run, dag, name = an_old_run(world.again())
    url = world.again(added.format(run=run, dag=dag, name=name))
    before = data_of(url)
    result = prune(url, world)
    assert is_there(url, run)
    assert query(url, f"SELECT count(*) FROM xcom WHERE dag_run_id = {run}") != [(0,)]
    gone = world.gone(before, url)
    assert gone["dag_run"] == result.rows["dag_run"] > 10
    assert gone == {t.table: t.rows for t in result.plan.tables if t.rows}


def test_what_is_at_work_stays(world: Rewound) -> None:
    run, dag, name = an_old_run(world.again())
    changed = (
        f"UPDATE dag_run SET state = 'running' WHERE id = {run}",
        f"UPDATE task_instance SET state = 'running' WHERE id = (SELECT id FROM task_instance "
        f"WHERE dag_id = '{dag}' AND run_id = '{name}' LIMIT 1)",
    )
    for change in changed:
        url = world.again(change)
        plan = prune(url, world).plan
        assert is_there(url, run)
        assert not any(t.changed or t.unknown for t in plan.tables)  # not even looked at


def test_of_each_dag_the_latest_runs_stay(world: Rewound) -> None:
    url = world.again()
    latest = [
        f"SELECT DISTINCT ON (dag_id, {group}) id FROM dag_run WHERE true "
        f"ORDER BY dag_id, {group}, {order} DESC NULLS LAST, id DESC"
        for group in ("run_type", "state", "dag_id")
        for order in ("logical_date", "start_date", "id")
    ]
    wanted = {run for question in latest for (run,) in query(url, question)}
    prune(url, world)
    assert wanted <= {run for (run,) in query(url, "SELECT id FROM dag_run")}


def test_what_stays_finds_all_that_it_names(world: Rewound) -> None:
    url = world.again()
    prune(url, world)
    for child, column, parent in (
        ("task_instance", "dag_version_id", "dag_version"),
        ("task_instance_history", "dag_version_id", "dag_version"),
        ("dag_run", "log_template_id", "log_template"),
        ("dag_run", "creating_job_id", "job"),
        ("task_instance", "queued_by_job_id", "job"),
    ):
        lost = (
            f"SELECT count(*) FROM {child} c WHERE {column} IS NOT NULL "
            f"AND NOT EXISTS (SELECT FROM {parent} p WHERE p.id = c.{column})"
        )
        assert query(url, lost) == query(world.then, lost), (child, column)


def test_a_table_that_was_asked_for_and_is_left_alone_is_told(world: Rewound) -> None:
    url = world.again("ALTER TABLE log ADD COLUMN more int")
    said = command(url, world.lake, "--tables", "log,dag_run")
    assert said.exception is None
    assert "left alone: log: its columns are not those of the snapshot" in said.stderr
    assert "deleted from" in said.stdout


def test_an_empty_wish_is_not_a_wish_for_all(world: Rewound) -> None:
    url = world.again()
    before = data_of(url)
    for flags, status in (
        (("--tables", ""), UsageError.exit_code),
        (("--tables", ","), UsageError.exit_code),
        (("--environment", "", "--snapshot", ""), UsageError.exit_code),
    ):
        assert command(url, world.lake, *flags).exit_code == status, flags
    for flags in (("--environment", ""), ("--snapshot", "")):
        assert isinstance(command(url, world.lake, *flags).exception, NoSuchSnapshotError), flags
    with pytest.raises(ConfigError, match="expected one of them"):
        prune(url, world, environment="prod", snapshot="latest")
    assert data_of(url) == before


def command(url: str, lake: str, *flags: str) -> Result:
    words = ["prune", url, lake, "--older-than", "0s", "--pause-ms", "0", *flags]
    return CliRunner().invoke(cli, words)
