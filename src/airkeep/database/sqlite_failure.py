"""A SQLite or file error becomes ours: by its code, since its text may hold a value."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from airkeep.errors import (
    AirkeepError,
    BusyError,
    DatabaseError,
    DiskFullError,
    NotAirflowError,
    PrivilegeError,
)

_NO_RIGHT = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CANTOPEN,
)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def explained(where: str, doing: str) -> Iterator[None]:
    """Turn what SQLite or the file system raises into ours.

    Args:
        where: the database's file as the user wrote it.
        doing: what is under way, "reading task_instance".
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explain_sqlite(error, where=where, doing=doing) from None


def explain_sqlite(error: sqlite3.Error | OSError, *, where: str, doing: str) -> AirkeepError:
    """Say what an error means; nothing of a row is in the answer."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL or _errno(error) in _NO_SPACE:
        return DiskFullError(f"{where}: no space left while {doing}: free some and run it again")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BusyError(
            f"{where}: another process holds the database's lock while {doing}. Stop Airflow, or "
            f"try again with a higher --lock-timeout."
        )
    if code in _NO_RIGHT or _errno(error) in _NO_ACCESS:
        return PrivilegeError(
            f"{where}: this user may not read or write the file, or its folder, while {doing}"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return NotAirflowError(f"{where} is not a SQLite database, or an encrypted one")
    if code == sqlite3.SQLITE_CORRUPT:
        return damaged(where, doing)
    if code == sqlite3.SQLITE_CONSTRAINT:  # its text names a table and columns, never a value
        return DatabaseError(f"{where}: {str(error).splitlines()[0][:200]} while {doing}")
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return DatabaseError(f"{where}: SQLite failed ({name}) while {doing}")


def damaged(where: str, doing: str) -> DatabaseError:
    """What to say of a file whose pages make no sense."""
    return DatabaseError(
        f"{where}: the file is damaged, noticed while {doing}. What can be saved of it, "
        f"`sqlite3 FILE .recover` saves."
    )


def _code(error: Exception) -> int | None:
    """The primary result code; extended ones carry it in their low byte."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _errno(error: Exception) -> int | None:
    return error.errno if isinstance(error, OSError) else None
