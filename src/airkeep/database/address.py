"""Where a metadata database is, from a URL, from a file's path or from Airflow's own variables.

Nothing here connects. A password is held by an `Address` and shown by nothing: not by `str`,
`repr` or an error. No error repeats a part of the text it was given either, since a password that
was written without percent-encoding may have become part of anything. `libpq.py` hands the
password to PostgreSQL's library; `Address.reveal` is the one way to see it.

Passwords are read as people write them: `postgresql://u:p@ss/w#rd@host/db` has one `@` only behind
which a host and a database follow, so it has one meaning. A text with two meanings is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from airkeep.errors import AddressError, did_you_mean

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# What libpq takes and we hand on. The application's name is always our own.
LIBPQ_OPTIONS = frozenset({
    "channel_binding", "connect_timeout", "gssencmode", "hostaddr", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "options",
    "require_auth", "requirepeer", "ssl_max_protocol_version", "ssl_min_protocol_version",
    "sslcert", "sslcrl", "sslkey", "sslmode", "sslnegotiation", "sslrootcert",
    "target_session_attrs", "tcp_user_timeout",
})  # fmt: skip
# What SQLAlchemy or one Python driver takes and that does not change which database is meant.
DRIVER_OPTIONS = frozenset({
    "application_name", "async_fallback", "client_encoding", "command_timeout",
    "executemany_mode", "fallback_application_name", "max_cached_statement_lifetime",
    "max_cacheable_statement_size", "prepared_statement_cache_size",
    "prepared_statement_name_func", "server_settings", "statement_cache_size", "timeout",
})  # fmt: skip
PLACE_OPTIONS = frozenset({"host", "port", "user", "password", "dbname", "ssl"})

AIRFLOW_VARIABLES = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")
NOT_ALLOWED = "airflow-db-not-allowed:"  # Airflow 3 gives its workers this instead of a URL
FILE_SUFFIXES = (".db", ".sqlite", ".sqlite3")

_HOST = re.compile(r"(?:[\w.-]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]")
_DATABASE = re.compile(r"[^/@?#]*")


@dataclass(frozen=True)
class Address:
    """One database: a PostgreSQL server's, or a SQLite file.

    Attributes:
        host: a name, an IP address, or the folder of a Unix socket; empty for libpq's own choice.
        database: the database's name, or for SQLite the file's path.
        options: what else libpq is told (`sslmode`, `connect_timeout`, ...), sorted by name.
    """

    kind: Literal["postgresql", "sqlite"]
    database: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self._url(password="")

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def reveal(self) -> str:
        """Give the whole URL with its password: for a child's environment, never for a log."""
        return self._url(password=self.password)

    def _url(self, *, password: str) -> str:
        if self.kind == "sqlite":
            return f"sqlite:///{self.database}"
        secret = f":{_quote(password)}" if password else ""
        login = f"{_quote(self.user)}{secret}@" if self.user or secret else ""
        is_socket = self.host.startswith("/")
        host = f"[{self.host}]" if ":" in self.host and not is_socket else _quote(self.host)
        port = f":{self.port}" if self.port is not None else ""
        query = urlencode(self.options, quote_via=quote, safe="/")
        return f"postgresql://{login}{host}{port}/{_quote(self.database)}{'?' * bool(query)}{query}"


def resolve_address(text: str, environ: Mapping[str, str]) -> Address:
    """Read what a user wrote for a database: a URL, `env:`, or the path of a SQLite file.

    `env:` means what this process's Airflow would use: its two variables in Airflow's order, then
    Amazon MWAA's `DB_SECRETS` and `POSTGRES_*` where Airflow itself is kept from the database.

    Raises:
        AddressError: the text cannot be understood or the variables hold no address. The message
            repeats no text that could be part of a password.
    """
    if text == "env:":
        return _from_variables(environ)
    if "://" in text:
        return parse_address(text)
    looks_harmless = not set(text) & set("@=:")
    if text and (text.lower().endswith(FILE_SUFFIXES) or Path(text).is_file()):
        return Address("sqlite", text)
    raise AddressError(
        f"{text if text and looks_harmless else 'the database'} is neither a URL "
        f"(postgresql://user:password@host/database, sqlite:///file), nor env:, "
        f"nor a file that exists"
    )


DatabasePlace = str | PathLike[str] | Address


def open_address(database: DatabasePlace) -> Address:
    """The address that a function of the library was given: made already, a URL, or a file's path.

    Raises:
        AddressError: as `resolve_address`.
    """
    if isinstance(database, str):
        return resolve_address(database, {})
    return database if isinstance(database, Address) else Address("sqlite", fspath(database))


def parse_address(text: str) -> Address:
    """Read a SQLAlchemy-style URL.

    Raises:
        AddressError: another kind of database, or no single meaning.
    """
    scheme, _, rest = text.partition("://")
    kind = scheme.lower().partition("+")[0]
    if kind in ("postgresql", "postgres"):
        return _parse_postgresql(rest)
    if kind == "sqlite":
        return _parse_sqlite(rest)
    if kind in ("mysql", "mariadb"):
        raise AddressError(
            "MySQL is not supported yet: airkeep reads PostgreSQL (postgresql://) "
            "and SQLite (sqlite:///)"
        )
    raise AddressError(
        "the database's URL must begin with postgresql:// or sqlite:/// (a driver such as "
        "postgresql+psycopg2:// is fine)"
    )


class _UnreadableError(Exception):
    """One reading of a URL has no meaning; the words hold nothing of the URL."""


def _parse_postgresql(rest: str) -> Address:
    """Try each `@` as the end of the login; exactly one must leave a host and a database."""
    readings, reasons = [], []
    for login, place in _splits(rest):
        try:
            readings.append(_read(login, place))
        except _UnreadableError as error:
            reasons.append(str(error))
    if len(readings) == 1:
        return readings[0]
    if readings:
        raise AddressError(
            "the database's URL can be read in more than one way: write @ / ? # in its password "
            "as %40 %2F %3F %23"
        )
    raise AddressError(
        f"the database's URL {reasons[-1]}; expected postgresql://user:password@host:port/database"
    )


def _splits(rest: str) -> Iterator[tuple[str, str]]:
    ends = [match.start() for match in re.finditer("@", rest)]
    if not ends:
        yield "", rest
    for end in ends:
        yield rest[:end], rest[end + 1 :]


def _read(login: str, place: str) -> Address:
    parts = _split_place(place)
    host, port = _read_host(parts.netloc)
    user, _, password = (_unquote(part) for part in login.partition(":"))
    given = _read_query(parts.query)
    options = {name: value for name, value in given.items() if name in LIBPQ_OPTIONS}
    if "ssl" in given:
        options["sslmode"] = given["ssl"]
    if options.get("sslmode", "prefer") not in SSL_MODES:
        raise _UnreadableError(f"has an sslmode that is none of {', '.join(SSL_MODES)}")
    return Address(
        "postgresql",
        database=given.get("dbname") or _unquote(parts.path[1:]),
        host=given.get("host") or host,
        port=_read_port(given["port"]) if "port" in given else port,
        user=given.get("user") or user,
        password=given.get("password") or password,
        options=tuple(sorted(options.items())),
    )


def _split_place(place: str) -> SplitResult:
    """Split `host:port/database?options`, all that follows the login."""
    try:
        parts = urlsplit(f"//{place}")
    except ValueError:
        parts = None
    if parts is None or parts.fragment:
        raise _UnreadableError("has no host that can be read")
    if not _DATABASE.fullmatch(parts.path[1:]):
        raise _UnreadableError("has no single database name behind its host")
    return parts


def _read_host(netloc: str) -> tuple[str, int | None]:
    host, colon, port = netloc.rpartition(":")
    if not colon or "]" in port:
        host, colon, port = netloc, "", ""
    if "," in netloc:
        raise _UnreadableError("names several hosts, and airkeep reads from one")
    if not _HOST.fullmatch(host):
        raise _UnreadableError("has no host that can be read")
    return _unquote(host.strip("[]")), _read_port(port) if port else None


def _read_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise _UnreadableError("has a port that is no number from 1 to 65535")
    return int(text)


def _read_query(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    known = LIBPQ_OPTIONS | DRIVER_OPTIONS | PLACE_OPTIONS
    for name, value in pairs:
        if name not in known:
            raise _UnreadableError(f"has an option that is not known{did_you_mean(name, known)}")
        if "\0" in value:
            raise _UnreadableError("has a NUL character")
    options = dict(pairs)
    if len(options) < len(pairs):
        raise _UnreadableError("gives an option twice")
    return options


def _parse_sqlite(rest: str) -> Address:
    """Read `/relative` or `//absolute`; as in SQLAlchemy, the path is not percent-encoded."""
    path = rest.partition("?")[0]
    if not path.startswith("/"):
        raise AddressError("a SQLite URL has three slashes, or four before an absolute path")
    if path[1:] in ("", ":memory:"):
        raise AddressError("a SQLite URL must name a file: sqlite:////path/to/airflow.db")
    return Address("sqlite", path[1:])


def _from_variables(environ: Mapping[str, str]) -> Address:
    for name in AIRFLOW_VARIABLES:
        text = environ.get(name, "")
        if text and not text.startswith(NOT_ALLOWED):
            try:
                return parse_address(text)
            except AddressError as error:
                raise AddressError(f"{name}: {error}") from None
    if environ.get("DB_SECRETS"):
        return _from_mwaa(environ)
    for name in AIRFLOW_VARIABLES:
        for variant in (f"{name}_CMD", f"{name}_SECRET"):
            if environ.get(variant):
                raise AddressError(
                    f"{variant} is not supported: airkeep runs no commands and asks no secrets "
                    f"backend. Put the URL itself into {name}, or give it instead of env:"
                )
    raise AddressError(
        f"env: found no database: looked for {', then '.join(AIRFLOW_VARIABLES)}, "
        f"then Amazon MWAA's DB_SECRETS with POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB"
    )


def _from_mwaa(environ: Mapping[str, str]) -> Address:
    missing = [name for name in ("POSTGRES_HOST", "POSTGRES_DB") if not environ.get(name)]
    if missing:
        raise AddressError(f"DB_SECRETS is set and {' and '.join(missing)} missing")
    try:
        secrets = json.loads(environ["DB_SECRETS"])
    except ValueError:
        secrets = None
    names = ("username", "password")
    if not isinstance(secrets, dict) or not all(isinstance(secrets.get(n), str) for n in names):
        raise AddressError("DB_SECRETS is no JSON object with a username and a password")
    port = environ.get("POSTGRES_PORT") or "5432"
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise AddressError("POSTGRES_PORT is no number from 1 to 65535")
    return Address(
        "postgresql",
        database=environ["POSTGRES_DB"],
        host=environ["POSTGRES_HOST"],
        port=int(port),
        user=secrets["username"],
        password=secrets["password"],
    )


def _quote(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def _unquote(text: str) -> str:
    return unquote(text, errors="surrogateescape")
