"""Both spellings of an address connect for real, with a password that breaks naive quoting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.database.address import Address, parse_address
from airkeep.database.libpq import Libpq, libpq
from airkeep.database.programs import embedded_programs
from airkeep.database.server import Cluster, Server
from servers import Databases, query

NASTY = "p@ss:w/rd#%41 \\ ' \" ? & = *: ü€ ${HOME}"

# One child with wrong answers in its environment; it prints who it is through each library.
CHILD = """
import json, sys, duckdb, duckdb_extension_postgres_scanner as scanner
from pathlib import Path
from adbc_driver_postgresql import dbapi

conninfo, uri = json.load(sys.stdin)
sql = "SELECT current_user || '|' || concat_ws('|', " + ", ".join(
    f"current_setting('{name}')" for name in ("application_name", "lock_timeout")) + ")"
with dbapi.connect(uri) as c, c.cursor() as cursor:
    cursor.execute(sql)
    print(*cursor.fetchone())
[file] = Path(scanner.__file__).parent.glob("extensions/v*/*.duckdb_extension")
with duckdb.connect() as lake:
    lake.load_extension(str(file))
    lake.execute("ATTACH '" + conninfo.replace("'", "''") + "' AS pg (TYPE postgres, READ_ONLY)")
    literal = sql.replace("'", "''")
    print(*lake.execute(f"FROM postgres_query('pg', '{literal}')").fetchone())
"""


@pytest.fixture
def nasty(databases: Databases) -> Iterator[Address]:
    """A user whose name and password need every kind of quoting."""
    url = databases.empty()
    name = f"o'neil \\ {parse_address(url).database}"
    user, password = name.replace('"', '""'), NASTY.replace("'", "''")
    query(url, f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{password}'")
    yield replace(parse_address(url), user=name, password=NASTY)
    query(url, f'DROP ROLE "{user}"')


@pytest.mark.parametrize("environment", [{}, {"PGPASSWORD": "wrong", "PGPASSFILE": "/nowhere"}])
def test_both_spellings_connect(nasty: Address, environment: dict[str, str]) -> None:
    with libpq(nasty, settings={"lock_timeout": "7s"}) as connection:
        adbc, duckdb = in_child(connection, environment)

    assert adbc == duckdb == f"{nasty.user}|airkeep|7s"


def test_as_people_write_it_raw(nasty: Address) -> None:
    user = nasty.user.replace("\\", "%5C").replace(" ", "%20")
    written = NASTY.replace("%41", "%2541")
    url = f"postgresql://{user}:{written}@{nasty.host}:{nasty.port}/{nasty.database}"
    with libpq(parse_address(url)) as connection:
        assert psql(connection, {}) == nasty.user


def test_a_socket_in_the_address(server_folder: Path) -> None:
    sockets = server_folder / "sockets here"
    sockets.mkdir()
    sockets.chmod(0o777)
    options = {"unix_socket_directories": f'"{sockets}"'}
    with Server.start(server_folder / "server", options=options) as own:
        address = replace(parse_address(own.address()), host=str(sockets))
        assert parse_address(address.reveal()) == address
        with libpq(address, settings={"lock_timeout": "7s"}) as connection:
            assert in_child(connection, {}) == ["airkeep|airkeep|7s"] * 2


def test_settings_may_hold_any_character(server: Cluster) -> None:
    value = "a b\\ '\t\n$x;="

    @settings(max_examples=20, deadline=None)
    @given(st.text(st.sampled_from(value), min_size=1))
    def check(text: str) -> None:
        place = parse_address(server.address())
        with libpq(place, settings={"my.text": text}) as connection:
            assert psql(connection, {}, "SELECT current_setting('my.text')") == text

    check()


def in_child(connection: Libpq, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([connection.conninfo, connection.uri]),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def psql(connection: Libpq, environment: dict[str, str], sql: str = "SELECT current_user") -> str:
    done = subprocess.run(
        [embedded_programs() / "psql", "-XAtw", "-d", connection.uri, "-c", sql],
        capture_output=True, text=True, check=True, env=environment, timeout=60,
    )  # fmt: skip
    return done.stdout[:-1]
