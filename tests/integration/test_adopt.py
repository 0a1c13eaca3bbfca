"""Backups in the layouts of other tools, written from real rows, beside an ordinary export."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

import airkeep
import old_backups as old
from adopted import assert_told, columns
from airkeep.adopt import values
from airkeep.adopt.pipe import columns_of
from airkeep.adopt.run import adopt
from airkeep.cli.main import cli
from airkeep.errors import (
    BadBackupError,
    NoSuchSnapshotError,
    PlainSecretError,
    UnknownLayoutError,
)
from airkeep.snapshot.lake import Snapshot
from compare import AS_IT_WAS
from servers import Databases, query

AT = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)
DUMPS = {
    "airflow-263": "2.6.2 to 2.6.3",
    "airflow-2112": "2.10.3 to 2.11.2",
    "airflow-332": "3.3.0 or later",
}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def ordinary(url: str, lake: Path) -> Snapshot:
    return airkeep.export(url, str(lake), environment="live", allow_plain=True)


@pytest.mark.parametrize("name", DUMPS)
def test_a_dated_export_is_the_database_but_for_what_is_reported(
    name: str, airflow_dump: Callable[[str], str], tmp_path: Path, lake: Path
) -> None:
    url = airflow_dump(name)
    tables = [old.read(url, t) for t in old.tables_of(url)]
    tables = [t for t in tables if t.rows]
    old.write_dated(tmp_path / "exports/prod", tables, AT, counts={"celery": 0})

    done = adopt(str(tmp_path / "exports"), str(lake), environment="prod", allow_plain=True)

    [snapshot] = done.made
    assert (done.layout, snapshot.id) == ("dated-csv", "20261101T023000.000000Z")
    assert snapshot.manifest.airflow_version == DUMPS[name]
    assert not snapshot.manifest.complete
    live = ordinary(url, lake)
    for table in tables:
        assert_told(lake, live, snapshot, table.table)
    assert airkeep.verify(str(lake), "prod/latest")[0].ok


def test_an_orm_dump_gives_a_snapshot_a_day(
    airflow_dump: Callable[[str], str], tmp_path: Path, lake: Path
) -> None:
    url = airflow_dump("airflow-2112")
    tables = [old.read(url, t) for t in old.ORM_FOLDERS]
    for day in ("2026-10-31", "2026-11-01"):
        for rows in tables:
            old.write_orm(tmp_path, rows, day)

    done = adopt(str(tmp_path / "export"), str(lake), environment="prod")

    assert done.layout == "orm-csv"
    assert [s.id[:8] for s in done.made] == ["20261031", "20261101"]
    live = ordinary(url, lake)
    for snapshot in done.made:
        assert snapshot.manifest.airflow_version == "2.10.1 to 2.11.2"
        for rows in tables:
            assert_told(lake, live, snapshot, rows.table)
        entry = snapshot.manifest.table("task_instance")
        assert entry is not None
        assert entry.window
        assert {c.name for c in entry.columns} == set(old.read(url, "task_instance").columns)
    assert "test_mode" in " ".join(told(done.made[0]))
    # Thirty days twice are thirty days once.
    [[count]] = ask(lake, "SELECT count(*) FROM dag_run WHERE environment = 'prod'")
    assert count == len(tables[0].rows)


def told(snapshot: Snapshot) -> list[str]:
    assert snapshot.manifest.adopted is not None
    return list(snapshot.manifest.adopted.notes)


def ask(lake: Path, sql: str) -> list[list[Any]]:
    got = CliRunner().invoke(cli, ["query", str(lake), sql, "--json"])
    assert got.exit_code == 0, got.output
    return [list(row.values()) for row in json.loads(got.stdout)]


PIPES = {
    "airflow-263": ("2.6", "2.5.1 to 2.6.3"),
    "airflow-2105-xcompickle": ("2.10", "2.10.1 to 2.11.2"),
}


def write_pipe_folder(url: str, folder: Path, minor: str) -> list[old.Rows]:
    names = ["log", "job", "dag_run", "trigger", "task_instance", "task_fail", "xcom", "slot_pool"]
    tables = [old.read(url, t).select(columns_of(t, minor)) for t in names]
    for rows in tables:
        old.write_pipes(folder, rows)
    active = old.read(url, "dag").select(["dag_id"])
    old.write_pipes(folder, active, "active_dag")
    return tables


@pytest.mark.parametrize("name", PIPES)
def test_a_folder_without_headers_is_of_the_version_that_its_columns_number(
    name: str, airflow_dump: Callable[[str], str], tmp_path: Path, lake: Path
) -> None:
    minor, version = PIPES[name]
    url = airflow_dump(name)
    tables = write_pipe_folder(url, tmp_path, minor)

    done = adopt(str(tmp_path / "data"), str(lake), environment="prod", at=AT)

    [snapshot] = done.made
    assert (done.layout, snapshot.id) == ("pipe-csv", "20261101T023000.000000Z")
    assert snapshot.manifest.airflow_version == version
    live = ordinary(url, lake)
    for rows in tables:
        assert_told(lake, live, snapshot, rows.table)
    active = snapshot.manifest.table("active_dags")
    assert active is not None
    assert active.role == "foreign"
    assert {t.label: t.key for t in snapshot.manifest.tables if t.key} == {
        "dag_run": ("dag_id", "run_id"),
        "slot_pool": ("pool",),
        "task_instance": ("dag_id", "task_id", "run_id", "map_index"),
        "xcom": ("dag_run_id", "task_id", "map_index", "key"),
    }
    assert sum("told apart by" in note for note in told(snapshot)) == 2


def test_a_table_whose_own_key_was_left_out_is_told_apart_by_what_airflow_keeps_unique(
    airflow_dump: Callable[[str], str], databases: Databases, tmp_path: Path, lake: Path
) -> None:
    write_pipe_folder(airflow_dump("airflow-263"), tmp_path, "2.6")
    twice = tmp_path / "twice"
    shutil.copytree(tmp_path / "data", twice / "data")
    runs = twice / "data" / "dag_run.csv"
    runs.write_text(runs.read_text() + runs.read_text().splitlines(keepends=True)[0])

    [first] = adopt(str(tmp_path / "data"), str(lake), environment="prod", at=AT).made
    [keyless] = adopt(str(twice / "data"), str(lake), environment="twice", at=AT).made

    found, refused = (s.manifest.table("dag_run") for s in (first, keyless))
    assert found is not None
    assert refused is not None
    assert (found.key, refused.key) == (("dag_id", "run_id"), ())
    assert "dag_run: 1 rows repeat a key or lack it: taken without a key" in told(keyless)
    assert all(result.ok for result in airkeep.verify(str(lake)))
    assert airkeep.compact(str(lake)).compacted == ()
    adopt(str(tmp_path / "data"), str(lake), environment="prod", at=AT.replace(day=2))
    assert ask(lake, "SELECT count(*) FROM dag_run_history WHERE environment = 'prod'") == [
        [found.rows]
    ]


def test_a_key_that_is_not_the_tables_own_goes_back_into_a_database(
    airflow_dump: Callable[[str], str], databases: Databases, tmp_path: Path, lake: Path
) -> None:
    url = airflow_dump("airflow-263")
    runs = old.read(url, "dag_run")
    some = runs.select(name for name in runs.columns if name != "id")
    others = [old.read(url, t) for t in ("dag", "task_instance", "alembic_version")]
    old.write_dated(tmp_path / "old", [some, *others], AT)
    [snapshot] = adopt(str(tmp_path / "old"), str(lake), environment="prod").made
    target = databases.empty()

    airkeep.restore(str(lake), str(snapshot.name), target, create_schema=True, **AS_IT_WAS)

    rows = "SELECT dag_id, run_id, state, start_date FROM dag_run ORDER BY 1, 2"
    assert query(target, rows) == query(url, rows)
    assert query(
        target,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'dag_run_pkey'",
    ) == [("PRIMARY KEY (dag_id, run_id)",)]


def test_decrypted_values_are_refused_until_they_are_sealed_or_allowed(
    tmp_path: Path, lake: Path
) -> None:
    types = ("text",) * 9
    connection = old.Rows(
        "connection", columns_of("connection", "2.9"), types,
        [("pg", "postgres", None, "", "db", "me", "hunter2", 5432, "x")],
    )  # fmt: skip
    variable = old.Rows("variable", ("key", "val", "description"), types, [("k", "s3cret", None)])
    old.write_pipes(tmp_path, connection, delimiter=",")
    old.write_pipes(tmp_path, variable, delimiter=",")
    data = str(tmp_path / "data")

    with pytest.raises(PlainSecretError, match=r"connection pg.password, variable k.val") as caught:
        adopt(data, str(lake), environment="prod", airflow_version="2.9")
    assert "hunter2" not in str(caught.value)
    assert not list(lake.glob("**/*.json"))

    key = Fernet.generate_key().decode()
    done = adopt(data, str(lake), environment="prod", airflow_version="2.9", secrets="seal",
                 archive_key=key)  # fmt: skip
    [password] = columns(lake, done.made[0], "connection")["password"]
    assert password.startswith("airkeep:1:p:")
    assert Fernet(key).decrypt(password.removeprefix("airkeep:1:p:")) == b"hunter2"


def test_archived_rows_lose_their_bytes_and_say_so(
    airflow_dump: Callable[[str], str], tmp_path: Path, lake: Path
) -> None:
    url = airflow_dump("airflow-2112")
    # Alone, `trigger` would fit Airflows that hold its kwargs as JSON, too.
    tables = [old.read(url, t) for t in ("dag_run", "task_instance", "log", "trigger")]
    for second, rows in enumerate(tables):
        old.write_archive(tmp_path / "out", rows, AT.replace(second=second))

    done = adopt(str(tmp_path / "out"), str(lake), environment="prod")

    assert [s.id for s in done.made] == [f"20261101T02300{n}.000000Z" for n in range(4)]
    live = ordinary(url, lake)
    for rows, snapshot in zip(tables, done.made, strict=True):
        assert_told(lake, live, snapshot, rows.table)
    adopted = done.made[0].manifest.adopted
    assert adopted is not None
    assert ("conf", values.LOST) in {(r.column, r.what) for r in adopted.repairs}


def test_the_same_backup_is_there_already_and_another_of_its_time_is_not(
    tmp_path: Path, lake: Path
) -> None:
    rows = old.Rows("pool", ("id", "name"), ("integer", "text"), [(1, "a"), (2, None)])
    old.write_dated(tmp_path / "a", [rows], AT)
    first = adopt(str(tmp_path / "a"), str(lake), environment="prod")
    before = {p: p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file()}

    again = adopt(str(tmp_path / "a"), str(lake), environment="prod")
    assert (again.made, [s.name for s in again.there]) == ((), [first.made[0].name])
    assert {p: p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file()} == before

    old.write_dated(tmp_path / "b", [replace(rows, rows=[(1, "b")])], AT)
    other = adopt(str(tmp_path / "b"), str(lake), environment="prod")
    assert [s.id for s in other.made] == ["20261101T023000.000001Z"]


def test_an_adopted_snapshot_is_no_ground_and_not_what_restore_takes(
    tmp_path: Path, lake: Path, airflow_dump: Callable[[str], str]
) -> None:
    rows = old.Rows("dag", ("dag_id",), ("text",), [("a",)])
    old.write_dated(tmp_path / "a", [rows], datetime.now(UTC) + timedelta(hours=1))
    adopt(str(tmp_path / "a"), str(lake), environment="prod")
    with pytest.raises(NoSuchSnapshotError, match="no complete snapshot"):
        airkeep.restore(str(lake), "prod/latest", airflow_dump("airflow-2112"), **AS_IT_WAS)
    got = CliRunner().invoke(cli, ["show", str(lake), "prod/latest"])
    assert got.exit_code == 0, got.output
    assert re.search(r"complete +no", got.output)


Damage = Callable[[Path], object]
BAD: dict[str, tuple[Damage, str]] = {
    "cut gzip": (lambda f: f.write_bytes(f.read_bytes()[:-9]), r"pool_\S+, line \d+: .*gzip"),
    "few values": (lambda f: _rewrite(f, "id,name\n1,a\n2\n"), "line 3: 1 values, expected 2"),
    "open quotes": (lambda f: _rewrite(f, 'id,name\n1,"a\n'), "line 2: this is no CSV"),
    "no text": (
        lambda f: f.write_bytes(gzip.compress(b"id,name\n1,\xff\n")),
        "line 2: this is not UTF-8",
    ),
    "late no text": (
        lambda f: f.write_bytes(gzip.compress(b"id,name\n1,a\n2,b\n3,\xff\n4,c\n")),
        "line 4: this is not UTF-8",
    ),
    "a zero byte": (lambda f: _rewrite(f, "id,name\n1,a\0\n"), "line 2: a zero byte"),
    "cut in a line": (lambda f: _rewrite(f, "id,name\n1,a\n2,b"), "line 3: the file is cut off"),
    "empty": (lambda f: f.write_bytes(b""), "holds 0 rows, its summary says 2"),
    "empty line first": (lambda f: _rewrite(f, "\nid,name\n1,a\n"), "line 1: an empty line"),
    "twice": (lambda f: _rewrite(f, "id,id\n1,2\n"), "line 1: no header of a table"),
    "fewer rows": (lambda f: _rewrite(f, "id,name\n1,a\n"), "1 rows, its summary says 2"),
    "gone": (lambda f: f.unlink(), r"counts 2 rows of pool, and no file"),
}


def _rewrite(file: Path, text: str) -> None:
    file.write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize("how", BAD)
def test_a_damaged_backup_is_one_line_and_leaves_nothing(
    how: str, tmp_path: Path, lake: Path
) -> None:
    good = old.Rows("dag", ("dag_id",), ("text",), [("a",)])
    rows = old.Rows("pool", ("id", "name"), ("integer", "text"), [(1, "a"), (2, "b")])
    old.write_dated(tmp_path / "a", [good], AT.replace(day=2))
    day = old.write_dated(tmp_path / "a", [rows], AT)
    damage, words = BAD[how]
    damage(day / "pool_023000.csv.gz")

    got = CliRunner().invoke(cli, ["adopt", str(tmp_path / "a"), str(lake), "-e", "prod"])
    assert isinstance(got.exception, BadBackupError)
    assert re.search(words, str(got.exception))
    assert not list(lake.rglob("*"))


@pytest.mark.parametrize("header", ["id;dag_id;run_id", "1,d,r"])
def test_a_header_that_names_no_column_of_its_table_is_refused(
    header: str, tmp_path: Path, lake: Path
) -> None:
    file = tmp_path / "a" / "_airflow_deleted__dag_run__20260101000000.csv"
    file.parent.mkdir()
    file.write_text(f"{header}\n1,d,r\n")
    with pytest.raises(BadBackupError, match="line 1: no header of dag_run"):
        adopt(str(file.parent), str(lake), environment="prod")


def _slots_and_connection(folder: Path) -> Path:
    words = ("pg", "postgres", None, "", "db", "me", "hunter2", 5432, "x")
    names = columns_of("connection", "2.9")
    old.write_pipes(folder, old.Rows("connection", names, ("text",) * 9, [words]), delimiter=",")
    (folder / "data" / "slot_pool.csv").write_text("d|True|a|1\n")
    return folder / "data"


def test_a_type_that_differs_between_the_fitting_airflows_is_told_as_such(
    tmp_path: Path, lake: Path
) -> None:
    data = _slots_and_connection(tmp_path)
    [snapshot] = adopt(str(data), str(lake), environment="a", allow_plain=True).made
    assert snapshot.manifest.adopted is not None
    said = {r.column: r.what for r in snapshot.manifest.adopted.repairs}
    words = (
        "its type differs between Airflow 2.7.2 and 2.8.1, --airflow-version decides: "
        "read as text, by its values"
    )
    assert (said["login"], said["password"]) == (words, words)
    [snapshot] = adopt(
        str(data), str(lake), environment="b", allow_plain=True, airflow_version="2.9"
    ).made
    assert snapshot.manifest.adopted is not None
    assert "login" not in {r.column for r in snapshot.manifest.adopted.repairs}


def test_a_damaged_file_without_headers_can_be_skipped_and_what_lies_beside_is_told(
    tmp_path: Path, lake: Path
) -> None:
    data = _slots_and_connection(tmp_path)
    (data / "slot_pool.csv").write_text("description|include_deferred|pool|slots\nd|True|a|1\n")
    (data / "xcom.csv.gz").write_bytes(b"")
    with pytest.raises(BadBackupError, match="line 1: a header"):
        adopt(str(data), str(lake), environment="a", allow_plain=True)
    (data / "slot_pool.csv").write_bytes(b"\xff\n")
    [snapshot] = adopt(
        str(data), str(lake), environment="a", allow_plain=True, skip=["slot_pool"]
    ).made
    assert "left out, as pipe-csv has no such files: xcom.csv.gz" in told(snapshot)


def test_a_table_whose_file_is_gone_can_be_skipped(tmp_path: Path, lake: Path) -> None:
    rows = old.Rows("dag", ("dag_id",), ("text",), [("a",)])
    old.write_dated(tmp_path / "a", [rows], AT, counts={"pool": 2})
    [snapshot] = adopt(str(tmp_path / "a"), str(lake), environment="a", skip=["pool"]).made
    assert [t.label for t in snapshot.manifest.tables] == ["dag"]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["notes.txt"], "no backup of a layout that is known .1 files seen."),
        (["a/dag_run.csv", "b/dag_run.csv"], "several backups .a/, b/."),
        (["a/_airflow_deleted__log__20260101000000.csv", "dag_run.csv"], "several tools"),
    ],
)
def test_what_is_not_one_backup_is_refused(
    paths: list[str], words: str, tmp_path: Path, lake: Path
) -> None:
    for path in paths:
        (tmp_path / "a" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / path).write_text("x\n")
    with pytest.raises(UnknownLayoutError, match=words):
        adopt(str(tmp_path / "a"), str(lake), environment="prod")
    assert not lake.exists()


def test_the_command_says_what_the_layout_cannot_tell(tmp_path: Path, lake: Path) -> None:
    rows = old.Rows(
        "slot_pool", ("id", "pool", "slots", "description", "include_deferred"), ("text",) * 5,
        [(1, "a", 5, None, True), (2, "b", None, "", False)],
    )  # fmt: skip
    old.write_dated(tmp_path / "a", [rows], AT, max_age_days=30, zone=False)
    words = ["adopt", str(tmp_path / "a"), str(lake), "-e", "prod"]

    got = CliRunner().invoke(cli, words)
    assert got.exit_code == 0, got.output
    assert "prod/20261101T023000.000000Z  adopted  Airflow 2.7.2 to 3.0.6  1 table  2 rows" in (
        got.stdout
    )
    for said in (
        "without a zone: read as UTC",
        "slot_pool.description: 2 values: empty: NULL and '' look alike",
        "slot_pool.slots: 1 value: integers that the source wrote as floats",
    ):
        assert said in got.stderr

    assert "there already" in CliRunner().invoke(cli, words).stdout
    got = CliRunner().invoke(cli, ["adopt", str(tmp_path / "a"), str(lake), "-e", "b", "--json"])
    assert json.loads(got.stdout)["made"][0]["adopted"]["layout"] == "dated-csv"


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(tmp_path: Path, lake: Path) -> None:
    rows = old.Rows("dag", ("dag_id",), ("text",), [("a",), ("b",)])
    for day in (1, 2):
        old.write_dated(tmp_path / "a", [rows], AT.replace(day=day))
    words = ["adopt", str(tmp_path / "a"), str(lake), "-e", "prod"]

    got = CliRunner().invoke(cli, [*words, "--dry-run"])
    assert got.exit_code == 0, got.output
    assert "prod/20261102T023000.000000Z  would be made  1 table  2 rows" in got.stdout
    assert "2026/11/02/dag_023000.csv.gz" in got.stdout
    assert "dated-csv, time: the summary's own" in got.stderr
    assert not lake.exists()

    assert CliRunner().invoke(cli, words).exit_code == 0
    got = CliRunner().invoke(cli, [*words, "--dry-run", "--json"])
    told = json.loads(got.stdout)
    assert (told["made"], told["planned"], len(told["there"])) == ([], [], 2)

    old.write_archive(tmp_path / "b", rows, AT)
    words = ["adopt", str(tmp_path / "b"), str(lake), "-e", "prod", "--dry-run"]
    assert "1 table  rows not counted" in CliRunner().invoke(cli, words).stdout
    got = CliRunner().invoke(cli, [*words, "--skip", "dags"])
    assert "did you mean dag" in str(got.exception)


def test_every_command_takes_an_adopted_snapshot(
    airflow_dump: Callable[[str], str], tmp_path: Path, lake: Path
) -> None:
    url = airflow_dump("airflow-2112")
    tables = [old.read(url, t) for t in ("dag_run", "task_instance", "dag", "log")]
    for day, some in ((1, tables), (2, [replace(tables[0], rows=tables[0].rows[:-3]), tables[2]])):
        old.write_dated(tmp_path / "old", some, AT.replace(day=day))
    first, second = airkeep.adopt(tmp_path / "old", lake, environment="prod").made

    def said(*words: str) -> str:
        got = CliRunner().invoke(cli, [words[0], str(lake), *words[1:]])
        assert got.exit_code == 0, got.output
        return got.stdout

    listed = said("snapshots")
    assert listed.count("prod/202611") == 2
    assert "55" in said("show", "prod/20261101")
    assert "dated-csv" in said("show", "prod/latest")
    assert "character varying(250)" in said("show", "prod/20261101", "--table", "dag_run")
    assert said("verify").count("  ok  ") == 2
    assert json.loads(said("query", "SELECT count(*) AS n FROM dag_run", "--json")) == [{"n": 52}]
    changed = airkeep.diff(lake, str(first.name), str(second.name))
    by_label = {t.label: t for t in changed.tables}
    assert (by_label["dag_run"].removed, by_label["dag_run"].added) == (3, 0)
    assert by_label["dag"].equal
    assert "dag_run" in said("diff", "prod/20261101", "prod/20261102")

    live = ordinary(url, lake)
    assert first.manifest.adopted is not None
    told_of = {(r.table, r.column) for r in first.manifest.adopted.repairs}
    for table in airkeep.diff(lake, str(first.name), str(live.name)).tables:
        assert (table.added, table.removed) == (0, 0), table.label
        assert {(table.label, c) for c in table.rows.columns} <= told_of

    page = tmp_path / "report.html"
    written = airkeep.report(lake, page, environments=["prod"])
    assert (written.environments, written.bytes) == (("prod",), page.stat().st_size)
    assert written.dags == 11


def _but_snapshot(row: dict[str, Any]) -> str:
    return repr({k: v or None for k, v in row.items() if k != "snapshot"})


def test_the_models_answer_alike_of_a_database_and_of_its_backup(
    airflow_dump: Callable[[str], str], tmp_path: Path, lake: Path
) -> None:
    url = airflow_dump("airflow-2112")
    tables = [old.read(url, t) for t in old.tables_of(url)]
    old.write_dated(tmp_path / "old", [t for t in tables if t.rows], AT)
    adopt(str(tmp_path / "old"), str(lake), environment="live", allow_plain=True)
    apart = lake.with_name("apart")
    ordinary(url, apart)

    for model in ("runs", "tasks", "attempts", "events"):
        answers = [
            CliRunner().invoke(cli, ["models", str(place), model, "--json"])
            for place in (lake, apart)
        ]
        assert [a.exit_code for a in answers] == [0, 0], answers[0].output
        mine, yours = (sorted(json.loads(a.stdout), key=_but_snapshot) for a in answers)
        assert len(mine) == len(yours) > 10
        for one, other in zip(mine, yours, strict=True):
            differing = {k for k in one if one[k] != other[k]} - {"snapshot"}
            # An empty text may have been NULL: the manifest says so of each such column.
            assert all(one[k] is None and other[k] == "" for k in differing), (model, differing)
