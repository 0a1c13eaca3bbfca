"""Two tables are compared exactly; the oracle is Python's own arithmetic on multisets."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airkeep.database.duck import open_duckdb
from airkeep.database.sqlite_value import literal_of
from airkeep.snapshot.match import Rows, compare_sides
from airkeep.snapshot.opener import Keys, Opener
from airkeep.snapshot.seal import Keyring, SecretsWay
from airkeep.snapshot.sides import Field, Side
from airkeep.tables.secrets import secrets_of

ONCE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Row = tuple[Any, ...]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_duckdb(memory_bytes=200 << 20, threads=1, spool=tmp_path) as connection:
        yield connection


def side(
    db: duckdb.DuckDBPyConnection,
    name: str,
    rows: Sequence[Row],
    fields: Sequence[Field],
    key: Sequence[str] = (),
) -> Side:
    columns = ", ".join(f"{f.name} {f.parquet}" for f in fields)
    db.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
    if rows:
        db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(fields))})", rows)
    return Side(f"SELECT * FROM {name}", tuple(fields), tuple(key))


FIELDS = (
    Field("k", "integer", "INTEGER"),
    Field("f", "double precision", "DOUBLE"),
    Field("t", "text", "VARCHAR"),
    Field("b", "bytea", "BLOB"),
)
doubles = st.sampled_from([0.0, -0.0, math.nan, math.inf, 0.1, 5e-324]) | st.none()
texts = st.sampled_from(["", "a", "'", '{"a": 1}', '{"a":1}', "é"]) | st.none()
blobs = st.sampled_from([b"", b"\0", b"\xff"]) | st.none()
rows = st.lists(st.tuples(st.integers(0, 6) | st.none(), doubles, texts, blobs), max_size=8)


def exact(row: Row) -> Row:
    """A row as a value of Python that equals itself only: NaN does, -0.0 is not 0.0."""
    bits = None if row[1] is None else struct.pack("d", math.nan if row[1] != row[1] else row[1])
    return (row[0], bits, *row[2:])


@given(rows, rows)
@ONCE
def test_tables_without_a_key_are_compared_as_multisets(
    db: duckdb.DuckDBPyConnection, ours: list[Row], theirs: list[Row]
) -> None:
    found = compare_sides(db, side(db, "a", ours, FIELDS), side(db, "b", theirs, FIELDS))

    left, right = Counter(map(exact, ours)), Counter(map(exact, theirs))
    assert found.by == "row"
    assert (found.only_here, found.only_there) == ((left - right).total(), (right - left).total())
    assert (found.here, found.there) == (len(ours), len(theirs))
    assert (found.equal, found.changed) == ((left & right).total(), 0)


@given(rows, rows)
@ONCE
def test_rows_with_a_key_are_matched_by_it(
    db: duckdb.DuckDBPyConnection, ours: list[Row], theirs: list[Row]
) -> None:
    left, right = {r[0]: r for r in ours}, {r[0]: r for r in theirs}
    found = compare_sides(
        db,
        side(db, "a", list(left.values()), FIELDS, ["k"]),
        side(db, "b", list(right.values()), FIELDS, ["k"]),
        examples=100,
    )

    both = left.keys() & right.keys()
    changed = {k for k in both if exact(left[k]) != exact(right[k])}
    assert found.by == "key"
    assert (found.only_here, found.only_there) == (
        len(left.keys() - both),
        len(right.keys() - both),
    )
    assert (found.changed, found.equal) == (len(changed), len(both) - len(changed))
    assert found.columns == {
        f.name: n
        for i, f in enumerate(FIELDS)
        if (n := sum(exact(left[k])[i] != exact(right[k])[i] for k in both))
    }
    assert found.examples is not None
    assert set(found.examples.changed) == {(None if k is None else str(k),) for k in changed}
    assert set(found.examples.only_here) == {
        (None if k is None else str(k),) for k in left.keys() - both
    }


@pytest.mark.parametrize("key", [["k"], []])
@pytest.mark.parametrize(
    ("ours", "theirs", "equal"),
    [
        ((1, 0.0, "a", b""), (1, -0.0, "a", b""), False),
        ((1, math.nan, "a", b""), (1, -math.nan, "a", b""), True),
        ((1, None, "", b""), (1, None, None, b""), False),
        ((1, None, None, None), (1, None, None, b""), False),
        ((1, None, '{"a": 1}', None), (1, None, '{"a":1}', None), False),
        ((1, 0.1 + 0.2, "a", None), (1, 0.3, "a", None), False),
        ((1, None, None, None), (1, None, None, None), True),
    ],
)
def test_values_are_compared_exactly(
    db: duckdb.DuckDBPyConnection, ours: Row, theirs: Row, equal: bool, key: list[str]
) -> None:
    found = compare_sides(
        db, side(db, "a", [ours], FIELDS, key), side(db, "b", [theirs], FIELDS, key)
    )
    assert (found.equal == 1) is equal


def test_a_key_that_is_there_twice_is_no_key(db: duckdb.DuckDBPyConnection) -> None:
    one, two = (1, 0.5, "a", None), (1, 0.5, "b", None)
    found = compare_sides(
        db, side(db, "a", [one, two], FIELDS, ["k"]), side(db, "b", [one, one], FIELDS, ["k"])
    )
    assert (found.by, found.only_here, found.only_there, found.equal) == ("row", 1, 1, 1)


values = st.sampled_from(
    [
        *(None, 0, 5, -5, 5.0, -0.0, 0.1, 1e22, math.inf, -math.inf),
        *("5", "5.0", "", "it's", "X'05'", "a\0b", "9e999", "r5.0"),
        *(b"", b"5", b"\0\xff"),
    ]
)
CLASSES = {int: "BIGINT", float: "DOUBLE", str: "VARCHAR", bytes: "BLOB"}


def as_sqlite_exports(values: Sequence[Any]) -> tuple[Field, list[Any]]:
    """A column as database/sqlite.py writes it: typed when of one class, else literals."""
    kinds = {type(v) for v in values if v is not None}
    if len(kinds) <= 1:
        parquet = CLASSES[kinds.pop()] if kinds else "VARCHAR"
        return Field("v", "NUMERIC", parquet, dynamic=True), list(values)
    texts = [
        literal_of(v.encode() if isinstance(v, str) else v, "blob" if isinstance(v, bytes) else "")
        for v in values
    ]
    return Field("v", "NUMERIC", "VARCHAR", "literal", dynamic=True), texts


@given(st.lists(values, min_size=1, max_size=5), st.lists(values, min_size=1, max_size=5))
@ONCE
def test_sqlite_values_are_compared_with_their_class_however_the_column_travelled(
    db: duckdb.DuckDBPyConnection, ours: list[Any], theirs: list[Any]
) -> None:
    sides = []
    for name, column in (("a", ours), ("b", theirs)):
        field, travelled = as_sqlite_exports(column)
        fields = (Field("k", "INTEGER", "BIGINT", dynamic=True), field)
        sides.append(side(db, name, list(enumerate(travelled)), fields, ["k"]))
    found = compare_sides(db, *sides)

    pairs = list(zip(ours, theirs, strict=False))
    assert found.changed == sum((type(a), repr(a)) != (type(b), repr(b)) for a, b in pairs)


@pytest.mark.parametrize(
    ("ours", "theirs", "value", "other"),
    [
        (Field("v", "smallint", "SMALLINT"), Field("v", "bigint", "BIGINT"), 5, 5),
        (Field("v", "timestamp", "TIMESTAMP"), Field("v", "timestamptz", "TIMESTAMPTZ"),
         "2026-01-01 00:00:00", "2026-01-01 00:00:00+00"),
        (Field("v", "DATETIME", "VARCHAR", dynamic=True), Field("v", "timestamptz", "TIMESTAMPTZ"),
         "2026-01-01 00:00:00.000000", "2026-01-01 00:00:00+00"),
        (Field("v", "JSON", "VARCHAR", "literal", dynamic=True), Field("v", "double", "DOUBLE"),
         "5", 5.0),
        (Field("v", "BOOLEAN", "BIGINT", dynamic=True), Field("v", "boolean", "BOOLEAN"), 1, True),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_compared_by_its_value(
    db: duckdb.DuckDBPyConnection, ours: Field, theirs: Field, value: object, other: object
) -> None:
    found = compare_sides(
        db, side(db, "a", [(value,)], [ours]), side(db, "b", [(other,)], [theirs])
    )
    assert found.equal == 1


def test_versions_are_compared_by_the_columns_that_both_have(db: duckdb.DuckDBPyConnection) -> None:
    old = side(db, "a", [(1, "x", 1)], [Field("id", "", "INTEGER"), Field("v", "", "VARCHAR"),
                                        Field("gone", "", "INTEGER")], ["id"])  # fmt: skip
    new = side(db, "b", [(2, "x")], [Field("uuid", "", "INTEGER"), Field("v", "", "VARCHAR")],
               ["uuid"])  # fmt: skip
    found = compare_sides(db, old, new)
    assert (found.by, found.equal) == ("row", 1)


# Secrets.

[PASSWORD, *_] = secrets_of("connection", ["password", "is_encrypted", "conn_id"])
SECRET_FIELDS = (
    Field("conn_id", "text", "VARCHAR"),
    Field("password", "text", "VARCHAR", secret=PASSWORD),
    Field("is_encrypted", "boolean", "BOOLEAN"),
)
FERNET, ARCHIVE = (Keyring(Fernet.generate_key().decode(), variable=v) for v in ("F", "A"))


def token(text: str, ring: Keyring = FERNET) -> str:
    return ring.encrypt(text.encode()).decode()


def sealed(value: str) -> str:
    import pyarrow as pa

    way = SecretsWay("seal", FERNET, ARCHIVE)
    names = [f.name for f in SECRET_FIELDS]
    batch = pa.record_batch([["c"], [value], [True]], names=names)
    return str(way.treat(batch, "connection", [PASSWORD]).column(1)[0].as_py())


def compared(
    db: duckdb.DuckDBPyConnection, ours: str | None, theirs: str | None, mode: Any, keys: Keys
) -> tuple[Rows, Opener]:
    opener = Opener(keys)
    rows = compare_sides(
        db,
        side(db, "a", [("c", ours, True)], SECRET_FIELDS, ["conn_id"]),
        side(db, "b", [("c", theirs, True)], SECRET_FIELDS, ["conn_id"]),
        label="connection",
        opener=opener,
        modes=(mode, "keep"),
    )
    return rows, opener


BOTH = Keys(FERNET, ARCHIVE)


def test_equal_secrets_under_other_tokens_are_equal_with_the_key(
    db: duckdb.DuckDBPyConnection,
) -> None:
    for mode, ours in (("keep", token("s3")), ("seal", sealed(token("s3"))), ("plain", "s3")):
        rows, opener = compared(db, ours, token("s3"), mode, BOTH)
        assert (mode, rows.equal, rows.not_compared, opener.failed) == (mode, 1, {}, [])
        rows, _ = compared(db, ours, token("other"), mode, BOTH)
        assert (mode, rows.changed, rows.columns) == (mode, 1, {"password": 1})


def test_without_a_key_secrets_count_as_not_compared_unless_their_bytes_are_equal(
    db: duckdb.DuckDBPyConnection,
) -> None:
    same = token("s3")
    assert compared(db, same, same, "keep", Keys())[0].not_compared == {}
    for mode, ours in (("keep", token("s3")), ("seal", sealed(same)), ("plain", "s3")):
        rows, _ = compared(db, ours, token("s3"), mode, Keys())
        assert (mode, rows.equal, rows.not_compared) == (mode, 1, {"password": 1})
    assert compared(db, None, same, "drop", BOTH)[0].not_compared == {"password": 1}
    assert compared(db, None, same, "keep", Keys())[0].changed == 1
    rows = compare_sides(
        db,
        side(db, "a", [("c", None, True)], SECRET_FIELDS, ["conn_id"]),
        side(db, "b", [("c", None, True)], SECRET_FIELDS, ["conn_id"]),
        modes=("drop", "drop"),
    )
    assert (rows.equal, rows.not_compared) == (1, {"password": 1})


def test_a_secret_that_no_key_opens_is_named_and_not_shown(db: duckdb.DuckDBPyConnection) -> None:
    rows, opener = compared(db, token("s3", ARCHIVE), token("s3"), "keep", BOTH)
    assert rows.not_compared == {"password": 1}
    assert opener.failed == ["connection c.password"]


def test_duckdb_never_gets_a_secret(db: duckdb.DuckDBPyConnection) -> None:
    for mode in ("keep", "plain"):
        form = Opener(BOTH).form("s3cret", PASSWORD, None, mode=mode, name="x")
        assert form is not None
        assert "s3cret" not in form
