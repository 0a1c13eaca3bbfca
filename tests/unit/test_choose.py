"""Which tables of a snapshot a command means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airkeep.errors import ConfigError
from airkeep.snapshot.choose import choose_entries
from fake_lake import make_manifest, snapshot_name

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
    with pytest.raises(ConfigError, match=r"--skip zzz: the snapshot has no such table$"):
        choose_entries(MANIFEST, [], ["zzz"])
