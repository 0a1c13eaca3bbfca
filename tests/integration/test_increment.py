"""When an increment is one, when it must not be, and changes that move no row's version."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.programs import (
    embedded_programs,
    readable_programs,
    run_program,
    unprivileged_user,
)
from airkeep.database.server import Cluster, Server
from airkeep.snapshot import names
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.results import save_result
from servers import OPTIONS, Databases, psql, query

XIDS_PER_CLOG_FILE = 32 * 8192 * 4
CORE = """
CREATE TABLE dag (dag_id text PRIMARY KEY, v int);
CREATE TABLE dag_run (dag_id text, run_id text, v int, PRIMARY KEY (dag_id, run_id));
CREATE TABLE task_instance (dag_id text, run_id text, task_id text, map_index int, v int,
  PRIMARY KEY (dag_id, run_id, task_id, map_index));
INSERT INTO dag SELECT 'd' || n, 0 FROM generate_series(1, 20) n;
INSERT INTO task_instance SELECT 'd1', 'r', 't', n, 0 FROM generate_series(1, 50) n;
"""


def increment(url: str, lake: Path) -> Snapshot:
    return airkeep.export(url, str(lake), environment="prod", increment=True)


def rows(snapshot: Snapshot, label: str, folder: Path) -> list[tuple[object, ...]]:
    with SnapshotReader(snapshot, folder=folder) as reader:
        found = [tuple(r.values()) for b in reader.batches(label) for r in b.to_pylist()]
    return sorted(found, key=repr)


def assert_exact(snapshot: Snapshot, url: str, folder: Path) -> None:
    for table in snapshot.tables:
        columns = ", ".join(f'"{c.name}"' for c in table.columns)
        expected = sorted(query(url, f"SELECT {columns} FROM {table.label}"), key=repr)
        assert rows(snapshot, table.label, folder) == expected, table.label
        assert table.rows == len(expected)


@pytest.fixture
def source(server: Cluster, databases: Databases) -> str:
    url = databases.empty()
    psql(server, url, CORE)
    return url


def test_an_unchanged_increment_holds_no_data(source: str, tmp_path: Path) -> None:
    full = increment(source, tmp_path)
    tip = increment(source, tmp_path)

    assert full.manifest.mode == "full"
    assert full.manifest.full_because == "there is no complete snapshot of this environment yet"
    assert (tip.manifest.mode, tip.manifest.full_because) == ("increment", None)
    assert tip.manifest.parent is not None
    assert tip.manifest.parent.id == full.id
    assert [f.path for f in tip.manifest.files()] == [tip.manifest.schema_sql.path]
    assert not list(tmp_path.glob(f"tables/*/*/snapshot={tip.id}/*"))
    assert [(t.label, t.rows) for t in tip.tables] == [(t.label, t.rows) for t in full.tables]
    assert tip.manifest.complete
    assert_exact(tip, source, tmp_path)


def test_an_increment_holds_what_changed_and_no_more(
    server: Cluster, source: str, tmp_path: Path
) -> None:
    increment(source, tmp_path)
    psql(
        server,
        source,
        "UPDATE dag SET v = 1 WHERE dag_id = 'd7'",
        "DELETE FROM task_instance WHERE map_index IN (3, 4)",
        "INSERT INTO task_instance VALUES ('d1', 'r', 't', 99, 1)",
    )
    tip = increment(source, tmp_path)

    own = {t.label: (sum(f.rows for f in t.files), t.deleted_rows, t.whole) for t in tip.tables}
    assert own == {
        "dag": (1, 0, False),
        "dag_run": (0, 0, False),
        "task_instance": (1, 2, False),
    }
    assert_exact(tip, source, tmp_path)


ALTERATIONS = {
    "dropped and added again": (
        "ALTER TABLE dag DROP COLUMN v",
        "ALTER TABLE dag ADD COLUMN v int DEFAULT 8",
        "ALTER TABLE dag ALTER COLUMN v DROP DEFAULT",
    ),
    "an enum value renamed": (
        "ALTER TYPE mood RENAME VALUE 'a' TO 'z'",
        "ALTER TYPE mood RENAME VALUE 'b' TO 'a'",
        "ALTER TYPE mood RENAME VALUE 'z' TO 'b'",
    ),
    "an attribute dropped": ("ALTER TYPE pair DROP ATTRIBUTE y",),
    "a table that a value names renamed": ("ALTER TABLE other.named RENAME TO renamed",),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_a_change_that_moves_no_row_version_is_seen(
    what: str, server: Cluster, source: str, tmp_path: Path
) -> None:
    psql(
        server,
        source,
        "CREATE TYPE mood AS ENUM ('a', 'b')",
        "CREATE TYPE pair AS (x int, y int)",
        "CREATE TABLE moody (id int PRIMARY KEY, one mood, many mood[], two pair)",
        "INSERT INTO moody VALUES (1, 'a', '{a,b}', '(1,2)'), (2, 'b', '{b,b}', '(3,4)')",
        "CREATE SCHEMA other",
        "CREATE TABLE other.named (id int PRIMARY KEY)",
        "CREATE TABLE naming (id int PRIMARY KEY, one regclass, many regclass[])",
        "INSERT INTO naming VALUES (1, 'other.named', NULL), (2, NULL, '{other.named}')",
    )
    increment(source, tmp_path)
    versions = query(source, "SELECT xmin::text FROM dag UNION ALL SELECT xmin::text FROM moody")
    psql(server, source, *ALTERATIONS[what])
    assert versions == query(
        source, "SELECT xmin::text FROM dag UNION ALL SELECT xmin::text FROM moody"
    )

    tip = increment(source, tmp_path)

    assert tip.manifest.mode == "increment"
    for label in ("dag", "moody", "naming"):
        columns = ", ".join(f"{c.name}::text" for c in tip.manifest.table(label).columns)  # type: ignore[union-attr]
        expected = sorted(query(source, f"SELECT {columns} FROM {label}"), key=repr)
        found = rows(tip, label, tmp_path)
        assert [tuple(None if v is None else str(v) for v in row) for row in found] == expected


def test_rows_that_a_running_transaction_wrote_before_the_parent_are_not_missed(
    source: str, tmp_path: Path
) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(source) as early, early.cursor() as cursor:
        cursor.execute("UPDATE dag SET v = 5 WHERE dag_id = 'd1'")
        query(source, "UPDATE dag SET v = 6 WHERE dag_id = 'd2'")
        parent = increment(source, tmp_path)
        cursor.execute("DELETE FROM dag WHERE dag_id = 'd3'")
        early.commit()
    tip = increment(source, tmp_path)

    settled = parent.manifest.table("dag")
    assert settled is not None
    assert settled.settled == 19
    assert tip.manifest.mode == "increment"
    assert_exact(tip, source, tmp_path)


def test_a_row_as_young_as_the_parent_is_missed_when_it_goes(source: str, tmp_path: Path) -> None:
    """No old row went, so their number says nothing."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(source) as early, early.cursor() as cursor:
        cursor.execute("INSERT INTO dag_run VALUES ('d1', 'r', 0)")
        query(source, "UPDATE dag SET v = 6 WHERE dag_id = 'd2'")
        increment(source, tmp_path)
        early.rollback()
    query(source, "DELETE FROM dag WHERE dag_id = 'd2'")
    tip = increment(source, tmp_path)

    entry = tip.manifest.table("dag")
    assert entry is not None
    assert (entry.rows, entry.deleted_rows, entry.whole) == (19, 1, False)
    assert_exact(tip, source, tmp_path)


def test_the_same_rows_copied_to_another_database_are_no_increment(
    server: Cluster, source: str, tmp_path: Path
) -> None:
    increment(source, tmp_path)
    name, template = "airkeep_test_copy", parse_address(source).database
    try:
        copy = server.create(name, template=template)
        tip = increment(copy, tmp_path)
    finally:
        server.drop(name)
    assert (tip.manifest.mode, tip.manifest.full_because) == ("full", "it is another database")


def path_of(snapshot: Snapshot, lake: Path) -> Path:
    return lake / names.manifest_path(snapshot.environment, snapshot.id)


def test_no_increment_stands_on_a_parent_that_did_not_verify(source: str, tmp_path: Path) -> None:
    full = increment(source, tmp_path)
    [file, *_] = [f for t in full.tables for f in t.files]
    saved = (tmp_path / file.path).read_bytes()
    (tmp_path / file.path).unlink()
    [result] = airkeep.verify(tmp_path, str(full.name))
    assert not result.ok

    tip = increment(source, tmp_path)
    assert (tip.manifest.mode, tip.manifest.full_because) == ("full", "the parent did not verify")
    assert [r.ok for r in airkeep.verify(tmp_path, "prod/latest")] == [True]

    # The newest word counts, of the whole chain, and of the manifest that is there.
    child = increment(source, tmp_path)
    assert child.manifest.mode == "increment"
    (tmp_path / file.path).write_bytes(saved)
    [result] = airkeep.verify(tmp_path, str(tip.name))
    save_result(child.store, replace(result, ok=False))
    assert increment(source, tmp_path).manifest.full_because == "the parent did not verify"
    [result] = airkeep.verify(tmp_path, "prod/latest")
    save_result(child.store, replace(result, ok=False, manifest_sha256="0" * 64))
    assert increment(source, tmp_path).manifest.mode == "increment"


@pytest.mark.parametrize("what", ["cut off", "gone", "its parent gone", "its parent another"])
def test_a_parent_that_cannot_be_read_makes_a_full_snapshot(
    what: str, source: str, tmp_path: Path
) -> None:
    full = increment(source, tmp_path)
    tip = increment(source, tmp_path)
    assert tip.manifest.mode == "increment"
    if what == "cut off":
        path_of(tip, tmp_path).write_bytes(path_of(tip, tmp_path).read_bytes()[:-100])
    elif what == "gone":  # and the index entry stays
        path_of(tip, tmp_path).unlink()
    elif what == "its parent gone":
        path_of(full, tmp_path).unlink()
    else:
        with path_of(full, tmp_path).open("ab") as manifest:
            manifest.write(b" ")

    found = increment(source, tmp_path)
    assert found.manifest.mode == "full"
    assert found.manifest.full_because == (
        "the newest snapshot, or one that it stands on, cannot be read"
    )
    assert increment(source, tmp_path).manifest.mode == "increment"
    assert_exact(found, source, tmp_path)


# Servers of our own: started twice, copied, and moved through time.


@pytest.fixture
def other_folder() -> Iterator[Path]:
    from servers import reachable_folder

    with reachable_folder() as folder:
        yield folder / "copy"


def test_the_sides_of_a_cloned_server_never_stand_on_each_other(
    server_folder: Path, other_folder: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with Server.start(server_folder) as first:
        url = first.create("airflow")
        psql(first, url, CORE)
        parent = increment(url, one)
    subprocess.run(["cp", "-a", server_folder, other_folder], check=True)
    shutil.copytree(one, two)
    with Server.start(server_folder) as left, Server.start(other_folder) as right:
        # As many changes on either side, to other rows: every counter is equal.
        psql(left, left.address("airflow"), "UPDATE dag SET v = 1 WHERE dag_id = 'd1'")
        psql(right, right.address("airflow"), "UPDATE dag SET v = 2 WHERE dag_id = 'd2'")
        reason = "the server was started since the parent, so it may be a copy"
        for server, lake in ((left, one), (right, two)):
            tip = increment(server.address("airflow"), lake)
            assert (tip.manifest.mode, tip.manifest.full_because) == ("full", reason)
            assert tip.manifest.lineage is not None
            assert parent.manifest.lineage is not None
            ours, theirs = tip.manifest.lineage, parent.manifest.lineage
            assert ours.system_identifier == theirs.system_identifier
            assert_exact(tip, server.address("airflow"), tmp_path)

        # Now each side has a snapshot of its own; the other one's lake is no ground for it.
        psql(left, left.address("airflow"), "UPDATE dag SET v = 3 WHERE dag_id = 'd3'")
        psql(right, right.address("airflow"), "UPDATE dag SET v = 4 WHERE dag_id = 'd4'")
        own = increment(left.address("airflow"), one)
        other = increment(right.address("airflow"), one)
        assert (own.manifest.mode, other.manifest.mode) == ("increment", "full")
        assert other.manifest.full_because == reason
        assert_exact(own, left.address("airflow"), tmp_path)
        assert_exact(other, right.address("airflow"), tmp_path)


def test_increments_go_on_while_transaction_ids_wrap_around(
    server_folder: Path, tmp_path: Path
) -> None:
    with Server.start(server_folder, options=OPTIONS) as server:
        psql(server, server.create("airflow"), CORE)
        allow_freezing_everything(server)
    # Never by more than 2^31 at once, and everything frozen in between: so a server gets there.
    for xid in (1_500_000_000, 3_000_000_000, (1 << 32) - 300):
        move_xid(server_folder, xid)
        with Server.start(server_folder, options=OPTIONS) as server:
            freeze(server)
    with Server.start(server_folder, options=OPTIONS) as server:
        url = server.address("airflow")
        first = increment(url, tmp_path)
        assert first.manifest.lineage is not None
        assert 0 < (1 << 32) - first.manifest.lineage.xmin < 400

        seen = []
        for number in range(8):
            psql(server, url, *changes(number))
            burn(server, url, 60 if number < 6 else 1500)
            psql(server, url, f"UPDATE dag SET v = v + 100 WHERE dag_id = 'd{20 - number}'")
            if number == 5:
                freeze(server)
            tip = increment(url, tmp_path)
            assert tip.manifest.mode == "increment", tip.manifest.full_because
            assert_exact(tip, url, tmp_path)
            assert tip.manifest.lineage is not None
            seen.append(tip.manifest.lineage.xmax >> 32)
        assert seen[0] == 0
        assert seen[-1] == 1
        [(low,)] = query(url, "SELECT count(*) FROM dag WHERE xmin::text::bigint < 10000")
        assert low > 0


def changes(number: int) -> tuple[str, ...]:
    return (
        f"UPDATE dag SET v = v + 1 WHERE dag_id = 'd{number + 1}'",
        f"INSERT INTO dag_run VALUES ('d1', 'r{number}', {number})",
        f"DELETE FROM dag_run WHERE run_id = 'r{number - 2}'",
        f"UPDATE task_instance SET v = {number} WHERE map_index % 7 = {number % 7}",
    )


def burn(server: Cluster, url: str, count: int) -> None:
    """Use up transaction ids."""
    psql(server, url, *["SELECT txid_current() \\g /dev/null"] * count)


def allow_freezing_everything(server: Server) -> None:
    psql(server, server.address(), "UPDATE pg_database SET datallowconn = true")


def freeze(server: Server) -> None:
    for name in ("postgres", "template0", "template1", "airflow"):
        server.run("psql", "-qc", "VACUUM (FREEZE)", database=name)


def move_xid(folder: Path, xid: int) -> None:
    """Let a stopped server's next transaction have this id."""
    user = unprivileged_user()
    programs = readable_programs(embedded_programs(), folder, user)
    data = folder / "data"
    log = data / "pg_xact" / f"{xid // XIDS_PER_CLOG_FILE:04X}"
    for command in (
        ["truncate", "--no-create", "--size=0", str(log)],
        ["truncate", f"--size={32 * 8192}", str(log)],
        [str(programs / "pg_resetwal"), f"--next-transaction-id={xid}", str(data)],
    ):
        done = run_program(command, timeout_s=60, user=user, cwd=folder)
        assert done.returncode == 0, done.stderr
