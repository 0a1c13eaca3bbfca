"""Iceberg tables of a lake's files, in a catalog on SQLite, read back by pyiceberg itself."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog

from airkeep.cli.main import cli
from airkeep.errors import CatalogError
from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.lake.iceberg import register_iceberg
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import index_path, manifest_path
from command import AIRKEEP
from fake_lake import save_snapshot, snapshot_name
from servers import Databases, query

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # SQLAlchemy's pool, at exit


NOW = datetime.now(UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "lake").mkdir()
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return SqlCatalog(
        "tests", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/w"
    )


def rows(catalog: Catalog, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = catalog.load_table(name).scan().to_arrow().to_pylist()
    return found


def test_every_table_reads_as_the_lake_does(
    databases: Databases, lake: Lake, catalog: Catalog, tmp_path: Path
) -> None:
    export(databases.airflow("airflow-332"), lake, environment="prod")
    export(databases.airflow("airflow-332"), lake, environment="since.one", since=NOW)

    done = register_iceberg(lake, catalog)

    assert [(one.namespace, one.snapshot is None) for one in done] == [
        ("prod", False), ("since_one", True),
    ]  # fmt: skip
    done = done[:1]
    with connect(lake, folder=tmp_path) as opened:
        for one in done:
            manifest = lake[f"{one.environment}/latest"].manifest
            assert one.tables == one.changed == len(manifest.tables)
            for table in manifest.tables:
                found = catalog.load_table((one.namespace, table.label)).scan().to_arrow()
                assert found.num_rows == table.rows
        asked = "SELECT dag_id, run_id, start_date FROM dag_run WHERE environment = 'prod'"
        ours = list(opened.query(asked).rows())
    theirs = [
        (row["dag_id"], row["run_id"], row["start_date"] and row["start_date"].replace(tzinfo=None))
        for row in rows(catalog, "prod.dag_run")
    ]
    assert sorted(theirs, key=str) == sorted(ours, key=str)


def test_a_second_run_changes_nothing_and_a_new_snapshot_takes_the_place_of_the_old(
    databases: Databases, lake: Lake, catalog: Catalog
) -> None:
    url = databases.airflow("airflow-332")
    query(url, "CREATE TABLE mine (id int PRIMARY KEY, v int)")
    query(url, "CREATE TABLE passing (id int PRIMARY KEY)")
    query(url, "INSERT INTO mine VALUES (1, 10), (2, 20)")
    export(url, lake, environment="prod")
    register_iceberg(lake, catalog)
    before = catalog.load_table("prod.mine").metadata_location

    [again] = register_iceberg(lake, catalog)
    assert (again.changed, again.dropped) == (0, 0)
    assert catalog.load_table("prod.mine").metadata_location == before

    query(url, "ALTER TABLE mine ALTER v TYPE text USING v::text || '!'")
    query(url, "ALTER TABLE mine ADD more int")
    query(url, "DELETE FROM mine WHERE id = 1")
    query(url, "DROP TABLE passing")
    export(url, lake, environment="prod")
    export(url, lake, environment="prod", increment=True)
    [done] = register_iceberg(lake, catalog)

    assert (done.changed, done.dropped, done.newer) == (done.tables, 1, 1)
    assert rows(catalog, "prod.mine") == [{"id": 2, "v": "20!", "more": None}]


def test_an_environment_whose_full_snapshots_are_gone_has_no_tables(
    databases: Databases, lake: Lake, catalog: Catalog
) -> None:
    import pyarrow as pa

    url = databases.airflow("airflow-332")
    export(url, lake, environment="prod")
    register_iceberg(lake, catalog)
    catalog.create_table("prod.theirs", pa.schema([("a", pa.int64())]))
    export(url, lake, environment="prod", since=NOW)
    for name in lake.names("prod")[1:]:
        lake.store.delete([index_path("prod", name.id), manifest_path("prod", name.id)])

    [done] = register_iceberg(lake, catalog)

    assert (done.snapshot, done.newer) == (None, 1)
    assert done.dropped > 40
    assert [name for *_, name in catalog.list_tables("prod")] == ["theirs"]
    [again] = register_iceberg(lake, catalog)
    assert again.dropped == 0


def test_somebody_elses_table_is_left_alone(
    databases: Databases, lake: Lake, catalog: Catalog
) -> None:
    import pyarrow as pa

    export(databases.airflow("airflow-332"), lake, environment="prod")
    catalog.create_namespace("prod")
    catalog.create_table("prod.dag_run", pa.schema([("a", pa.int64())]))

    with pytest.raises(CatalogError, match=r"prod\.dag_run is there and is not of"):
        register_iceberg(lake, catalog)
    assert [name for *_, name in catalog.list_tables("prod")] == ["dag_run"]


def test_the_command_finds_its_catalog_as_pyiceberg_does(lake: Lake, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/catalog.db"
    variables = {
        "PYICEBERG_CATALOG__OURS__URI": uri,
        "PYICEBERG_CATALOG__OURS__WAREHOUSE": f"file://{tmp_path}",
        "PYICEBERG_CATALOG__BAD__TYPE": "nope-SECRET",
        "PYICEBERG_CATALOG__UNDRIVEN__URI": "postgresql+asyncpg://me:SECRET@127.0.0.1:1/db",
    }
    save_snapshot(lake.store, snapshot_name(1), complete=False)
    for catalog, status, said in (
        ("ours", 0, "prod: no full snapshot, so nothing is registered"),
        ("bad", 75, "PYICEBERG_CATALOG__BAD__URI"),
        ("absent", 75, "PYICEBERG_CATALOG__ABSENT__URI"),
        ("my-cat", 75, "a catalog 'my-cat': describe it in .pyiceberg.yaml"),
        ("undriven", 75, "pip install 'pyiceberg[sql-postgres]'"),
        ("postgresql://me:SECRET@host/db", 75, "set PYICEBERG_CATALOG__NAME__URI to its address"),
    ):
        done = subprocess.run(
            [*AIRKEEP, "register", lake.url, "--iceberg", catalog],
            env=os.environ | variables, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert said in done.stdout + done.stderr
        assert "SECRET" not in done.stdout + done.stderr


@pytest.mark.parametrize("flags", [["--glue", "a"], ["--athena-ddl"]])
def test_a_folder_is_nothing_that_athena_reads(lake: Lake, flags: list[str]) -> None:
    done = CliRunner().invoke(cli, ["register", lake.url, *flags])
    assert "read s3:// only" in str(done.exception)
    for wrong in ([], [*flags, "--iceberg", "x"]):
        assert CliRunner().invoke(cli, ["register", lake.url, *wrong]).exit_code == 2
