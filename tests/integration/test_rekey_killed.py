"""SIGKILL at any moment of a rekey: all under the old key or all under the new, and it goes on."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cryptography.fernet import InvalidToken

import airkeep
from airkeep.database.server import Cluster, Server
from airkeep.snapshot.lake import Lake
from command import AIRKEEP
from rekeyed import (
    ARCHIVE_KEY,
    CLEAR,
    HIDDEN,
    NEW_KEY,
    encrypted,
    odd_rows,
    opened,
    read_secrets,
)
from servers import AIRFLOW_DATA, FERNET_KEY, Databases, psql, wait_until_alone

SEED = 20261122
ROUNDS = [pytest.param(50, marks=pytest.mark.slow)]
FORWARD, BACKWARD = f"{NEW_KEY},{FERNET_KEY}", f"{FERNET_KEY},{NEW_KEY}"
MANY = 3_000  # values, so that there is a while in which to be killed


def start(folder: Path, *arguments: str, **keys: str) -> subprocess.Popen[str]:
    variables = {f"AIRKEEP_{name.upper()}": key for name, key in keys.items()}
    return subprocess.Popen(
        [*AIRKEEP, "rekey", *arguments, "-q"], text=True, cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_work(process: subprocess.Popen[str], folder: Path) -> None:
    while process.poll() is None and not any(folder.glob("airkeep-*")):
        time.sleep(0.005)


def working_time(folder: Path, *arguments: str, **keys: str) -> float:
    folder.mkdir(parents=True)
    process = start(folder, *arguments, **keys)
    wait_for_work(process, folder)
    began = time.monotonic()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return time.monotonic() - began


def killed(folder: Path, pause_s: float, *arguments: str, **keys: str) -> bool:
    """Start it and kill it while it works; whether it was still at work."""
    folder.mkdir(parents=True)
    process = start(folder, *arguments, **keys)
    wait_for_work(process, folder)
    time.sleep(pause_s)
    at_work = process.poll() is None
    process.kill()
    process.communicate(timeout=120)
    return at_work


def under(url: str) -> str:
    """The one key that opens everything."""
    found, keys = read_secrets(url), []
    for key in (FERNET_KEY, NEW_KEY):
        try:
            assert "v17" in opened(found, key).values()
        except InvalidToken:
            continue
        keys.append(key)
    [only] = keys
    return only


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_database_is_under_one_key_however_a_rekey_ends(
    rounds: int, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, chance = databases.airflow("airflow-332"), random.Random(SEED)
    rows = ", ".join(f"('k{n}', '{encrypted(f'v{n}')}', true)" for n in range(MANY))
    psql(server, url, *odd_rows("airflow-332"),
         f"INSERT INTO variable (key, val, is_encrypted) VALUES {rows}")  # fmt: skip
    wanted = opened(read_secrets(url), FERNET_KEY)
    longest_s = working_time(tmp_path / "first", url, fernet_key=FORWARD)
    states = set()
    for n in range(rounds):
        now = under(url)
        to = BACKWARD if now == NEW_KEY else FORWARD
        at_work = killed(tmp_path / f"{n}", chance.uniform(0, longest_s), url, fernet_key=to)
        wait_until_alone(url)
        after = under(url)
        states.add((at_work, after == now))
        assert opened(read_secrets(url), after) == wanted
    assert (True, True) in states
    airkeep.rekey(url, fernet_key=FORWARD)
    assert opened(read_secrets(url), NEW_KEY) == wanted


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_sqlite_file_is_under_one_key_however_a_rekey_ends(
    rounds: int, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    file, chance = airflow_file("airflow-3.3.2"), random.Random(SEED)
    with closing(sqlite3.connect(file)) as db:
        for n in range(MANY):
            db.execute("INSERT INTO variable (key, val, is_encrypted) VALUES (?, ?, 1)",
                       (f"k{n}", encrypted(f"v{n}")))  # fmt: skip
        db.commit()

    def counts() -> tuple[int, int]:
        both = (
            airkeep.rekey(str(file), fernet_key=keys, dry_run=True).plan
            for keys in (FORWARD, BACKWARD)
        )
        forward, backward = (plan.old for plan in both)
        return forward, backward

    all_of_it = sum(counts())
    longest_s = working_time(tmp_path / "first", str(file), fernet_key=FORWARD)
    for n in range(rounds):
        to_do, _ = counts()
        to = FORWARD if to_do else BACKWARD
        killed(tmp_path / f"{n}", chance.uniform(0, longest_s), str(file), fernet_key=to)
        assert sorted(counts()) == [0, all_of_it]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_lake_lists_only_whole_snapshots_however_a_rekey_ends(
    rounds: int, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    url, chance = databases.airflow("airflow-332"), random.Random(SEED)
    psql(server, url, *odd_rows("airflow-332"))
    fresh = str(tmp_path / "lake")
    old = airkeep.export(
        url, fresh, environment="prod", secrets="seal",
        fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    keys, name = f"{NEW_KEY},{ARCHIVE_KEY}", str(old.name)
    done = shutil.copytree(fresh, tmp_path / "done")
    longest_s = working_time(tmp_path / "first", str(done), name, archive_key=keys)
    unmade = []
    for n in range(rounds):
        lake = str(shutil.copytree(fresh, tmp_path / f"lake{n}"))
        killed(tmp_path / f"{n}", chance.uniform(0, longest_s), lake, name, archive_key=keys)
        there = Lake(lake).names()
        assert len(there) in (1, 2)
        for one in there:
            assert airkeep.verify(lake, str(one))[0].ok
        unmade += [lake] if len(there) == 1 else []
    assert unmade
    for lake in unmade[-2:]:
        made = airkeep.rekey_snapshot(lake, name, archive_key=keys)
        again = airkeep.rekey_snapshot(lake, name, archive_key=keys)
        assert (again.made, again.found) == (made.made, True)
        assert all(result.ok for result in airkeep.verify(lake))
        assert airkeep.diff(lake, old.name.id, "prod/latest", archive_key=keys).equal


def test_no_secret_and_no_key_is_in_the_process_list_or_the_servers_log(tmp_path: Path) -> None:
    options = {"log_statement": "all", "log_min_duration_statement": "0"}
    with Server.start(options=options) as own:
        url = own.create("airflow")
        own.restore_dump("airflow", AIRFLOW_DATA / "airflow-332.dump")
        psql(own, url, *odd_rows("airflow-332"))
        log = own.data / "server.log"
        begins = log.stat().st_size
        process = start(tmp_path, url, fernet_key=FORWARD)
        seen: set[str] = set()
        while process.poll() is None:
            for line in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(line.read_text(errors="replace"))
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        logged = log.read_bytes()[begins:].decode(errors="replace")
    assert "UPDATE ONLY" in logged
    assert any("rekey" in line for line in seen)
    for text in (*HIDDEN, *CLEAR, NEW_KEY, FERNET_KEY, "gAAAA"):
        for where in (out, said, logged, *seen):
            assert text not in where
