"""Rows go into a SQLite file all or not at all, whatever happens on the way."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airkeep.database.address import Address
from airkeep.database.limits import ReadLimits
from airkeep.database.sqlite_write import SqliteWriter, split_statements
from airkeep.errors import (
    AddressError,
    BusyError,
    DatabaseError,
    DifferenceError,
    NotAirflowError,
    NotEmptyError,
    PrivilegeError,
)
from airkeep.export.run import export
from airkeep.restore.run import restore
from airkeep.snapshot.manifest import ColumnEntry
from airkeep.snapshot.progress import Step
from compare import AS_IT_WAS
from servers import PROJECT, reachable_folder
from sqlite_files import content, make_airflow, restore_file, schema

if TYPE_CHECKING:
    import pyarrow as pa

NOBODY = 65534
X = ColumnEntry("x", "", "BIGINT")


def writer_of(path: Path) -> SqliteWriter:
    return SqliteWriter(Address("sqlite", str(path)))


def numbers(*values: int) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.record_batch({"x": pa.array(values, pa.int64())})


def load(writer: SqliteWriter, table: str, batches: list[pa.RecordBatch]) -> int:
    catalog = writer.catalog()
    assert catalog is not None
    return writer.load(catalog.by_label()[table], [X], batches)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# A file that is not there.


def test_a_new_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    with writer_of(target) as writer:
        assert writer.catalog() is None
        assert names(tmp_path) == []
        writer.begin()
        writer.create("CREATE TABLE t (x);\nCREATE INDEX i ON t (x);\n")
        assert load(writer, "t", [numbers(1), numbers(2, 3)]) == 3
        assert not target.exists()
        writer.commit()
    assert names(tmp_path) == ["new.db"]
    assert [x for _, x in content(target)["t"]] == [1, 2, 3]
    assert target.stat().st_mode & 0o077 == 0


def test_an_empty_file_is_as_good_as_none(tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    target.touch()
    with writer_of(target) as writer:
        assert writer.catalog() is None
        writer.begin()
        writer.create("CREATE TABLE t (x);")
        writer.commit()
    assert content(target) == {"t": []}


@pytest.mark.parametrize("exists", [False, True])
def test_what_is_not_committed_was_never_there(exists: bool, tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    if exists:
        target.touch()
    with writer_of(target) as writer:
        writer.begin()
        writer.create("CREATE TABLE t (x);")
        load(writer, "t", [numbers(1)])
    assert names(tmp_path) == (["new.db"] if exists else [])
    assert not exists or target.stat().st_size == 0


def test_a_file_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    with writer_of(target) as writer:
        writer.begin()
        writer.create("CREATE TABLE t (x);")
        target.write_text("somebody else's")
        with pytest.raises(NotEmptyError, match=r"new\.db was made by somebody else"):
            writer.commit()
    assert names(tmp_path) == ["new.db"]
    assert target.read_text() == "somebody else's"


LINKS = {"x86_64": (86, 265), "aarch64": (37,)}  # link and linkat, by their system call's number


def refuse_links(number: int) -> None:
    """From here on the kernel refuses this process every hard link, as some file systems do."""
    calls = LINKS[platform.machine()]
    filters = [
        struct.pack("HBBI", 0x20, 0, 0, 0),  # load the system call's number
        *(struct.pack("HBBI", 0x15, len(calls) - n, 0, call) for n, call in enumerate(calls)),
        struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000),  # allow
        struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | number),  # fail with that error
    ]
    code = ctypes.create_string_buffer(b"".join(filters))
    program = struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0  # PR_SET_SECCOMP


LINKLESS = """
import sys
sys.path[:0] = [{tests!r}, {tests!r} + "/integration"]
from pathlib import Path
from test_sqlite_write import refuse_links, writer_of

refuse_links({number})
for name, other in (("new.db", None), ("taken.db", "somebody else's"), ("empty.db", "")):
    target = Path({folder!r}, name)
    try:
        with writer_of(target) as writer:
            writer.begin()
            writer.create("CREATE TABLE t (x);")
            if other is not None:
                target.write_text(other)
            writer.commit()
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_new_file_is_no_one_elses_where_there_are_no_hard_links(
    number: int, tmp_path: Path
) -> None:
    script = LINKLESS.format(tests=str(PROJECT / "tests"), number=number, folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["NotEmptyError", "NotEmptyError"]
    assert names(tmp_path) == ["empty.db", "new.db", "taken.db"]
    assert content(tmp_path / "new.db") == {"t": []}
    assert (tmp_path / "taken.db").read_text() == "somebody else's"


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_wal_that_outlived_its_database_is_not_replayed_into_ours(
    suffix: str, tmp_path: Path
) -> None:
    (tmp_path / f"new.db{suffix}").write_bytes(b"old")
    with (
        pytest.raises(NotEmptyError, match=f"new.db{suffix}.*Move it away"),
        writer_of(tmp_path / "new.db"),
    ):
        pass


def test_a_target_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="there is no folder"), writer_of(tmp_path / "no" / "a"):
        pass
    with pytest.raises(AddressError, match="is not a file"), writer_of(tmp_path):
        pass
    (tmp_path / "a.db").write_text("hello")
    with pytest.raises(NotAirflowError, match="text, perhaps"), writer_of(tmp_path / "a.db"):
        pass


# A migrated one.


def test_a_snapshot_goes_into_a_migrated_file(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source = airflow_file("airflow-3.3.2")
    target = tmp_path / "fresh.db"
    emptied(source, target)
    with writer_of(target) as writer:
        catalog = writer.catalog()
        assert catalog is not None
        pools = writer.tally(catalog.by_label()["slot_pool"], "pool")
        assert ("default_pool", 1) in pools
    snapshot = export(str(source), str(tmp_path / "lake"), environment="e", allow_plain=True)
    assert restore_file(snapshot, target, tmp_path) == []
    assert content(target) == content(source)
    assert schema(target) == schema(source)


def test_a_restore_says_which_newer_snapshots_it_passed_over_and_builds_no_keys_that_are_there(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source, lake = airflow_file("airflow-3.3.2"), str(tmp_path / "lake")
    whole = export(str(source), lake, environment="e", allow_plain=True)
    part = export(str(source), lake, environment="e", allow_plain=True, tables=["dag"])
    target = tmp_path / "fresh.db"
    emptied(source, target)
    steps: list[Step] = []
    done = restore(lake, "latest", str(target), tables=["dag"], progress=steps.append, **AS_IT_WAS)
    assert done.plan.snapshot == str(whole.name)
    assert f"passed over {part.name}: it is not complete" in done.notes
    assert "building keys and indexes" not in {step.doing for step in steps}
    assert restore(
        lake, "latest", str(tmp_path / "new.db"), create_schema=True, dry_run=True, **AS_IT_WAS
    ).notes
    named = restore(
        lake,
        str(whole.name),
        str(tmp_path / "new.db"),
        create_schema=True,
        progress=steps.append,
        **AS_IT_WAS,
    )
    assert "building keys and indexes" in {step.doing for step in steps}
    assert not any("passed over" in note for note in named.notes)


def emptied(source: Path, target: Path) -> None:
    """The file as a migration leaves it: tables, revisions and a pool."""
    target.write_bytes(source.read_bytes())
    with sqlite3.connect(target) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if name not in ("alembic_version", "slot_pool", "sqlite_sequence"):
                db.execute(f"DELETE FROM {name}")
        db.execute("DELETE FROM sqlite_sequence")
    db.close()


def test_a_living_file_is_refused_though_another_process_holds_its_lock(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    target, lake = airflow_file("airflow-3.3.2"), str(tmp_path / "lake")
    export(str(target), lake, environment="e", allow_plain=True)
    other = sqlite3.connect(target, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotEmptyError, match=r"is not empty: rows are in"):
        restore(lake, "latest", str(target), limits=ReadLimits(lock_timeout_s=1), **AS_IT_WAS)
    other.close()


def test_a_lock_that_is_not_had_is_busy(tmp_path: Path) -> None:
    target = make_airflow(tmp_path / "a.db")
    other = sqlite3.connect(target, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with writer_of(target) as writer, pytest.raises(BusyError, match=r"lock.*--lock-timeout"):
        writer.begin(lock_timeout_s=0.1)
    other.close()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    target = make_airflow(tmp_path / "a.db")
    other = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    timer.start()
    with writer_of(target) as writer:
        writer.begin(lock_timeout_s=10)
    timer.join()
    other.close()


def test_triggers_of_the_target_do_not_fire_and_stay(tmp_path: Path) -> None:
    target = make_airflow(
        tmp_path / "a.db",
        "CREATE TABLE t (x); CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END;",
    )
    before = schema(target)
    with writer_of(target) as writer:
        writer.begin()
        load(writer, "t", [numbers(1, 2)])
        writer.commit()
    assert len(content(target)["t"]) == 2
    assert schema(target) == before


def test_a_key_that_is_there_already_undoes_everything(tmp_path: Path) -> None:
    target = make_airflow(
        tmp_path / "a.db",
        "CREATE TABLE t (x PRIMARY KEY); INSERT INTO t VALUES (7); CREATE TABLE u (x);",
    )
    before = content(target)
    with writer_of(target) as writer:
        writer.begin()
        load(writer, "u", [numbers(1, 2)])
        with pytest.raises(DatabaseError, match=r"UNIQUE constraint failed: t\.x while loading t"):
            load(writer, "t", [numbers(1, 7)])
    assert content(target) == before


def test_a_column_that_would_make_other_values_is_an_error(tmp_path: Path) -> None:
    target = make_airflow(tmp_path / "a.db", "CREATE TABLE t (x TEXT);")
    with writer_of(target) as writer:
        writer.begin()
        with pytest.raises(
            DifferenceError, match=r"t\.x has 0 values of class integer.*expected 2"
        ):
            load(writer, "t", [numbers(1, 2)])
    assert content(target)["t"] == []


def test_a_sequence_never_moves_back(tmp_path: Path) -> None:
    target = make_airflow(
        tmp_path / "a.db",
        "CREATE TABLE t (x INTEGER PRIMARY KEY AUTOINCREMENT);"
        "CREATE TABLE u (x INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE v"
        "(x INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (50); DELETE FROM t;",
    )
    with writer_of(target) as writer:
        writer.begin()
        load(writer, "u", [numbers(3)])
        writer.set_sequences({"t": 20, "u": 9, "v": 4})
        writer.commit()
    found = {row[1]: row[3] for row in content(target)["sqlite_sequence"]}
    assert found == {b"t": 50, b"u": 9, b"v": 4}


def test_orphans_are_told_and_not_refused(tmp_path: Path) -> None:
    target = make_airflow(
        tmp_path / "a.db",
        "CREATE TABLE p (x INTEGER PRIMARY KEY); CREATE TABLE t (x REFERENCES p (x));"
        "CREATE TABLE broken (x REFERENCES dag_run (run_id));",
    )
    with writer_of(target) as writer:
        writer.begin()
        load(writer, "p", [numbers(1)])
        load(writer, "t", [numbers(1, 2, 3)])
        load(writer, "broken", [numbers(1)])
        found = [(o.table, o.target, o.rows) for o in writer.check_references()]
        writer.commit()
    assert found == [("t", "p", 2), ("broken", "dag_run", None)]
    assert len(content(target)["t"]) == 3


def test_a_statement_whose_table_was_left_out_is_left_out_and_named(tmp_path: Path) -> None:
    with writer_of(tmp_path / "a.db") as writer:
        writer.begin()
        writer.create(
            "CREATE TABLE t (x);\nCREATE INDEX i ON celery (x);\nCREATE INDEX j ON t (x);\n"
        )
        assert writer.finish() == ("CREATE INDEX i ON celery",)
        writer.commit()
    assert {name for _, name, *_ in schema(tmp_path / "a.db")} == {"t", "j"}


@pytest.mark.parametrize(
    "sql", ["ATTACH 'x' AS y;", "CREATE TABLE t (x); DROP TABLE t;", "nonsense"]
)
def test_a_schema_that_is_no_schema_is_refused(sql: str, tmp_path: Path) -> None:
    with writer_of(tmp_path / "a.db") as writer:
        writer.begin()
        with pytest.raises(DatabaseError, match=r"schema\.sql holds a statement"):
            writer.create(sql)
    assert names(tmp_path) == []


def test_statements_end_where_sqlite_ends_them() -> None:
    statements = [
        "CREATE TABLE t (x DEFAULT 'a;b') -- c;\n;",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; SELECT 1; END;",
        "CREATE VIEW v AS SELECT ';' AS \";\" /* ; */;",
    ]
    assert list(split_statements("\n".join(statements) + "\n")) == statements


# Killed, and kept out.

KILLED = """
import os, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/integration"]
from pathlib import Path
from test_sqlite_write import numbers, load, writer_of

def batches():
    for n in range(60):
        yield numbers(*range(n * 10_000, (n + 1) * 10_000))
    os.kill(os.getpid(), 9)

with writer_of(Path({target!r})) as writer:
    writer.begin()
    if writer.catalog() is None:
        writer.create("CREATE TABLE t (x);")
    catalog = writer.catalog()
    load(writer, "t", batches())
"""


@pytest.mark.parametrize("mode", ["absent", "empty", "delete", "wal"])
def test_a_kill_half_way_leaves_the_target_as_it_was(mode: str, tmp_path: Path) -> None:
    target = tmp_path / "a.db"
    if mode == "empty":
        target.touch()
    if mode in ("delete", "wal"):
        make_airflow(
            target, f"PRAGMA journal_mode = {mode}; CREATE TABLE t (x); INSERT INTO t VALUES (1);"
        )
    before = content(target) if target.exists() else {}
    script = KILLED.format(tests=str(PROJECT / "tests"), target=str(target))
    ended = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert target.exists() == (mode != "absent")
    if target.exists():
        assert content(target) == before


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.mark.parametrize("exists", [False, True])
def test_a_target_that_may_not_be_written_is_said_so(exists: bool, open_folder: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can become another user")
    target = open_folder / "a.db"
    if exists:
        make_airflow(target).chmod(0o444)
    script = f"""
import os, sys
sys.path[:0] = [{str(PROJECT / "tests")!r}, {str(PROJECT / "tests" / "integration")!r}]
from pathlib import Path
from test_sqlite_write import writer_of
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    with writer_of(Path({str(target)!r})) as writer:
        writer.begin()
        writer.create("CREATE TABLE t (x);")
except Exception as error:
    sys.exit(type(error).__name__ + ": " + str(error))
"""
    done = subprocess.run(  # noqa: PLW1510 (its words are what is tested)
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.stderr.startswith(f"{PrivilegeError.__name__}: {target}: this user may not")
    assert names(open_folder) == (["a.db"] if exists else [])
