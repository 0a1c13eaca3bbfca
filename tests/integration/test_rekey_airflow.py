"""A real Airflow reads its connections and variables with the new key alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import airkeep
from airflows import Airflow
from airkeep.database.server import Cluster
from rekeyed import ARCHIVE_KEY, NEW_KEY, odd_rows
from servers import FERNET_KEY, Databases, psql

VERSIONS = ("2.11.2", "3.3.2")
DUMPS = {"2.11.2": "airflow-2112", "3.3.2": "airflow-332"}
# What Airflow's own classes read of every secret.
READER = """
import json
from airflow.models import Connection, Trigger, Variable
from airflow.utils.session import create_session
kinds = [(Connection, "conn_id", ("password", "extra")), (Variable, "key", ("val",)),
         (Trigger, "id", ("kwargs",))]
try:
    from airflow.models.connection_test import ConnectionTestRequest as Test
    kinds.append((Test, "connection_id", ("password", "extra")))
except ImportError:
    pass
def read(row, field):
    get = getattr(row, f"get_{field}", None)
    return repr(get() if get else getattr(row, field))
with create_session() as session:
    found = {f"{kind.__name__} {getattr(row, name)}.{field}": read(row, field)
             for kind, name, fields in kinds for row in session.query(kind) for field in fields}
print("FOUND" + json.dumps(found, sort_keys=True))
"""
PASSWORD, EXTRA, VALUE = "pa55-of-the-warehouse", '{"token": "extra-of-it"}', "val-of-it"


@pytest.fixture(scope="module")
def airflow(request: pytest.FixtureRequest) -> Airflow:
    made = Airflow(request.param)
    made.install()
    return made


def ask(
    airflow: Airflow, home: Path, database: str, key: str, *words: str, program: str = "airflow"
) -> str:
    """`airflow ...`, or its `python -c ...`, with a Fernet key of its own."""
    first = ["-c"] if program == "python" else []
    done = subprocess.run(
        [str(airflow.folder / "bin" / program), *first, *words],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": key,
        },
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else f"failed: {done.stderr[-400:]}"


def read_all(airflow: Airflow, home: Path, url: str, key: str) -> dict[str, str]:
    """What that Airflow's own classes read."""
    told = ask(airflow, home, for_airflow(url), key, READER, program="python")
    found: dict[str, str] = json.loads(told.rpartition("FOUND")[2])
    return found


def fill(airflow: Airflow, home: Path, database: str) -> None:
    airflow.migrate(home, database)
    words = ("--conn-type", "postgres", "--conn-host", "db", "--conn-login", "me")
    added = ask(
        airflow, home, database, FERNET_KEY, "connections", "add", "warehouse", *words,
        "--conn-password", PASSWORD, "--conn-extra", EXTRA,
    )  # fmt: skip
    assert not added.startswith("failed"), added
    ask(airflow, home, database, FERNET_KEY, "variables", "set", "threshold", VALUE)


def reads(airflow: Airflow, home: Path, database: str, key: str) -> bool:
    """Whether that Airflow reads all of it; it must not read half."""
    found = ask(airflow, home, database, key, "connections", "get", "warehouse", "-o", "json")
    value = ask(airflow, home, database, key, "variables", "get", "threshold")
    passes = [PASSWORD in found, "extra-of-it" in found, VALUE in value]
    assert len(set(passes)) == 1, (found, value)
    if passes[0]:
        [connection] = json.loads(found[found.index("[") :])
        assert connection["password"] == PASSWORD
    return passes[0]


def for_airflow(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://")


@pytest.mark.slow
@pytest.mark.parametrize("airflow", VERSIONS, indirect=True)
def test_a_rekeyed_airflow_reads_everything_with_the_new_key_alone(
    airflow: Airflow, databases: Databases, tmp_path: Path
) -> None:
    url = databases.empty()
    fill(airflow, tmp_path, for_airflow(url))
    assert reads(airflow, tmp_path, for_airflow(url), FERNET_KEY)

    both = f"{NEW_KEY},{FERNET_KEY}"
    assert airkeep.rekey(url, fernet_key=both, dry_run=True).plan.old >= 3
    assert reads(airflow, tmp_path, for_airflow(url), both)
    done = airkeep.rekey(url, fernet_key=both)

    assert done.changed >= 3
    assert reads(airflow, tmp_path, for_airflow(url), both)
    assert reads(airflow, tmp_path, for_airflow(url), NEW_KEY)
    assert not reads(airflow, tmp_path, for_airflow(url), FERNET_KEY)
    # Airflow's own rotation finds its values as it wants them.
    rotated = ask(airflow, tmp_path, for_airflow(url), NEW_KEY, "rotate-fernet-key")
    assert not rotated.startswith("failed"), rotated
    assert reads(airflow, tmp_path, for_airflow(url), NEW_KEY)


@pytest.mark.slow
@pytest.mark.parametrize("airflow", VERSIONS, indirect=True)
def test_airflows_own_classes_read_with_the_new_key_what_they_read_with_the_old(
    airflow: Airflow, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow(DUMPS[airflow.version]), databases.empty()
    # Airflow cannot even load one with a wrong flag.
    wrong = "DELETE FROM connection WHERE conn_id = 'misflagged'"
    psql(server, source, *odd_rows(airflow.version), wrong)
    before = read_all(airflow, tmp_path, source, FERNET_KEY)
    airkeep.export(source, str(tmp_path / "lake"), environment="prod", allow_plain=True)

    airkeep.restore(
        str(tmp_path / "lake"), "latest", target, create_schema=True,
        fernet_key=NEW_KEY, source_fernet_key=FERNET_KEY,
    )  # fmt: skip
    airkeep.rekey(source, fernet_key=NEW_KEY, source_fernet_key=FERNET_KEY)

    hidden = [v for v in before.values() if "themselves" in v or "itself" in v]
    assert len(hidden) == (5 if airflow.version == "3.3.2" else 3)
    for url in (source, target):
        assert read_all(airflow, tmp_path, url, NEW_KEY) == before


@pytest.mark.slow
@pytest.mark.parametrize("airflow", VERSIONS, indirect=True)
def test_what_rotate_fernet_key_changes_is_what_rekey_changes(
    airflow: Airflow, databases: Databases, tmp_path: Path
) -> None:
    url = databases.empty()
    fill(airflow, tmp_path, for_airflow(url))
    both = f"{NEW_KEY},{FERNET_KEY}"
    rotated = ask(airflow, tmp_path, for_airflow(url), both, "rotate-fernet-key")
    assert not rotated.startswith("failed"), rotated
    plan = airkeep.rekey(url, fernet_key=both, dry_run=True).plan
    assert plan.old == 0
    assert plan.current >= 3


@pytest.mark.slow
@pytest.mark.parametrize("airflow", VERSIONS, indirect=True)
def test_a_sqlite_airflow_reads_everything_with_the_new_key_alone(
    airflow: Airflow, tmp_path: Path
) -> None:
    file = tmp_path / "airflow.db"
    database = f"sqlite:///{file}"
    fill(airflow, tmp_path, database)
    assert airkeep.rekey(database, fernet_key=f"{NEW_KEY},{FERNET_KEY}").changed >= 3
    assert reads(airflow, tmp_path, database, NEW_KEY)
    assert not reads(airflow, tmp_path, database, FERNET_KEY)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["keep", "seal"])
@pytest.mark.parametrize("airflow", VERSIONS, indirect=True)
def test_an_airflow_with_another_key_reads_what_was_restored_into_it(
    mode: str, airflow: Airflow, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = databases.empty(), databases.empty(), str(tmp_path / "lake")
    fill(airflow, tmp_path, for_airflow(source))
    airkeep.export(
        source, lake, environment="prod", secrets=mode, allow_plain=True,  # type: ignore[arg-type]
        fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    airflow.migrate(tmp_path, for_airflow(target))
    airkeep.restore(
        lake, "latest", target,
        fernet_key=NEW_KEY, source_fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    assert reads(airflow, tmp_path, for_airflow(target), NEW_KEY)
    assert not reads(airflow, tmp_path, for_airflow(target), FERNET_KEY)
