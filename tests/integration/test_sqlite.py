"""SQLite out and back: every value as it was, from a file that is only read."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.database.address import Address
from airkeep.database.limits import ReadLimits
from airkeep.database.sqlite import SqliteReader
from airkeep.database.sqlite_write import SqliteWriter
from airkeep.database.types import Travel
from airkeep.errors import (
    AddressError,
    BusyError,
    DatabaseError,
    NotAirflowError,
    PrivilegeError,
)
from airkeep.export.run import export
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import ColumnEntry
from airkeep.snapshot.read import SnapshotReader
from command import start
from servers import PROJECT, SHARED, reachable_folder
from sqlite_files import content, fingerprint, make_airflow, restore_file, schema

NOBODY = 65534
TYPES = ("INTEGER", "NUMERIC", "REAL", "TEXT", "BLOB", "JSON", "VARCHAR(9)", "DATETIME", "")
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -(2**63), 2**63 - 1, 2**53 + 1]),
    st.floats(allow_nan=False),
    st.sampled_from([-0.0, float("inf"), float("-inf"), 5e-324, 1e300, 9007199254740993.0]),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["", "'", "5", " 5 ", "1e5", "null", "a\0b", "\0", "0x10", "é", "9e999"]),
    st.binary(),
    st.builds(lambda b: ("text", b), st.binary(max_size=5)),  # any bytes, as TEXT
)


@contextmanager
def opened(path: Path, folder: Path, **more: Any) -> Iterator[SqliteReader]:
    private = folder / f"private{time.monotonic_ns()}"
    private.mkdir()
    with SqliteReader(Address("sqlite", str(path)), private, ReadLimits(), **more) as reader:
        reader.fix(lambda labels: labels)
        yield reader


def as_sql(value: Any) -> tuple[str, Any]:
    return ("CAST(? AS TEXT)", value[1]) if isinstance(value, tuple) else ("?", value)


# Every value comes back.


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=len(TYPES), max_size=len(TYPES)), max_size=6))
def test_every_value_of_every_class_comes_back_through_parquet(rows: list[list[Any]]) -> None:
    columns = ", ".join(f'"c{n} {kind}" {kind}' for n, kind in enumerate(TYPES))
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = make_airflow(folder / "a.db", f'CREATE TABLE "odd ""name" ({columns});')
        with sqlite3.connect(source) as db:
            for row in rows:
                marks, values = zip(*map(as_sql, row), strict=True)
                db.execute(f'INSERT INTO "odd ""name" VALUES ({", ".join(marks)})', values)
        db.close()
        through_parquet(source, folder / "b.db", folder)
        assert content(folder / "b.db") == content(source)
        assert schema(folder / "b.db") == schema(source)


def through_parquet(source: Path, target: Path, folder: Path) -> None:
    import pyarrow.parquet as pq

    with (
        opened(source, folder) as reader,
        SqliteWriter(Address("sqlite", str(target))) as writer,
    ):
        writer.begin()
        made = [t.definition for t in reader.catalog.tables]
        writer.create("".join(f"{s};\n" for s in (*made, *reader.catalog.statements)))
        for table in reader.catalog.tables:
            entries = [
                ColumnEntry(c.name, c.type, way.parquet, encoding=way.encoding)
                for c, way in zip(table.stored_columns, reader.ways(table), strict=True)
            ]
            for file in reader.spool(table):
                batches = pq.ParquetFile(file.path).iter_batches(2)
                assert writer.load(table, entries, batches) == file.rows
        writer.commit()


def test_a_column_travels_by_what_it_holds(tmp_path: Path) -> None:
    source = make_airflow(
        tmp_path / "a.db",
        "CREATE TABLE t (i JSON, r, t, b, none INTEGER, mixed JSON, bad TEXT, nul TEXT);"
        "INSERT INTO t VALUES (1, 1.5, 'a', X'00', NULL, 5, CAST(X'FF' AS TEXT), 'a'),"
        " (NULL, -1e300, 'é', X'', NULL, '\"a\"', 'ok', CAST(X'6100' AS TEXT)),"
        " (2, NULL, NULL, NULL, NULL, 2.5, NULL, NULL);",
    )
    with opened(source, tmp_path) as reader:
        table = reader.catalog.by_label()["t"]
        same = [Travel(p) for p in ("BIGINT", "DOUBLE", "VARCHAR", "BLOB")]
        literal = Travel("VARCHAR", "literal")
        assert reader.ways(table) == [
            *same, Travel("VARCHAR"), literal, literal,
            Travel("VARCHAR"),
        ]  # fmt: skip
        [batch] = reader.batches(table)
        found = batch.to_pydict()
        assert found["i"] == [1, None, 2]
        assert found["t"] == ["a", "é", None]
        assert found["mixed"] == ["5", "'\"a\"'", "2.5"]
        assert found["bad"] == ["CAST(X'FF' AS TEXT)", "'ok'", None]
        assert found["nul"] == ["a", "a\0", None]


def test_a_window_travels_as_the_whole_table_does(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    source = make_airflow(
        tmp_path / "a.db", "CREATE TABLE t (x); INSERT INTO t VALUES (1), ('a'), (2);"
    )
    with opened(source, tmp_path) as reader:
        table = reader.catalog.by_label()["t"]
        [batch] = reader.batches(table, '"t".x = 2')
        assert batch.to_pydict() == {"x": ["2"]}
        [file] = reader.spool(table, "x = 'a'")
        assert pq.read_table(file.path).to_pydict() == {"x": ["'a'"]}
        assert list(reader.spool(table, "1 = 0")) == []


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_text_of_every_encoding_is_the_same_text(encoding: str, tmp_path: Path) -> None:
    source = tmp_path / "a.db"
    db = sqlite3.connect(source)
    db.execute(f"PRAGMA encoding = '{encoding}'")
    db.close()
    make_airflow(source, "CREATE TABLE t (x); INSERT INTO t VALUES ('é😀'), (''), (5);")
    snapshot = export(str(source), str(tmp_path / "lake"), environment="e")
    restore_file(snapshot, tmp_path / "b.db", tmp_path)
    assert content(tmp_path / "b.db") == content(source)


def test_large_values_are_read_in_bounded_batches(tmp_path: Path) -> None:
    source = make_airflow(
        tmp_path / "a.db",
        "CREATE TABLE t (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 40) INSERT INTO t SELECT randomblob(1000000) FROM n;"
        "CREATE TABLE many (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 25000) INSERT INTO many SELECT i FROM n;",
    )
    with opened(source, tmp_path) as reader:
        tables = reader.catalog.by_label()
        assert max(b.nbytes for b in reader.batches(tables["t"])) < 11e6
        assert [b.num_rows for b in reader.batches(tables["many"])] == [10_000, 10_000, 5_000]
        assert sum(f.rows for f in reader.spool(tables["many"])) == 25_000


# The schema.

ODD_SCHEMA = """
CREATE TABLE parent (a INTEGER, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT DEFAULT 'it''s', pb, pa,
    twice AS (id * 2), stored INTEGER GENERATED ALWAYS AS (id + 1) STORED,
    FOREIGN KEY (pb, pa) REFERENCES PARENT, CONSTRAINT u UNIQUE (x));
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child (x, pb, pa) VALUES ('a', 'p', 1), ('b', 'gone', 1), ('c', NULL, NULL);
DELETE FROM child WHERE x = 'c';
CREATE TABLE nokey ("select" numeric(3,1), "Straße" TEXT, "a.b" INT, "c""d");
INSERT INTO nokey VALUES (1.5, 'x', 2, NULL), (1.5, 'x', 2, NULL);
CREATE UNIQUE INDEX child_x ON child (x DESC) WHERE x <> 'z;' -- a comment; with an end
;
CREATE VIEW v AS SELECT x FROM child;
CREATE TRIGGER loud AFTER INSERT ON child BEGIN
    UPDATE child SET x = x || CASE WHEN 1 THEN '!' END WHERE id = new.id; DELETE FROM nokey;
END;
CREATE VIRTUAL TABLE words USING fts4(body);
INSERT INTO words VALUES ('hello');
ANALYZE;
"""


def test_a_schema_of_every_shape_is_described_and_made_again(tmp_path: Path) -> None:
    source = make_airflow(tmp_path / "a.db", ODD_SCHEMA)
    with opened(source, tmp_path) as reader:
        catalog = reader.catalog
    tables = catalog.by_label()
    assert (catalog.engine, catalog.server_version) == ("sqlite", sqlite3.sqlite_version)
    assert tables["parent"].key == ("b", "a")
    assert tables["task_instance"].key == ("run_id", "dag_id", "map_index", "task_id")
    assert tables["nokey"].key == ()
    assert [c.name for c in tables["child"].stored_columns] == ["id", "x", "pb", "pa"]
    assert tables["child"].column("x").default == "'it''s'"
    [key] = tables["child"].foreign_keys
    assert (key.columns, key.target, key.target_columns) == (("pb", "pa"), "parent", ("b", "a"))
    [index] = tables["child"].indexes
    assert index.unique
    assert "view v" in catalog.left_out
    assert "virtual table words" in catalog.left_out
    assert {"parent", "child", "nokey"} < tables.keys()
    assert not [t for t in tables if t.startswith(("words", "sqlite"))]
    [sequence] = catalog.sequences
    assert (sequence.owner_table, sequence.owner_column, sequence.last_value) == ("child", "id", 3)


def test_a_schema_of_every_shape_is_restored(tmp_path: Path) -> None:
    source = make_airflow(tmp_path / "a.db", ODD_SCHEMA)
    snapshot = export(str(source), str(tmp_path / "lake"), environment="e")
    [orphans] = restore_file(snapshot, tmp_path / "b.db", tmp_path)
    assert (orphans.table, orphans.target.lower(), orphans.rows) == ("child", "parent", 1)
    made, were = content(tmp_path / "b.db"), content(source)
    assert made == {t: rows for t, rows in were.items() if not t.startswith("words")}
    names = {(kind, name) for kind, name, *_ in schema(tmp_path / "b.db")}
    assert {("index", "child_x"), ("trigger", "loud"), ("view", "v")} < names
    with sqlite3.connect(tmp_path / "b.db") as db:
        db.execute("INSERT INTO child (x) VALUES ('new')")
        assert db.execute("SELECT id, x, twice FROM child WHERE x LIKE 'new%'").fetchall() == [
            (4, "new!", 8)
        ]
    db.close()


def test_a_nameless_column_is_refused_and_can_be_skipped(tmp_path: Path) -> None:
    source = make_airflow(tmp_path / "a.db", 'CREATE TABLE t ("" INTEGER);')
    with pytest.raises(DatabaseError, match=r"table 't'.*empty name.*--skip"):
        export(str(source), str(tmp_path / "lake"), environment="e")
    export(str(source), str(tmp_path / "lake"), environment="e", skip=["t"])


# Real databases.


@pytest.mark.parametrize("name", ["airflow-2.11.2", "airflow-3.3.2"])
def test_our_own_airflow_files_come_back_equal(
    name: str, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source = airflow_file(name)
    assert_comes_back(source, tmp_path)


def wild() -> list[str]:
    folder = SHARED / "data" / "wild"
    return sorted(p.name for p in folder.glob("airflow-*.db"))


@pytest.mark.parametrize("name", wild() or ["airflow-3.1.0-live-wal.db"])
def test_every_database_found_in_the_wild_comes_back_equal(
    name: str, shared: Path, tmp_path: Path
) -> None:
    folder = shared / "data" / "wild"
    seen = fingerprint(folder)
    assert_comes_back(folder / name, tmp_path)
    assert fingerprint(folder) == seen


def assert_comes_back(source: Path, folder: Path) -> None:
    snapshot = export(str(source), str(folder / "lake"), environment="e", allow_plain=True)
    assert snapshot.manifest.complete
    assert restore_file(snapshot, folder / "new.db", folder) == []
    before, after = content(source), content(folder / "new.db")
    assert after.keys() == before.keys()
    for table in before:
        assert after[table] == before[table], table
    if not Path(f"{source}-wal").exists():
        assert schema(folder / "new.db") == schema(copied(source, folder / "schema.db"))


def copied(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target


def test_rows_that_are_only_in_the_wal_are_there(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "wild" / "airflow-3.1.0-live-wal.db"
    snapshot = export(str(source), str(tmp_path / "lake"), environment="e", allow_plain=True)
    rows = {t.label: t.rows for t in snapshot.manifest.tables}
    without = content(copied(source, tmp_path / "without-its-wal.db"))
    assert rows["xcom"] - len(without["xcom"]) == 2
    name = "rendered_task_instance_fields"
    assert rows[name] - len(without[name]) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.db", r"empty\.db is empty"),
        ("not-airflow.db", r"not-airflow\.db is a SQLite database, but not Airflow's"),
        ("not-airflow-appbuilder.db", r"not-airflow-appbuilder\.db .*ab_permission"),
    ],
)
def test_what_is_not_airflow_is_refused_by_name(
    name: str, words: str, shared: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotAirflowError, match=words) as caught:
        export(str(shared / "data" / "wild" / name), str(tmp_path / "lake"), environment="e")
    assert caught.value.exit_status == 13
    assert "\n" not in str(caught.value)
    assert not list((tmp_path).rglob("*.parquet"))


# The source is only read.


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach."""
    with reachable_folder() as folder:
        yield folder


def export_as(user: int, source: Path, lake: Path) -> subprocess.CompletedProcess[str]:
    """Export in a process that becomes `user` once everything is imported."""
    script = f"""
import os, sys, tempfile
sys.path.insert(0, {str(PROJECT / "tests")!r})
from sqlite_files import make_airflow
from airkeep.export.run import export
from airkeep.errors import AirkeepError
from pathlib import Path
with tempfile.TemporaryDirectory() as warm:
    export(str(make_airflow(Path(warm) / "a.db")), warm + "/lake", environment="warm")
os.setgroups([]); os.setgid({user}); os.setuid({user})
try:
    snapshot = export({str(source)!r}, {str(lake)!r}, environment="e", allow_plain=True)
except AirkeepError as error:
    sys.exit(f"{{type(error).__name__}}: {{error}}")
print(snapshot.id)
"""
    return subprocess.run(  # noqa: PLW1510 (the caller looks at the status)
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd="/"
    )


def hot_wal(path: Path) -> None:
    """A file in WAL mode whose writer was killed: rows in the WAL only, and a `-shm`."""
    killed(path, "PRAGMA journal_mode = WAL; INSERT INTO dag VALUES ('in the wal', 0);")


def hot_journal(path: Path) -> None:
    """A file whose writer was killed in the middle of a transaction that had spilled."""
    make = sqlite3.connect(path)
    make.executemany("INSERT INTO dag VALUES (?, 0)", [(f"dag {n}",) for n in range(3000)])
    make.commit()
    make.close()
    before = path.read_bytes()
    killed(path, "PRAGMA cache_size = 2; BEGIN; UPDATE dag SET is_paused = 1;")
    assert Path(f"{path}-journal").stat().st_size > 0
    assert path.read_bytes() != before


def killed(path: Path, script: str) -> None:
    code = f"""
import os, sqlite3
db = sqlite3.connect({str(path)!r}, isolation_level=None)
for statement in {script!r}.split(";"):
    db.execute(statement)
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL


STATES = [(lambda _: None, 0), (hot_wal, 1), (hot_journal, 3000)]


@pytest.mark.parametrize(("prepare", "dags"), STATES, ids=["closed", "hot wal", "hot journal"])
@pytest.mark.parametrize("user", [0, NOBODY], ids=["ourselves", "nobody"])
def test_the_source_folder_is_as_it_was(
    user: int, prepare: Callable[[Path], None], dags: int, open_folder: Path
) -> None:
    if user and os.geteuid():
        pytest.skip("only root can become another user")
    source, lake = open_folder / "source", open_folder / "lake"
    source.mkdir()
    lake.mkdir()
    prepare(make_airflow(source / "airflow.db"))
    if user:
        os.chown(lake, user, user)
        for path in source.iterdir():
            path.chmod(0o444)
        source.chmod(0o555)
    seen = fingerprint(source)
    done = export_as(user or os.geteuid(), source / "airflow.db", lake)
    assert done.returncode == 0, done.stderr
    assert fingerprint(source) == seen
    snapshot = export(str(source / "airflow.db"), str(lake), environment="root")
    assert fingerprint(source) == seen
    with SnapshotReader(snapshot, folder=open_folder) as reader:
        paused = [p for batch in reader.batches("dag") for p in batch["is_paused"].to_pylist()]
    assert paused == [0] * dags


def test_a_file_that_may_not_be_read_is_said_so(open_folder: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can become another user")
    source = make_airflow(open_folder / "airflow.db")
    source.chmod(0o600)
    done = export_as(NOBODY, source, open_folder / "lake")
    assert done.stderr.startswith(f"{PrivilegeError.__name__}: {source}: this user may not read")


LIVE = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("PRAGMA journal_mode = WAL")
end, n = time.monotonic() + 60, 0
while time.monotonic() < end:
    n += 1
    db.execute("BEGIN")
    db.execute("INSERT INTO dag VALUES (?, 0)", (f"d{n}",))
    db.execute("INSERT INTO dag_run (dag_id, run_id) VALUES (?, 'r')", (f"d{n}",))
    db.execute("COMMIT")
    if n == 20:
        print("writing", flush=True)
    time.sleep(0.02)
"""


@contextmanager
def live_writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that commits a DAG and its run fifty times a second, a minute at most."""
    with subprocess.Popen(
        [sys.executable, "-c", LIVE, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("user", [0, NOBODY], ids=["ourselves", "nobody"])
def test_a_live_writer_is_neither_hurt_nor_half_seen(user: int, open_folder: Path) -> None:
    if user and os.geteuid():
        pytest.skip("only root can become another user")
    source, lake = open_folder / "source", open_folder / "lake"
    source.mkdir()
    lake.mkdir()
    os.chown(lake, user or os.geteuid(), -1)
    path = make_airflow(source / "airflow.db")
    with live_writer(path) as process:
        done = export_as(user or os.geteuid(), path, lake)
        assert done.returncode == 0, done.stderr
        assert process.poll() is None
        process.send_signal(signal.SIGSTOP)  # so that only we could change the folder
        seen = fingerprint(source)
        snapshot = export(str(path), str(lake), environment="stopped")
        assert fingerprint(source) == seen
        assert seen.keys() == {".", "airflow.db", "airflow.db-wal", "airflow.db-shm"}
        process.send_signal(signal.SIGCONT)
    for found in (Lake(str(lake))["e/latest"], snapshot):
        rows = {t.label: t.rows for t in found.manifest.tables}
        assert rows["dag"] == rows["dag_run"] >= 20


def test_a_file_that_never_rests_gives_no_snapshot(tmp_path: Path) -> None:
    source = make_airflow(tmp_path / "a.db", "CREATE TABLE big (x);"
                          "INSERT INTO big VALUES (zeroblob(30000000));")  # fmt: skip
    with (
        live_writer(source),
        pytest.raises(BusyError, match=r"Pause its scheduler"),
        opened(source, tmp_path, waits_s=()),
    ):
        pass


# Faults.


def damage_rows(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(4096 * 8, len(data), 4096):
        data[page : page + 64] = b"\xaa" * 64
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


@pytest.mark.parametrize("harm", [damage_rows, cut])
def test_a_damaged_file_gives_no_snapshot(harm: Callable[[Path], None], tmp_path: Path) -> None:
    source = make_airflow(
        tmp_path / "a.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        "INSERT INTO dag_run SELECT i, 'a dag with a long name', 'r' || i FROM n;",
    )
    harm(source)
    with pytest.raises(DatabaseError, match=r"a\.db: the file is damaged") as caught:
        export(str(source), str(tmp_path / "lake"), environment="e")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("manifest.json"))


def test_an_error_while_duckdb_reads_is_sqlites(tmp_path: Path) -> None:
    source = make_airflow(tmp_path / "a.db", "INSERT INTO dag VALUES ('a', 0);")
    with opened(source, tmp_path) as reader:
        dag = reader.catalog.by_label()["dag"]
        with pytest.raises(DatabaseError, match="SQLITE_ERROR") as caught:
            list(reader.spool(dag, "no_such_column = 'secret'"))
        assert "secret" not in str(caught.value)


def test_a_missing_file_is_a_wrong_address(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match=r"none\.db: no such file"):
        export(f"sqlite:///{tmp_path}/none.db", str(tmp_path / "lake"), environment="e")


def test_an_export_that_ends_in_the_middle_of_a_table_is_one_line(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    url = f"sqlite:///{airflow_file('airflow-3.3.2')}"
    arguments = ("export", "env:", "lake", "-e", "prod", "--secrets", "plain")
    with start(tmp_path, url, *arguments) as process:
        assert process.stderr is not None
        said = process.stderr.read().splitlines()

    assert process.returncode == 61
    assert [line[:20] for line in said] == ["airkeep: connection "]
