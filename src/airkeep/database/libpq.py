"""An address as PostgreSQL's library takes it, with the password in a private file.

libpq prints connection strings in its errors and DuckDB prints them whole when an ATTACH fails, so
neither form holds the password: it lies in a file of mode 0600 that lives as long as the `with`
block. Every connection, parallel readers' included, must be opened inside the block.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from airkeep.database.address import Address
from airkeep.errors import AddressError

APPLICATION_NAME = "airkeep"
CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True)
class Libpq:
    """Two spellings of one connection, without its password.

    Attributes:
        conninfo: `host='…' port='…' …`, as DuckDB's ATTACH and psql's `-d` take it. Inside SQL it
            is a text like any other: its quotes are still to be doubled.
        uri: `postgresql://…`, as ADBC takes it.
    """

    conninfo: str
    uri: str


@contextmanager
def libpq(
    address: Address, *, settings: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[Libpq]:
    """Give both spellings for as long as the block runs, then remove the password's file.

    Args:
        settings: the server's parameters for these connections, `{"lock_timeout": "30s"}`.
        folder: where the file is made; by default where temporary files are.

    Raises:
        AddressError: the password holds a character that no password file can hold.
    """
    if address.kind != "postgresql":
        raise ValueError(f"libpq has no use for {address}")
    if not address.password:
        yield _spell(address, settings or {}, passfile=None)
        return
    line = passfile_line(address.password)
    handle, name = tempfile.mkstemp(prefix="airkeep-", suffix=".pass", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(line)
        yield _spell(address, settings or {}, passfile=name)
    finally:
        Path(name).unlink(missing_ok=True)


def passfile_line(password: str) -> bytes:
    r"""Spell a password for any host, port, database and user, with `\` and `:` escaped.

    The other fields are wildcards because the file serves one address only, and because libpq
    compares them with names (`localhost` for a socket) that are not the address's own.
    """
    if set(password) & set("\0\n\r"):
        raise AddressError(
            "the database's password holds a NUL or a line break, which libpq's password file "
            "cannot hold: give this database user another password"
        )
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n".encode(errors="surrogateescape")


def _spell(address: Address, settings: Mapping[str, str], passfile: str | None) -> Libpq:
    place = {
        "host": address.host,
        "port": str(address.port or ""),
        "user": address.user,
        "dbname": address.database,
    }
    more = {"connect_timeout": str(CONNECT_TIMEOUT_S), **dict(address.options)}
    more["application_name"] = APPLICATION_NAME
    more["options"] = _server_options(more.get("options", ""), settings)
    given = {name: value for name, value in (place | more).items() if value}
    if passfile is not None:
        # An empty password makes libpq read the file even where PGPASSWORD is set.
        given |= {"password": "", "passfile": passfile}
    conninfo = " ".join(f"{name}={_quote(value)}" for name, value in given.items())
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items())
    return Libpq(conninfo, f"postgresql://?{query}")


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _server_options(own: str, settings: Mapping[str, str]) -> str:
    """Join the address's own `options` with `-c name=value`, blanks and backslashes escaped."""
    words = [own] if own else []
    for name, value in settings.items():
        escaped = re.sub(r"([\\\s])", r"\\\1", value)
        words.append(f"-c {name}={escaped}")
    return " ".join(words)
