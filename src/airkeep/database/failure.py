"""A library's error becomes ours: rebuilt from its meaning, never passed on.

DuckDB, libpq and ADBC put statements, connection strings and sometimes row values into
their messages. So a message is read here for what it means, and only the server's own
one-line complaint is quoted, stripped of anything that could hold a value.
"""

from __future__ import annotations

import re

from airkeep.database.address import Address
from airkeep.errors import (
    AirkeepError,
    BusyError,
    ConnectError,
    DatabaseError,
    DiskFullError,
    LostConnectionError,
    PrivilegeError,
    RestoreError,
)

_DENIED = re.compile(r"permission denied for (\w+ \"?[^\s\"]+\"?)")
_MISSING_DATABASE = re.compile(r'database "([^"]*)" does not exist')
_POLICY = re.compile(r"row-level security policy for table (\"?[^\s\"]+\"?)")
_REFERENCE = re.compile(r"violates foreign key constraint (\"[^\"]+\")")
_COMPLAINT = re.compile(r"(?:ERROR|FATAL):\s+([^\n]*)")

_NO_SOCKET = re.compile(r"No such file or directory")
_CONNECT = (
    (re.compile(r"password authentication failed|no password supplied|PAM authentication"),
     "the server refused the user name or password: correct them in the address"),
    (re.compile(r"could not translate host name|Name or service not known|nodename nor servname"),
     "no such host: correct its name, or run this where it is known"),
    (re.compile(r"Connection refused"),
     "nothing listens on that host and port: correct them, or start the server"),
    (re.compile(r"timeout expired|timed out|No route to host|Network is unreachable"),
     "the host did not answer; run this where the database can be reached"),
    (re.compile(r"no pg_hba.conf entry|SSL|certificate|sslmode|channel binding"),
     "the server and the address do not agree on TLS (see sslmode) or on who may connect"),
    (re.compile(r"permission denied for database"),
     "this user may not connect to that database: GRANT CONNECT ON DATABASE, or use another user"),
    (re.compile(r"role \"[^\"]*\" does not exist"),
     "the server has no such user: correct its name"),
    (re.compile(r"too many clients|remaining connection slots|too many connections"),
     "the server has no connection left: try again when others have ended"),
    (re.compile(r"the database system is (starting up|shutting down|not accepting)|recovery"),
     "the server is starting or stopping: try again when it is up"),
    (_NO_SOCKET,
     "no server's socket in that folder: correct it, or start the server"),
)  # fmt: skip

# The last one is DuckDB's, of a temporary folder that may not grow into the disk's last tenth.
_FULL = re.compile(
    r"No space left on device|[Dd]isk quota|File too large|[Dd]isk full|max_temp_directory_size"
)
_LOST = re.compile(
    r"server closed the connection|terminating connection|connection has been closed|"
    r"no connection to the server|could not (receive|send) data|Connection reset|EOF detected|"
    r"connection to server was lost|connection already closed|the database system is shutting down|"
    r"Failed to prepare COPY .*: *$|[Uu]nexpected EOF|lost synchronization|Broken pipe"
)


def explain(error: Exception, *, where: str, doing: str) -> AirkeepError:
    """Say what a library's error means.

    Args:
        where: the address, without its password.
        doing: what was under way, "reading task_instance".
    """
    text = str(error)
    refused = _of_this_machine(text, where, doing) or _of_the_server(text, where, doing)
    if refused is not None:
        return refused
    step = (
        "The server's log says more."
        if _COMPLAINT.search(text)
        else "Run it again; if it fails again, leave the table out with --skip."
    )
    return DatabaseError(f"{where}: {_complaint(text)} while {doing}. {step}")


def is_full(error: Exception) -> bool:
    """Whether a library says that a disk is full."""
    return _FULL.search(str(error)) is not None


def _of_this_machine(text: str, where: str, doing: str) -> AirkeepError | None:
    if _FULL.search(text):
        if _COMPLAINT.search(text):
            return DiskFullError(
                f"{where}: the server's own disk is full, it said so while {doing}. "
                f"Free some there and run it again."
            )
        return DiskFullError(
            f"no space left while {doing}: free some, or name another folder with --spool"
        )
    if "Out of Memory" in text or "failed to allocate" in text:
        return DatabaseError(f"memory ran out while {doing}: raise --memory")
    return None


def _of_the_server(text: str, where: str, doing: str) -> AirkeepError | None:
    if found := _DENIED.search(text):
        kind, _, name = found[1].partition(" ")
        if kind in ("schema", "database") and doing.startswith("creating"):
            return PrivilegeError(
                f"{where}: permission denied for {found[1]} while {doing}. Have its owner run "
                f"GRANT CREATE ON {kind.upper()} {name} TO this user."
            )
        if doing == "deleting":
            return PrivilegeError(
                f"{where}: permission denied for {found[1]} while deleting: prune as the owner of "
                f"the tables, or name other tables with --tables"
            )
        return PrivilegeError(
            f"{where}: permission denied for {found[1]} while {doing}. Grant it, or leave the "
            f"table out with --skip."
        )
    if found := _POLICY.search(text):
        return PrivilegeError(
            f"{where}: row-level security hides rows of {found[1]} from this user. Give it "
            f"BYPASSRLS, or leave the table out with --skip."
        )
    if found := _REFERENCE.search(text):
        return RestoreError(
            f"{where}: while {doing}, rows refer to others that are not there ({found[1]}): "
            f"take the tables that they refer to along with --tables"
        )
    if "lock timeout" in text or "could not obtain lock" in text:
        return BusyError(
            f"{where}: a lock was not had in time while {doing}. "
            f"Try again, or raise --lock-timeout."
        )
    if "statement timeout" in text:
        return BusyError(
            f"{where}: the server's statement timeout ran out while {doing}. "
            f"Raise --statement-timeout."
        )
    if _LOST.search(text):
        return LostConnectionError(
            f"{where}: the server closed the connection while {doing}. Nothing was finished; "
            f"run it again."
        )
    return _connect_error(_said(text), where)


def _said(text: str) -> str:
    """What the server or libpq said, without the statement or the address that stands before it.

    Those may hold any word: a table `certificates`, a database `recovery`, `sslmode`.
    """
    if found := _COMPLAINT.search(text):
        return text[found.start() :]
    _, failed, reason = text.rpartition("failed: ")
    return reason if failed else ""


def _connect_error(text: str, where: str) -> ConnectError | None:
    if found := _MISSING_DATABASE.search(text):
        return ConnectError(f"{where}: the server has no database {found[1]!r}: correct the name")
    for pattern, meaning in _CONNECT:
        if pattern.search(text):
            return ConnectError(f"{where}: {meaning}")
    return None


def explain_connect(error: Exception, *, address: Address) -> AirkeepError:
    """The same for a connection that was never made."""
    text = str(error)
    said = _said(text) or text
    if not address.database and (found := _MISSING_DATABASE.search(said)):
        return ConnectError(
            f"{address}: the server has no database {found[1]!r}. The address names none, so the "
            f"user's name was taken: write postgresql://.../DATABASE"
        )
    if not address.host and _NO_SOCKET.search(said):
        return ConnectError(
            f"{address}: no server's socket is on this machine. The address names no host, so "
            f"one was looked for: write postgresql://USER@HOST/DATABASE, or start the server"
        )
    known = _connect_error(said, str(address))
    return known or ConnectError(f"{address}: no connection ({_complaint(text)})")


def _complaint(text: str) -> str:
    """The server's own first line without quoted parts, which may be values."""
    found = _COMPLAINT.search(text)
    if not found:
        return "the database library failed"
    return re.sub(r":\s*\".*$", "", found[1]).strip()[:200]
