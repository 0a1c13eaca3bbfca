"""What a restore must not break: dry runs, parts of a snapshot, cycles, numbers that go on."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

import airkeep
from airkeep.cli.main import cli
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.errors import NotEmptyError
from compare import AS_IT_WAS, data_of, schema_of
from servers import Databases, emptied, psql, query

AIRFLOW = "airflow-332"


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_dry_run_prints_the_plan_and_touches_nothing(
    as_json: bool, databases: Databases, server: Cluster, lake: str
) -> None:
    snapshot = airkeep.export(databases.airflow(AIRFLOW), lake, environment="prod")
    target = emptied(server, databases.airflow(AIRFLOW))
    before = data_of(target), schema_of(server, target)

    flags = ["--dry-run", *(["--json"] if as_json else [])]
    ran = CliRunner().invoke(cli, ["restore", lake, "latest", target, *flags])

    assert ran.exit_code == 0, ran.output
    if as_json:
        found = json.loads(ran.stdout)
        assert found["dry_run"] is True
        assert found["plan"]["snapshot"] == f"prod/{snapshot.id}"
    else:
        assert re.search(r"task_instance +insert +445 ", ran.stdout)
        assert re.search(
            r"[\d,]+ rows of prod/\S+ would go into \d+ tables of postgresql://", ran.stdout
        )
    assert (data_of(target), schema_of(server, target)) == before
    assert query(target, "SELECT count(*) FROM pg_locks WHERE mode <> 'AccessShareLock' AND "
                         "database = (SELECT oid FROM pg_database "
                         "WHERE datname = current_database())") == [(0,)]  # fmt: skip


def test_a_dry_run_does_not_wait_for_writers(
    databases: Databases, lake: str, server: Cluster
) -> None:
    from adbc_driver_postgresql import dbapi

    airkeep.export(databases.airflow(AIRFLOW), lake, environment="prod")
    target = emptied(server, databases.airflow(AIRFLOW))
    limits = airkeep.ReadLimits(lock_timeout_s=1)
    with dbapi.connect(target, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript("BEGIN; LOCK TABLE xcom IN ROW EXCLUSIVE MODE")
        result = airkeep.restore(lake, "latest", target, dry_run=True, limits=limits, **AS_IT_WAS)
    assert result.dry_run
    assert result.plan.rows > 1000


def test_a_living_database_is_refused_without_a_lock_that_its_writers_mind(
    databases: Databases, lake: str
) -> None:
    from adbc_driver_postgresql import dbapi

    target = databases.airflow(AIRFLOW)
    airkeep.export(target, lake, environment="prod")
    limits = airkeep.ReadLimits(lock_timeout_s=1)
    with dbapi.connect(target, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript("BEGIN; LOCK TABLE xcom IN ROW EXCLUSIVE MODE")
        for tables in ([], ["log"], ["connection"]):
            with pytest.raises(NotEmptyError, match=r"is not empty: rows are in"):
                airkeep.restore(lake, "latest", target, tables=tables, limits=limits, **AS_IT_WAS)


LOGGED = "INSERT INTO log (event, dttm) SELECT '{event}', now() FROM generate_series(1, {rows})"


def test_only_rows_that_no_fresh_airflow_has_are_in_the_way(
    databases: Databases, server: Cluster, lake: str
) -> None:
    source = databases.airflow(AIRFLOW)
    airkeep.export(source, lake, environment="prod")
    target = emptied(server, databases.airflow(AIRFLOW))
    psql(server, target, LOGGED.format(event="cli_migratedb", rows=1500),
         LOGGED.format(event="trigger", rows=1))  # fmt: skip
    with pytest.raises(NotEmptyError, match=r"is not empty: rows are in log\."):
        airkeep.restore(lake, "latest", target, **AS_IT_WAS)

    query(target, "DELETE FROM log WHERE event = 'trigger'")
    result = airkeep.restore(lake, "latest", target, **AS_IT_WAS)
    [log] = [t for t in result.plan.tables if t.label == "log"]
    assert (log.action, log.defaults) == ("replace defaults", 1500)
    assert data_of(target)["log"] == data_of(source)["log"]


def test_rows_that_came_before_the_locks_are_seen_whatever_the_servers_isolation(
    databases: Databases, server: Cluster, lake: str
) -> None:
    from adbc_driver_postgresql import dbapi

    airkeep.export(databases.airflow(AIRFLOW), lake, environment="prod")
    target = emptied(server, databases.airflow(AIRFLOW))
    name = parse_address(target).database
    isolation = "default_transaction_isolation = 'repeatable read'"
    psql(server, target, f"ALTER DATABASE {name} SET {isolation}")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with (
        dbapi.connect(target, autocommit=True) as connection,
        connection.cursor() as cursor,
        ThreadPoolExecutor(1) as pool,
    ):
        cursor.executescript(f"BEGIN; {LOGGED.format(event='trigger', rows=1)}")
        restored = pool.submit(airkeep.restore, lake, "latest", target)
        while query(target, waiting) == [(0,)]:
            assert not restored.done()
            time.sleep(0.1)
        cursor.executescript("COMMIT")
        with pytest.raises(NotEmptyError, match=r"rows are in log\."):
            restored.result(timeout=60)


def test_tables_and_skip_restore_a_part(databases: Databases, server: Cluster, lake: str) -> None:
    source = databases.airflow(AIRFLOW)
    airkeep.export(source, lake, environment="prod")
    whole = data_of(source)
    target = emptied(server, databases.airflow(AIRFLOW))

    airkeep.restore(lake, "latest", target, tables=["connection", "variable"], **AS_IT_WAS)
    found = data_of(target)
    assert {t for t in found if found[t] and not t.startswith("sequence")} == {
        "connection", "variable", "alembic_version"
    }  # fmt: skip
    assert found["connection"] == whole["connection"]

    rest = ["connection", "variable", "log", "alembic_version"]
    airkeep.restore(lake, "latest", target, skip=rest, **AS_IT_WAS)
    found = data_of(target)
    assert found["log"] == []
    assert {t: r for t, r in found.items() if t != "log" and "log_id" not in t} == {
        t: r for t, r in whole.items() if t != "log" and "log_id" not in t
    }


CYCLE = """
CREATE SCHEMA ring;
CREATE TABLE ring.a (id int PRIMARY KEY, b int, up int REFERENCES ring.a (id));
CREATE TABLE ring.b (id int PRIMARY KEY, a int NOT NULL REFERENCES ring.a (id){kind});
ALTER TABLE ring.a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES ring.b (id){kind};
"""
ROWS = """
BEGIN; SET CONSTRAINTS ALL DEFERRED;
INSERT INTO ring.a VALUES (1, NULL, 2), (2, NULL, 3), (3, NULL, NULL);
INSERT INTO ring.b SELECT n, 4 - n FROM generate_series(1, 3) n;
UPDATE ring.a SET b = id; COMMIT
"""


@pytest.mark.parametrize("kind", ["", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"])
@pytest.mark.parametrize("create_schema", [True, False])
def test_a_cycle_of_references_comes_back_and_stays_as_strict_as_it_was(
    kind: str, create_schema: bool, databases: Databases, server: Cluster, lake: str
) -> None:
    source = databases.airflow(AIRFLOW)
    psql(server, source, CYCLE.format(kind=kind) + ROWS)
    if create_schema:
        target = databases.empty()
    else:
        target = emptied(server, databases.airflow(AIRFLOW))
        psql(server, target, CYCLE.format(kind=kind))
    airkeep.export(source, lake, environment="prod")
    result = airkeep.restore(lake, "latest", target, create_schema=create_schema, **AS_IT_WAS)

    assert result.plan.deferred
    assert data_of(target) == data_of(source)
    assert schema_of(server, target) == schema_of(server, source)


NUMBERED = """
CREATE SCHEMA shop;
CREATE TABLE shop.always (id int GENERATED ALWAYS AS IDENTITY (START 10) PRIMARY KEY, n int);
CREATE TABLE shop.serial (id serial PRIMARY KEY, n int);
CREATE TABLE shop.down (id int GENERATED BY DEFAULT AS IDENTITY
  (INCREMENT -5 MINVALUE -900 MAXVALUE 0 START 0) PRIMARY KEY, n int);
"""
FILLED = """
INSERT INTO shop.always (n) SELECT generate_series(1, 7);
INSERT INTO shop.serial (n) SELECT generate_series(1, 7);
INSERT INTO shop.serial (id, n) VALUES (50, 8);
INSERT INTO shop.down (n) SELECT generate_series(1, 7);
"""
TABLES = ("shop.always", "shop.serial", "shop.down")


@pytest.mark.parametrize("create_schema", [True, False])
def test_the_next_row_of_every_table_gets_a_free_number(
    create_schema: bool, databases: Databases, server: Cluster, lake: str
) -> None:
    source = databases.airflow(AIRFLOW)
    psql(server, source, NUMBERED + FILLED)
    airkeep.export(source, lake, environment="prod")
    if create_schema:
        target = databases.empty()
    else:
        target = emptied(server, databases.airflow(AIRFLOW))
        psql(server, target, NUMBERED)
    airkeep.restore(lake, "latest", target, create_schema=create_schema, **AS_IT_WAS)

    for table in TABLES:
        psql(server, target, f"INSERT INTO {table} (n) VALUES (99)")
    found = {t: query(target, f"SELECT id FROM {t} WHERE n = 99")[0][0] for t in TABLES}
    assert found == {"shop.always": 17, "shop.serial": 51, "shop.down": -35}
    numbered = query(
        target, "SELECT table_name::text, column_name::text FROM information_schema.columns "
                "WHERE table_schema = 'public' AND (column_default LIKE 'nextval%' "
                "OR is_identity = 'YES')"
    )  # fmt: skip
    assert len(numbered) > 10
    for table, column in numbered:
        [(free,)] = query(
            target,
            f"SELECT nextval(pg_get_serial_sequence('\"{table}\"', '{column}')) > "
            f'coalesce(max("{column}"), 0) FROM "{table}"',
        )
        assert free, (table, column)


UNOWNED = """
CREATE SCHEMA shop;
CREATE SEQUENCE shop."odd 'numbers'";
CREATE TABLE shop.lent (id int PRIMARY KEY DEFAULT nextval($$shop."odd 'numbers'"$$), n int);
CREATE SEQUENCE shop.user_id_seq;
CREATE TABLE shop.user (id int PRIMARY KEY, n int);
"""
BEHIND = """
INSERT INTO shop.lent VALUES (50, 1);
INSERT INTO shop.user VALUES (50, 1);
"""


@pytest.mark.parametrize("create_schema", [True, False])
def test_a_sequence_that_nobody_owns_is_not_behind_the_rows_that_it_numbers(
    create_schema: bool, databases: Databases, server: Cluster, lake: str
) -> None:
    source = databases.airflow(AIRFLOW)
    psql(server, source, UNOWNED + BEHIND)
    airkeep.export(source, lake, environment="prod")
    if create_schema:
        target = databases.empty()
    else:
        target = emptied(server, databases.airflow(AIRFLOW))
        psql(server, target, UNOWNED)
    airkeep.restore(lake, "latest", target, create_schema=create_schema, **AS_IT_WAS)

    assert query(target, "INSERT INTO shop.lent (n) VALUES (2) RETURNING id") == [(51,)]
    assert query(target, "SELECT nextval('shop.user_id_seq')") == [(51,)]


def test_a_target_whose_numbers_are_ahead_stays_ahead(
    databases: Databases, server: Cluster, lake: str
) -> None:
    airkeep.export(databases.airflow(AIRFLOW), lake, environment="prod")
    target = emptied(server, databases.airflow(AIRFLOW))
    psql(server, target, "SELECT setval('log_id_seq', 123456)")
    airkeep.restore(lake, "latest", target, **AS_IT_WAS)
    assert query(target, "SELECT nextval('log_id_seq')") == [(123457,)]


def test_a_server_that_ends_idle_transactions_does_not_end_ours(
    databases: Databases, server: Cluster, lake: str
) -> None:
    source, target = databases.airflow(AIRFLOW), databases.empty()
    name = parse_address(target).database
    psql(server, target, f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = 1")
    airkeep.export(source, lake, environment="prod")
    airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)
    psql(server, target, f"ALTER DATABASE {name} RESET ALL")  # our own look takes its time
    assert data_of(target) == data_of(source)
