"""A live database from its old Fernet key to a new one: all of it or nothing, and no byte lost."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import airkeep
from airkeep.cli.main import cli
from airkeep.database.server import Cluster
from airkeep.errors import BusyError, DecryptError, MissingKeyError, NotAirflowError, RekeyError
from compare import data_of
from rekeyed import (
    CLEAR,
    DUMPS,
    HIDDEN,
    LOST_KEY,
    NEW_KEY,
    ciphertexts,
    encrypted,
    odd_rows,
    opened,
    read_secrets,
    secrets_in,
)
from servers import FERNET_KEY, Databases, psql, query

BOTH = f"{NEW_KEY},{FERNET_KEY}"
HELD = {"connection", "variable", "trigger", "connection_test_request"}


def database_of(name: str, server: Cluster, databases: Databases) -> str:
    url = databases.airflow(name)
    psql(server, url, *odd_rows(name))
    return url


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, ["rekey", *arguments], env=variables)


def elsewhere(url: str) -> dict[str, Any]:
    return {t: rows for t, rows in data_of(url).items() if t not in HELD}


@pytest.mark.parametrize("name", DUMPS)
def test_the_new_key_alone_opens_everything_and_nothing_else_changed(
    name: str, server: Cluster, databases: Databases
) -> None:
    url = database_of(name, server, databases)
    before, others = read_secrets(url), elsewhere(url)
    wanted = ciphertexts(url)

    result = airkeep.rekey(url, fernet_key=BOTH)

    after = read_secrets(url)
    assert opened(after, NEW_KEY) == opened(before, FERNET_KEY)
    assert {n: flag for n, (flag, _) in after.items()} == {n: f for n, (f, _) in before.items()}
    assert elsewhere(url) == others
    assert result.changed == len(wanted)
    assert not result.plan.unreadable
    assert {"variable clear.val", "connection mixed.extra"} <= set(result.plan.plain)
    assert ciphertexts(url) == wanted


def test_a_second_run_writes_nothing(server: Cluster, databases: Databases) -> None:
    url = database_of("airflow-332", server, databases)
    airkeep.rekey(url, fernet_key=NEW_KEY, source_fernet_key=FERNET_KEY)
    there = read_secrets(url)
    again = airkeep.rekey(url, fernet_key=BOTH)
    assert (again.changed, again.plan.old) == (0, 0)
    assert again.plan.current == len(ciphertexts(url))
    assert read_secrets(url) == there


def test_a_rotation_that_somebody_began_is_finished(server: Cluster, databases: Databases) -> None:
    url = database_of("airflow-332", server, databases)
    psql(
        server, url,
        f"UPDATE variable SET val = '{encrypted('begun', NEW_KEY)}' WHERE key = 'hidden'",
    )  # fmt: skip
    result = airkeep.rekey(url, fernet_key=BOTH)
    assert result.plan.current == 1
    assert opened(read_secrets(url), NEW_KEY)["variable", "hidden", "val"] == "begun"


def test_a_dry_run_says_what_there_is_and_changes_nothing(
    server: Cluster, databases: Databases
) -> None:
    url = database_of("airflow-332", server, databases)
    before = data_of(url)
    result = airkeep.rekey(url, fernet_key=BOTH, dry_run=True)
    assert result.plan.old == len(ciphertexts(url))
    columns = {(c.table, c.column): c for c in result.plan.columns}
    mixed = columns["connection", "password"]
    assert mixed.values == mixed.encrypted + len(mixed.plain)
    assert mixed.plain == ("connection unflagged.password", "connection misflagged.password")
    assert data_of(url) == before


def test_values_that_no_key_opens_are_all_named_and_nothing_is_changed(
    server: Cluster, databases: Databases
) -> None:
    url = database_of("airflow-332", server, databases)
    psql(server, url, f"UPDATE variable SET val = '{encrypted('x', LOST_KEY)}' WHERE key='hidden'")
    before = data_of(url)

    with pytest.raises(DecryptError) as met:
        airkeep.rekey(url, fernet_key=BOTH)
    assert met.value.names == ("variable hidden.val",)
    with pytest.raises(DecryptError) as met:
        airkeep.rekey(url, fernet_key=NEW_KEY)
    assert set(met.value.names) == ciphertexts(url)
    assert airkeep.rekey(url, fernet_key=NEW_KEY, dry_run=True).plan.unreadable == met.value.names

    for more in ((), ("--dry-run",)):
        told = run(url, *more, AIRKEEP_FERNET_KEY=NEW_KEY)
        assert isinstance(told.exception, DecryptError)
        assert told.exception.exit_status == 62
        said = told.output + str(told.exception)
        assert all(name in said for name in met.value.names)
        assert not any(text in said for text in (*HIDDEN, *CLEAR, LOST_KEY, NEW_KEY, FERNET_KEY))
    assert data_of(url) == before


def test_the_new_key_is_needed(databases: Databases) -> None:
    with pytest.raises(MissingKeyError, match="AIRKEEP_FERNET_KEY"):
        airkeep.rekey(databases.airflow("airflow-332"), source_fernet_key=FERNET_KEY)
    with pytest.raises(NotAirflowError):
        airkeep.rekey(databases.empty(), fernet_key=BOTH)


def test_a_database_that_spoils_the_values_is_left_as_it_was(
    server: Cluster, databases: Databases
) -> None:
    url = database_of("airflow-332", server, databases)
    query(
        url, "CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.val := 'something else'; RETURN NEW; END $$"
    )  # fmt: skip
    psql(
        server, url,
        "CREATE TRIGGER spoil BEFORE UPDATE ON variable FOR EACH ROW "
        "EXECUTE FUNCTION public.spoil()",
    )  # fmt: skip
    before = data_of(url)
    with pytest.raises(RekeyError, match="nothing was changed"):
        airkeep.rekey(url, fernet_key=BOTH)
    assert data_of(url) == before


# beside a running Airflow


def test_what_airflow_writes_meanwhile_is_not_lost(server: Cluster, databases: Databases) -> None:
    url = database_of("airflow-332", server, databases)
    stop, written = threading.Event(), []

    def write() -> None:
        for n in range(100_000):
            if stop.is_set():
                return
            value = encrypted(f"v{n}", FERNET_KEY if n % 2 else NEW_KEY)
            query(url, f"UPDATE variable SET val = '{value}' WHERE key = 'hidden'")
            written.append(n)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            airkeep.rekey(url, fernet_key=BOTH)
    finally:
        stop.set()
        writer.join(60)
    airkeep.rekey(url, fernet_key=BOTH)
    found = opened(read_secrets(url), NEW_KEY)
    assert len(written) > 5
    assert found["variable", "hidden", "val"] == f"v{written[-1]}"


def test_a_lock_that_is_not_had_in_time_changes_nothing_and_ends_nobody(
    server: Cluster, databases: Databases
) -> None:
    from adbc_driver_postgresql import dbapi

    url = database_of("airflow-332", server, databases)
    before = read_secrets(url)
    with dbapi.connect(url) as other, other.cursor() as cursor:
        cursor.execute("UPDATE variable SET description = 'held' WHERE key = 'hidden'")
        began = time.monotonic()
        with pytest.raises(BusyError, match="never all free for a moment"):
            airkeep.rekey(url, fernet_key=BOTH, limits=airkeep.ReadLimits(lock_timeout_s=2))
        assert 2 <= time.monotonic() - began < 10
        assert read_secrets(url) == before
        other.commit()
    airkeep.rekey(url, fernet_key=BOTH)
    assert opened(read_secrets(url), NEW_KEY) == opened(before, FERNET_KEY)


def test_readers_go_on_while_it_is_locked(server: Cluster, databases: Databases) -> None:
    from adbc_driver_postgresql import dbapi

    url = database_of("airflow-332", server, databases)
    with dbapi.connect(url) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM variable")
        cursor.fetchall()  # its transaction, and its lock, are open
        assert airkeep.rekey(url, fernet_key=BOTH).changed


# SQLite


def sqlite_secrets(file: Path) -> Any:
    with closing(sqlite3.connect(file)) as db:
        columns = {
            (table, column)
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for _, column, *_ in db.execute(f'PRAGMA table_info("{table}")')
        }
        return secrets_in(lambda statement: db.execute(statement).fetchall(), columns)


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_sqlite_file_opens_with_the_new_key_alone(
    version: str, airflow_file: Callable[[str], Path]
) -> None:
    file = airflow_file(f"airflow-{version}")
    with closing(sqlite3.connect(file)) as db:
        for statement in odd_rows(version):
            db.execute(statement)
        db.commit()
    before, bytes_before = sqlite_secrets(file), file.read_bytes()

    plan = airkeep.rekey(str(file), fernet_key=BOTH, dry_run=True).plan
    with pytest.raises(DecryptError) as met:
        airkeep.rekey(str(file), fernet_key=NEW_KEY)
    assert file.read_bytes() == bytes_before
    assert sorted(p.name for p in file.parent.iterdir()) == [file.name]

    assert airkeep.rekey(str(file), fernet_key=BOTH).changed == plan.old == len(met.value.names)
    after = sqlite_secrets(file)
    assert opened(after, NEW_KEY) == opened(before, FERNET_KEY)
    assert {n: flag for n, (flag, _) in after.items()} == {n: f for n, (f, _) in before.items()}
    assert airkeep.rekey(str(file), fernet_key=BOTH).changed == 0


def test_a_sqlite_file_that_another_writes_to_is_left_alone(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    file = airflow_file("airflow-3.3.2")
    before = sqlite_secrets(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError):
            airkeep.rekey(str(file), fernet_key=BOTH, limits=airkeep.ReadLimits(lock_timeout_s=1))
    assert sqlite_secrets(file) == before
    empty = tmp_path / "other.db"
    with closing(sqlite3.connect(empty)) as db:
        db.execute("CREATE TABLE variable (key, val)")
    with pytest.raises(NotAirflowError):
        airkeep.rekey(str(empty), fernet_key=BOTH)


# what is said


def test_the_command_says_what_it_did_and_no_secret(server: Cluster, databases: Databases) -> None:
    url = database_of("airflow-332", server, databases)
    dry = run(url, "--dry-run", AIRKEEP_FERNET_KEY=BOTH)
    done = run(url, "-v", AIRKEEP_FERNET_KEY=NEW_KEY, AIRKEEP_SOURCE_FERNET_KEY=FERNET_KEY)
    again = run(url, "--json", AIRKEEP_FERNET_KEY=NEW_KEY)
    for one in (dry, done, again):
        assert one.exception is None, one.output
        assert not any(t in one.output for t in (*HIDDEN, *CLEAR, NEW_KEY, FERNET_KEY, "gAAAA"))
    assert "would be encrypted with the key" in dry.stdout
    assert "connection misflagged.password" in dry.stderr
    assert "read back with it alone" in done.stdout
    assert json.loads(again.stdout)["changed"] == 0
