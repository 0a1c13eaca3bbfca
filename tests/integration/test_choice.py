"""Which tables an export takes, and what it says, when the database is not a plain Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.errors import DatabaseError, NotAirflowError
from airkeep.snapshot.progress import Step
from compare import AS_IT_WAS, data_of
from servers import Databases, psql, query

CORE = ("dag", "dag_run", "task_instance")


@pytest.fixture
def source(databases: Databases) -> str:
    return databases.airflow("airflow-332")


def test_a_copy_of_dag_run_in_another_schema_is_not_taken_for_airflow(
    source: str, server: Cluster, tmp_path: Path
) -> None:
    psql(server, source, "CREATE SCHEMA archive", "CREATE TABLE archive.dag_run AS TABLE dag_run")
    found = airkeep.export(source, str(tmp_path), environment="e")
    assert found.manifest.main_schema == "public"
    assert found.manifest.complete
    labels = {t.label for t in found.tables}
    assert labels >= {"dag_run", "task_instance", "archive.dag_run"}
    only = airkeep.export(source, str(tmp_path), environment="e", tables=["dag"])
    assert [t.label for t in only.tables] == ["dag"]


def test_of_two_airflows_the_one_that_the_user_may_use_is_taken(
    source: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    copies = [f"CREATE TABLE other.{t} AS TABLE {t}" for t in CORE]
    psql(server, source, "CREATE SCHEMA other", *copies)
    with pytest.raises(NotAirflowError, match=r"other, public\. .* USAGE on only one"):
        airkeep.export(source, str(tmp_path), environment="e")

    name = f"reader_{parse_address(source).database}"
    psql(
        server, source, f"CREATE ROLE {name} LOGIN PASSWORD 'x'",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}",
    )  # fmt: skip
    place = parse_address(source)
    url = f"postgresql://{name}:x@{place.host}:{place.port}/{place.database}"
    try:
        found = airkeep.export(url, str(tmp_path), environment="e", airflow_only=True)
        psql(server, source, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        with pytest.raises(NotAirflowError, match="several schemas hold an Airflow"):
            airkeep.export(url, str(tmp_path), environment="e")
    finally:
        psql(server, source, f"DROP OWNED BY {name}", f"DROP ROLE {name}")
    assert found.manifest.main_schema == "public"
    assert found.manifest.complete


def test_a_partitioned_log_makes_the_snapshot_incomplete_and_is_named(
    source: str, server: Cluster, tmp_path: Path
) -> None:
    psql(
        server, source, "ALTER TABLE log RENAME TO log_old",
        "CREATE TABLE log (LIKE log_old) PARTITION BY RANGE (dttm)",
        "CREATE TABLE log_all PARTITION OF log DEFAULT", "INSERT INTO log TABLE log_old",
        "DROP TABLE log_old",
    )  # fmt: skip
    found = airkeep.export(source, str(tmp_path), environment="e")
    assert not found.manifest.complete
    assert any("log" in warning for warning in found.manifest.warnings)
    assert "partitioned table public.log" in found.manifest.left_out


def test_airflow_only_keeps_the_schema_of_what_was_skipped(
    source: str, databases: Databases, tmp_path: Path
) -> None:
    query(source, "CREATE TABLE shop_orders (id int PRIMARY KEY)")
    target = databases.empty()
    found = airkeep.export(source, str(tmp_path), environment="e", airflow_only=True, skip=["log"])
    airkeep.restore(str(tmp_path), found, target, create_schema=True, **AS_IT_WAS)
    expected = {name: rows for name, rows in data_of(source).items() if name != "shop_orders"}
    assert data_of(target) == expected | {"log": [], "sequence log_id_seq": ["1false"]}


def test_a_window_of_chosen_tables_still_goes_by_runs(source: str, tmp_path: Path) -> None:
    query(source, "UPDATE task_instance SET start_date = '2001-01-01', end_date = '2001-01-01'")
    since = datetime(2020, 1, 1, tzinfo=UTC)
    full = airkeep.export(source, str(tmp_path), environment="e", since=since)
    part = airkeep.export(
        source, str(tmp_path), environment="e", since=since, tables=["task_instance", "xcom"]
    )
    rows = {t.label: t.rows for t in full.tables}
    assert {t.label: t.rows for t in part.tables} == {
        "task_instance": rows["task_instance"],
        "xcom": rows["xcom"],
    }
    assert rows["task_instance"] == len(data_of(source)["task_instance"])


@pytest.mark.parametrize("since", [None, datetime(2020, 1, 1, tzinfo=UTC)])
def test_a_window_of_chosen_tables_locks_the_runs_that_it_asks(
    since: datetime | None, source: str, tmp_path: Path
) -> None:
    locked: dict[str, set[str]] = {}

    def look(step: Step) -> None:
        held = "SELECT relation::regclass::text FROM pg_locks WHERE mode = 'AccessShareLock'"
        locked.setdefault(step.doing, {name for (name,) in query(source, held)})

    airkeep.export(
        source, str(tmp_path), environment="e", since=since, tables=["log", "task_instance"],
        progress=look,
    )  # fmt: skip
    runs = {"dag_run"} if since else set()
    assert locked["log"] & {*CORE, "log", "xcom"} == {"log", "task_instance"} | runs


def test_what_the_schema_does_not_make_again_is_named(
    source: str, server: Cluster, tmp_path: Path
) -> None:
    psql(
        server, source, "CREATE TABLE mine (id int PRIMARY KEY) WITH (fillfactor = 70)",
        "ALTER TABLE mine ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY all_of_it ON mine USING (true)",
        "COMMENT ON COLUMN mine.id IS 'a number'", "CREATE TABLE bare (id int PRIMARY KEY)",
        "ALTER TABLE bare ENABLE ROW LEVEL SECURITY",
        "CREATE RULE quiet AS ON DELETE TO mine DO INSTEAD NOTHING",
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER idle BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION nothing()",
        "ALTER TABLE mine DISABLE TRIGGER idle", "CREATE DOMAIN small AS int CHECK (VALUE < 9)",
    )  # fmt: skip
    found = airkeep.export(source, str(tmp_path), environment="e")
    assert set(found.manifest.left_out) == {
        "comments on public.mine",
        "disabled trigger idle of public.mine",
        "domain public.small",
        "policy all_of_it of public.mine",
        "row-level security of public.bare",
        "rule quiet of public.mine",
        "storage parameters of public.mine",
    }
    assert found.manifest.complete


def test_columns_that_differ_by_case_only_are_refused_by_name(
    source: str, server: Cluster, tmp_path: Path
) -> None:
    psql(server, source, 'CREATE TABLE odd ("Id" int PRIMARY KEY, id text)')
    with pytest.raises(DatabaseError, match=r"table odd .*\(Id, id\).*--skip"):
        airkeep.export(source, str(tmp_path), environment="e")
    assert airkeep.export(source, str(tmp_path), environment="e", skip=["odd"]).manifest.complete


@pytest.mark.parametrize("columns", ["", "a int GENERATED ALWAYS AS (1 + 1) STORED"])
def test_a_table_that_stores_no_value_is_refused_by_name(
    columns: str, source: str, server: Cluster, tmp_path: Path
) -> None:
    psql(server, source, "CREATE SCHEMA other", f"CREATE TABLE other.bare ({columns})")
    with pytest.raises(DatabaseError, match=r"table other\.bare has no column .* --skip other"):
        airkeep.export(source, tmp_path, environment="e")
    found = airkeep.export(source, tmp_path, environment="e", skip="other.bare")
    assert found.manifest.complete


def test_tables_that_differ_by_case_only_are_not_taken_for_each_other(
    source: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    psql(
        server, source, "CREATE TABLE odd AS SELECT 1 AS id",
        'CREATE TABLE "Odd" AS SELECT 2 AS id',
        'CREATE SCHEMA "PUBLIC"', 'CREATE TABLE "PUBLIC".odd AS SELECT 3 AS id',
    )  # fmt: skip
    target = databases.empty()
    found = airkeep.export(source, str(tmp_path), environment="e")
    airkeep.restore(str(tmp_path), found, target, create_schema=True, **AS_IT_WAS)
    assert data_of(target) == data_of(source)
