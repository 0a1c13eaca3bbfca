"""Writes as a scheduler and a person do, until its standard input ends; says how long each took.

The words are the first instant that is young and the seed. Each deed is one statement, committed:
a young task instance is updated, one is made, a line is logged; now and then somebody reads an old
run's tasks, or puts a note on an old run.
"""

import json
import os
import random
import select
import sys
import time
from contextlib import suppress

from adbc_driver_postgresql import dbapi  # noqa: TID253 - a process of its own

cutoff, seed = sys.argv[1], int(sys.argv[2])
chance = random.Random(seed)
DEEDS = {
    "update": "UPDATE task_instance SET last_heartbeat_at = now(), updated_at = now() "
    "WHERE id = '{ti}'",
    "insert": "INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, state, "
    "try_number, max_tries, pool, pool_slots, span_status, dag_version_id) "
    "SELECT gen_random_uuid(), 'made_{n}', dag_id, run_id, -1, 'queued', 0, 0, pool, 1, "
    "span_status, dag_version_id FROM task_instance WHERE id = '{ti}'",
    "log": "INSERT INTO log (dttm, event, dag_id) VALUES (now(), 'running', 'made')",
}
took = {name: [] for name in (*DEEDS, "read an old run", "note on an old run")}
with dbapi.connect(os.environ["BENCH_URL"], autocommit=True) as connection:
    cursor = connection.cursor()
    cursor.execute(
        f"SELECT id::text FROM task_instance WHERE start_date >= '{cutoff}' "
        "ORDER BY md5(id::text) LIMIT 2000"
    )
    young = [ti for (ti,) in cursor.fetchall()]
    cursor.execute(
        f"SELECT id FROM dag_run WHERE run_after < '{cutoff}' ORDER BY md5(id::text) LIMIT 2000"
    )
    old = [run for (run,) in cursor.fetchall()]
    print("ready", flush=True)
    number = 0
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        number += 1
        deeds = [(n, d.format(ti=chance.choice(young), n=number)) for n, d in DEEDS.items()]
        run = chance.choice(old)
        if number % 10 == 0:
            deeds.append(
                (
                    "read an old run",
                    "SELECT count(*) FROM task_instance t JOIN dag_run r USING (dag_id, run_id) "
                    f"WHERE r.id = {run}",
                )
            )
        if number % 50 == 0:
            deeds.append(
                (
                    "note on an old run",
                    "INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) "
                    f"SELECT id, 'seen', now(), now() FROM dag_run WHERE id = {run} "
                    "ON CONFLICT DO NOTHING",
                )
            )
        for name, statement in deeds:
            began = time.perf_counter()
            with suppress(dbapi.IntegrityError):  # the run has just left
                cursor.executescript(statement)
            took[name].append(time.perf_counter() - began)
print(json.dumps(took), flush=True)
