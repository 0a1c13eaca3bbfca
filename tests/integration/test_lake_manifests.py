"""Which manifests a question reads, and what it says where one of them cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import airkeep
from airkeep.errors import ManifestError, NewerFormatError
from airkeep.lake.connect import connect
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import Manifest
from airkeep.store import open_store
from fake_lake import newer_format
from written_lake import Written


def rows(*pairs: tuple[int, str]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([n for n, _ in pairs], pa.int64()),
            "v": pa.array([v for _, v in pairs], pa.string()),
        }
    )


def keys(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64())})


@pytest.fixture
def lake() -> Written:
    return Written(open_store("memory://"))


def manifests_read(lake: Written, folder: Path, question: str) -> int:
    read: list[str] = []

    def load(path: str) -> bytes:
        read.append(path)
        return lake.store.load(path)

    with connect(Lake(lake.store, load=load), folder=folder) as opened:
        list(opened.query(question).rows())
    assert len(read) == len(set(read))
    return len(read)


def test_a_question_reads_the_manifests_that_it_needs(lake: Written, tmp_path: Path) -> None:
    for _ in range(50):
        full = lake.save("daily", {"dag_run": rows((1, "a")), "log": rows()})
    for number in range(30):
        old = lake.save("chain", {"dag_run": rows((number, "a"))}, parent=None)
    for _ in range(5):
        old = lake.save("chain", {"dag_run": rows()}, parent=old)
    lake.save("chain", {"dag_run": rows((1, "w"))}, window="some")

    one, chain = full.environment, old.environment
    counted = "SELECT count(*) FROM dag_run"
    assert manifests_read(lake, tmp_path, counted) == 1 + 7
    assert manifests_read(lake, tmp_path, "SELECT count(*) FROM log") == 1 + 2
    assert manifests_read(lake, tmp_path, f"{counted}_history") == 50 + 36
    assert (one, chain) == ("daily", "chain")


def test_a_long_chain_is_read_ahead_by_little(lake: Written, tmp_path: Path) -> None:
    for _ in range(100):
        lake.save("prod", {"dag_run": rows((1, "a"))})
    old = lake.save("prod", {"dag_run": rows((1, "a"))})
    for _ in range(99):
        old = lake.save("prod", {"dag_run": rows()}, parent=old)
    assert 100 <= manifests_read(lake, tmp_path, "SELECT count(*) FROM dag_run") <= 125


def newer(store: Any, path: str, manifest: Manifest) -> None:
    store.delete([path])
    store.save(path, newer_format(manifest))


def cut_off(store: Any, path: str, manifest: Manifest) -> None:
    data = store.load(path)
    store.delete([path])
    store.save(path, data[: len(data) // 2])


def odd_table(store: Any, path: str, manifest: Manifest) -> None:
    data = store.load(path)
    store.delete([path])
    store.save(path, data.replace(b'"rows": ', b'"lines": '))


Break = Callable[[Any, str, Manifest], None]


@pytest.mark.parametrize("damage", [newer, cut_off, odd_table])
def test_a_manifest_that_cannot_be_read_is_passed_over_and_named(
    lake: Written, damage: Break
) -> None:
    first = lake.save("prod", {"t": rows((1, "a"), (2, "b"))})
    second = lake.save("prod", {"t": rows((1, "a"), (2, "x"))})
    third = lake.save("prod", {"t": rows((1, "a"), (2, "c"))})
    other = lake.save("other", {"t": rows((9, "z"))})
    state = "SELECT environment, id, v FROM t ORDER BY ALL"

    def ask(question: str) -> tuple[list[dict[str, Any]], list[str]]:
        warned: list[str] = []
        return airkeep.query(lake_of(lake), question, warn=warned.append).to_pylist(), warned

    damage(lake.store, names.manifest_path("prod", second.id), second)
    assert [tuple(r.values()) for r in ask(state)[0]] == [
        ("other", 9, "z"), ("prod", 1, "a"), ("prod", 2, "c"),
    ]  # fmt: skip
    assert ask(state)[1] == []
    history, warned = ask("SELECT v FROM t_history WHERE environment = 'prod' ORDER BY ALL")
    assert [r["v"] for r in history] == ["a", "b", "c"]
    assert len(warned) == 1
    assert f"prod/{second.id} was passed over" in warned[0]
    assert "\n" not in warned[0]

    damage(lake.store, names.manifest_path("prod", third.id), third)
    found, warned = ask(state)
    assert [tuple(r.values()) for r in found] == [
        ("other", 9, "z"), ("prod", 1, "a"), ("prod", 2, "b"),
    ]  # fmt: skip
    assert sorted(w.split()[0] for w in warned) == [f"prod/{m.id}" for m in (second, third)]
    for manifest in (first, other):
        damage(lake.store, names.manifest_path(manifest.environment, manifest.id), manifest)
    with pytest.raises((ManifestError, NewerFormatError)):
        ask(state)


def test_an_increment_on_a_lost_parent_is_no_state_and_its_rows_are_history(lake: Written) -> None:
    first = lake.save("prod", {"t": rows((1, "a"), (2, "b"))})
    lost = lake.save("prod", {"t": rows((2, "c"))}, parent=first)
    last = lake.save("prod", {"t": rows((3, "d"))}, parent=lost)
    lake.store.delete([names.manifest_path("prod", lost.id), names.index_path("prod", lost.id)])
    warned: list[str] = []

    def ask(question: str) -> list[tuple[Any, ...]]:
        found = airkeep.query(lake_of(lake), question, warn=warned.append)
        return [tuple(row.values()) for row in found.to_pylist()]

    assert ask("SELECT id, v FROM t ORDER BY ALL") == [(1, "a"), (2, "b")]
    assert f"prod/{last.id} was passed over" in warned[0]
    assert ask("SELECT id, v, valid_to FROM t_history ORDER BY ALL") == [
        (1, "a", None), (2, "b", None), (3, "d", None),
    ]  # fmt: skip


def test_two_increments_on_one_parent_do_not_mix(lake: Written) -> None:
    full = lake.save("prod", {"t": rows((1, "a"), (2, "b"))})
    one = lake.save("prod", {"t": rows((2, "c"), (3, "new"))}, parent=full)
    two = lake.save("prod", {"t": rows((2, "c"))}, parent=full)  # 3 came and went
    versions = "SELECT id, v, valid_from, valid_to FROM t_history"
    found = airkeep.query(lake_of(lake), versions).to_pylist()
    at = {m.id: names.id_time(m.id).replace(tzinfo=None) for m in (full, one, two)}
    assert sorted(tuple(row.values()) for row in found if row["id"] != 1) == [
        (2, "b", at[full.id], at[one.id]),
        (2, "c", at[one.id], None),
        (3, "new", at[one.id], at[two.id]),
    ]
    state = airkeep.query(lake_of(lake), "SELECT id FROM t ORDER BY id")
    assert state.column("id").to_pylist() == [1, 2]


def test_a_table_that_is_dropped_and_made_again_is_counted_once(lake: Written) -> None:
    dag = pa.table({"id": pa.array([1], pa.int64()), "v": pa.array(["a"])})
    one = lake.save("prod", {"dag": dag, "t": rows()}, role="definition")
    gone = lake.save("prod", {"t": rows()}, role="definition")

    def ask(question: str) -> list[tuple[Any, ...]]:
        return [tuple(r.values()) for r in airkeep.query(lake_of(lake), question).to_pylist()]

    at = {m.id: names.id_time(m.id).replace(tzinfo=None) for m in (one, gone)}
    with pytest.raises(airkeep.AirkeepError, match="no table 'dag'"):
        ask("SELECT * FROM dag")
    versions = "SELECT id, valid_from, valid_to FROM dag_history ORDER BY ALL"
    assert ask(versions) == [(1, at[one.id], at[gone.id])]
    back = lake.save("prod", {"dag": dag, "t": rows()}, role="definition")
    assert ask("SELECT id, v FROM dag") == [(1, "a")]
    again = names.id_time(back.id).replace(tzinfo=None)
    assert ask(versions) == [(1, at[one.id], at[gone.id]), (1, again, None)]


def test_a_key_that_changes_ends_every_version(lake: Written) -> None:
    one = lake.save("prod", {"t": rows((1, "a"), (2, "b"))})
    two = lake.save("prod", {"t": rows((1, "a"), (2, "b"))}, key=("v",))
    at = [names.id_time(m.id).replace(tzinfo=None) for m in (one, two)]
    found = airkeep.query(lake_of(lake), "SELECT id, valid_from, valid_to FROM t_history")
    assert sorted((r["id"], r["valid_from"], r["valid_to"]) for r in found.to_pylist())[::2] == [
        (1, at[0], at[1]), (2, at[0], at[1]),
    ]  # fmt: skip
    assert len(airkeep.query(lake_of(lake), "SELECT * FROM t")) == 2


def lake_of(lake: Written) -> Lake:
    return Lake(lake.store)
