"""What `airkeep snapshots` says that a snapshot holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from airkeep.cli.main import cli
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import WindowEntry, encode
from fake_lake import commit, make_manifest, newer_format, save_snapshot, snapshot_name

SINCE = WindowEntry(datetime(2026, 11, 1, 7, tzinfo=UTC))


def test_a_slim_snapshot_says_since_when_it_holds_all(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    save_snapshot(lake.store, snapshot_name(0))
    slim = replace(make_manifest(snapshot_name(1)), window=SINCE)
    commit(lake.store, slim)
    commit(lake.store, replace(make_manifest(snapshot_name(2), complete=False), window=SINCE))
    assert held(tmp_path) == ["all", "all, since 2026-11-01", "window"]
    manifest = tmp_path / names.manifest_path(slim.environment, slim.id)
    for damaged in (encode(slim)[:-100], newer_format(slim)):
        manifest.write_bytes(damaged)
        assert held(tmp_path) == ["all", "all, of a window", "window"]


def held(lake: Path) -> list[str]:
    ran = CliRunner().invoke(cli, ["snapshots", str(lake)])
    assert ran.exit_code == 0, ran.output
    head, *lines = ran.stdout.splitlines()
    begin, end = head.index("holds"), head.index("state")
    return [line[begin:end].strip() for line in lines]
