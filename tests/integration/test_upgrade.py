"""A snapshot as a newer Airflow has it, made and checked by real Airflows."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import airkeep
from airflows import Airflow
from airkeep.database.server import Cluster
from airkeep.errors import ConfigError, UnfitError
from airkeep.upgrade.run import UpgradeResult
from servers import Databases, psql


def test_a_snapshot_of_2_11_becomes_one_of_3_3_and_is_proved_to_hold_the_same(
    databases: Databases, tmp_path: Path
) -> None:
    airflow = Airflow("3.3.2")
    airflow.install()
    lake = str(tmp_path / "lake")
    source = airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")

    done = airkeep.upgrade(lake, "prod/latest", to="3.3.2", airflows=[airflow.folder])

    made = airkeep.Lake(lake)["prod-3.3.2/latest"].manifest
    assert made.complete
    assert made.airflow_version == "3.3.0 or later"
    assert made.id == source.id, "the new snapshot is of the same instant"
    upgraded = made.upgraded
    assert upgraded is not None
    assert (upgraded.id, upgraded.manifest_sha256) == (source.id, source.manifest_sha256)
    equal = {p.what: p.equal for p in upgraded.proof}
    assert (equal["runs"], equal["task instances"], equal["XComs"]) == (55, 314, 244)
    rows = {t.label: (t.before, t.after) for t in upgraded.tables}
    assert rows["serialized_dag"] == (11, 0)
    assert rows["log"] == (998, 998), "Airflow logs its own command, with this machine's name"
    assert done.snapshot is not None
    assert all(result.ok for result in airkeep.verify(lake, "prod-3.3.2/latest"))


# 3.1 makes a table `team`; and a key of task_instance changes in 3.0.
IN_THE_WAY = (
    "CREATE TABLE team (id int PRIMARY KEY)",
    "INSERT INTO team VALUES (1), (2)",
    "CREATE TABLE app (dag_id varchar, task_id varchar, run_id varchar, map_index int, "
    "FOREIGN KEY (dag_id, task_id, run_id, map_index) REFERENCES task_instance "
    "(dag_id, task_id, run_id, map_index))",
    "INSERT INTO app SELECT dag_id, task_id, run_id, map_index FROM task_instance LIMIT 3",
)


def test_what_a_migration_would_end_at_is_named_at_once_and_can_be_left_behind(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    airflow = Airflow("3.3.2")
    airflow.install()
    url, lake = databases.airflow("airflow-2112"), str(tmp_path / "lake")
    psql(server, url, *IN_THE_WAY, "ALTER TABLE import_error RENAME TO parked")
    airkeep.export(url, lake, environment="prod")

    with pytest.raises(UnfitError) as told:
        airkeep.upgrade(lake, "latest", to="3.3.2", dry_run=True)

    message = str(told.value)
    assert "team, which a migration makes, is there already: leave it out" in message
    assert "app, which is not Airflow's, points at task_instance" in message
    assert "not in the snapshot: import_error" in message

    with pytest.raises(UnfitError) as left:
        airkeep.upgrade(lake, "latest", to="3.3.2", dry_run=True, skip=["team", "app"])
    assert "import_error" in str(left.value)
    assert "team" not in str(left.value)

    psql(server, url, "ALTER TABLE parked RENAME TO import_error")
    airkeep.export(url, lake, environment="prod")
    done = airkeep.upgrade(
        lake, "prod/latest", to="3.3.2", airflows=[airflow.folder], skip=["team", "app", "log"]
    )

    rows = _tables(done)
    assert rows["team"] == (2, 0, "left behind with --skip"), "a new one, the migration's own"
    assert rows["app"] == (3, None, "left behind with --skip")
    assert rows["log"] == (998, 0, "left behind with --skip"), "Airflow's own table stays, empty"
    assert rows["task_instance"] == (314, 314, None)
    assert done.snapshot is not None
    upgraded = done.snapshot.manifest.upgraded
    assert upgraded is not None
    [events] = [p for p in upgraded.proof if p.what == "events"]
    assert (events.equal, events.left_out) == (0, {"left behind with --skip": 998})


def _tables(done: UpgradeResult) -> dict[str, tuple[int | None, int | None, str | None]]:
    assert done.snapshot is not None
    upgraded = done.snapshot.manifest.upgraded
    assert upgraded is not None
    return {t.label: (t.before, t.after, t.why) for t in upgraded.tables}


def test_a_table_in_the_way_of_a_sqlite_file_can_be_left_behind(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    airflow = Airflow("3.3.2")
    airflow.install()
    lake, file = str(tmp_path / "lake"), airflow_file("airflow-2.11.2")
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        for statement in IN_THE_WAY:
            db.execute(statement)
    airkeep.export(str(file), lake, environment="prod")

    done = airkeep.upgrade(
        lake, "prod/latest", to="3.3.2", airflows=[airflow.folder], skip=["team", "app"]
    )

    rows = _tables(done)
    assert rows["team"][:2] == (2, 0)
    assert rows["app"][:2] == (3, None)
    assert rows["task_instance"][:2] == (80, 80)


def test_what_skip_cannot_leave_behind_is_said_before_anything_is_made(
    databases: Databases, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")

    for skip, why in (
        ("alembic_version", "--skip alembic_version: it says where the migrations begin"),
        ("dag_run", r"\d+ rows of task_instance point at dag_run, .*--skip task_instance"),
    ):
        for since in (None, timedelta(days=30)):
            with pytest.raises(UnfitError, match=why):
                airkeep.upgrade(lake, "latest", to="3.3.2", dry_run=True, skip=[skip], since=since)
    with pytest.raises(ConfigError, match=r"--skip teem: no such table in the snapshot"):
        airkeep.upgrade(lake, "latest", to="3.3.2", dry_run=True, skip=["teem"])

    for skip in ("log", "import_error"):  # Airflow's own: the table stays
        airkeep.upgrade(lake, "latest", to="3.3.2", dry_run=True, skip=[skip])


def test_a_table_that_only_a_step_on_the_way_makes_is_in_the_way_too(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    lake, url = str(tmp_path / "lake"), databases.airflow("airflow-2112")
    psql(server, url, "CREATE TABLE team (id int PRIMARY KEY)")
    airkeep.export(url, lake, environment="prod")

    with pytest.raises(UnfitError, match="team, which a migration makes"):
        airkeep.upgrade(lake, "latest", to="3.0.6", dry_run=True)  # 3.3.2, and down again


# Keys go, and every table has its first row twice, or what a rule of a later release forbids.
DOUBLED = """
DO $$ DECLARE t text; k text; columns text; BEGIN
  FOREACH t IN ARRAY ARRAY['connection', 'ab_user', 'dag_run', 'task_instance'] LOOP
    FOR k IN SELECT conname FROM pg_constraint
      WHERE conrelid = t::regclass AND contype IN ('p', 'u')
    LOOP EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I CASCADE', t, k); END LOOP;
    FOR k IN SELECT indexrelid::regclass::text FROM pg_index
      WHERE indrelid = t::regclass AND indisunique
    LOOP EXECUTE 'DROP INDEX ' || k; END LOOP;
    EXECUTE format('INSERT INTO %I SELECT * FROM %I LIMIT 1', t, t);
  END LOOP;
END $$;
ALTER TABLE connection ALTER conn_type DROP NOT NULL;
INSERT INTO connection (id, conn_id) VALUES (9999, 'untyped');
"""


def test_rows_that_break_a_rule_of_a_later_release_are_named_with_the_remedy(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = databases.airflow("airflow-263"), str(tmp_path / "lake")
    psql(server, url, DOUBLED)
    airkeep.export(url, lake, environment="prod")

    with pytest.raises(UnfitError) as told:
        airkeep.upgrade(lake, "latest", to="3.3.2", dry_run=True)

    for line in (
        r"2 rows of connection share a conn_id \(\w+\): give each its own name",
        r"1 rows of connection have no conn_type \(untyped\): give them one",
        r"2 rows of ab_user share a username \(\w+\): give each",
        r"2 rows of dag_run share dag_id and run_id \(\w+\): delete all but one",
        r"2 rows of task_instance share their whole key \(\w+\): delete all but one",
    ):
        assert re.search(line, str(told.value)), (line, str(told.value))


def test_the_environment_of_the_source_is_refused_and_so_is_a_folder_without_airflow(
    databases: Databases, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")

    with pytest.raises(ConfigError, match="Name another one"):
        airkeep.upgrade(lake, "latest", to="3.3.2", environment="prod", dry_run=True)
    with pytest.raises(ConfigError, match="there is no bin/airflow in it"):
        airkeep.upgrade(lake, "latest", to="3.3.2", airflows=[tmp_path])


def test_an_airflow_that_the_way_does_not_need_is_no_silent_wish(
    databases: Databases, tmp_path: Path
) -> None:
    airflow = Airflow("2.11.2")
    airflow.install()
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")
    with pytest.raises(
        ConfigError, match=r"the way needs Airflow 3\.3\.2, the given one is 2\.11\.2"
    ):
        airkeep.upgrade(lake, "latest", to="3.3.2", airflows=[airflow.folder], dry_run=True)
