"""Windows on tables of 1.10, 2.x and 3.x shape, with SQLite as the judge of the SQL."""

from __future__ import annotations

import random
import re
import sqlite3
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_schemas import ALL, OURS, columns_of, database, schema
from airkeep.tables.window import WindowRule, needed_by, window_rule

OLD, RECENT = "2026-01-01 00:00:00.000000", "2026-11-15 00:00:00.000000"
CUTOFF = "'2026-11-01 00:00:00.000000'"


@cache
def rules(version: str) -> dict[str, WindowRule]:
    columns = columns_of(version)
    return {table: window_rule(table, columns) for table in columns}


def insert(db: sqlite3.Connection, table: str, **values: object) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" * len(values))
    db.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(values.values()))


def kept(db: sqlite3.Connection, version: str, table: str, column: str) -> list[Any]:
    """That column of the rows in the window."""
    where = rules(version)[table].where(CUTOFF)
    sql = f'SELECT "{column}" FROM "{table}"' + (f" WHERE {where}" if where else "")
    return sorted(row[0] for row in db.execute(sql))


def test_a_run_is_chosen_by_any_of_its_dates_or_by_being_unfinished() -> None:
    db = database("3.3.2-fab")
    old = dict.fromkeys(["start_date", "end_date", "run_after", "logical_date", "queued_at"], OLD)
    runs: dict[str, dict[str, object]] = {
        "long over": {"state": "success", **old},
        "failed long ago": {"state": "failed", **old},
        "ended of late": {"state": "success", **old, "end_date": RECENT},
        "started of late, never ended": {"state": "failed", **old, "start_date": RECENT},
        "made of late for long ago": {"state": "success", **old, "queued_at": RECENT},
        "for next week": {"state": "success", **old, "logical_date": RECENT},
        "asset run, no logical date": {"state": "success", **old, "logical_date": None},
        "old and without an end": {"state": "success", **old, "end_date": None},
        "running for years": {"state": "running", **old, "end_date": None},
        "without a state": {"state": None, **old},
        "without a date": {"state": "success"},
    }
    for run_id, run in runs.items():
        insert(db, "dag_run", dag_id=f"dag of {run_id}", run_id=run_id, **run)
    assert kept(db, "3.3.2-fab", "dag_run", "run_id") == [
        "ended of late",
        "for next week",
        "made of late for long ago",
        "running for years",
        "started of late, never ended",
        "without a date",
        "without a state",
    ]


def test_in_1_10_children_follow_their_run_by_execution_date() -> None:
    db = database("1.10.12")
    insert(db, "dag_run", id=1, dag_id="etl", execution_date=OLD, run_id="r1", state="success",
           end_date=OLD)  # fmt: skip
    insert(db, "dag_run", id=2, dag_id="etl", execution_date=RECENT, run_id="r2", state="success")
    for dag_id, date, own in [
        ("etl", OLD, RECENT),  # of the old run, touched of late: out
        ("etl", RECENT, OLD),  # of the new run, with old dates: in
        ("sub", OLD, OLD),  # no run, old: out
        ("sub", RECENT, None),  # no run, for a recent date: in
    ]:
        key = {"dag_id": dag_id, "task_id": "t", "execution_date": date}
        insert(db, "task_instance", **key, end_date=own, job_id=len(dag_id) * (2 if own else 3))
        insert(db, "xcom", **key, key=f"{dag_id} {date[5:7]}", timestamp=own or RECENT)
        insert(db, "sla_miss", **key, timestamp=own, description=f"{dag_id} {date[5:7]}")
        insert(db, "task_reschedule", **key, end_date=own or RECENT, try_number=1)
    insert(db, "task_fail", dag_id="gone", task_id="t", execution_date=OLD, end_date=OLD, id=1)
    insert(db, "task_fail", dag_id="gone", task_id="t", execution_date=OLD, end_date=RECENT, id=2)

    assert kept(db, "1.10.12", "task_instance", "dag_id") == ["etl", "sub"]
    assert kept(db, "1.10.12", "task_instance", "execution_date") == [RECENT, RECENT]
    assert kept(db, "1.10.12", "xcom", "key") == ["etl 11", "sub 11"]
    assert kept(db, "1.10.12", "sla_miss", "description") == ["etl 11", "sub 11"]
    assert kept(db, "1.10.12", "task_reschedule", "execution_date") == [RECENT, RECENT]
    assert kept(db, "1.10.12", "task_fail", "id") == [2]


def test_in_2_x_children_follow_their_run_by_run_id() -> None:
    db = database("2.11.2")
    older = OLD.replace("2026", "2025")
    insert(db, "dag_run", id=1, dag_id="etl", run_id="old", execution_date=OLD, state="success")
    insert(db, "dag_run", id=2, dag_id="etl", run_id="new", execution_date=older, state="queued")
    for run_id, number in [("old", 1), ("new", 2), ("lost", 3)]:
        key = {"dag_id": "etl", "task_id": "t", "run_id": run_id, "map_index": -1}
        insert(db, "task_instance", **key, end_date=RECENT if run_id == "lost" else OLD,
               job_id=number)  # fmt: skip
        insert(db, "task_instance_history", **key, id=number, try_number=1, end_date=OLD)
        insert(db, "rendered_task_instance_fields", **key, rendered_fields="{}")
        insert(db, "task_map", **key, length=1)
        insert(db, "task_instance_note", **key, content=run_id, created_at=OLD)
        insert(db, "job", id=number, state="running", latest_heartbeat=OLD)
    insert(db, "job", id=9, latest_heartbeat=RECENT)
    insert(db, "job", id=10, end_date=OLD)

    for table in ("task_instance", "rendered_task_instance_fields", "task_map"):
        assert kept(db, "2.11.2", table, "run_id") == ["lost", "new"], table
    assert kept(db, "2.11.2", "task_instance_note", "content") == ["lost", "new"]
    # An orphan's attempt goes with the orphan, whatever the attempt's own date.
    assert kept(db, "2.11.2", "task_instance_history", "id") == [2, 3]
    assert kept(db, "2.11.2", "job", "id") == [2, 3, 9]


def test_in_3_x_children_follow_their_task_instance_by_id() -> None:
    db = database("3.3.2-fab")
    insert(db, "dag_run", id=1, dag_id="etl", run_id="old", state="success", end_date=OLD)
    insert(db, "dag_run", id=2, dag_id="etl", run_id="new", state="success", end_date=RECENT)
    for run_id, number in [("old", 1), ("new", 2)]:
        key = {"dag_id": "etl", "task_id": "t", "run_id": run_id, "map_index": -1}
        insert(db, "task_instance", id=f"ti {run_id}", **key, end_date=RECENT)
        insert(db, "task_instance_history", task_instance_id=f"tih {run_id}", **key, try_number=1)
        insert(db, "task_instance_note", ti_id=f"ti {run_id}", created_at=RECENT)
        insert(db, "task_reschedule", id=number, ti_id=f"ti {run_id}", end_date=RECENT)
        insert(db, "hitl_detail", ti_id=f"ti {run_id}", created_at=RECENT)
        insert(db, "hitl_detail_history", ti_history_id=f"tih {run_id}", created_at=RECENT)
        insert(db, "dag_run_note", dag_run_id=number, created_at=RECENT)
        insert(db, "task_state_store", id=number, dag_run_id=number, updated_at=RECENT)
        insert(db, "callback", id=f"call {run_id}", created_at=OLD)
        insert(db, "deadline", id=f"line {run_id}", dagrun_id=number, callback_id=f"call {run_id}",
               deadline_time=RECENT)  # fmt: skip
        insert(db, "backfill", id=number, created_at=OLD)
        insert(db, "backfill_dag_run", id=number, backfill_id=number, dag_run_id=number)
    insert(db, "backfill_dag_run", id=3, backfill_id=1)  # skipped: never had a run
    insert(db, "hitl_detail", ti_id="gone", created_at=OLD)
    insert(db, "deadline", id="line without run", deadline_time=RECENT, callback_id="call old")

    assert kept(db, "3.3.2-fab", "task_instance", "id") == ["ti new"]
    assert kept(db, "3.3.2-fab", "task_instance_note", "ti_id") == ["ti new"]
    assert kept(db, "3.3.2-fab", "task_reschedule", "id") == [2]
    assert kept(db, "3.3.2-fab", "hitl_detail", "ti_id") == ["ti new"]
    assert kept(db, "3.3.2-fab", "hitl_detail_history", "ti_history_id") == ["tih new"]
    assert kept(db, "3.3.2-fab", "dag_run_note", "dag_run_id") == [2]
    assert kept(db, "3.3.2-fab", "task_state_store", "id") == [2]
    assert kept(db, "3.3.2-fab", "deadline", "id") == ["line new", "line without run"]
    assert kept(db, "3.3.2-fab", "callback", "id") == ["call new", "call old"]
    assert kept(db, "3.3.2-fab", "backfill", "id") == [1, 2]
    assert kept(db, "3.3.2-fab", "backfill_dag_run", "id") == [2, 3]


def test_an_event_stays_for_its_date_its_maker_or_its_consumer() -> None:
    db = database("3.3.2-fab")
    insert(db, "dag_run", id=1, dag_id="etl", run_id="old", state="success", end_date=OLD)
    insert(db, "dag_run", id=2, dag_id="etl", run_id="new", state="running")
    for number, date, maker in [
        (1, OLD, "old"),
        (2, RECENT, "old"),
        (3, OLD, "new"),
        (4, OLD, "old"),
        (5, OLD, None),
        (6, OLD, None),
    ]:
        insert(db, "asset_event", id=number, timestamp=date, source_dag_id="etl",
               source_run_id=maker)  # fmt: skip
        insert(db, "asset_alias_asset_event", alias_id=1, event_id=number)
    insert(db, "dagrun_asset_event", dag_run_id=2, event_id=4)
    insert(db, "dagrun_asset_event", dag_run_id=1, event_id=5)
    insert(db, "asset_partition_dag_run", id=1)  # waits for more events
    insert(db, "partitioned_asset_key_log", id=1, asset_event_id=6, asset_partition_dag_run_id=1,
           created_at=OLD)  # fmt: skip

    assert kept(db, "3.3.2-fab", "asset_event", "id") == [2, 3, 4, 6]
    assert kept(db, "3.3.2-fab", "asset_alias_asset_event", "event_id") == [2, 3, 4, 6]
    assert kept(db, "3.3.2-fab", "dagrun_asset_event", "event_id") == [4]
    assert kept(db, "3.3.2-fab", "partitioned_asset_key_log", "id") == [1]


def test_a_log_is_cut_at_its_own_date_and_connections_stay_whole() -> None:
    db = database("2.2.2")
    insert(db, "log", id=1, dttm=OLD)
    insert(db, "log", id=2, dttm=RECENT)
    insert(db, "log", id=3, dttm=CUTOFF.strip("'"))
    insert(db, "connection", conn_id="warehouse")
    assert kept(db, "2.2.2", "log", "id") == [2, 3]
    assert kept(db, "2.2.2", "connection", "conn_id") == ["warehouse"]


def test_a_rule_says_what_it_does() -> None:
    found = rules("3.3.2-fab")
    said = {table: (found[table].kind, found[table].phrase) for table in
            ("dag_run", "xcom", "task_map", "log", "callback", "variable")}  # fmt: skip
    assert said == {
        "dag_run": ("runs", "runs not finished, or with a date at or after the cutoff"),
        "xcom": ("runs", "rows that hang on a kept dag_run; orphans by their own dates"),
        "task_map": ("runs", "rows that hang on a kept dag_run; orphans too"),
        "log": ("time", "rows whose dttm is at or after the cutoff"),
        "callback": (
            "time",
            "rows whose created_at is at or after the cutoff, and those that kept rows name",
        ),
        "variable": ("whole", "kept whole"),
    }
    assert (found["log"].time_column, found["dag_run"].time_column) == ("dttm", "end_date")
    assert found["variable"].time_column is found["variable"].where("x") is None


def test_tables_of_another_schema_are_looked_up_there() -> None:
    rule = window_rule("xcom", columns_of("2.11.2"), schema='air"flow')
    assert 'FROM "air""flow"."dag_run"' in (rule.where("now()") or "")


def test_a_foreign_table_and_a_set_aside_one_are_kept_whole() -> None:
    columns = {**columns_of("2.11.2"), "orders": ["id", "end_date"]}
    columns["_airflow_moved__2_2__dangling__task_instance"] = columns["task_instance"]
    assert {window_rule(t, columns).kind for t in columns if t[0] in "_o"} == {"whole"}


@pytest.mark.parametrize("version", ALL)
def test_every_rule_is_sql_that_runs(version: str) -> None:
    db = database(version)
    assert [kept(db, version, table, "rowid") for table in schema(version)] == (
        [[]] * len(schema(version))
    )


@pytest.mark.parametrize("version", ALL)
def test_what_a_condition_asks_is_known_beforehand(version: str) -> None:
    for table, rule in rules(version).items():
        asked = set(re.findall(r'FROM "(\w+)"', rule.where(CUTOFF) or ""))
        assert asked <= needed_by([table]), table


@pytest.mark.parametrize("version", OURS)
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_foreign_key_that_held_is_broken_in_the_window(version: str, seed: int) -> None:
    db = _filled(version, random.Random(seed))
    where = {table: rule.where(CUTOFF) or "1" for table, rule in rules(version).items()}
    for table, about in schema(version).items():
        for key in about["foreign_keys"]:
            pairs = zip(key["columns"], key["ref_columns"], strict=True)
            same = " AND ".join(f'p."{to}" = "{table}"."{column}"' for column, to in pairs)
            parent = key["references"]
            any_parent = f'SELECT 1 FROM "{parent}" p WHERE {same}'
            kept_parent = f'SELECT rowid FROM "{parent}" WHERE {where[parent]}'
            broken = db.execute(
                f'SELECT * FROM "{table}" WHERE ({where[table]}) AND EXISTS ({any_parent})'
                f" AND NOT EXISTS ({any_parent} AND p.rowid IN ({kept_parent}))"
            ).fetchall()
            assert broken == [], f"{table}{key['columns']} -> {parent}"


EMPTIED = {version: database(version) for version in OURS}


def _filled(version: str, chance: random.Random) -> sqlite3.Connection:
    """A few rows in every table that has to do with a foreign key, from few values: dirty ones."""
    db = EMPTIED[version]
    tied = {t for t, about in schema(version).items() if about["foreign_keys"]}
    tied |= {k["references"] for a in schema(version).values() for k in a["foreign_keys"]}
    for table in sorted(tied):
        db.execute(f'DELETE FROM "{table}"')
        columns = schema(version)[table]["columns"]
        marks = ", ".join("?" * len(columns))
        rows = [[_value(n, c, chance) for n, c in columns.items()] for _ in range(4)]
        db.executemany(f'INSERT OR IGNORE INTO "{table}" VALUES ({marks})', rows)
    return db


def _value(name: str, column: dict[str, Any], chance: random.Random) -> object:
    kind = column["type"]
    values: list[object]
    if kind.startswith("timestamp"):
        values = [OLD, OLD, RECENT]
    elif kind in {"integer", "bigint", "boolean"}:
        values = [-1, 0] if name == "map_index" else [1, 2, 3]
    elif name == "state":
        values = ["success", "failed", "running"]
    else:
        values = ["t"] if name == "task_id" else ["a", "b"]
    return chance.choice([*values, None] if column["nullable"] else values)
