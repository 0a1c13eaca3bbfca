"""Which tables of a snapshot a command means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airkeep.cli.main import run
from airkeep.errors import ConfigError
from airkeep.snapshot.choose import choose_entries
from airkeep.snapshot.lake import Lake
from fake_lake import make_manifest, save_snapshot, snapshot_name

MANIFEST = make_manifest(snapshot_name(0))
[DAG] = MANIFEST.tables
MANIFEST = replace(MANIFEST, tables=(DAG, replace(DAG, label="dag_run"), replace(DAG, label="log")))


@pytest.mark.parametrize(
    ("tables", "skip", "chosen"),
    [
        ([], [], ["dag", "dag_run", "log"]),
        (["log", "dag"], [], ["dag", "log"]),
        ([], ["dag"], ["dag_run", "log"]),
        (["log", "dag"], ["log"], ["dag"]),
    ],
)
def test_tables_are_chosen_in_the_snapshots_order(
    tables: list[str], skip: list[str], chosen: list[str]
) -> None:
    assert [e.label for e in choose_entries(MANIFEST, tables, skip)] == chosen


def test_a_table_that_the_snapshot_lacks_is_named_with_its_flag_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"--tables dag_rum: .*did you mean dag_run\?"):
        choose_entries(MANIFEST, ["dag_rum"], [])
    with pytest.raises(ConfigError, match=r"--tables DAG_RUN: .*did you mean dag_run\?"):
        choose_entries(MANIFEST, ["DAG_RUN"], [])
    with pytest.raises(ConfigError, match=r"--skip zzz: no such table in the snapshot$"):
        choose_entries(MANIFEST, [], ["zzz"])


@pytest.mark.parametrize(
    ("command", "where"), [(["show"], "the snapshot"), (["diff"], "either snapshot")]
)
def test_a_command_for_one_table_says_the_same(
    command: list[str], where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Lake(str(tmp_path)).store
    save_snapshot(store, snapshot_name(0))
    named = ["prod/latest"] * (2 if command == ["diff"] else 1)
    assert run([*command, str(tmp_path), *named, "--table", "DAGS"]) == 3
    said = f"airkeep: --table DAGS: no such table in {where} (did you mean dag?)\n"
    assert capsys.readouterr().err == said
