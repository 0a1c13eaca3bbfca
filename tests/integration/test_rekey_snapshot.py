"""A snapshot under another key is a new one: equal, verified, opened by the new key alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import airkeep
from airkeep.cli.main import cli
from airkeep.database.server import Cluster
from airkeep.errors import DecryptError, MissingKeyError, RekeyError
from airkeep.snapshot.clean import clean
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.names import next_id
from airkeep.snapshot.pruned import mark
from airkeep.snapshot.results import newest_verified
from rekeyed import (
    ARCHIVE_KEY,
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
)
from servers import FERNET_KEY, Databases, psql, query

NEW_ARCHIVE_KEY = "kVYQ4vVQd3-YEuGq3Cz4C2Zeq8bLAnV0uPzk0Aq2wMo="
BOTH = {
    "keep": {"fernet_key": f"{NEW_KEY},{FERNET_KEY}"},
    "seal": {"archive_key": f"{NEW_ARCHIVE_KEY},{ARCHIVE_KEY}"},
}
OLD = {
    "keep": {"fernet_key": FERNET_KEY},
    "seal": {"fernet_key": FERNET_KEY, "archive_key": ARCHIVE_KEY},
}
NEW = {
    "keep": {"fernet_key": NEW_KEY},
    "seal": {"fernet_key": FERNET_KEY, "archive_key": NEW_ARCHIVE_KEY},
}
MODES = pytest.mark.parametrize("mode", ["keep", "seal"])


def source_of(name: str, server: Cluster, databases: Databases) -> str:
    url = databases.airflow(name)
    psql(server, url, *odd_rows(name))
    return url


def export(
    url: str, lake: Path, mode: Any, *, keys: Any = None, increment: bool = False
) -> Snapshot:
    return airkeep.export(
        url, str(lake), environment="prod", secrets=mode, allow_plain=True, increment=increment,
        **(keys or OLD[mode]),
    )  # fmt: skip


def chain_of(url: str, lake: Path, mode: str) -> list[Snapshot]:
    """A full snapshot and two increments that change secrets, and other rows."""
    found = [export(url, lake, mode)]
    for n in range(2):
        query(url, f"UPDATE dag_run SET state = 'odd{n}' WHERE id % 7 = {n}")
        query(url, f"UPDATE variable SET val = '{encrypted(f'later{n}')}' WHERE key = 'hidden'")
        query(url, f"DELETE FROM log WHERE id % 5 = {n}")
        found.append(export(url, lake, mode, increment=True))
    assert [s.manifest.mode for s in found[1:]] == ["increment"] * 2
    return found


def files_of(lake: Path) -> dict[str, bytes]:
    return {str(p.relative_to(lake)): p.read_bytes() for p in lake.rglob("*") if p.is_file()}


def run(*arguments: str, **keys: str) -> Result:
    variables = {f"AIRKEEP_{name.upper()}": key for name, key in keys.items()}
    return CliRunner().invoke(cli, ["rekey", *arguments], env=variables)


@MODES
@pytest.mark.parametrize("name", DUMPS)
def test_the_new_snapshot_is_equal_and_the_new_key_alone_restores_it(
    name: str, mode: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of(name, server, databases), tmp_path / "lake"
    old = export(url, lake, mode)
    before = files_of(lake)

    done = airkeep.rekey_snapshot(str(lake), old, **BOTH[mode])  # type: ignore[arg-type]

    made = Lake(str(lake))["latest"]
    assert (str(made.name), done.old) == (done.made, str(old.name))
    assert made.id == next_id(old.id)
    assert made.manifest.rekeyed is not None
    assert made.manifest.rekeyed.id == old.id
    assert made.manifest.complete
    record = newest_verified(made.store, made.name)
    assert record is not None
    assert record.ok
    assert all(files_of(lake)[path] == data for path, data in before.items())

    target = databases.empty()
    airkeep.restore(str(lake), made, target, create_schema=True, **NEW[mode])  # type: ignore[arg-type]
    key = NEW_KEY if mode == "keep" else FERNET_KEY
    assert opened(read_secrets(target), key) == opened(read_secrets(url), FERNET_KEY)
    assert ciphertexts(target) == ciphertexts(url)
    fernet = f"{NEW_KEY},{FERNET_KEY}"
    archive = f"{NEW_ARCHIVE_KEY},{ARCHIVE_KEY}"
    changes = airkeep.diff(str(lake), old, made, fernet_key=fernet, archive_key=archive)
    assert changes.equal
    assert not changes.not_compared
    compared = airkeep.compare(str(lake), made, url, fernet_key=fernet, archive_key=archive)
    assert compared.equal
    assert not compared.not_compared


@MODES
def test_a_chain_is_folded_and_what_it_stood_on_is_told(
    mode: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    chain = chain_of(url, lake, mode)
    done = airkeep.rekey_snapshot(str(lake), "latest", **BOTH[mode])  # type: ignore[arg-type]
    made = Lake(str(lake))["latest"]
    assert made.manifest.mode == "full"
    assert made.manifest.rekeyed is not None
    assert made.manifest.rekeyed.chain == tuple(s.id for s in reversed(chain))
    assert done.beneath == tuple(str(s.name) for s in reversed(chain[:-1]))
    fernet = f"{NEW_KEY},{FERNET_KEY}"
    archive = NEW[mode].get("archive_key")
    compared = airkeep.compare(str(lake), made, url, fernet_key=fernet, archive_key=archive)
    assert compared.equal
    assert not compared.not_compared


def test_the_next_increment_stands_on_a_sealed_one_and_not_on_a_kept_one(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url = source_of("airflow-332", server, databases)
    for mode, how in (("seal", "increment"), ("keep", "full")):
        lake = tmp_path / mode
        chain_of(url, lake, mode)
        airkeep.rekey_snapshot(str(lake), "latest", **BOTH[mode])  # type: ignore[arg-type]
        query(url, f"INSERT INTO variable (key, val, is_encrypted) VALUES "
                   f"('{mode}', '{encrypted('after')}', true)")  # fmt: skip
        keys = {**OLD[mode], **({"archive_key": NEW_ARCHIVE_KEY} if mode == "seal" else {})}
        tip = export(url, lake, mode, keys=keys, increment=True)
        assert tip.manifest.mode == how, tip.manifest.full_because
        assert airkeep.compare(str(lake), tip, url, **keys).equal  # type: ignore[arg-type]
    assert tip.manifest.full_because is not None
    assert "another key" in tip.manifest.full_because


@MODES
def test_what_no_key_opens_is_named_and_nothing_is_written(
    mode: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    old = export(url, lake, mode)
    before = files_of(lake)
    name = "fernet_key" if mode == "keep" else "archive_key"

    with pytest.raises(DecryptError) as met:
        airkeep.rekey_snapshot(str(lake), old, **{name: NEW_KEY})  # type: ignore[arg-type]
    assert ciphertexts(url) <= set(met.value.names)
    for more in ((), ("--dry-run",)):
        told = run(str(lake), "latest", *more, **{name: NEW_KEY})
        assert isinstance(told.exception, DecryptError)
        said = told.output + str(told.exception)
        assert all(name in said for name in met.value.names)
        secrets = (*HIDDEN, *CLEAR, LOST_KEY, NEW_KEY, FERNET_KEY, ARCHIVE_KEY, "gAAAA")
        assert not any(text in said for text in secrets)
    with pytest.raises(MissingKeyError):
        airkeep.rekey_snapshot(str(lake), old)
    assert files_of(lake) == before


@MODES
def test_a_dry_run_writes_nothing_and_a_second_run_finds_what_the_first_made(
    mode: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    old = export(url, lake, mode)
    before = files_of(lake)
    dry = airkeep.rekey_snapshot(str(lake), old, dry_run=True, **BOTH[mode])  # type: ignore[arg-type]
    assert dry.plan.old >= len(ciphertexts(url))
    assert files_of(lake) == before
    first = airkeep.rekey_snapshot(str(lake), old, **BOTH[mode])  # type: ignore[arg-type]
    again = airkeep.rekey_snapshot(str(lake), old, **BOTH[mode])  # type: ignore[arg-type]
    assert (again.made, again.found) == (first.made, True)
    assert first.made is not None
    nothing = airkeep.rekey_snapshot(str(lake), first.made, **BOTH[mode])  # type: ignore[arg-type]
    assert (nothing.made, nothing.plan.old) == (None, 0)
    assert len(Lake(str(lake)).names()) == 2


@pytest.mark.parametrize("mode", ["plain", "drop"])
def test_where_nothing_is_encrypted_there_is_no_key_to_change(
    mode: str, databases: Databases, tmp_path: Path
) -> None:
    url, lake = databases.airflow("airflow-332"), tmp_path / "lake"
    export(url, lake, mode, keys={"fernet_key": FERNET_KEY})
    with pytest.raises(RekeyError, match=f"--secrets {mode}"):
        airkeep.rekey_snapshot(str(lake), "latest", fernet_key=NEW_KEY)


@MODES
def test_the_old_one_goes_when_it_is_asked_for_and_nothing_stands_on_it(
    mode: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    full, middle, tip = chain_of(url, lake, mode)
    before = files_of(lake)
    with pytest.raises(RekeyError, match=f"{tip.id} stands on it"):
        airkeep.rekey_snapshot(str(lake), middle, remove_old=True, **BOTH[mode])  # type: ignore[arg-type]
    assert files_of(lake) == before

    for old in (tip, middle, full):
        done = airkeep.rekey_snapshot(str(lake), old, remove_old=True, **BOTH[mode])  # type: ignore[arg-type]
        assert done.removed
    there = Lake(str(lake)).names()
    assert [n.id for n in there] == [next_id(s.id) for s in (tip, middle, full)]
    clean(str(lake), grace=timedelta())
    assert all(result.ok for result in airkeep.verify(str(lake)))
    old_files = {f.path for s in (full, middle, tip) for f in s.manifest.files()}
    assert not old_files & set(files_of(lake))
    target = databases.empty()
    airkeep.restore(str(lake), "latest", target, create_schema=True, **NEW[mode])  # type: ignore[arg-type]


def test_one_that_holds_pruned_rows_is_not_removed(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    _, _, tip = chain_of(url, lake, "keep")
    mark(tip, cutoff=datetime.now(UTC), rows={"log": 1})
    with pytest.raises(RekeyError, match="rows that a prune deleted"):
        airkeep.rekey_snapshot(str(lake), tip, remove_old=True, **BOTH["keep"])  # type: ignore[arg-type]
    assert tip.id in {n.id for n in Lake(str(lake)).names()}


def test_a_history_of_sealed_secrets_shows_no_change_of_key(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    chain_of(url, lake, "seal")
    tables = ("connection", "variable", "trigger", "dag_run", "log", "ab_user")
    asked = "SELECT * FROM history.{}"
    held = [t for t in tables if Lake(str(lake))["latest"].manifest.table(t)]
    before = [airkeep.query(str(lake), asked.format(t)).num_rows for t in held]
    newest = [airkeep.query(str(lake), f"SELECT count(*) FROM {t}").to_pylist() for t in held]
    airkeep.rekey_snapshot(str(lake), "latest", **BOTH["seal"])  # type: ignore[arg-type]
    assert [airkeep.query(str(lake), asked.format(t)).num_rows for t in held] == before
    found = [airkeep.query(str(lake), f"SELECT count(*) FROM {t}").to_pylist() for t in held]
    assert found == newest


def test_a_history_of_kept_secrets_shows_the_bytes_that_changed(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    export(url, lake, "keep")
    turned = len({n.partition(".")[0] for n in ciphertexts(url) if n.startswith("variable ")})

    def versions() -> int:
        return int(airkeep.query(str(lake), "SELECT * FROM history.variable").num_rows)

    before = versions()
    airkeep.rekey_snapshot(str(lake), "latest", **BOTH["keep"])  # type: ignore[arg-type]
    assert versions() == before + turned


@MODES
def test_a_snapshot_of_sqlite_goes_to_another_key(
    mode: str, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    import sqlite3
    from contextlib import closing

    file, lake = airflow_file("airflow-3.3.2"), tmp_path / "lake"
    with closing(sqlite3.connect(file)) as db:
        for statement in odd_rows("3.3.2"):
            db.execute(statement)
        db.commit()
    export(str(file), lake, mode)
    done = airkeep.rekey_snapshot(str(lake), "latest", **BOTH[mode])  # type: ignore[arg-type]
    assert done.made is not None
    fernet = f"{NEW_KEY},{FERNET_KEY}"
    archive = NEW[mode].get("archive_key")
    compared = airkeep.compare(
        str(lake), done.made, str(file), fernet_key=fernet, archive_key=archive
    )
    assert compared.equal
    assert not compared.not_compared


def test_the_command_says_what_was_made_and_how_the_old_one_goes(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, lake = source_of("airflow-332", server, databases), tmp_path / "lake"
    chain_of(url, lake, "seal")
    old = str(Lake(str(lake))["latest"].name)
    done = run(str(lake), "latest", **BOTH["seal"])
    assert done.exception is None
    assert f"{old} with" in done.stdout
    assert f"airkeep rekey {lake} {old} --remove-old" in done.stderr
    assert "what it stands on is under the old key, too" in done.stderr
    gone = run(str(lake), old, "--remove-old", **BOTH["seal"])
    assert "had been made" in gone.stdout
    assert f"removed {old}" in gone.stdout
    again = run(str(lake), "latest", "--json", **BOTH["seal"])
    assert json.loads(again.stdout)["made"] is None
    for one in (done, gone, again):
        secrets = (*HIDDEN, *CLEAR, NEW_ARCHIVE_KEY, ARCHIVE_KEY, "gAAAA")
        assert not any(text in one.output for text in secrets)
    shown = CliRunner().invoke(cli, ["show", str(lake), "latest"])
    assert f"from {old.partition('/')[2]}" in shown.stdout
    usage = run("some.db", "--remove-old", fernet_key=NEW_KEY)
    assert usage.exit_code == 2
