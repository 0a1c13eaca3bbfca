"""A database's address as JDBC writes it, and back. Pure.

    jdbc:postgresql://host:5432/airflow?sslmode=require

User and password stand beside it in a connection of Glue, not in it.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, urlencode

from airkeep.database.address import Address, parse_address
from airkeep.errors import AddressError

_PREFIX = "jdbc:"


def to_jdbc(address: Address) -> str:
    """The URL without user and password.

    Raises:
        AddressError: no job on another machine reaches it.
    """
    if address.kind != "postgresql" or not address.host or address.host.startswith("/"):
        raise AddressError(
            f"{address} is on this machine: a job on Glue needs a PostgreSQL server's host"
        )
    host = f"[{address.host}]" if ":" in address.host else quote(address.host, safe="")
    port = f":{address.port}" if address.port is not None else ""
    query = urlencode(address.options, quote_via=quote, safe="/")
    database = quote(address.database, safe="", errors="surrogateescape")
    return f"{_PREFIX}postgresql://{host}{port}/{database}{'?' * bool(query)}{query}"


def from_jdbc(url: str, user: str, password: str) -> Address:
    """The address of a connection.

    Raises:
        AddressError: it is not PostgreSQL's, or cannot be understood.
    """
    if not url.startswith(f"{_PREFIX}postgresql:"):
        raise AddressError("the connection of the job is none to PostgreSQL")
    return replace(parse_address(url.removeprefix(_PREFIX)), user=user, password=password)
