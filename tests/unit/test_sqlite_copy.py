"""A private copy is of one instant, the source is only read, and other files are named."""

from __future__ import annotations

import errno
import gzip
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airkeep.database.sqlite_copy import WAITS_S, check_pages, copy_when_quiet, open_private
from airkeep.database.sqlite_failure import explain_sqlite
from airkeep.errors import (
    AddressError,
    BusyError,
    DatabaseError,
    DiskFullError,
    NotAirflowError,
    PrivilegeError,
)
from sqlite_files import content, fingerprint, make_airflow


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return make_airflow(tmp_path / "source" / "airflow.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "private").mkdir()
    return tmp_path / "private"


class Writer:
    """A clock at whose first ticks, between the looks, somebody else writes."""

    def __init__(self, path: Path, times: int) -> None:
        self.path, self.times, self.ticks = path, times, 0

    def __call__(self) -> datetime:
        self.ticks += 1
        if self.ticks <= self.times:
            with sqlite3.connect(self.path) as db:
                db.execute("INSERT INTO dag VALUES (?, 0)", (f"d{self.ticks}",))
            db.close()
        return datetime(2026, 11, 21, second=self.ticks, tzinfo=UTC)


def test_a_quiet_file_is_copied_at_the_first_try(source: Path, folder: Path) -> None:
    before, seen = datetime.now(UTC), fingerprint(source.parent)
    copy = copy_when_quiet(source, folder)
    assert copy.path.read_bytes() == source.read_bytes()
    assert before <= copy.fixed_at <= datetime.now(UTC)
    assert fingerprint(source.parent) == seen


def test_looks_go_on_until_two_agree(source: Path, folder: Path) -> None:
    slept: list[float] = []
    clock = Writer(source, times=3)
    copy = copy_when_quiet(source, folder, waits_s=(1, 2, 3, 4), sleep=slept.append, clock=clock)
    assert slept == [0, 1, 2, 3]
    assert copy.fixed_at.second == 4
    assert len(content(copy.path)["dag"]) == 3


def test_a_file_that_never_rests_is_busy_and_says_what_to_do(source: Path, folder: Path) -> None:
    clock = Writer(source, times=100)
    with pytest.raises(BusyError, match=r"under each of 4 looks in 6 s.*Pause its scheduler"):
        copy_when_quiet(source, folder, waits_s=(1, 2, 3), sleep=lambda _: None, clock=clock)
    assert 25 < sum(WAITS_S) < 35


def test_a_wal_that_goes_between_looks_goes_from_the_copy(source: Path, folder: Path) -> None:
    wal = Path(f"{source}-wal")
    wal.write_bytes(b"stale")

    def clock() -> datetime:
        wal.unlink(missing_ok=True)
        return datetime.now(UTC)

    copy = copy_when_quiet(source, folder, clock=clock)
    assert [p.name for p in copy.path.parent.iterdir()] == ["copy.db"]


def test_the_shm_is_never_taken(source: Path, folder: Path) -> None:
    Path(f"{source}-shm").write_bytes(b"x")
    copy_when_quiet(source, folder)
    assert not list(folder.glob("*-shm"))


def test_a_link_is_followed_to_the_wal_beside_its_target(
    source: Path, folder: Path, tmp_path: Path
) -> None:
    db = sqlite3.connect(source)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("INSERT INTO dag VALUES ('in the wal', 0)")
    db.commit()
    link = tmp_path / "link.db"
    link.symlink_to(source)
    copy = copy_when_quiet(link, folder)
    assert len(content(copy.path)["dag"]) == 1
    db.close()


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(b"SQLite format 3\0" * 10))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p.write_bytes(b""), r"a\.db is empty \(0 bytes\)"),
        (lambda p: p.write_text("BEGIN;\nCREATE TABLE dag (x);\n"), "found text, perhaps an SQL"),
        (write_gzip, "found gzip: unpack it"),
        (lambda p: p.write_bytes(b"PGDMP\x01\x10"), "found a pg_dump archive"),
        (lambda p: p.write_bytes(bytes(range(256)) * 20), "unknown bytes, or an encrypted"),
    ],
)
def test_a_file_that_is_no_database_is_said_to_be_what_it_is(
    make: Callable[[Path], object], words: str, tmp_path: Path, folder: Path
) -> None:
    make(tmp_path / "a.db")
    with pytest.raises(NotAirflowError, match=words):
        copy_when_quiet(tmp_path / "a.db", folder)


def test_a_file_that_is_not_there_or_no_file_is_a_wrong_address(
    tmp_path: Path, folder: Path
) -> None:
    with pytest.raises(AddressError, match=r"none\.db: no such file"):
        copy_when_quiet(tmp_path / "none.db", folder)
    with pytest.raises(AddressError, match="is not a file"):
        copy_when_quiet(tmp_path, folder)


def test_a_damaged_page_is_noticed(source: Path, folder: Path) -> None:
    data = bytearray(source.read_bytes())
    data[2 * 4096 : 2 * 4096 + 200] = b"\xaa" * 200
    source.write_bytes(data)
    db = open_private(copy_when_quiet(source, folder).path, shown="airflow.db")
    try:
        with pytest.raises(DatabaseError, match=r"airflow\.db: the file is damaged.*\.recover"):
            check_pages(db, shown="airflow.db")
    finally:
        db.close()


def test_rows_that_break_a_rule_are_not_damage(tmp_path: Path, folder: Path) -> None:
    made = make_airflow(
        tmp_path / "a.db",
        "CREATE TABLE c (x NOT NULL, y CHECK (y > 0)); PRAGMA ignore_check_constraints = 1;"
        "INSERT INTO c VALUES (1, -1); PRAGMA writable_schema = 1;"
        "CREATE TABLE n (x); INSERT INTO n VALUES (NULL);"
        "UPDATE sqlite_master SET sql = 'CREATE TABLE n (x NOT NULL)' WHERE name = 'n';",
    )
    db = open_private(copy_when_quiet(made, folder).path, shown="a.db")
    try:
        assert len(db.execute("PRAGMA quick_check").fetchall()) == 2
        check_pages(db, shown="a.db")
    finally:
        db.close()


def sqlite_error(*statements: str) -> sqlite3.Error:
    db = sqlite3.connect(":memory:")
    try:
        for statement in statements:
            db.execute(statement)
    except sqlite3.Error as error:
        return error
    finally:
        db.close()
    raise AssertionError("no statement failed")


def test_a_full_disk_is_said_so() -> None:
    full = sqlite_error(
        "PRAGMA max_page_count = 2", "CREATE TABLE t (x)", "INSERT INTO t VALUES (randomblob(9999))"
    )
    for error in (full, OSError(errno.ENOSPC, "No space left on device")):
        found = explain_sqlite(error, where="a.db", doing="loading dag")
        assert isinstance(found, DiskFullError)
        assert "loading dag" in str(found)


def test_a_missing_right_is_said_so() -> None:
    for error in (
        sqlite_error("PRAGMA query_only = 1", "CREATE TABLE t (x)"),
        PermissionError(errno.EACCES, "Permission denied"),
    ):
        assert isinstance(explain_sqlite(error, where="a", doing="x"), PrivilegeError)


def test_an_error_names_a_constraint_and_no_value() -> None:
    error = sqlite_error(
        "CREATE TABLE t (x PRIMARY KEY)",
        "INSERT INTO t VALUES ('secret')",
        "INSERT INTO t VALUES ('secret')",
    )
    found = str(explain_sqlite(error, where="a.db", doing="loading t"))
    assert "UNIQUE constraint failed: t.x" in found
    assert "secret" not in found
    syntax = str(explain_sqlite(sqlite_error("SELEC 'secret'"), where="a.db", doing="x"))
    assert "secret" not in syntax
    assert "SQLITE_ERROR" in syntax
