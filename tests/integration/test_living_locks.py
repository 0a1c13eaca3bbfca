"""Airflow holds rows that a restore into its database is about to change."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import airkeep
from servers import Databases, query

ASKED = """
SELECT count(*) FROM pg_locks WHERE relation = 'dag'::regclass AND mode IN
('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""


def parse(url: str, began: threading.Event, errors: list[Exception]) -> None:
    """As a DAG processor: hold the DAGs' rows until somebody wants the table, then write them."""
    from adbc_driver_postgresql import dbapi

    try:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT dag_id FROM dag FOR UPDATE")
            cursor.fetchall()
            began.set()
            deadline = time.monotonic() + 60
            while query(url, ASKED) == [(0,)] and time.monotonic() < deadline:
                time.sleep(0.01)
            cursor.execute("UPDATE dag SET last_parsed_time = now()")
            connection.commit()
    except Exception as error:  # noqa: BLE001 (whatever it is, the test tells it)
        errors.append(error)


def test_a_processor_that_has_locked_rows_first_is_waited_for(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    airkeep.export(source, tmp_path, environment="prod")
    query(target, "UPDATE dag SET last_parsed_time = now(), is_paused = NOT is_paused RETURNING 1")
    began, errors = threading.Event(), list[Exception]()
    processor = threading.Thread(target=parse, args=(target, began, errors))
    processor.start()
    assert began.wait(30)
    airkeep.restore(tmp_path, "latest", target, on_conflict="replace", in_flight="keep")
    processor.join(60)
    assert errors == []
