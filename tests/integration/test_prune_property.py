"""Whatever happened since the snapshot, and whenever a prune is killed: no row leaves unproved."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from command import start
from compare import data_of
from rewound import Rewound, prune, runs_are_whole
from servers import query, wait_until_alone

SEED = 20261122

# What may happen to a random row; a row is also deleted, or written again as it was.
OF_TABLES = {
    "dag_run": ["state = 'running'", "conf = '{\"a\": 1}'", "end_date = now() + interval '1 day'",
                "run_type = 'manual'", "state = NULL"],
    "task_instance": ["state = 'running'", "state = NULL", "duration = 0.5", "pool = 'x'",
                      "dag_version_id = (SELECT id FROM dag_version ORDER BY random() LIMIT 1)"],
    "task_instance_history": ["state = 'removed'", "hostname = ''"],
    "xcom": ["value = 'null'", "timestamp = now()"],
    "log": ["dttm = now() + interval '1 day'", "event = 'x'", "extra = NULL"],
    "asset_event": ["timestamp = now() + interval '1 day'", "extra = '{}'"],
    "job": ["latest_heartbeat = now() + interval '1 day', end_date = NULL"],
    "dag_version": ["bundle_name = 'other'", "created_at = now() + interval '1 day'"],
    "dag_code": ["source_code = ''"],
    "serialized_dag": ["dag_hash = ''"],
    "rendered_task_instance_fields": ["rendered_fields = '{}'"],
    "task_map": ["length = 99"],
    "dagrun_asset_event": [],
    "backfill_dag_run": ["exception_reason = 'x'"],
    "backfill": ["completed_at = NULL"],
}  # fmt: skip
ADDED = [
    "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, "
    "timestamp) SELECT r.id, t.task_id, t.map_index, 'later', false, t.dag_id, t.run_id, '1', "
    "now() FROM task_instance t JOIN dag_run r USING (dag_id, run_id) ORDER BY random() LIMIT 1",
    "INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) SELECT id, 'seen', "
    "now(), now() FROM dag_run ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING",
    "INSERT INTO task_map (dag_id, task_id, run_id, map_index, length) SELECT dag_id, task_id, "
    "run_id, map_index, 3 FROM task_instance ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING",
    "CREATE TABLE IF NOT EXISTS audit (run int REFERENCES dag_run ON DELETE CASCADE); "
    "INSERT INTO audit SELECT id FROM dag_run ORDER BY random() LIMIT 1",
    "CREATE TABLE IF NOT EXISTS audit_of_logs (log int REFERENCES log ON DELETE SET NULL); "
    "INSERT INTO audit_of_logs SELECT id FROM log ORDER BY random() LIMIT 1",
]  # fmt: skip


def some_changes(chance: random.Random) -> list[str]:
    found = [f"SELECT setseed({chance.random()})"]
    for _ in range(chance.randint(1, 25)):
        table = chance.choice(sorted(OF_TABLES))
        row = f"(SELECT ctid FROM {table} ORDER BY random() LIMIT 1)"
        kind = chance.random()
        if kind < 0.2:
            found.append(chance.choice(ADDED))
        elif kind < 0.6 and OF_TABLES[table]:
            change = chance.choice(OF_TABLES[table])
            found.append(f"UPDATE {table} SET {change} WHERE ctid = {row}")
        elif kind < 0.8:
            key = "dag_id" if table in ("dag_run", "task_instance", "xcom", "log") else None
            if key:
                found.append(f"UPDATE {table} SET {key} = {key} WHERE ctid = {row}")
        else:
            gone = f"DELETE FROM {table} WHERE ctid = {row}"
            unless = "EXCEPTION WHEN foreign_key_violation OR restrict_violation THEN NULL"
            found.append(f"DO $$ BEGIN {gone}; {unless}; END $$")
    return found


@pytest.mark.parametrize(
    "rounds", [pytest.param(2, id="a few"), pytest.param(60, id="many", marks=pytest.mark.slow)]
)
def test_whatever_happened_since_no_row_leaves_that_the_snapshot_has_not(
    rounds: int, world: Rewound
) -> None:
    deleted = 0
    for number in range(rounds):
        chance = random.Random(SEED + number)
        url = world.again(*some_changes(chance))
        before = data_of(url)
        had = {r for (r,) in query(url, RUN_ROWS)}
        result = prune(url, world, batch_rows=chance.choice([1, 30, 5_000]))
        gone = world.gone(before, url)
        assert sum(gone.values()) == result.total == result.plan.rows, number
        no_rests(url, had)
        deleted += result.total
        again = prune(url, world)
        assert again.rows.get("dag_run", 0) == 0, number
    assert deleted > rounds * 500


RUN_ROWS = "SELECT dag_id || ' ' || run_id FROM dag_run"
_OF_RUNS = ("task_instance", "task_instance_history", "xcom", "task_map",
            "rendered_task_instance_fields")  # fmt: skip


def no_rests(url: str, had: set[str]) -> None:
    """Of a run that left nothing is left."""
    stays = {r for (r,) in query(url, RUN_ROWS)}
    for table in _OF_RUNS:
        left = {r for (r,) in query(url, f"SELECT dag_id || ' ' || run_id FROM {table}")}
        assert not left & (had - stays), table


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [50])
def test_killed_at_any_moment_it_leaves_whole_runs_and_the_next_one_goes_on(
    rounds: int, world: Rewound, tmp_path: Path
) -> None:
    whole = prune(world.again(), world).rows
    words = ("prune", "env:", world.lake, "--older-than", "0s", "-q", "--batch-rows", "20",
             "--pause-ms", "0")  # fmt: skip
    chance, half_way = random.Random(SEED), 0
    for number in range(rounds):
        url = world.again()
        process = start(tmp_path, url, *words)
        wait_until_it_deletes(url)
        time.sleep(chance.uniform(0, 0.6))
        process.kill()
        process.communicate(timeout=60)
        wait_until_alone(url)
        gone = world.gone(world.rows, url)
        runs_are_whole(world.then, url)
        half_way += 0 < gone.get("dag_run", 0) < whole["dag_run"]
        if number % 10 == 0:
            rest = prune(url, world)
            for table, rows in whole.items():
                assert gone.get(table, 0) + rest.rows.get(table, 0) == rows, table
    assert half_way >= rounds / 3  # it was killed at work


def wait_until_it_deletes(url: str) -> None:
    """Until the connection that deletes is there: what comes before changes nothing."""
    there = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'airkeep' AND query LIKE '%airkeep_stage%'"
    )
    deadline = time.monotonic() + 60
    while query(url, there) == [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
