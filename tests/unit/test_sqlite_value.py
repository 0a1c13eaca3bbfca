"""A SQLite value as a literal, and back, bit for bit."""

from __future__ import annotations

import math
import sqlite3
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.database.sqlite_value import RawText, Value, literal_of, value_of

INTEGERS = st.integers(-(2**63), 2**63 - 1)
REALS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(INTEGERS)
def test_an_integer_comes_back(value: int) -> None:
    back = value_of(literal_of(value, "integer"))
    assert back == value
    assert type(back) is int


@given(REALS)
def test_a_real_comes_back_with_every_bit(value: float) -> None:
    back = value_of(literal_of(value, "real"))
    assert isinstance(back, float)
    assert struct.pack("<d", back) == struct.pack("<d", value)


@given(TEXTS)
def test_text_comes_back_with_quotes_and_nuls(value: str) -> None:
    assert value_of(literal_of(value.encode(), "text")) == value


@given(st.binary())
def test_bytes_come_back_as_what_they_were(value: bytes) -> None:
    assert value_of(literal_of(value, "blob")) == value
    try:
        expected: Value = value.decode()
    except UnicodeDecodeError:
        expected = RawText(value)
    assert value_of(literal_of(value, "text")) == expected


@pytest.mark.parametrize(
    ("value", "storage", "literal"),
    [
        (None, "null", None),
        (-(2**63), "integer", "-9223372036854775808"),
        (1.0, "real", "1.0"),
        (-0.0, "real", "-0.0"),
        (1e22, "real", "1e+22"),
        (math.inf, "real", "9e999"),
        (-math.inf, "real", "-9e999"),
        (b"5", "text", "'5'"),
        (b"it's", "text", "'it''s'"),
        (b"5", "blob", "X'35'"),
        (b"a\0b", "text", "CAST(X'610062' AS TEXT)"),
        (b"\xff", "text", "CAST(X'FF' AS TEXT)"),
    ],
)
def test_the_forms_are_those_of_the_format(
    value: float | bytes | None, storage: str, literal: str | None
) -> None:
    assert literal_of(value, storage) == literal


@given(st.one_of(INTEGERS, TEXTS, st.binary()))
def test_sqlite_itself_reads_the_literal_as_the_same_value(value: int | str | bytes) -> None:
    storage = {int: "integer", str: "text", bytes: "blob"}[type(value)]
    stored = value.encode() if isinstance(value, str) else value
    db = sqlite3.connect(":memory:")
    try:
        read = db.execute(f"SELECT typeof(v), v FROM (SELECT {literal_of(stored, storage)} v)")
        assert read.fetchone() == (storage, value)
    finally:
        db.close()


def test_what_is_no_literal_is_an_error() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        value_of("nonsense")
