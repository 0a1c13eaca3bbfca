"""A private copy of a SQLite database that others may be writing to.

The source folder is read and nothing else: no lock, no `-shm`, no checkpoint. SQLite itself
would write a `-shm` beside a database in WAL mode even when asked only to read.

The database, its `-wal` and its `-journal` are copied, hashed and at once hashed again, until
two looks in a row agree. Then every byte was the same from the end of the first look to the
beginning of the second, so the copy is what a power cut at that instant would have left, and
SQLite makes of it what it makes of any power cut: a WAL is replayed up to its last commit, a
hot journal is rolled back, in the private folder. The `-shm` is only an index of the WAL,
is rebuilt, and changes under readers: it is not looked at.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airkeep.database.sqlite_failure import damaged, explained
from airkeep.errors import AddressError, BusyError, NotAirflowError

WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 8.0, 11.0)  # between tries: 30 s in all
HEADER = b"SQLite format 3\0"
SIDE_FILES = ("-wal", "-journal")

_CHUNK_BYTES = 1 << 20
# What quick_check says about rows that break a rule: real data does, and no byte is lost.
_RULES = ("NULL value in", "CHECK constraint failed", "NUMERIC value in", "TEXT value in", "non-")
_KNOWN = (
    (b"PGDMP", "a pg_dump archive"),
    (b"\x1f\x8b", "gzip: unpack it first"),
    (b"PK\x03\x04", "a zip file: unpack it first"),
    (b"PAR1", "Parquet"),
)

Look = tuple[tuple[str, int, str], ...]  # suffix, size, sha256 of each file that is there


@dataclass(frozen=True)
class PrivateCopy:
    """A copy nobody else writes to, and the instant that it shows."""

    path: Path
    fixed_at: datetime


def copy_when_quiet(
    source: Path,
    folder: Path,
    *,
    waits_s: Sequence[float] = WAITS_S,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> PrivateCopy:
    """Copy a database into `folder` as it is at one instant.

    Args:
        source: symbolic links are followed, as SQLite follows them to find the `-wal`.
        folder: private; nothing named `copy.db` in it yet.
        waits_s: how long to wait before each try but the first.
        clock: asked between the two looks of a try.

    Raises:
        AddressError: no such file.
        PrivilegeError: the file or its `-wal` may not be read.
        BusyError: it changed between every two looks.
        DiskFullError: no room for the copy.
    """
    real = Path(os.path.realpath(source))
    target = folder / "copy.db"
    with explained(str(source), "copying it"):
        check_is_file(source)
        for wait_s in (0.0, *waits_s):
            sleep(wait_s)
            before = _look(real, target)
            fixed_at = clock()
            if _look(real, target) == before:
                check_is_sqlite(target, shown=source)
                return PrivateCopy(target, fixed_at)
    raise BusyError(
        f"{source} changed under each of {len(waits_s) + 1} looks in {sum(waits_s):.0f} s, so no "
        f"consistent copy was had. Pause its scheduler, or export again when less is written."
    )


def check_is_file(path: Path) -> None:
    """Refuse what cannot be a database.

    Raises:
        AddressError: nothing is there, or no file.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise AddressError(
            f"{path}: no such file (a relative path starts at {Path.cwd()})"
        ) from None
    if not stat.S_ISREG(mode):
        raise AddressError(f"{path} is not a file; expected a SQLite database such as airflow.db")


def check_is_sqlite(path: Path, *, shown: Path) -> None:
    """Say what a file is that is no SQLite database.

    Raises:
        NotAirflowError: it is empty, or something else.
    """
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        raise NotAirflowError(
            f"{shown} is empty (0 bytes), so it is no Airflow database: run `airflow db migrate`, "
            f"or look for the file that Airflow really uses"
        )
    if head.startswith(HEADER):
        return
    found = next((what for magic, what in _KNOWN if head.startswith(magic)), None)
    if found is None:
        is_text = not set(head) & {*range(9), *range(14, 32), *range(127, 256)}
        found = (
            "text, perhaps an SQL dump" if is_text else "unknown bytes, or an encrypted database"
        )
    raise NotAirflowError(f"{shown} is not a SQLite database: found {found}")


def open_private(path: Path, *, shown: str) -> sqlite3.Connection:
    """Open the copy: what its WAL or journal says is done first, then nothing is written."""
    with explained(shown, "opening its copy"):
        db = sqlite3.connect(
            path.resolve().as_uri() + "?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # DuckDB pulls rows from threads of its own
        )
    try:
        with explained(shown, "opening its copy"):
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA query_only = ON")
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def check_pages(db: sqlite3.Connection, *, shown: str) -> None:
    """Look at every page, so that damage is an error and never a shorter table.

    Raises:
        DatabaseError: the file is damaged.
    """
    with explained(shown, "checking its pages"):
        try:
            found = [str(line) for (line,) in db.execute("PRAGMA quick_check")]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            return  # a foreign table's own collation or function, which only its program has
    if any(line != "ok" and not line.startswith(_RULES) for line in found):
        raise damaged(shown, "checking its pages")


def _look(source: Path, target: Path) -> Look:
    seen = []
    for suffix in ("", *SIDE_FILES):
        into = Path(f"{target}{suffix}")
        try:
            size, digest = _copy_file(Path(f"{source}{suffix}"), into)
        except FileNotFoundError:
            into.unlink(missing_ok=True)
        else:
            seen.append((suffix, size, digest))
    return tuple(seen)


def _copy_file(source: Path, target: Path) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with source.open("rb") as file, target.open("wb") as copy:
        while chunk := file.read(_CHUNK_BYTES):
            copy.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
