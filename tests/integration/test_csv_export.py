"""A dated CSV export of a real database, beside what psql says is in it."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from airkeep.cli.main import cli
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.errors import ConfigError, ManifestError, PlainSecretError, StoreError
from airkeep.export.csv import CsvExport, export_csv
from airkeep.export.run import export
from airkeep.snapshot.csv_check import CsvVerifyResult, verify_csv
from airkeep.snapshot.csv_run import (
    csv_runs,
    encode_summary,
    read_summary,
    summary_path,
    take_second,
)
from airkeep.snapshot.lake import Lake
from csv_strict import parse
from servers import FERNET_KEY, Databases, query

Records = list[list[str | None]]
DUMPS = ("airflow-263", "airflow-2105-xcompickle", "airflow-306", "airflow-332")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.mark.parametrize("name", DUMPS)
def test_every_table_reads_as_psql_reads_it(
    name: str, server: Cluster, databases: Databases, lake: Path, tmp_path: Path
) -> None:
    url = databases.airflow(name)
    query(url, NASTY)
    query(url, NASTY_ROWS)
    done = export_csv(url, str(lake), environment="prod")

    assert len(done.summary.files) > 30
    for label, file in done.summary.files.items():
        head, *rows = parse(gzip.decompress((lake / file.path).read_bytes()))
        assert (head, *sorted_rows(rows)) == (
            list(file.columns),
            *sorted_rows(psql(server, url, label, file.columns, tmp_path)),
        ), label
        assert len(rows) == file.rows
    assert verify_csv(Lake(str(lake)).store, done.run.path).ok


NASTY = r"""
CREATE TABLE nasty (
  id int PRIMARY KEY, "odd, ""n"" me" text, t text, v varchar(9), b bytea, yes boolean,
  f float8, r real, n numeric, ts timestamp, tz timestamptz, d date, tm time, span interval,
  j json, jb jsonb, u uuid, tags text[], m money, twice int GENERATED ALWAYS AS (id * 2) STORED)
"""
NASTY_ROWS = r"""
INSERT INTO nasty VALUES
 (1, 'x', '', '', '', true, 'NaN', 'NaN', 'NaN', 'infinity', 'infinity', 'infinity', '24:00',
  '-1 day 2:03', '{"a" : 1, "a":[]}', '{"b": null}',
  '00000000-0000-0000-0000-000000000000', '{}', 1),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL),
 (3, E'a,"b"\r\n', E'\\N', '\.', '\x00ff5c22', false, '-Infinity', '-0', -0.10, '-infinity',
  '-infinity', '-infinity', '0:00:00.000001', '0', 'null', 'null',
  'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"", NULL, "a,b", "\"", " "}', -1),
 (4, E'\n', E'\r', E'\t', '\x', true, '-0', 1.5, 1e40, '2026-11-21 14:30:22.5',
  '2026-11-21 14:30:22.123456+05:30', '2026-02-28', '14:30', '1 year', '"\u00fc,"', '"x,y"',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{1}', 0),
 (5, E'\x01\x7f\u2028', ' pad ', '"', '\x0a', false, 5e-324, 1e-7, 0, '0044-03-15 12:00 BC',
  '0044-03-15 12:00:00.25 BC', '0044-03-15 BC', '1:02', '1 us', '[]', '1.10',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"\\"}', 12.34),
 (6, '''', 'NULL', ',', '\x2c', false, 0.1, 0.1, 1, '12026-01-01', '0001-01-01 00:00:00+00',
  '12026-01-01', '1:02', '1 us', '[]', '1.10', NULL, '{}', 12.34),
 (7, '#', '\', ';', '\x2c', false, 1.7976931348623157e308, 1, 1, '1582-10-10',
  '1582-10-10 00:00:00.1+00', '1582-10-10', '1:02', '1 us', '[]', '1.10', NULL, '{}', 12.34)
"""


def psql(server: Cluster, url: str, label: str, columns: tuple[str, ...], folder: Path) -> Records:
    def ident(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    listed = ", ".join(f"{ident(c)}::text" for c in columns)
    target = folder / "psql.csv"
    server.run(
        "psql", "-qXc", f"\\copy (SELECT {listed} FROM {ident(label)}) TO '{target}' (FORMAT csv)",
        database=parse_address(url).database,
    )  # fmt: skip
    return parse(target.read_bytes(), "\n")


def sorted_rows(rows: Records) -> Records:
    return sorted(rows, key=lambda row: [(field is None, field or "") for field in row])


def test_the_summary_says_what_was_taken(databases: Databases, lake: Path) -> None:
    url = databases.airflow("airflow-263")
    before = datetime.now(UTC)
    done = export_csv(url, str(lake), environment="prod", since=timedelta(days=4000))
    said = json.loads(gzip.decompress((lake / done.run.path).read_bytes()))

    assert done.run.path == done.run.at.strftime("csv/prod/%Y/%m/%d/export_summary_%H%M%S.json.gz")
    at = datetime.fromisoformat(said["export_timestamp"])
    assert abs(at - before) < timedelta(minutes=1)
    assert at.replace(microsecond=0) == done.run.at
    assert at - datetime.fromisoformat(said["cutoff_date"]) == timedelta(days=4000)
    assert said["max_age_days"] == 4000
    assert said["database_name"] == parse_address(url).database
    assert said["airflow_version"] == "2.6.2 to 2.6.3"
    assert said["total_tables"] == len(said["tables"]) == len(said["files"])
    assert said["total_rows"] == sum(said["tables"].values()) > 0
    assert said["missing"] == [
        "task_instance_history", "asset_event", "backfill", "dag_version", "hitl_detail",
    ]  # fmt: skip
    assert not set(said["missing"]) & set(said["tables"])
    assert said["run_id"]
    assert said["revisions"]
    for label, file in said["files"].items():
        data = (lake / file["path"]).read_bytes()
        assert file["path"] == done.run.at.strftime(f"csv/prod/%Y/%m/%d/{label}_%H%M%S.csv.gz")
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert len(data) == file["bytes"]
    assert read_summary(Lake(str(lake)).store, done.run.path) == done.summary


def test_a_window_a_choice_and_foreign_tables_as_for_a_snapshot(
    databases: Databases, lake: Path
) -> None:
    url = databases.airflow("airflow-332")
    query(url, "CREATE TABLE mine (a int)")
    nothing_yet = datetime.now(UTC)
    snapshot = export(url, str(lake), environment="prod", since=nothing_yet)
    new = export_csv(url, str(lake), environment="prod", since=nothing_yet)
    chosen = export_csv(url, str(lake), environment="prod", tables=["dag", "mine"], skip=["dag"])
    ours = export_csv(url, str(lake), environment="prod", airflow_only=True, skip=["log"])

    assert new.summary.tables == {t.label: t.rows for t in snapshot.tables}
    assert new.summary.files["dag_run"].window == snapshot.manifest.table("dag_run").window  # type: ignore[union-attr]
    assert new.summary.tables["dag_run"] < rows_of(url, "dag_run")
    assert text_of(lake, new, "mine") == "a\r\n"
    assert chosen.summary.tables == {"mine": 0}
    assert chosen.summary.missing == ()
    assert not {"mine", "log"} & set(ours.summary.tables)
    assert [r.path for r in csv_runs(Lake(str(lake)).store, "prod")] == [
        ours.run.path, chosen.run.path, new.run.path,
    ]  # fmt: skip


def test_plain_secrets_are_refused_before_a_byte_is_saved(databases: Databases, lake: Path) -> None:
    url = databases.airflow("airflow-332")
    query(url, "INSERT INTO variable (key, val, is_encrypted) VALUES ('k', 'hush', false)")
    with pytest.raises(PlainSecretError, match=r"variable k\.val"):
        export_csv(url, str(lake), environment="prod")

    assert not lake.exists()
    done = export_csv(url, str(lake), environment="prod", allow_plain=True)
    assert "hush" in text_of(lake, done, "variable")


def test_secrets_are_opened_or_dropped_as_asked(databases: Databases, lake: Path) -> None:
    url = databases.airflow("airflow-332")
    kept, plain, gone = (
        export_csv(url, str(lake), environment="prod", secrets=mode, fernet_key=FERNET_KEY)
        for mode in ("keep", "plain", "drop")
    )
    assert "gAAAAA" in text_of(lake, kept, "variable")
    assert "gAAAAA" not in text_of(lake, plain, "variable")
    assert len(text_of(lake, gone, "variable")) < len(text_of(lake, plain, "variable"))
    assert gone.summary.secrets == "drop"


def rows_of(url: str, table: str) -> int:
    [[rows]] = query(url, f"SELECT count(*) FROM {table}")
    return int(rows)


def text_of(lake: Path, done: CsvExport, label: str) -> str:
    return gzip.decompress((lake / done.summary.files[label].path).read_bytes()).decode()


def test_runs_at_the_same_second_get_seconds_of_their_own(lake: Path) -> None:
    store = Lake(str(lake)).store
    last = datetime(2026, 12, 31, 23, 59, 58, 999_999, tzinfo=UTC)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: take_second(store, "prod", last, str(n)), range(8)))

    first = last.replace(microsecond=0)
    assert sorted(found) == [first + timedelta(seconds=n) for n in range(8)]
    assert summary_path("prod", max(found)) == "csv/prod/2027/01/01/export_summary_000005.json.gz"


def test_a_second_with_any_file_of_its_day_is_taken(lake: Path) -> None:
    store = Lake(str(lake)).store
    at = datetime(2026, 11, 21, 14, 30, 22, tzinfo=UTC)
    store.save("csv/prod/2026/11/21/dag_143022.csv.gz", b"of a run that died")
    store.save("csv/prod/2026/11/21/export_summary_143023.json.gz", b"of another tool")

    assert take_second(store, "prod", at, "x") == at + timedelta(seconds=2)
    assert take_second(store, "test", at, "x") == at


def test_exports_side_by_side_all_finish(databases: Databases, lake: Path) -> None:
    url = databases.airflow("airflow-263")

    def one(_: int) -> CsvExport:
        return export_csv(url, str(lake), environment="prod", tables=["dag", "dag_run"])

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(one, range(3)))
    assert len({d.run.path for d in done}) == 3
    assert all(verify_csv(Lake(str(lake)).store, d.run.path).ok for d in done)


class Dying:
    """A lake that fails at the file with this in its path."""

    def __init__(self, folder: Path, word: str) -> None:
        self._store, self._word = Lake(str(folder)).store, word

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def save_file(self, path: str, file: Path) -> None:
        if self._word in path:
            raise StoreError("the disk is on fire")
        self._store.save_file(path, file)


def test_a_run_that_dies_leaves_files_and_no_summary(
    databases: Databases, lake: Path, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    url = databases.airflow("airflow-263")
    dying: Any = Dying(lake, "/xcom_")
    with pytest.raises(StoreError, match="on fire"):
        export_csv(url, Lake(dying), environment="prod", spool=spool)

    store = Lake(str(lake)).store
    assert list(store.list("csv/prod/"))
    assert csv_runs(store) == []
    assert list(spool.iterdir()) == []


@pytest.fixture
def finished(databases: Databases, lake: Path) -> CsvExport:
    return export_csv(databases.airflow("airflow-263"), str(lake), environment="prod")


def verify(lake: Path, done: CsvExport) -> CsvVerifyResult:
    return verify_csv(Lake(str(lake)).store, done.run.path)


def test_verify_names_every_damaged_and_missing_file(finished: CsvExport, lake: Path) -> None:
    files = finished.summary.files
    (lake / files["dag"].path).write_bytes(b"x" * files["dag"].bytes)
    (lake / files["log"].path).write_bytes(b"x")
    (lake / files["xcom"].path).unlink()
    found = verify(lake, finished)

    assert not found.ok
    assert found.exit_status == 31
    assert {(p.path, p.kind) for p in found.problems} == {
        (files["dag"].path, "damaged"),
        (files["log"].path, "damaged"),
        (files["xcom"].path, "missing"),
    }
    assert found.read == found.files - 3


def test_verify_counts_records_and_sums(finished: CsvExport, lake: Path) -> None:
    summary = finished.summary
    right = summary.files["dag"]
    wrong = replace(right, rows=right.rows + 1, columns=("a",))
    lie = replace(summary, total_tables=1, files={**summary.files, "dag": wrong})
    (lake / finished.run.path).write_bytes(encode_summary(lie))
    said = [p.what for p in verify(lake, finished).problems]

    assert len(said) == 5
    assert "says other rows by table than by file" in said
    assert f"has {right.rows} rows, its summary says {right.rows + 1}" in said
    assert "has another header than its summary says" in said


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 35),
        (b"{}", 35),
        (gzip.compress(b"{}", mtime=0), 35),
        (gzip.compress(b'{"format": 2}', mtime=0), 33),
        (gzip.compress(b'{"format": 1}', mtime=0)[:-3], 35),
        (None, 32),
    ],
)
def test_a_summary_that_cannot_be_read_is_a_problem(
    data: bytes | None, status: int, lake: Path
) -> None:
    store = Lake(str(lake)).store
    path = "csv/prod/2026/11/21/export_summary_143022.json.gz"
    if data is not None:
        store.save(path, data)
    found = verify_csv(store, path)

    assert [p.path for p in found.problems] == [path]
    assert found.exit_status == status
    if status == 35:
        with pytest.raises(ManifestError, match="export_summary_143022"):
            read_summary(store, path)


def test_sqlite_too(airflow_file: Callable[[str], Path], lake: Path) -> None:
    import sqlite3

    file = airflow_file("airflow-3.3.2")
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE odd (a NUMERIC)")
        values: list[Any] = [5, "x,y", "", b"\0", None, 1.5]
        db.executemany("INSERT INTO odd VALUES (?)", [(value,) for value in values])
    db.close()
    done = export_csv(str(file), str(lake), environment="local")
    with sqlite3.connect(file) as db:
        counts = {
            t: db.execute(f'SELECT count(*) FROM "{t}"').fetchone()[0] for t in done.summary.tables
        }
    db.close()

    assert done.summary.tables == counts
    assert done.summary.database_name == file.name
    assert verify(lake, done).ok
    [_, *rows] = parse(text_of(lake, done, "odd").encode())
    assert rows == [["5"], ["x,y"], [""], ["\\x00"], [None], ["1.5"]]


def test_the_command_prints_a_line_or_json(databases: Databases, lake: Path) -> None:
    url = databases.airflow("airflow-332")
    command = ["export", url, str(lake), "-e", "prod", "--format", "csv", "-q"]
    text = CliRunner().invoke(cli, command)
    said = CliRunner().invoke(cli, [*command, "--json"])

    assert text.exit_code == 0, text.output
    assert text.stdout.startswith("csv/prod/")
    assert "  csv  Airflow 3.3" in text.stdout
    document = json.loads(said.stdout)
    assert (lake / document["path"]).is_file()
    assert document["summary"]["total_rows"] > 0


def test_an_increment_is_refused(lake: Path) -> None:
    command = ["export", "postgresql://nowhere/x", str(lake), "-e", "p", "--format", "csv"]
    found = CliRunner().invoke(cli, [*command, "--increment"])

    assert isinstance(found.exception, ConfigError)
    assert "--increment" in str(found.exception)


KILLED = """
import os, sys
from airkeep.export.csv import export_csv
def tell(step):
    if step.doing == "log":
        os.kill(os.getpid(), 9)
export_csv(sys.argv[1], sys.argv[2], environment="prod", progress=tell)
"""


def test_a_killed_run_is_no_run(databases: Databases, lake: Path, tmp_path: Path) -> None:
    url = databases.airflow("airflow-263")
    spool = tmp_path / "tmp"
    spool.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(lake)],
        check=False, timeout=120, env={"TMPDIR": str(spool)},
    )  # fmt: skip
    shutil.rmtree(spool)

    assert done.returncode == -9
    assert csv_runs(Lake(str(lake)).store) == []
    after = export_csv(url, str(lake), environment="prod")
    assert verify(lake, after).ok
