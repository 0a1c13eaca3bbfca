"""A connection of Airflow's as an address; nothing of Airflow is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airkeep.database.address import LIBPQ_OPTIONS, Address, resolve_address
from airkeep.errors import AddressError, ConfigError


class Connection(Protocol):
    """What a user keeps under a name."""

    conn_type: str
    host: str | None
    port: int | None
    login: str | None
    password: str | None
    schema: str | None

    @property
    def extra_dejson(self) -> Mapping[str, Any]: ...


def address_of(conn_id: str, connection: Connection) -> Address:
    """A connection's database.

    Raises:
        AddressError: it is of another type, or names no database.
    """
    if connection.conn_type == "sqlite" and connection.host:
        return Address("sqlite", connection.host)
    if connection.conn_type not in ("postgres", "postgresql") or not connection.schema:
        raise AddressError(
            f"connection {conn_id}: expected type Postgres with a database, found type "
            f"{connection.conn_type!r} and {'one' if connection.schema else 'none'}"
        )
    extra = {n: str(v) for n, v in connection.extra_dejson.items() if n in LIBPQ_OPTIONS}
    return Address(
        "postgresql",
        database=connection.schema,
        host=connection.host or "",
        port=connection.port,
        user=connection.login or "",
        password=connection.password or "",
        options=tuple(sorted(extra.items())),
    )


def check_shown(database: str) -> None:
    """See that a task's argument, which Airflow shows to whoever may look at it, is no secret.

    Raises:
        ConfigError: it holds a password.
        AddressError: it is an address that cannot be understood.
    """
    if "://" in database and resolve_address(database, {}).password:
        raise ConfigError(
            "database= holds a password, which Airflow would show among the task's rendered "
            "fields: put it into a connection and name that with conn_id="
        )
