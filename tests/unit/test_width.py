"""How wide rows change the way a table is read; a pure decision."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from airkeep.database.spool import LEAST_GROUP_ROWS, ROW_GROUP_ROWS
from airkeep.database.width import Width, plan_reading

MB = 1 << 20


def test_a_table_of_common_rows_is_read_at_once_by_all_threads() -> None:
    reading = plan_reading(None, memory_bytes=250 * MB, threads=2)
    assert (reading.rows, reading.threads, reading.slices) == (ROW_GROUP_ROWS, 2, ())
    assert list(reading.conditions("x = 1")) == ["x = 1"]


def test_rows_of_twenty_kilobytes_get_small_row_groups_and_one_thread() -> None:
    reading = plan_reading(Width(1000, 15, 19_000), memory_bytes=250 * MB, threads=2)
    assert (reading.rows, reading.threads, reading.slices) == (LEAST_GROUP_ROWS, 1, ())


def test_rows_of_two_hundred_kilobytes_are_read_page_by_page() -> None:
    reading = plan_reading(Width(3, 100, 200_000), memory_bytes=250 * MB, threads=2)
    assert list(reading.conditions(None)) == [
        "ctid >= '(0,0)'::tid AND ctid < '(2,0)'::tid",
        "ctid >= '(2,0)'::tid",
    ]
    assert next(reading.conditions("a OR b")) == (
        "(a OR b) AND ctid >= '(0,0)'::tid AND ctid < '(2,0)'::tid"
    )


@given(
    pages=st.integers(1, 5000),
    rows_per_page=st.floats(1, 300),
    row_bytes=st.floats(1, 1e9),
    memory=st.integers(60, 4000),
)
def test_slices_cover_every_page_once(
    pages: int, rows_per_page: float, row_bytes: float, memory: int
) -> None:
    width = Width(pages, rows_per_page, row_bytes)
    reading = plan_reading(width, memory_bytes=memory * MB, threads=2)
    bounds = [[int(n) for n in re.findall(r"\((\d+),0\)", piece)] for piece in reading.slices]
    if bounds:
        assert bounds[0][0] == 0
        assert all(one[1] == two[0] for one, two in pairwise(bounds))
        assert len(bounds[-1]) == 1
        assert bounds[-1][0] < pages
