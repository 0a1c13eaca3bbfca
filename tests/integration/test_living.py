"""A snapshot goes into an environment that is in use, under whatever ids are free there."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import airkeep
from airkeep.cli.main import cli
from airkeep.database.server import Cluster
from airkeep.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    NotEmptyError,
    OtherRevisionError,
)
from airkeep.restore.run import RestoreResult
from airkeep.snapshot.progress import Step
from compare import AS_IT_WAS
from identities import what_it_says
from renumbered import renumber, run_script
from servers import FERNET_KEY, Databases, emptied, query

PARENTS = ("dag", "dag_run", "log", "job", "variable", "dag_version")
DUMPS = ["airflow-332", "airflow-2112", "airflow-263", "airflow-306"]
# Half of the runs and all that hangs on them, what nothing points at then, and some of the rest.
THINNED = """
DELETE FROM {backfill};
DELETE FROM dag_run WHERE id % 2 = 0;
DELETE FROM log WHERE id % 3 = 0;
DELETE FROM variable WHERE id % 2 = 0;
DELETE FROM job j WHERE NOT EXISTS (SELECT FROM task_instance t WHERE {job})
  AND NOT EXISTS (SELECT FROM dag_run r WHERE r.creating_job_id = j.id)
  AND NOT EXISTS (SELECT FROM trigger r WHERE r.triggerer_id = j.id);
{parted}
"""


def restore(lake: Path, snapshot: str, database: str, **asked: Any) -> RestoreResult:
    """With every row as the snapshot has it."""
    return airkeep.restore(lake, snapshot, database, **AS_IT_WAS, **asked)


def thin(url: str) -> None:
    columns = query(url, "SELECT table_name || '.' || column_name FROM information_schema.columns")
    names = {name for (name,) in columns}
    new = "task_instance.job_id" not in names
    job = "t.queued_by_job_id = j.id" + ("" if new else " OR t.job_id = j.id")
    if "task_instance_history.queued_by_job_id" in names:
        job += " OR EXISTS (SELECT FROM task_instance_history h WHERE h.queued_by_job_id = j.id"
        job += ")" if new else " OR h.job_id = j.id)"
    backfill = "backfill_dag_run" if "backfill_dag_run.id" in names else "sla_miss"
    parts = ("partitioned_asset_key_log", "asset_partition_dag_run")
    parted = "; ".join(f"DELETE FROM {t}" for t in parts if f"{t}.id" in names)
    run_script(url, THINNED.format(backfill=backfill, job=job, parted=parted))


def export(url: str, lake: Path) -> None:
    airkeep.export(url, lake, environment="prod")


def fates(result: RestoreResult, label: str) -> dict[str, int]:
    table = next(t for t in result.plan.tables if t.label == label)
    return {f.kind: f.rows for f in table.fates}


@pytest.mark.parametrize("dump", DUMPS)
def test_what_is_missing_comes_back_under_other_ids(
    databases: Databases, tmp_path: Path, dump: str
) -> None:
    source, target = databases.airflow(dump), databases.airflow(dump)
    renumber(target)
    thin(target)
    export(source, tmp_path)
    wanted = what_it_says(source)
    result = restore(tmp_path, "latest", target, on_conflict="fail")
    found = what_it_says(target)
    for table in wanted.rows:
        assert found.of(table) == wanted.of(table), table
    again = restore(tmp_path, "latest", target, on_conflict="skip")
    assert again.plan.rows == 0
    assert result.plan.rows > 0
    fated = [f for t in result.plan.tables for f in t.fates]
    assert {f.kind for f in fated} == {"inserted", "remapped", "same"}
    assert all(f.examples for f in fated)


@pytest.fixture
def changed(databases: Databases, tmp_path: Path) -> tuple[str, str]:
    """A source and a target that differ in a pool, a run, a variable and a connection."""
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    renumber(target)
    run_script(
        target,
        "UPDATE slot_pool SET slots = 77 WHERE pool = 'default_pool'; "
        "UPDATE dag_run SET state = 'failed' WHERE run_id = (SELECT min(run_id) FROM dag_run); "
        "DELETE FROM variable; INSERT INTO variable (key, val, is_encrypted) "
        "SELECT 'new one', 'x', false",
    )
    export(source, tmp_path)
    return source, target


def test_skip_keeps_the_rows_of_the_target(changed: tuple[str, str], tmp_path: Path) -> None:
    source, target = changed
    before = what_it_says(target)
    result = restore(tmp_path, "latest", target, on_conflict="skip")
    after, wanted = what_it_says(target), what_it_says(source)
    assert after.of("slot_pool") == before.of("slot_pool")
    assert after.of("dag_run") == before.of("dag_run")
    assert after.of("variable") == before.of("variable") + wanted.of("variable")
    assert fates(result, "slot_pool") == {"same": 1, "skipped": 1}


def test_replace_puts_the_snapshots_rows_over_them(
    changed: tuple[str, str], tmp_path: Path
) -> None:
    source, target = changed
    result = restore(tmp_path, "latest", target, on_conflict="replace")
    after, wanted = what_it_says(target), what_it_says(source)
    assert after.of("slot_pool") == wanted.of("slot_pool")
    assert after.of("dag_run") == wanted.of("dag_run")
    assert after.of("task_instance") == wanted.of("task_instance")
    assert fates(result, "slot_pool") == {"same": 1, "replaced": 1}


def test_each_class_of_tables_has_its_policy(changed: tuple[str, str], tmp_path: Path) -> None:
    source, target = changed
    before = what_it_says(target)
    restore(tmp_path, "latest", target, on_conflict="fail,config=skip,history=replace")
    after, wanted = what_it_says(target), what_it_says(source)
    assert after.of("slot_pool") == before.of("slot_pool")
    assert after.of("dag_run") == wanted.of("dag_run")


def test_fail_names_a_row_and_changes_nothing(changed: tuple[str, str], tmp_path: Path) -> None:
    _, target = changed
    before = what_it_says(target)
    with pytest.raises(ConflictError, match=r"2 rows of 2 tables .*--on-conflict is fail"):
        restore(tmp_path, "latest", target, on_conflict="fail")
    after = what_it_says(target)
    assert all(after.of(t) == before.of(t) for t in before.rows)


def test_a_dry_run_of_fail_shows_every_fate_and_ends_as_the_restore_would(
    changed: tuple[str, str], tmp_path: Path
) -> None:
    _, target = changed
    planned = restore(tmp_path, "latest", target, on_conflict="fail", dry_run=True)
    assert fates(planned, "slot_pool") == {"same": 1, "conflict": 1}
    words = ("restore", str(tmp_path), "latest", target, "--on-conflict", "fail", "--dry-run")
    told = CliRunner().invoke(cli, words)
    assert isinstance(told.exception, ConflictError)
    assert re.search(r"slot_pool +conflict +1 .*default_pool", told.stdout)


def test_what_each_parse_writes_anew_is_no_other_dag(databases: Databases, tmp_path: Path) -> None:
    target = databases.airflow("airflow-332")
    export(target, tmp_path)
    run_script(
        target, "UPDATE dag SET last_parsed_time = now(), next_dagrun = NULL, is_stale = true"
    )
    assert restore(tmp_path, "latest", target, on_conflict="fail").rows == 0


def test_a_newer_target_is_told_of_the_upgrade(databases: Databases, tmp_path: Path) -> None:
    older, newer = databases.airflow("airflow-2112"), databases.airflow("airflow-332")
    for url, into, remedy in (
        (older, newer, "add --upgrade"),
        (newer, older, "migrate the target to that version first"),
    ):
        export(url, tmp_path)
        with pytest.raises(OtherRevisionError, match=remedy):
            restore(tmp_path, "latest", into, on_conflict="skip")


def test_without_a_policy_a_target_in_use_is_refused(
    changed: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(NotEmptyError, match="--on-conflict skip"):
        restore(tmp_path, "latest", changed[1])
    with pytest.raises(NotEmptyError, match="--on-conflict skip"):
        restore(tmp_path, "latest", changed[1], only="config")


def test_a_dry_run_tells_the_same_fates_and_moves_nothing(
    changed: tuple[str, str], tmp_path: Path
) -> None:
    _, target = changed
    sequences = "SELECT schemaname || sequencename, last_value FROM pg_sequences ORDER BY 1"
    before, numbers = what_it_says(target), query(target, sequences)
    planned = restore(tmp_path, "latest", target, on_conflict="skip", dry_run=True)
    after = what_it_says(target)
    assert all(after.of(t) == before.of(t) for t in before.rows)
    assert query(target, sequences) == numbers
    done = restore(tmp_path, "latest", target, on_conflict="skip")
    assert [(t.label, [(f.kind, f.rows) for f in t.fates]) for t in done.plan.tables] == [
        (t.label, [(f.kind, f.rows) for f in t.fates]) for t in planned.plan.tables
    ]
    assert done.rows == planned.rows > 0


def test_only_history_brings_what_it_points_at(databases: Databases, tmp_path: Path) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    run_script(target, f"TRUNCATE {', '.join(PARENTS)} CASCADE")
    export(source, tmp_path)
    result = restore(tmp_path, "latest", target, on_conflict="skip", only="history")
    after, wanted = what_it_says(target), what_it_says(source)
    for table in ("dag_run", "task_instance", "xcom", "log", "task_instance_history"):
        assert after.of(table) == wanted.of(table), table
    brought = {t.label for t in result.plan.tables if t.action == "bring"}
    assert {"dag_version", "dag", "job"} <= brought
    assert not brought & {"connection", "variable", "slot_pool"}
    assert set(after.of("dag_version")) <= set(wanted.of("dag_version"))
    assert not after.of("variable")


def test_only_config_leaves_history_alone(databases: Databases, tmp_path: Path) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    run_script(target, "DELETE FROM connection; DELETE FROM xcom; DELETE FROM ab_user_role")
    export(source, tmp_path)
    result = restore(tmp_path, "latest", target, on_conflict="skip", only="config")
    after, wanted = what_it_says(target), what_it_says(source)
    for table in ("connection", "ab_user", "ab_user_role"):
        assert after.of(table) == wanted.of(table), table
    assert not after.of("xcom")
    assert "dag_run" not in {t.label for t in result.plan.tables}


def test_a_run_whose_date_another_run_has_is_left_out_with_all_that_hangs_on_it(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    [(dag_id, run_id)] = query(target, "SELECT dag_id, run_id FROM dag_run ORDER BY id LIMIT 1")
    run = f"dag_id = '{dag_id}' AND run_id = '{run_id}'"
    run_script(
        target,
        f"DELETE FROM task_instance WHERE {run}; "
        f"UPDATE dag_run SET run_id = 'another', state = 'success' WHERE {run}",
    )
    export(source, tmp_path)
    [(tasks,)] = query(source, f"SELECT count(*) FROM task_instance WHERE {run}")
    result = restore(tmp_path, "latest", target, on_conflict="skip")
    assert fates(result, "dag_run")["dropped"] == 1
    assert fates(result, "task_instance")["dropped"] == tasks > 0
    left_out = [f for t in result.plan.tables for f in t.fates if f.kind == "dropped"]
    assert "another row has its dag_id, execution_date" in {f.why for f in left_out}
    assert query(target, f"SELECT count(*) FROM task_instance WHERE {run}") == [(0,)]
    with pytest.raises(ConflictError):
        restore(tmp_path, "latest", target, on_conflict="fail")


def test_what_pointed_at_nothing_meets_no_row_by_chance(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    [(job,)] = query(source, "SELECT max(job_id) FROM task_instance")
    run_script(source, f"DELETE FROM job WHERE id = {job}")
    run_script(target, f"DELETE FROM task_instance WHERE job_id = {job}")
    export(source, tmp_path)
    restore(tmp_path, "latest", target, on_conflict="skip")
    assert query(target, f"SELECT count(*) FROM task_instance WHERE job_id = {job}") == [(0,)]


def test_a_writer_who_holds_a_table_makes_the_restore_say_so(
    changed: tuple[str, str], tmp_path: Path
) -> None:
    from adbc_driver_postgresql import dbapi

    _, target = changed
    with dbapi.connect(target) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE dag_run IN ROW EXCLUSIVE MODE")
        limits = airkeep.ReadLimits(lock_timeout_s=1)
        with pytest.raises(BusyError):
            restore(tmp_path, "latest", target, on_conflict="skip", limits=limits)


def test_what_was_in_flight_is_settled_before_it_is_compared(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    renumber(target)
    run_script(
        source,
        "UPDATE dag_run SET state = 'running', end_date = NULL WHERE id = 5; "
        "UPDATE task_instance t SET state = 'running', end_date = NULL FROM dag_run r "
        "WHERE r.id = 5 AND t.run_id = r.run_id AND t.dag_id = r.dag_id",
    )
    [(dag_id, run_id)] = query(source, "SELECT dag_id, run_id FROM dag_run WHERE id = 5")
    run = f"dag_id = '{dag_id}' AND run_id = '{run_id}'"
    run_script(target, f"DELETE FROM dag_run WHERE {run}")
    export(source, tmp_path)
    planned = airkeep.restore(tmp_path, "latest", target, on_conflict="skip", dry_run=True)
    result = airkeep.restore(tmp_path, "latest", target, on_conflict="skip")
    assert query(target, f"SELECT state, end_date IS NULL FROM dag_run WHERE {run}") == [
        ("failed", False)
    ]
    states = query(target, f"SELECT DISTINCT state FROM task_instance WHERE {run}")
    assert states == [("failed",)]
    failed = {(o.table, o.fate): o.rows for o in result.outcomes}
    assert failed["dag_run", "failed"] >= 1
    assert {(o.table, o.fate): o.rows for o in planned.outcomes}.items() >= {
        ("dag_run", "failed"): failed["dag_run", "failed"]
    }.items()


def test_dags_are_active_as_they_were_and_those_of_the_target_alone_stay(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    names = [n for (n,) in query(source, "SELECT dag_id FROM dag ORDER BY dag_id")]
    run_script(source, f"UPDATE dag SET is_paused = (dag_id <> '{names[0]}')")
    run_script(
        target,
        f"UPDATE dag SET is_paused = (dag_id = '{names[0]}'); "
        f"CREATE TEMP TABLE one AS SELECT * FROM dag WHERE dag_id = '{names[0]}'; "
        "UPDATE one SET dag_id = 'of the target', is_paused = false; "
        "INSERT INTO dag SELECT * FROM one",
    )
    export(source, tmp_path)
    airkeep.restore(tmp_path, "latest", target, on_conflict="skip")
    active = "SELECT dag_id FROM dag WHERE NOT is_paused ORDER BY dag_id"
    assert query(target, active) == sorted([(names[0],), ("of the target",)])
    airkeep.restore(tmp_path, "latest", target, on_conflict="skip", active=[names[1]])
    assert query(target, active) == sorted([(names[1],), ("of the target",)])


def test_a_dag_that_is_active_in_the_target_goes_on_and_one_that_was_paused_slept(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    [(going,), (woken,)] = query(
        target,
        "SELECT dag_id FROM dag WHERE next_dagrun_data_interval_start IS NOT NULL "
        "ORDER BY dag_id LIMIT 2",
    )
    due = "next_dagrun_create_after = now() - interval '1 hour'"
    run_script(source, f"UPDATE dag SET is_paused = (dag_id NOT IN ('{going}', '{woken}'))")
    run_script(target, f"UPDATE dag SET is_paused = (dag_id <> '{going}'), {due}")
    export(source, tmp_path)
    airkeep.restore(tmp_path, "latest", target, on_conflict="skip")
    assert query(target, "SELECT dag_id FROM dag_run WHERE run_id LIKE '%airkeep_asleep%'") == [
        (woken,)
    ]
    assert query(target, "SELECT dag_id FROM dag WHERE NOT is_paused ORDER BY 1") == [
        (going,),
        (woken,),
    ]


def test_a_dag_that_is_active_in_the_target_and_goes_on_from_the_snapshots_run_slept(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    due = "next_dagrun_create_after = now() - interval '1 hour'"
    [(dag_id,)] = query(
        source,
        "SELECT dag_id FROM dag_run WHERE run_type = 'scheduled' AND data_interval_end IS NOT NULL "
        "GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    )
    run_script(target, f"DELETE FROM dag_run; UPDATE dag SET is_paused = false, {due}")
    run_script(source, f"UPDATE dag SET is_paused = (dag_id <> '{dag_id}')")
    export(source, tmp_path)
    planned = airkeep.restore(tmp_path, "latest", target, on_conflict="skip", dry_run=True)
    done = airkeep.restore(tmp_path, "latest", target, on_conflict="skip")
    assert query(target, "SELECT dag_id FROM dag_run WHERE run_id LIKE '%airkeep_asleep%'") == [
        (dag_id,)
    ]
    slept = [o for o in done.outcomes if o.fate == "slept through"]
    assert slept == [o for o in planned.outcomes if o.fate == "slept through"] != []


def test_a_dag_that_never_ran_sleeps_beside_one_that_did(
    databases: Databases, tmp_path: Path
) -> None:
    source = databases.airflow("airflow-332")
    due = "next_dagrun_create_after = now() - interval '1 hour'"
    run_script(
        source,
        "CREATE TEMP TABLE more AS SELECT * FROM dag WHERE next_dagrun_data_interval_start "
        f"IS NOT NULL LIMIT 1; UPDATE more SET dag_id = 'never_ran', is_paused = false, {due}; "
        "INSERT INTO dag SELECT * FROM more",
    )
    export(source, tmp_path)
    target = databases.empty()
    airkeep.restore(tmp_path, "latest", target, create_schema=True)
    asleep = "SELECT count(*), count(created_dag_version_id) FROM dag_run WHERE run_id LIKE "
    [(runs, versions)] = query(target, asleep + "'%airkeep_asleep%'")
    assert runs > versions > 0


def test_sealed_secrets_that_the_target_has_are_known_again(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    archive_key = base64.urlsafe_b64encode(bytes(range(32))).decode()
    keys: dict[str, Any] = {"fernet_key": FERNET_KEY, "archive_key": archive_key}
    airkeep.export(source, tmp_path, environment="prod", secrets="seal", **keys)
    [(token,)] = query(source, "SELECT password FROM connection WHERE is_encrypted LIMIT 1")
    result = restore(tmp_path, "latest", target, on_conflict="fail", **keys)
    assert result.rows == 0
    run_script(target, "DELETE FROM connection")
    restore(tmp_path, "latest", target, on_conflict="fail", **keys)
    passwords = query(target, "SELECT password FROM connection WHERE is_encrypted")
    assert len(passwords) > 0
    assert (token,) not in passwords


def test_a_run_that_is_another_one_in_the_target_keeps_its_own(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    renumber(target)
    [(dag_id, run_id)] = query(
        source, "SELECT dag_id, run_id FROM xcom GROUP BY 1, 2 HAVING count(*) > 2 LIMIT 1"
    )
    run = f"dag_id = '{dag_id}' AND run_id = '{run_id}'"
    run_script(
        target,
        f"UPDATE dag_run SET start_date = now() WHERE {run}; DELETE FROM xcom WHERE {run}; "
        f"DELETE FROM xcom WHERE run_id <> '{run_id}' AND dag_run_id % 2 = 0",
    )
    export(source, tmp_path)
    result = restore(tmp_path, "latest", target, on_conflict="skip")
    assert query(target, f"SELECT count(*) FROM xcom WHERE {run}") == [(0,)]
    skipped = [f for t in result.plan.tables if t.label == "xcom" for f in t.fates]
    assert "its dag_run is another one here" in {f.why for f in skipped}
    assert {f.kind for f in skipped} >= {"inserted", "skipped"}


@pytest.mark.parametrize("dump", ["airflow-332", "airflow-2112"])
def test_what_hung_on_a_replaced_run_alone_goes_with_it(
    databases: Databases, tmp_path: Path, dump: str
) -> None:
    source, target = databases.airflow(dump), databases.airflow(dump)
    renumber(target)
    [(dag_id, run_id), (other_dag, other_run)] = query(
        source, "SELECT dag_id, run_id FROM xcom GROUP BY 1, 2 HAVING count(*) > 2 LIMIT 2"
    )
    run = f"dag_id = '{dag_id}' AND run_id = '{run_id}'"
    other = f"dag_id = '{other_dag}' AND run_id = '{other_run}'"
    run_script(source, f"DELETE FROM xcom WHERE {run}; DELETE FROM xcom WHERE {other}")
    run_script(target, f"UPDATE dag_run SET start_date = now() WHERE {run}")
    export(source, tmp_path)
    [(kept,)] = query(target, f"SELECT count(*) FROM xcom WHERE {other}")
    arguments: dict[str, Any] = {"on_conflict": "skip,history=replace"}
    planned = restore(tmp_path, "latest", target, dry_run=True, **arguments)
    result = restore(tmp_path, "latest", target, **arguments)
    assert query(target, f"SELECT count(*) FROM xcom WHERE {run}") == [(0,)]
    assert query(target, f"SELECT count(*) FROM xcom WHERE {other}") == [(kept,)]
    assert fates(planned, "xcom")["removed"] == fates(result, "xcom")["removed"] > 2
    assert all(f.examples for t in result.plan.tables for f in t.fates)
    assert what_it_says(target).of("dag_run") == what_it_says(source).of("dag_run")


def test_a_newer_version_of_the_targets_own_comes_after_all_that_arrive(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-306"), databases.airflow("airflow-306")
    renumber(target)
    [(dag_id,)] = query(
        source, "SELECT dag_id FROM dag_version GROUP BY 1 HAVING max(version_number) = 1 LIMIT 1"
    )
    one = f"WHERE dag_id = '{dag_id}'"
    run_script(
        source,
        f"CREATE TEMP TABLE more AS SELECT * FROM dag_version {one}; "
        "UPDATE more SET version_number = 2, id = md5(id::text)::uuid; "
        "INSERT INTO dag_version SELECT * FROM more",
    )
    run_script(
        target,
        f"UPDATE dag_version SET created_at = now() {one}",
    )
    export(source, tmp_path)
    restore(tmp_path, "latest", target, on_conflict="skip")
    versions = query(target, f"SELECT version_number FROM dag_version {one} ORDER BY created_at")
    assert sorted(versions) == [(1,), (2,), (3,)]
    assert versions[-1] == (3,)
    assert restore(tmp_path, "latest", target, on_conflict="skip").rows == 0


def test_a_run_is_not_replaced_where_another_run_has_its_date(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    renumber(target)
    [(dag_id, run_id)] = query(source, "SELECT dag_id, run_id FROM xcom LIMIT 1")
    run = f"dag_id = '{dag_id}' AND run_id = '{run_id}'"
    run_script(
        target,
        "CREATE TEMP TABLE other AS SELECT (x).* FROM (SELECT r AS x FROM dag_run r "
        f"WHERE {run}) y; "
        f"UPDATE dag_run SET execution_date = execution_date + interval '1 second' WHERE {run}; "
        "UPDATE other SET run_id = 'another', id = id + 1000000; "
        f"INSERT INTO dag_run SELECT * FROM other; UPDATE task_instance SET pid = 4711 WHERE {run}",
    )
    export(source, tmp_path)
    before = what_it_says(target)
    result = restore(tmp_path, "latest", target, on_conflict="replace")
    after = what_it_says(target)
    assert after.of("dag_run") == before.of("dag_run")
    assert query(target, f"SELECT DISTINCT pid FROM task_instance WHERE {run}") == [(4711,)]
    runs = next(t for t in result.plan.tables if t.label == "dag_run")
    assert [f.why for f in runs.fates if f.kind == "skipped"] == [
        "another row has its dag_id, execution_date"
    ]


@pytest.mark.parametrize("policy", ["fail", "replace"])
def test_who_made_a_user_is_known_under_the_ids_of_the_target(
    databases: Databases, tmp_path: Path, policy: str
) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    made = (
        "INSERT INTO ab_user (id, first_name, last_name, username, email, created_by_fk) "
        "SELECT {id}, 'x', 'y', {name}, {name}, {by}; "
    )
    run_script(source, made.format(id=900, name="'maker'", by="NULL"))
    run_script(source, made.format(id=901, name="'made'", by=900))
    run_script(target, made.format(id=900, name="'somebody'", by="NULL"))
    run_script(target, made.format(id=700, name="'made'", by="NULL"))
    if policy == "fail":
        run_script(target, made.format(id=701, name="'maker'", by="NULL"))
        run_script(target, "UPDATE ab_user SET created_by_fk = 701 WHERE id = 700")
    export(source, tmp_path)
    result = restore(tmp_path, "latest", target, on_conflict=policy)
    found = query(
        target,
        "SELECT m.username FROM ab_user u JOIN ab_user m ON m.id = u.created_by_fk "
        "WHERE u.username = 'made'",
    )
    assert found == [("maker",)]
    expected = {"same": 3} if policy == "fail" else {"remapped": 1, "replaced": 1}
    assert fates(result, "ab_user").items() >= expected.items()


def test_what_came_into_a_fresh_target_before_the_locks_is_seen(
    databases: Databases, server: Cluster, tmp_path: Path
) -> None:
    export(databases.airflow("airflow-332"), tmp_path)
    target = emptied(server, databases.airflow("airflow-332"))
    mine = "INSERT INTO variable (key, val, is_encrypted) VALUES ('mine', 'x', false) RETURNING 1"

    def somebody(step: Step) -> None:
        if step.doing == "locking tables":
            query(target, mine)

    with pytest.raises(NotEmptyError, match=r"rows are in variable\. .*--on-conflict skip"):
        restore(tmp_path, "latest", target, only="config", progress=somebody)
    assert query(target, "SELECT key FROM variable") == [("mine",)]


@pytest.mark.parametrize(
    ("left_out", "column"),
    [
        ("job", "task_instance.queued_by_job_id"),
        ("trigger", "task_instance.trigger_id"),
        ("log_template", "dag_run.log_template_id"),
    ],
)
def test_what_points_at_a_table_that_is_left_out_points_at_nothing(
    databases: Databases, tmp_path: Path, left_out: str, column: str
) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    table, _, name = column.partition(".")
    run_script(source, f"UPDATE {table} SET {name} = (SELECT max(id) FROM {left_out})")
    run_script(target, "DELETE FROM dag_run")
    export(source, tmp_path)
    restore(tmp_path, "latest", target, on_conflict="skip", skip=[left_out])
    rows = f"SELECT count(*), count({name}) FROM {table}"
    [(there, _)], [(arrived, pointing)] = query(source, rows), query(target, rows)
    assert (arrived, pointing) == (there, 0)


def test_what_cannot_be_without_a_table_that_is_left_out_is_refused(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-2112"), databases.airflow("airflow-2112")
    export(source, tmp_path)
    with pytest.raises(ConfigError, match=r"dag_run is left out, and \w+\.dag_run_id points at"):
        restore(tmp_path, "latest", target, on_conflict="skip", skip=["dag_run"])


def test_no_writer_is_ended_whose_rows_go_with_a_replaced_run(
    databases: Databases, tmp_path: Path
) -> None:
    from adbc_driver_postgresql import dbapi

    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    run_script(source, "DELETE FROM xcom")
    run_script(target, "UPDATE dag_run SET start_date = now()")
    export(source, tmp_path)
    limits = airkeep.ReadLimits(lock_timeout_s=2)
    with dbapi.connect(target) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE xcom SET timestamp = now() WHERE key = 'return_value'")
        with pytest.raises(BusyError, match="never all free for a moment"):
            restore(tmp_path, "latest", target, on_conflict="replace", limits=limits)
        cursor.execute("UPDATE task_instance SET pid = 1")


def test_a_number_that_an_application_gave_names_its_row(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    app = "CREATE TABLE app (id int PRIMARY KEY, name text); INSERT INTO app VALUES (1, '{name}')"
    run_script(source, app.format(name="new"))
    run_script(target, app.format(name="old"))
    export(source, tmp_path)
    restore(tmp_path, "latest", target, on_conflict="replace")
    assert query(target, "SELECT id, name FROM app") == [(1, "new")]


def test_unique_rules_of_every_form_are_understood_or_left_to_the_server(
    databases: Databases, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    app = """
CREATE TABLE app (id serial PRIMARY KEY, name text, other text,
  low text GENERATED ALWAYS AS (lower(name)) STORED UNIQUE);
CREATE UNIQUE INDEX ON app (name text_pattern_ops DESC);
CREATE UNIQUE INDEX ON app (other) NULLS NOT DISTINCT;
INSERT INTO app (name, other) VALUES ('{name}', '{other}')
"""
    run_script(source, app.format(name="a", other="b"))
    run_script(target, app.format(name="a", other="c"))
    export(source, tmp_path)
    result = restore(tmp_path, "latest", target, on_conflict="skip")
    [fate] = next(t for t in result.plan.tables if t.label == "app").fates
    assert (fate.kind, fate.why) == ("dropped", "another row has its name")
    assert "sqlglot" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"only": "history", "tables": ["connection"]}, "leave no table of the snapshot"),
        ({"only": "config", "active": ["lab_etl_orders"]}, "no DAG is restored"),
    ],
)
def test_a_wish_that_comes_to_nothing_is_told(
    databases: Databases, tmp_path: Path, asked: dict[str, Any], why: str
) -> None:
    target = databases.airflow("airflow-332")
    export(target, tmp_path)
    with pytest.raises(ConfigError, match=why):
        restore(tmp_path, "latest", target, on_conflict="skip", dry_run=True, **asked)


def test_a_snapshot_without_fabs_users_goes_into_an_airflow_that_has_them(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("migrated-2112-to-332-fab")
    run_script(source, "INSERT INTO dag_favorite SELECT 'Anonymous', dag_id FROM dag LIMIT 1")
    export(source, tmp_path)
    assert "ab_user" not in airkeep.Lake(tmp_path)["latest"].manifest.labels
    restore(tmp_path, "latest", target, on_conflict="skip")
    assert query(target, "SELECT DISTINCT user_id FROM dag_favorite") == [("Anonymous",)]


def test_which_dags_become_active_and_which_are_paused_is_told(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    [(one,), (other,)] = query(source, "SELECT dag_id FROM dag ORDER BY 1 LIMIT 2")
    run_script(source, "UPDATE dag SET is_paused = false")
    run_script(target, f"UPDATE dag SET is_paused = (dag_id = '{one}')")
    export(source, tmp_path)
    done = airkeep.restore(tmp_path, "latest", target, on_conflict="skip", dry_run=True)
    assert {o.fate: o.examples for o in done.outcomes if "paused" in o.fate} == {"unpaused": (one,)}
    done = airkeep.restore(tmp_path, "latest", target, on_conflict="skip", active=[other])
    [paused] = [o for o in done.outcomes if o.fate == "paused"]
    assert [(paused.rows,)] == query(target, "SELECT count(*) - 2 FROM dag")
    assert query(target, "SELECT dag_id FROM dag WHERE NOT is_paused") == [(other,)]


def test_an_unset_variable_pauses_nothing(databases: Databases, tmp_path: Path) -> None:
    url = databases.airflow("airflow-332")
    told = CliRunner().invoke(cli, ["restore", str(tmp_path), "latest", url, "--active", ""])
    assert (told.exit_code, "is a variable unset?" in told.stderr) == (2, True)
