"""A folded chain holds what its newest snapshot held, and the chain goes only after that."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from airkeep.cli.main import cli
from airkeep.errors import DamagedFileError, ExportError, MissingFileError
from airkeep.export.run import export
from airkeep.lake.compact import compact
from airkeep.lake.compact_plan import plan_compact
from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.clean import GRACE, clean
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.results import newest_verified
from airkeep.snapshot.verify import compare, diff, verify
from fake_lake import make_manifest, save_snapshot, snapshot_name
from rotting import RottingStore, damage
from servers import FERNET_KEY, Databases, query

KEY = "kVYQ4vVQd3-YEuGq3Cz4C2Zeq8bLAnV0uPzk0Aq2wMo="


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def url(databases: Databases) -> str:
    url = databases.airflow("airflow-332")
    query(url, "CREATE TABLE mine (id int PRIMARY KEY, v text, f float8)")
    query(url, "INSERT INTO mine SELECT n, 'v' || n, n FROM generate_series(1, 100) n")
    query(url, "CREATE TABLE keyless (v text)")
    query(url, "INSERT INTO keyless VALUES ('a'), ('a'), (NULL), ('')")
    return url


def change_and_export(url: str, lake: Path, *, times: int = 3) -> list[Snapshot]:
    found = [export(url, str(lake), environment="prod")]
    for n in range(times):
        query(url, f"UPDATE mine SET v = 'w', f = '-0' WHERE id % 10 = {n}")
        query(url, f"DELETE FROM mine WHERE id % 11 = {n}")
        query(url, f"INSERT INTO mine VALUES ({1000 + n}, NULL, 'NaN')")
        found.append(export(url, str(lake), environment="prod", increment=True))
    assert [s.manifest.mode for s in found[1:]] == ["increment"] * times
    return found


def names_of(lake: Path) -> list[str]:
    return [n.id for n in Lake(str(lake)).names()]


def test_the_full_snapshot_is_equal_verified_and_what_the_next_increment_stands_on(
    url: str, lake: Path, tmp_path: Path
) -> None:
    chain = change_and_export(url, lake)
    before = tmp_path / "before"
    shutil.copytree(lake, before)

    [done] = compact(str(lake)).compacted

    [only] = names_of(lake)
    made = Lake(str(lake))[only]
    assert done.snapshot == f"prod/{only}"
    assert set(done.removed) == {str(s.name) for s in chain}
    assert made.manifest.mode == "full"
    assert made.manifest.complete
    assert compare(str(lake), only, url).equal
    merged = Lake(str(before))
    shutil.copytree(lake, before, dirs_exist_ok=True)
    assert diff(merged, chain[-1].id, only).equal
    record = newest_verified(made.store, made.name)
    assert record is not None
    assert record.ok
    query(url, "UPDATE mine SET v = 'later' WHERE id = 1000")
    after = export(url, str(lake), environment="prod", increment=True)
    assert (after.manifest.mode, after.manifest.full_because) == ("increment", None)
    assert after.manifest.parent == m.ParentEntry(only, made.manifest_sha256)
    assert compare(str(lake), after, url).equal


def test_there_is_nothing_to_do_the_second_time(url: str, lake: Path) -> None:
    change_and_export(url, lake, times=1)
    compact(str(lake))
    there = names_of(lake)
    assert compact(str(lake)).plan.folds == ()
    assert names_of(lake) == there


def test_a_dry_run_changes_nothing(url: str, lake: Path) -> None:
    chain = change_and_export(url, lake, times=2)
    files = sorted(lake.rglob("*"))
    [one] = compact(str(lake), dry_run=True).plan.folds
    assert one.chain == tuple(s.name for s in reversed(chain))
    assert sorted(lake.rglob("*")) == files


def test_sealed_secrets_stay_the_bytes_that_they_are(url: str, lake: Path) -> None:
    for n in range(2):
        query(url, f"INSERT INTO variable (key, val, is_encrypted) VALUES ('k{n}', 'p', false)")
        export(
            url, str(lake), environment="prod", increment=True, secrets="seal",
            allow_plain=True, archive_key=KEY, fernet_key=FERNET_KEY,
        )  # fmt: skip
    compact(str(lake))
    [only] = names_of(lake)
    assert compare(str(lake), only, url, fernet_key=FERNET_KEY, archive_key=KEY).equal


def test_a_damaged_chain_stays_whole(url: str, lake: Path) -> None:
    chain = change_and_export(url, lake)
    table = chain[1].manifest.table("mine")
    assert table is not None
    file = lake / table.files[0].path
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedFileError, match=r"mine.*from a copy, or make a full") as damaged:
        compact(str(lake))
    file.unlink()
    with pytest.raises(MissingFileError, match=r"mine.*from a copy, or make a full") as missing:
        compact(str(lake))
    for raised in (damaged, missing):
        assert "--skip" not in str(raised.value)
    assert set(names_of(lake)) == {s.id for s in chain}


def test_counts_are_written_as_everywhere_and_what_waits_is_told(url: str, lake: Path) -> None:
    query(url, "INSERT INTO mine SELECT n, 'v' FROM generate_series(2000, 4000) n")
    change_and_export(url, lake, times=2)
    folded = CliRunner().invoke(cli, ["compact", str(lake)])
    cleaned = CliRunner().invoke(cli, ["clean", str(lake)])

    assert re.search(r"\d,\d{3} rows in ", folded.stdout)
    assert "after its grace" in folded.stderr
    assert re.search(r"removed 0 snapshots and 0 files", cleaned.stdout)
    assert re.search(r"\d+ files that no snapshot names \(.*\) are younger than --", cleaned.stderr)


def test_a_run_that_died_before_the_chain_went_is_carried_on(url: str, lake: Path) -> None:
    chain = change_and_export(url, lake, times=1)
    saved = lake.parent / "saved"
    shutil.copytree(lake, saved)
    compact(str(lake))
    [made] = names_of(lake)
    shutil.copytree(saved, lake, dirs_exist_ok=True)
    assert len(names_of(lake)) == 3

    [done] = compact(str(lake)).compacted

    assert names_of(lake) == [made]
    assert set(done.removed) == {str(s.name) for s in chain}


def test_a_damaged_result_of_an_earlier_run_is_passed_over(url: str, lake: Path) -> None:
    chain = change_and_export(url, lake, times=1)
    saved = lake.parent / "saved"
    shutil.copytree(lake, saved)
    compact(str(lake))
    [damaged] = names_of(lake)
    damage(lake, damaged)
    shutil.copytree(saved, lake, dirs_exist_ok=True)

    said = CliRunner().invoke(cli, ["compact", str(lake)])

    assert said.exception is None
    assert f"prod/{damaged}, made by an earlier run, is damaged and was passed over" in said.stderr
    newest, other = names_of(lake)
    assert other == damaged
    assert newest not in {s.id for s in chain}
    assert verify(str(lake), newest)[0].ok
    assert compare(str(lake), newest, url).equal


def test_a_result_that_does_not_verify_is_never_seen(url: str, lake: Path) -> None:
    chain = change_and_export(url, lake, times=1)
    with pytest.raises(ExportError, match=r"/dag/\S+ has sha256 \w+, .* no snapshot was made"):
        compact(Lake(RottingStore(lake, "/dag/")))
    assert set(names_of(lake)) == {s.id for s in chain}
    [done] = compact(str(lake)).compacted
    assert verify(str(lake), done.snapshot)[0].ok


def test_what_was_folded_is_cleaned_away_when_the_grace_is_over(url: str, lake: Path) -> None:
    chain = change_and_export(url, lake)
    compact(str(lake))
    [only] = names_of(lake)
    folded = {f for f in files_of(lake) if any(s.id in f for s in chain)}
    folded_data = {f for f in folded if f.startswith(("tables/", "deleted/"))}
    assert folded_data
    kept = files_of(lake) - folded
    now = datetime.now(UTC)

    young = clean(str(lake), now=now + GRACE - timedelta(hours=1))
    assert young.deleted == 0
    assert files_of(lake) == kept | folded
    old = clean(str(lake), now=now + GRACE + timedelta(hours=1))
    assert old.deleted == len(folded)
    assert old.removed == ()
    assert files_of(lake) == kept

    assert all(result.ok for result in verify(str(lake)))
    assert compare(str(lake), only, url).equal
    assert clean(str(lake), now=now + 2 * GRACE).deleted == 0


def files_of(lake: Path) -> set[str]:
    return {str(f.relative_to(lake)) for f in lake.rglob("*") if f.is_file()}


def test_many_small_files_become_few(url: str, lake: Path) -> None:
    snapshot = export(url, str(lake), environment="prod")
    table = snapshot.manifest.table("mine")
    assert table is not None
    scatter(lake, snapshot, table)
    assert verify(str(lake))[0].ok

    [done] = compact(str(lake)).compacted

    made = Lake(str(lake))[done.snapshot.partition("/")[2]]
    found = made.manifest.table("mine")
    assert found is not None
    assert len(found.files) <= 2
    assert compare(str(lake), made, url).equal


def scatter(lake: Path, snapshot: Snapshot, table: m.TableEntry) -> None:
    """The same rows in ten files, as if they had been written so."""
    import duckdb

    folder = lake / names.data_folder("mine", "prod", snapshot.id)
    [old] = folder.iterdir()
    files = []
    for n in range(10):
        path = folder / f"{n + 1:05d}.parquet"
        rows = f"FROM read_parquet('{old}', hive_partitioning = false) WHERE id % 10 = {n}"
        duckdb.execute(f"COPY ({rows}) TO '{path}'")
        data = path.read_bytes()
        files.append(
            m.FileEntry(str(path.relative_to(lake)), 10, len(data), sha256(data).hexdigest())
        )
    old.unlink()
    tables = tuple(
        replace(t, files=tuple(files)) if t.label == "mine" else t for t in snapshot.manifest.tables
    )
    path = lake / names.manifest_path("prod", snapshot.id)
    path.write_bytes(m.encode(replace(snapshot.manifest, tables=tables)))


def test_what_cannot_be_read_may_stand_on_older_ones() -> None:
    lake = Lake("memory://")
    old = save_snapshot(lake.store, snapshot_name(3))
    child = save_snapshot(lake.store, snapshot_name(2), parent=old)
    plan = plan_compact([old, child], [snapshot_name(1)])
    assert not plan.folds
    assert "cannot be read" in plan.warnings[0]
    assert plan_compact([old, child], [snapshot_name(4)]).folds
    assert plan_compact([old, child], [snapshot_name(1, "other")]).folds


def test_a_chain_with_a_hole_is_named_and_left() -> None:
    gone = make_manifest(snapshot_name(3))
    child = make_manifest(snapshot_name(2), parent=gone)
    plan = plan_compact([child])
    assert not plan.folds
    assert "is gone" in plan.warnings[0]


def test_both_branches_of_one_parent_are_folded() -> None:
    base = make_manifest(snapshot_name(3))
    left = make_manifest(snapshot_name(2), parent=base)
    right = make_manifest(snapshot_name(1), parent=base)
    assert [len(f.chain) for f in plan_compact([base, left, right]).folds] == [2, 2]
