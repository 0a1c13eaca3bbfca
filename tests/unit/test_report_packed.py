"""Rows by column and back: what repeats is there once, and nothing is lost."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airkeep.report.figures import Value
from airkeep.report.packed import Column, Places, packed

VALUES = st.one_of(
    st.text(max_size=3), st.none(), st.booleans(), st.integers(-5, 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
COLUMNS = st.one_of(
    st.lists(st.sampled_from(["a", "b", None]), min_size=4, max_size=4),
    st.lists(st.integers(2**30, 2**31), min_size=4, max_size=4),
    st.lists(VALUES, min_size=4, max_size=4),
)


def back(columns: list[Column], places: Places) -> list[tuple[Any, ...]]:
    texts = list(places)
    values: list[list[Any]] = []
    for column in columns:
        if isinstance(column, list):
            values.append(column)
        elif "texts" in column:
            values.append([texts[place] for place in accumulate(column["texts"])])
        else:
            values.append(list(accumulate(column["steps"])))
    return list(zip(*values, strict=True))


@given(st.lists(COLUMNS, min_size=1, max_size=4))
def test_rows_come_back_as_they_were(columns: list[list[Value]]) -> None:
    rows = list(zip(*columns, strict=True))
    places: Places = {"before": 0}
    written = json.loads(json.dumps(packed(rows, places)))
    assert back(written, places) == rows


def test_a_text_is_there_once_and_no_row_is_no_column() -> None:
    places: Places = {}
    first = packed([("extract", 1_795_000_000), ("load", 1_795_000_060)], places)
    again = packed([("load", 2.0)], places)

    assert list(places) == ["extract", "load"]
    assert first == [{"texts": [0, 1]}, {"steps": [1_795_000_000, 60]}]
    assert again == [{"texts": [1]}, [2]]
    assert packed([], places) == []
