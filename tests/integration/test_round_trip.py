"""A real Airflow database goes out and comes back the same, in rows and in schema."""

from __future__ import annotations

from pathlib import Path

import pytest

import airkeep
from airkeep.database.server import Cluster
from airkeep.errors import DamagedFileError, NotEmptyError, OtherRevisionError
from compare import AS_IT_WAS, data_of, schema_of
from servers import Databases, psql, query

DUMPS = (
    "airflow-263",
    "airflow-2105-xcompickle",
    "airflow-2112",
    "airflow-306",
    "airflow-332",
    "migrated-2112-to-332-fab",
)


@pytest.mark.parametrize("name", DUMPS)
def test_what_went_out_comes_back_the_same(
    name: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow(name), databases.empty()
    snapshot = airkeep.export(source, str(tmp_path / "lake"), environment="prod")
    airkeep.restore(str(tmp_path / "lake"), "latest", target, create_schema=True, **AS_IT_WAS)

    assert snapshot.manifest.complete
    assert snapshot.manifest.airflow_version != "unknown"
    assert schema_of(server, target) == schema_of(server, source)
    assert data_of(target) == data_of(source)


def test_a_foreign_application_in_the_same_database_goes_along(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.empty()
    server.run("psql", "-qc", FOREIGN, database=source.rsplit("/", 1)[1])
    lake = str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)

    assert schema_of(server, target) == schema_of(server, source)
    assert data_of(target) == data_of(source)


def test_databases_that_read_backslashes_as_escapes_are_alike(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.empty()
    query(source, r"CREATE TABLE told (id int PRIMARY KEY, said text DEFAULT 'a\b')")
    query(source, r"INSERT INTO told VALUES (1, 'c:\new\'), (2, DEFAULT)")
    for url in (source, target):
        name = url.rsplit("/", 1)[1]
        psql(server, url, f'ALTER DATABASE "{name}" SET standard_conforming_strings = off')
    airkeep.export(source, tmp_path / "lake", environment="prod")
    airkeep.restore(tmp_path / "lake", "latest", target, create_schema=True, **AS_IT_WAS)

    assert query(target, "SELECT said FROM told ORDER BY id") == [("c:\\new\\",), ("a\\b",)]
    assert data_of(target) == data_of(source)


def test_a_table_with_a_long_name_in_another_script_comes_back(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.empty()
    name = "ж" * 31  # the longest: 62 bytes, which are 186 characters of a path
    psql(server, source, f"CREATE TABLE {name} AS SELECT 1 AS id")
    airkeep.export(source, tmp_path, environment="airflow-production-eu-west-1")
    assert airkeep.verify(tmp_path, "latest")[0].ok
    airkeep.restore(tmp_path, "latest", target, create_schema=True, tables=name, **AS_IT_WAS)
    assert query(target, f"SELECT id FROM {name}") == [(1,)]


def test_airflow_only_leaves_the_foreign_tables_out(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.empty()
    server.run("psql", "-qc", FOREIGN, database=source.rsplit("/", 1)[1])
    lake = str(tmp_path / "lake")
    found = airkeep.export(source, lake, environment="prod", airflow_only=True)
    airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)

    assert found.manifest.complete
    assert not any(t.schema == "shop" for t in found.tables)
    assert set(data_of(source)) - set(data_of(target)) == {
        "shop.orders",
        "shop.Odd Name",
        "sequence shop.orders_id_seq",
    }


FOREIGN = """
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('sad', 'o''k', 'happy');
CREATE TABLE shop.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  parent bigint REFERENCES shop.orders (id),
  mood shop.mood NOT NULL DEFAULT 'o''k',
  price numeric(12, 3) CHECK (price >= 0),
  total numeric GENERATED ALWAYS AS (price * 2) STORED,
  tags text[] DEFAULT '{}', span interval, note varchar(20) COLLATE "C"
);
CREATE INDEX lower_note ON shop.orders (lower(note)) WHERE note IS NOT NULL;
INSERT INTO shop.orders (parent, mood, price, tags, span, note) VALUES
  (NULL, 'happy', 1.5, '{a,NULL,"b,c"}', '-1 day 02:03', 'x'), (1, 'sad', NULL, NULL, NULL, NULL);
CREATE SCHEMA tools;
CREATE FUNCTION tools.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.note := 'touched; -- airkeep: keys'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON shop.orders
  FOR EACH ROW EXECUTE FUNCTION tools.stamp();
CREATE TABLE shop."Odd Name" ("select" int, "a""b" text, "Ä" bytea);
INSERT INTO shop."Odd Name" VALUES (1, E'tab\\tquote''', '\\x0001ff');
CREATE SEQUENCE shop.loose START 5 INCREMENT -2 MAXVALUE 9 MINVALUE -100 CYCLE;
SELECT nextval('shop.loose'), nextval('shop.loose');
"""


def test_a_freshly_migrated_target_takes_the_rows_and_its_defaults_are_not_doubled(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow("airflow-332"), databases.airflow("airflow-332")
    names = [n for n in data_of(target) if n != "alembic_version" and not n.startswith("seq")]
    name = target.rsplit("/", 1)[1]
    server.run("psql", "-qc", f"TRUNCATE {', '.join(names)} RESTART IDENTITY", database=name)
    server.run("psql", "-qc", FRESH, database=name)
    lake = str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    result = airkeep.restore(lake, "latest", target, **AS_IT_WAS)

    assert {t.label: t.defaults for t in result.plan.tables if t.defaults} == {
        "alembic_version": 1,
        "slot_pool": 1,
        "log_template": 1,
    }
    assert data_of(target) == data_of(source)


FRESH = """
INSERT INTO slot_pool (id, pool, slots, include_deferred) VALUES (77, 'default_pool', 128, false);
INSERT INTO log_template (id, filename, elasticsearch_id, created_at) VALUES (9, 'f', 'e', now());
"""


def test_sixteen_goes_into_eighteen_and_eighteen_into_sixteen(
    server16: Cluster, databases: Databases, databases16: Databases, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    source = databases.airflow("airflow-332")
    middle, back = databases16.empty(), databases.empty()
    airkeep.export(source, lake, environment="eighteen")
    airkeep.restore(lake, "eighteen/latest", middle, create_schema=True, **AS_IT_WAS)
    assert data_of(middle) == data_of(source)

    airkeep.export(middle, lake, environment="sixteen")
    airkeep.restore(lake, "sixteen/latest", back, create_schema=True, **AS_IT_WAS)
    assert data_of(back) == data_of(source)


def test_a_restore_that_fails_half_way_leaves_the_target_as_it_was(
    databases: Databases, tmp_path: Path
) -> None:
    lake, target = tmp_path / "lake", databases.empty()
    airkeep.export(databases.airflow("airflow-332"), str(lake), environment="prod")
    [file] = lake.glob("tables/xcom/*/*/00000.parquet")
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(DamagedFileError, match=r"tables/xcom/.*00000\.parquet .*--skip"):
        airkeep.restore(str(lake), "latest", target, create_schema=True, **AS_IT_WAS)
    assert data_of(target) == {}


def test_a_target_with_rows_is_refused_and_named(databases: Databases, tmp_path: Path) -> None:
    source, lake = databases.airflow("airflow-332"), str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    before = data_of(source)
    with pytest.raises(NotEmptyError, match=r"is not empty: rows are in asset"):
        airkeep.restore(lake, "latest", source, **AS_IT_WAS)
    assert data_of(source) == before


def test_another_revision_is_refused(databases: Databases, tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")
    with pytest.raises(OtherRevisionError, match="5f2621c13b39"):
        airkeep.restore(lake, "latest", databases.airflow("airflow-332"), **AS_IT_WAS)
