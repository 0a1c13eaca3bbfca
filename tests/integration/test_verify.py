"""Verify finds every kind of damage, in the whole chain, and comparing finds every difference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from airkeep.cli.main import cli
from airkeep.database.address import resolve_address
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import open_reader
from airkeep.export.run import export
from airkeep.snapshot import names
from airkeep.snapshot.check import verify_snapshot
from airkeep.snapshot.compare import Comparison, compare_with_database
from airkeep.snapshot.diff import diff_snapshots
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.manifest import FileEntry
from airkeep.snapshot.opener import Keys
from airkeep.snapshot.results import VerifyResult, newest_verified, save_result, state
from airkeep.snapshot.seal import Keyring
from servers import FERNET_KEY, Databases, query

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def chain(templates: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lake with a full snapshot and two increments on it, and the database as the tip saw it."""
    databases = Databases(templates)
    url, lake = databases.airflow("airflow-332"), tmp_path_factory.mktemp("chain") / "lake"
    export(url, str(lake), environment="prod")
    for statements in (FIRST, SECOND):
        for statement in statements:
            query(url, statement)
        export(url, str(lake), environment="prod", increment=True)
    yield url, lake
    databases.drop()


FIRST = (
    "UPDATE task_instance SET state = 'failed', duration = 'NaN' WHERE id = "
    "(SELECT min(id::text)::uuid FROM task_instance)",
    "DELETE FROM log WHERE id IN (SELECT id FROM log ORDER BY id LIMIT 5)",
    "INSERT INTO variable (key, val, description, is_encrypted) VALUES ('v1', '', NULL, false)",
)
SECOND = (
    "DELETE FROM variable WHERE key = 'v1'",
    "DELETE FROM log WHERE id IN (SELECT id FROM log ORDER BY id DESC LIMIT 3)",
    "UPDATE task_instance SET duration = '-0' WHERE id = "
    "(SELECT max(id::text)::uuid FROM task_instance)",
    "INSERT INTO log (event, dttm) SELECT 'e' || n, now() FROM generate_series(1, 4) n",
)


def tip(lake: Path) -> Snapshot:
    return Lake(str(lake))["prod/latest"]


def verified(lake: Path, **options: Any) -> VerifyResult:
    return verify_snapshot(tip(lake), **options)


def against(
    snapshot: Snapshot, database: str, folder: Path, keys: Keys | None = None, **options: Any
) -> Comparison:
    limits = ReadLimits(memory_bytes=200 << 20)
    with open_reader(resolve_address(database, {}), folder, limits) as reader:
        return compare_with_database(snapshot, reader, folder=folder, keys=keys, **options)


@pytest.fixture
def copy(chain: Any, tmp_path: Path) -> Path:
    """The lake, to be damaged."""
    return Path(shutil.copytree(chain[1], tmp_path / "copy"))


def test_a_chain_verifies_and_equals_the_living_database(chain: Any, tmp_path: Path) -> None:
    url, lake = chain
    steps: list[Any] = []
    result = verified(lake, progress=steps.append, record=False)
    assert result.problems == ()
    assert (result.ok, result.exit_status, result.depth) == (True, 0, "full")
    assert len(result.chain) == 3
    assert result.read == result.files
    assert result.rows == tip(lake).manifest.rows
    assert steps
    assert [t.deleted_rows for t in tip(lake).tables if t.label in ("log", "variable")] == [3, 1]

    found = against(tip(lake), url, tmp_path)
    assert [t.label for t in found.tables if not t.equal] == []
    assert (found.equal, found.only_here, found.only_there, found.sequences) == (True, (), (), ())
    assert sum(t.rows.equal for t in found.tables) == tip(lake).manifest.rows
    assert found.not_compared == 0
    msgspec.json.encode((result, found))
    assert not list(tmp_path.glob("**/*.parquet"))


def test_what_a_verify_found_is_recorded_beside_the_manifest(copy: Path) -> None:
    snapshot, store = tip(copy), Lake(str(copy)).store
    assert state(newest_verified(store, snapshot.name)) == "-"
    first = verify_snapshot(snapshot)
    record = newest_verified(store, snapshot.name)
    assert record is not None
    assert (record.ok, record.manifest_sha256) == (True, snapshot.manifest_sha256)
    assert state(record) == f"verified {datetime.now(UTC):%Y-%m-%d}"
    assert save_result(store, first).record != first.record  # the same microsecond: the next one

    file(copy, "log").unlink()
    damaged = verify_snapshot(snapshot)
    assert damaged.record is not None
    assert state(newest_verified(store, snapshot.name)) == "damaged"
    store.save(names.verified_path("prod", snapshot.id, datetime(2099, 1, 1, tzinfo=UTC)), b"{")
    assert state(newest_verified(store, snapshot.name)) == "damaged"


def test_a_listing_marks_the_snapshot_whose_file_is_damaged_too(copy: Path) -> None:
    lake = Lake(str(copy))
    newest, between, full = (lake.get(name) for name in lake.names())
    verify_snapshot(full)
    table = full.manifest.table("dag_run")
    assert table is not None
    damaged = copy / table.files[0].path
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + b"?")
    verify_snapshot(newest)

    def listed() -> dict[str, str]:
        rows = json.loads(CliRunner().invoke(cli, ["snapshots", "--json", str(copy)]).stdout)
        return {row["name"]: row["state"] for row in rows}

    assert listed() == {str(newest.name): "damaged", str(between.name): "-",
                        str(full.name): "damaged"}  # fmt: skip
    damaged.write_bytes(whole)
    verify_snapshot(full)
    assert listed()[str(full.name)].startswith("verified")


def test_a_lake_that_cannot_be_written_is_verified_all_the_same(copy: Path) -> None:
    folder = copy / names.snapshot_folder("prod", tip(copy).id) / "verified"
    folder.write_bytes(b"in the way")
    result = verified(copy)
    assert result.ok
    assert result.record is None
    assert "not recorded" in str(result.note)


def entry(lake: Path, label: str, depth: int = 0) -> FileEntry:
    table = tip(lake).chain()[depth].manifest.table(label)
    assert table is not None
    return table.files[0]


def file(lake: Path, label: str, depth: int = 0) -> Path:
    return lake / entry(lake, label, depth).path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "depth", "kind", "status", "words"),
    [
        (truncate, 0, "damaged", 31, "bytes, its manifest says"),
        (flip, 1, "damaged", 31, "sha256"),
        (flip, 2, "damaged", 31, "sha256"),
        (Path.unlink, 0, "missing", 32, "not in the lake"),
        (Path.unlink, 2, "missing", 32, "not in the lake"),
    ],
)
def test_a_damaged_file_anywhere_in_the_chain_is_named(
    copy: Path, change: Change, depth: int, kind: str, status: int, words: str
) -> None:
    label = "log" if depth != 1 else "task_instance"
    change(file(copy, label, depth))
    result = verified(copy)
    [problem] = result.problems
    assert problem.path == entry(copy, label, depth).path
    assert (problem.kind, result.exit_status, result.ok) == (kind, status, False)
    assert words in problem.what


def test_all_problems_are_told_at_once(copy: Path) -> None:
    flip(file(copy, "log"))
    truncate(file(copy, "task_instance"))
    file(copy, "dag_run", 2).unlink()
    gone = tip(copy).manifest.table("log")
    assert gone is not None
    flip(copy / gone.deleted[0].path)
    flip(copy / tip(copy).manifest.schema_sql.path)
    result = verified(copy)
    assert sorted(p.kind for p in result.problems) == ["damaged"] * 4 + ["missing"]
    assert result.exit_status == 31


def test_swapped_files_are_found(copy: Path) -> None:
    one, other = file(copy, "dag_run", 2), file(copy, "log", 2)
    data = one.read_bytes(), other.read_bytes()
    one.write_bytes(data[1])
    other.write_bytes(data[0])
    assert len(verified(copy).problems) == 2


def rewrite(lake: Path, snapshot: Snapshot, change: Callable[[Any], None]) -> None:
    """Save another manifest, as one who knows the format would."""
    path = lake / names.manifest_path("prod", snapshot.id)
    document = msgspec.json.decode(path.read_bytes())
    change(document)
    path.write_bytes(msgspec.json.encode(document))


def test_a_manifest_that_promises_other_contents_is_found(copy: Path) -> None:
    def change(document: Any) -> None:
        tables = {t["label"]: t for t in document["tables"]}
        tables["dag_run"]["rows"] += 1
        tables["log"]["files"][0]["rows"] += 1
        tables["task_instance"]["columns"][1]["parquet"] = "BLOB"
        tables["task_instance"]["columns"][2]["name"] = "renamed"
        tables["variable"]["key"] = ["is_encrypted"]

    rewrite(copy, tip(copy), change)
    found = {p.path.split("/")[1]: p.what for p in verified(copy).problems}
    assert "1 rows" in found["dag_run"] or "rows" in found["dag_run"]
    assert "its manifest says" in found["log"]
    assert "renamed" in found["task_instance"]
    assert set(found) >= {"dag_run", "log", "task_instance", "variable"}


def test_keys_that_are_there_twice_are_found(chain: Any, copy: Path) -> None:
    full = tip(copy).chain()[-1]

    def change(document: Any) -> None:
        for table in document["tables"]:
            if table["label"] == "log":
                [again] = copied = msgspec.json.decode(msgspec.json.encode(table["files"]))
                again["path"] = again["path"].replace("00000", "00001")
                shutil.copy(copy / table["files"][0]["path"], copy / again["path"])
                table["files"] += copied
                table["rows"] *= 2

    rewrite(copy, full, change)
    result = verify_snapshot(Lake(str(copy))[f"prod/{full.id}"])
    [problem] = result.problems
    assert "keys more than once" in problem.what


def test_a_file_that_is_named_twice_is_found(copy: Path) -> None:
    def change(document: Any) -> None:
        for table in document["tables"]:
            table["files"] *= 2

    rewrite(copy, tip(copy), change)
    result = verified(copy)
    assert {p.what for p in result.problems} == {"is named more than once"}


def test_a_replaced_parent_is_found(copy: Path) -> None:
    parent = tip(copy).parent
    assert parent is not None
    rewrite(copy, parent, lambda document: document.update(run_id="another"))
    [problem] = verified(copy).problems
    assert problem.path == names.manifest_path("prod", parent.id)
    assert "its increment was made on" in problem.what


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [(None, "missing", 32), (b"{", "manifest", 35), (b'{"format": 99}', "newer", 33)],
)
def test_a_manifest_that_is_gone_or_unreadable_is_told(
    copy: Path, data: bytes | None, kind: str, status: int
) -> None:
    parent = tip(copy).parent
    assert parent is not None
    path = copy / names.manifest_path("prod", parent.id)
    path.unlink() if data is None else path.write_bytes(data)
    result = verified(copy)
    assert kind in {p.kind for p in result.problems}
    if data is not None:
        own = verify_snapshot(Lake(str(copy))[f"prod/{parent.id}"])
        assert (own.exit_status, own.ok) == (status, False)


def test_a_file_that_is_no_parquet_is_found_though_its_hash_fits(copy: Path) -> None:
    from hashlib import sha256

    target, data = entry(copy, "log"), b"no parquet at all"
    (copy / target.path).write_bytes(data)

    def change(document: Any) -> None:
        for table in document["tables"]:
            for f in table["files"]:
                if f["path"] == target.path:
                    f.update(bytes=len(data), sha256=sha256(data).hexdigest())

    rewrite(copy, tip(copy), change)
    [problem] = verified(copy).problems
    assert problem.what == "is no Parquet file"


def test_a_sample_looks_for_all_files_and_reads_some(copy: Path) -> None:
    result = verified(copy, sample=0.05, seed=1)
    assert (result.ok, result.depth, result.share, result.seed) == (True, "sample", 0.05, 1)
    assert 0 < result.read < result.files / 2
    assert state(newest_verified(Lake(str(copy)).store, tip(copy).name)).startswith("sampled")
    file(copy, "dag_run", 2).unlink()
    assert verified(copy, sample=0.05).exit_status == 32
    assert verified(copy, sample=0.05).seed != verified(copy, sample=0.05).seed


# Against a database.


def test_every_kind_of_difference_from_a_database_is_told(
    databases: Databases, tmp_path: Path
) -> None:
    url = databases.airflow("airflow-332")
    snapshot = export(url, str(tmp_path / "lake"), environment="prod")
    [(runs,)] = query(url, "SELECT count(*) FROM dag_run")
    for statement in (
        "INSERT INTO log (event, dttm) VALUES ('new', now())",
        "DELETE FROM xcom WHERE (dag_run_id, task_id, map_index, key) IN "
        "(SELECT dag_run_id, task_id, map_index, key FROM xcom LIMIT 2)",
        "UPDATE dag_run SET state = 'odd', end_date = NULL",
        "CREATE TABLE application (id int)",
        "CREATE TABLE deadline_new (id int)",
        "ALTER TABLE dag_warning RENAME COLUMN message TO words",
        "DROP TABLE import_error CASCADE",
    ):
        query(url, statement)
    found = against(snapshot, url, tmp_path)
    tables = {t.label: t for t in found.tables}

    assert not found.equal
    assert tables["log"].rows.only_there == 1
    assert tables["xcom"].rows.only_here == 2
    assert tables["dag_run"].rows.changed == runs
    assert tables["dag_run"].rows.columns["state"] == runs
    assert {(c.name, c.here is None) for c in tables["dag_warning"].columns} == {
        ("message", False),
        ("words", True),
    }
    assert found.only_here == ("import_error",)
    assert set(found.only_there) == {"application", "deadline_new"}
    assert [s.label for s in found.sequences] == ["log_id_seq"]
    chosen = against(snapshot, url, tmp_path, tables=["dag"])
    assert (chosen.equal, len(chosen.tables)) == (True, 1)


def test_with_named_tables_only_their_own_sequences_are_compared(
    databases: Databases, tmp_path: Path
) -> None:
    url, lake = databases.airflow("airflow-332"), str(tmp_path / "lake")
    for statement in (
        "CREATE SEQUENCE task_id_sequence",
        "CREATE SEQUENCE lent",
        "CREATE SEQUENCE ab_user_id_seq",
        "CREATE TABLE borrower (id int PRIMARY KEY DEFAULT nextval('lent'))",
        "CREATE TABLE ab_user (id int PRIMARY KEY)",
    ):
        query(url, statement)
    snapshot = export(url, lake, environment="prod")
    for name in ("task_id_sequence", "lent", "ab_user_id_seq", "log_id_seq"):
        query(url, f"SELECT nextval('{name}')")

    def differing(**options: Any) -> list[str]:
        return [s.label for s in against(snapshot, url, tmp_path, **options).sequences]

    assert differing() == ["ab_user_id_seq", "lent", "log_id_seq", "task_id_sequence"]
    assert differing(tables=["dag"]) == []
    assert differing(tables=["borrower"]) == ["lent"]
    assert differing(tables=["ab_user", "log"]) == ["ab_user_id_seq", "log_id_seq"]
    assert differing(skip=["borrower", "log"]) == ["ab_user_id_seq", "task_id_sequence"]


def test_what_differs_from_a_database_is_counted_in_one_line(
    databases: Databases, tmp_path: Path
) -> None:
    url, lake = databases.airflow("airflow-332"), str(tmp_path / "lake")
    snapshot = export(url, lake, environment="prod")
    arguments = ["verify", lake, "latest", "--against", url]
    name = f"prod/{snapshot.id} and the database differ:"
    query(url, "SELECT nextval('log_id_seq')")
    ran = CliRunner().invoke(cli, arguments)
    assert str(ran.exception) == f"{name} 1 sequence, see above"

    for statement in ("DROP TABLE import_error", "UPDATE dag SET is_paused = NOT is_paused",
                      "CREATE TABLE a (id int)", "CREATE TABLE b (id int)"):  # fmt: skip
        query(url, statement)
    ran = CliRunner().invoke(cli, arguments)
    assert str(ran.exception) == (
        f"{name} 1 table with other contents, 1 table only in the snapshot, "
        f"2 tables only in the database, 1 sequence, see above"
    )


def test_of_a_window_only_its_own_rows_are_compared(databases: Databases, tmp_path: Path) -> None:
    url = databases.airflow("airflow-332")
    query(url, "UPDATE dag_run SET state = 'success', end_date = coalesce(end_date, now())")
    dates = ("queued_at", "logical_date", "start_date", "end_date", "run_after", "updated_at")
    past = ", ".join(f"{d} = {d} - interval '1 year'" for d in dates)
    query(url, f"UPDATE dag_run SET {past} WHERE id % 2 = 0")
    [(middle,)] = query(url, "SELECT max(end_date) - interval '6 months' FROM dag_run")
    snapshot = export(url, str(tmp_path / "lake"), environment="prod", since=middle)
    found = against(snapshot, url, tmp_path)
    runs = next(t for t in found.tables if t.label == "dag_run")
    assert runs.window is not None
    assert 0 < runs.rows.there < query(url, "SELECT count(*) FROM dag_run")[0][0]
    assert found.equal


@pytest.mark.parametrize("mode", ["keep", "seal", "plain", "drop"])
def test_secrets_are_compared_by_content_under_a_rotated_key(
    databases: Databases, tmp_path: Path, mode: Any
) -> None:
    from cryptography.fernet import Fernet

    url, archive = databases.airflow("airflow-332"), Fernet.generate_key().decode()
    snapshot = export(
        url,
        str(tmp_path / "lake"),
        environment="prod",
        secrets=mode,
        allow_plain=True,
        fernet_key=FERNET_KEY,
        archive_key=archive,
    )
    new = Fernet.generate_key().decode()
    old_ring, new_ring = Keyring(FERNET_KEY, variable="F"), Keyring(new, variable="F")
    rotated = 0
    for name, value in query(url, "SELECT conn_id, password FROM connection WHERE is_encrypted"):
        if value and (content := old_ring.decrypt(value.encode())) is not None:
            fresh = new_ring.encrypt(content).decode()
            query(url, f"UPDATE connection SET password = '{fresh}' WHERE conn_id = '{name}'")
            rotated += 1
    assert rotated

    keys = Keys(Keyring(f"{new},{FERNET_KEY}", variable="F"), Keyring(archive, variable="A"))
    found = against(snapshot, url, tmp_path, keys)
    without = against(snapshot, url, tmp_path)
    if mode == "drop":
        assert found.not_compared > 0
        assert "connection" not in [t.label for t in found.tables if not t.equal]
        return
    assert [t.label for t in found.tables if not t.equal] == []
    assert (found.not_compared, found.unopened) == (0, ())
    assert without.not_compared >= rotated
    assert without.equal


# Between snapshots.


def test_a_diff_of_a_chain_tells_what_each_increment_did(chain: Any, tmp_path: Path) -> None:
    last, middle, full = tip(chain[1]).chain()
    found = diff_snapshots(full, last, folder=tmp_path)
    tables = {t.label: t for t in found.tables if not t.equal}
    assert set(tables) == {"log", "task_instance"}
    assert (tables["log"].added, tables["log"].removed, tables["log"].changed) == (4, 8, 0)
    assert (tables["task_instance"].changed, tables["task_instance"].rows.columns) in (
        (2, {"state": 1, "duration": 2}),
        (2, {"duration": 2}),
    )
    assert not found.equal
    assert diff_snapshots(last, last, folder=tmp_path).equal
    back = diff_snapshots(last, full, folder=tmp_path)
    assert {t.label: (t.added, t.removed) for t in back.tables if not t.equal}["log"] == (8, 4)

    variable = diff_snapshots(full, middle, "variable", folder=tmp_path).tables[0]
    assert variable.rows.examples is not None
    assert len(variable.rows.examples.only_there) == 1
    log = diff_snapshots(full, last, "log", folder=tmp_path, examples=3).tables[0]
    assert log.rows.examples is not None
    assert [len(log.rows.examples.only_here), len(log.rows.examples.only_there)] == [3, 3]
    msgspec.json.encode((found, log))


def test_unchanged_tables_of_an_increment_are_not_read(chain: Any, tmp_path: Path) -> None:
    last, middle, _ = tip(chain[1]).chain()
    found = diff_snapshots(middle, last, folder=tmp_path)
    by = {t.label: t.rows.by for t in found.tables}
    assert by["log"] == "key"
    assert by["dag_run"] == "file"


def test_versions_of_airflow_are_compared_by_common_columns(
    databases: Databases, tmp_path: Path
) -> None:
    old = export(databases.airflow("airflow-2112"), str(tmp_path / "lake"), environment="old")
    new = export(
        databases.airflow("migrated-2112-to-332-fab"), str(tmp_path / "lake"), environment="new"
    )
    found = diff_snapshots(old, new, folder=tmp_path)
    tables = {t.label: t for t in found.tables}
    assert "asset" in found.tables_added
    assert "dataset" in found.tables_removed
    assert ("execution_date", None) in {(c.name, c.there) for c in tables["dag_run"].columns}
    assert ("logical_date", None) in {(c.name, c.here) for c in tables["dag_run"].columns}
    assert tables["dag_run"].rows.equal + tables["dag_run"].changed > 0


def test_sqlite_snapshots_are_verified_compared_and_diffed(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    import sqlite3

    path = airflow_file("airflow-3.3.2")
    lake = str(tmp_path / "lake")
    first = export(str(path), lake, environment="laptop", allow_plain=True)
    assert verify_snapshot(first).problems == ()
    assert against(first, str(path), tmp_path).equal
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE dag_run SET conf = 5 WHERE id = (SELECT min(id) FROM dag_run)")
    connection.close()
    second = export(str(path), lake, environment="laptop", allow_plain=True)
    found = diff_snapshots(first, second, folder=tmp_path)
    assert {t.label: dict(t.rows.columns) for t in found.tables if not t.equal} == {
        "dag_run": {"conf": 1}
    }
    after = against(first, str(path), tmp_path)
    assert [t.label for t in after.tables if not t.equal] == ["dag_run"]


def test_the_record_of_a_snapshot_without_manifest_is_not_saved(copy: Path) -> None:
    name = tip(copy).name
    (copy / names.manifest_path("prod", name.id)).unlink()
    result = verify_snapshot(Lake(str(copy)).get(name))
    assert (result.exit_status, result.record) == (32, None)
