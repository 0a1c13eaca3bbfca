"""What other tools write for a value comes back as that value, or the manifest says what it is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.adopt import values
from airkeep.adopt.columns import ColumnText, read_header
from airkeep.adopt.values import reader_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
times = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones)

COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.none() | st.integers(-(1 << 31), (1 << 31) - 1),
    "bigint": st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    "double precision": st.none() | st.floats(),
    "boolean": st.none() | st.booleans(),
    "timestamp with time zone": st.none() | times,
    "timestamp without time zone": st.none() | times.map(lambda at: at.replace(tzinfo=None)),
    "bytea": st.none() | st.binary(max_size=20),
    "character varying(250)": st.none() | texts,
    "uuid": st.none() | st.uuids().map(str),
    "json": st.none() | documents,
    "jsonb": st.none() | documents,
}


def through_csv(cells: list[Any], **dialect: Any) -> list[str]:
    """A column as a tool writes it and as we read it: two columns, so that '' is a value."""
    file = io.StringIO(newline="")
    csv.writer(file, **dialect).writerows([cell, "x"] for cell in cells)
    file.seek(0)
    return [row[0] for row in csv.reader(file, delimiter=dialect.get("delimiter", ","))]


def as_frame(cells: list[Any]) -> list[Any]:
    """As a data frame holds them: numbers beside a gap or a float are floats, all of them."""
    kinds = {type(c) for c in cells}
    if not {int} < kinds <= {int, float, type(None)}:
        return cells
    return [None if c is None or math.isnan(c) else float(c) for c in cells]


LAYOUTS: dict[str, tuple[Callable[[list[Any]], list[Any]], dict[str, Any]]] = {
    "dated": (as_frame, {"quoting": csv.QUOTE_ALL}),
    "pipes": (lambda cells: ["\\x" + c.hex() if isinstance(c, bytes) else c for c in cells],
              {"delimiter": "|"}),
    "archive": (lambda cells: [memoryview(c) if isinstance(c, bytes) else c for c in cells], {}),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", COLUMNS)
@given(data=st.data())
def test_a_column_comes_back_equal_or_reported(kind: str, layout: str, data: st.DataObject) -> None:
    cells = data.draw(st.lists(COLUMNS[kind], min_size=1, max_size=8))
    convert, dialect = LAYOUTS[layout]
    written = through_csv(convert(cells), **dialect)
    column = ColumnText("c", 0, kind)

    found, misfit = column.read(written)
    if found is None:
        assert kind in ("integer", "bigint"), written[misfit]  # beyond what a double holds
        column.widen("x line 1")
        column.begin()
        found, misfit = column.read(written)
        assert found == [text or None for text in written]
        assert "not all are" in column.told("t")[0].what
        return
    reported = {repair.what for repair in column.told("t")}
    for cell, value in zip(cells, found, strict=True):
        if not same(kind, cell, value):
            assert reported & EXCUSES.get(type_of(cell, value), set()), (cell, value, reported)


EXCUSES = {
    "empty": {values.EMPTY, values.EMPTY_JSON},
    "lost": {values.LOST},
    "number": {values.NUMBER},
    "scalar": {values.SCALAR, values.PYTHON},
}


def type_of(cell: Any, value: Any) -> str:
    if isinstance(cell, bytes):
        return "lost"
    if isinstance(cell, int) and isinstance(value, str) and json.loads(value) == float(cell):
        return "number"
    return "empty" if value is None else "scalar" if isinstance(cell, str) else "none"


def same(kind: str, cell: Any, value: Any) -> bool:
    if cell is None or value is None:
        return cell is value
    if kind in ("json", "jsonb"):
        return json.dumps(json.loads(value)) == json.dumps(cell)
    if isinstance(cell, float):
        return repr(cell) == repr(value)
    return bool(cell == value)


@pytest.mark.parametrize(
    ("kind", "text", "value", "repair"),
    [
        ("integer", "1.0", 1, values.FLOAT),
        ("integer", "-0.0", 0, values.FLOAT),
        ("bytea", r"b'\x80\x04'", b"\x80\x04", values.BYTES),
        ("bytea", 'b"it\'s"', b"it's", values.BYTES),
        ("bytea", "<memory at 0x7f0011223344>", None, values.LOST),
        ("json", "{'a': None, 'b': [True, 1.5, \"it's\"]}",
         '{"a": null, "b": [true, 1.5, "it\'s"]}', values.PYTHON),
        ("json", '{"a":  1.10}', '{"a":  1.10}', values.PYTHON),
        ("jsonb", "{'\u00e9': 1}", '{"\u00e9": 1}', values.PYTHON),
        ("json", "hello", '"hello"', values.SCALAR),
        ("json", "5", "5", values.SCALAR),
        ("json", "True", "true", values.SCALAR),
        ("json", "5.0", "5.0", values.NUMBER),
        ("jsonb", "1e+20", "1e+20", values.NUMBER),
        ("json", "1_0", '"1_0"', values.SCALAR),
        ("json", "'a'", '"\'a\'"', values.SCALAR),
        ("json", "[not python", '"[not python"', values.TEXT),
        ("uuid", "0" * 32, "00000000-0000-0000-0000-000000000000", values.HEX),
        ("timestamp with time zone", "2026-11-01 02:30:00",
         datetime(2026, 11, 1, 2, 30, tzinfo=UTC), values.NO_ZONE),
        ("timestamp with time zone", "2026-11-01T02:30:00.5+01:30",
         datetime(2026, 11, 1, 1, 0, 0, 500000, tzinfo=UTC), None),
        ("timestamp without time zone", "2026-11-01 02:30:00+00:00",
         datetime(2026, 11, 1, 2, 30), values.ZONE),
        ("boolean", "t", True, None),
    ],
)  # fmt: skip
def test_a_repair_is_exact_and_counted(
    kind: str, text: str, value: object, repair: str | None
) -> None:
    repairs: Counter[str] = Counter()
    assert reader_of(kind)(text, repairs) == value
    assert (repair in repairs) if repair else not repairs


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.5"),
        ("integer", "1e3"),
        ("integer", "2147483648"),
        ("bigint", "9007199254740993.0"),
        ("integer", "007"),
        ("boolean", "yes"),
        ("bytea", "b'a' + b'b'"),
        ("bytea", "bytes(3)"),
        ("bytea", r"\x0"),
        ("double precision", "1e400"),
        ("timestamp with time zone", "infinity"),
        ("timestamp with time zone", "2026-02-30 00:00:00+00:00"),
        ("timestamp without time zone", "2026-11-01 02:30:00+01:00"),
        ("uuid", "abc"),
    ],
)
def test_what_is_no_value_of_its_type_is_not_guessed(kind: str, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        reader_of(kind)(text, Counter())
    column = ColumnText("c", 0, kind)
    assert column.read(["", text]) == (None, 1)


def test_python_text_is_never_run() -> None:
    for text in ("__import__('os').system('x')", "[__import__('os')]", "{**{}}", "[1, *[2]]"):
        assert json.loads(reader_of("json")(text, Counter())) == text


@given(st.lists(st.sampled_from(["", "1", "1.5", "True", "a", "2026-11-01 00:00:00+00:00"])))
def test_a_column_that_no_airflow_has_ends_as_something_that_holds_all_of_it(
    written: list[str],
) -> None:
    column = ColumnText("c", 0)
    for _ in range(10):
        column.begin()
        found, _misfit = column.read(written)
        if found is None:
            column.widen("x line 1")
        elif column.settle():
            break
    assert found is not None
    assert len(found) == len(written)
    assert column.type in column.told("t")[-1].what


def test_an_orm_dump_s_attributes_are_columns_or_left_out() -> None:
    names = ["_sa_instance_state", "dag_id", "_state", "id", "run_id", "test_mode", "task"]
    header = read_header("dag_run", names, (), orm=True)
    assert [(c.name, c.at) for c in header.columns] == [
        ("dag_id", 1), ("state", 2), ("id", 3), ("run_id", 4)
    ]  # fmt: skip
    assert header.left_out == ("_sa_instance_state", "test_mode", "task")
    assert header.key == ("id",)
