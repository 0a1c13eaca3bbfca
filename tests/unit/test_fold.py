"""Folding a chain, with a dictionary as the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.snapshot.fold import Layer, fold
from airkeep.snapshot.manifest import ColumnEntry, TableEntry

LONG = 700  # more than DuckDB's parser takes as nested SELECTs

keys = st.integers(0, 6) | st.none()
Step = tuple[dict[int | None, int], set[int | None]]  # rows by key, deleted keys
steps = st.tuples(st.dictionaries(keys, st.integers(0, 99), max_size=4), st.sets(keys, max_size=3))


def layer(folder: Path, number: int, step: Step, *, whole: bool) -> Layer:
    rows, deleted = step
    id_column = ColumnEntry("Id", "integer", "INTEGER", nullable=True)
    value = ColumnEntry("value", "integer", "INTEGER", nullable=True)
    entry = TableEntry(
        "t", "public", "t", "history", (id_column, value), ("Id",), (), len(rows), ()
    )
    ids = pa.array(list(rows), pa.int32())
    values = pa.array(list(rows.values()), pa.int32())
    files = save(folder / f"{number}-rows.parquet", pa.table({"Id": ids, "value": values}))
    gone = pa.table({"Id": pa.array([] if whole else list(deleted), pa.int32())})
    return Layer(entry, files, save(folder / f"{number}-deleted.parquet", gone))


def save(path: Path, table: pa.Table) -> tuple[Path, ...]:
    if not table.num_rows:
        return ()
    pq.write_table(table, path)
    return (path,)


def folded(chain: Sequence[Step]) -> dict[int | None, int]:
    """The oldest step first."""
    found = dict(chain[0][0])
    for rows, deleted in chain[1:]:
        found = {k: v for k, v in found.items() if k not in deleted} | rows
    return found


@given(st.lists(steps, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_fold_is_what_each_step_in_turn_would_leave(chain: list[Step]) -> None:
    with TemporaryDirectory() as folder, duckdb.connect() as db:
        layers = [layer(Path(folder), n, s, whole=n == 0) for n, s in enumerate(chain)][::-1]
        expected = folded(chain)
        assert sorted(db.execute(fold(layers)).fetchall(), key=str) == sorted(
            expected.items(), key=str
        )
        values = db.execute(fold(layers, ["value"])).fetchall()
        assert sorted(values) == sorted((v,) for v in expected.values())


def test_a_long_chain_folds_as_a_short_one_does(tmp_path: Path) -> None:
    chain: list[Step] = [(dict.fromkeys(range(10), 0), set())]
    chain += [({n % 7: n}, {n % 7 + 1}) for n in range(LONG)]
    layers = [layer(tmp_path, n, s, whole=n == 0) for n, s in enumerate(chain)][::-1]
    with duckdb.connect() as db:
        assert dict(db.execute(fold(layers)).fetchall()) == folded(chain)
