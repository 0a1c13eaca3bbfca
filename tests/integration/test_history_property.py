"""States and histories of random lakes, beside what plain Python knows of the same snapshots.

Snapshots are written, not exported: what an export of a real database says is the other test's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airkeep.lake.connect import OpenLake, connect
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import Manifest
from airkeep.snapshot.names import id_time
from airkeep.store import open_store
from plain_history import PlainHistory
from written_lake import Written

KEYS = range(5)
Deed = tuple[Any, ...]

deeds = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), st.sampled_from("abc")),
    st.tuples(st.just("delete"), st.sampled_from(KEYS)),
)
snapshots = st.one_of(
    st.just(("full",)),
    st.just(("increment", 0)),
    st.just(("increment", 0)),
    # On an older parent: two exports began at the same moment.
    st.tuples(st.just("increment"), st.integers(0, 2)),
    st.tuples(st.just("window"), st.sets(st.sampled_from(KEYS))),
)
lives = st.lists(st.tuples(st.lists(deeds, max_size=4), snapshots), min_size=1, max_size=8)


class Source:
    """A table that changes, and a lake that it is saved to as exports would."""

    def __init__(self, lake: Written, environment: str) -> None:
        self._lake, self._environment = lake, environment
        self._rows: dict[int, str] = {}
        self._touched: list[set[int]] = []  # keys, since each of `_grounds`
        self._grounds: list[tuple[Manifest, set[int]]] = []  # since the last full one
        self.plain = PlainHistory()

    def do(self, deed: Deed) -> None:
        if deed[0] == "put":
            self._rows[deed[1]] = deed[2]
        else:
            self._rows.pop(deed[1], None)
        for keys in self._touched:
            keys.add(deed[1])

    def save(self, how: Deed) -> None:
        if how[0] == "window":
            seen = {k: v for k, v in self._rows.items() if k in how[1]}
            made = self._lake.save(self._environment, {"t": _table(seen)}, window="some")
            self.plain.saw_some(_at(made), seen)
        elif how[0] == "increment" and how[1] < len(self._grounds):
            self._increment(len(self._grounds) - 1 - how[1])
        else:
            made = self._lake.save(self._environment, {"t": _table(self._rows)})
            self._grounds, self._touched = [], []
            self._ground(made)

    def _increment(self, place: int) -> None:
        parent, had = self._grounds[place]
        changed = {k: v for k, v in self._rows.items() if k in self._touched[place]}
        gone = _keys(had - self._rows.keys())
        made = self._lake.save(
            self._environment, {"t": _table(changed)}, parent=parent, deleted={"t": gone}
        )
        self._ground(made)

    def _ground(self, made: Manifest) -> None:
        self._grounds.append((made, set(self._rows)))
        self._touched.append(set())
        self.plain.saw_all(_at(made), self._rows)


def _table(rows: dict[int, str]) -> pa.Table:
    return pa.table({"id": pa.array(rows, pa.int64()), "v": pa.array(rows.values(), pa.string())})


def _keys(keys: Iterable[int]) -> pa.Table:
    return pa.table({"id": pa.array(sorted(keys), pa.int64())})


def _at(made: Manifest) -> Any:
    return id_time(made.id).replace(tzinfo=None)


def _state(opened: OpenLake) -> set[tuple[Any, ...]]:
    found = list(opened.query("SELECT environment, id, v FROM t").rows())
    assert len(found) == len(set(found))
    return set(found)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(lives, lives)
def test_a_random_lake_is_known_as_plain_python_knows_it(
    one: list[tuple[list[Deed], Deed]], other: list[tuple[list[Deed], Deed]]
) -> None:
    lake = Written(open_store("memory://"))
    sources = {"one": Source(lake, "one"), "other": Source(lake, "other")}
    for name, life in (("one", one), ("other", other)):
        for some, how in life:
            for deed in some:
                sources[name].do(deed)
            sources[name].save(how)

    with TemporaryDirectory() as folder:
        with connect(Lake(lake.store), folder=Path(folder)) as opened:
            assert _state(opened) == {
                (e, k, v) for e, source in sources.items() for k, v in source.plain.now.items()
            }
            found = list(
                opened.query(
                    "SELECT environment, id, v, valid_from, valid_to FROM t_history"
                ).rows()
            )
            assert len(found) == len(set(found))
            assert set(found) == {
                (e, *version) for e, s in sources.items() for version in s.plain.versions()
            }
        at, rows = sources["one"].plain.known[len(one) // 2]
        options = {"environments": ["one"], "at": id_time_of(at)}
        with connect(Lake(lake.store), folder=Path(folder), **options) as opened:
            assert _state(opened) == {("one", k, v) for k, v in rows.items()}


def id_time_of(at: Any) -> Any:
    from datetime import UTC

    return at.replace(tzinfo=UTC)
