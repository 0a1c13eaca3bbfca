"""Every type on the path really taken: PostgreSQL, Parquet, PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import airkeep
from airkeep.errors import AirkeepError
from compare import AS_IT_WAS, data_of
from servers import Databases, query

CORE = (
    "CREATE TABLE dag (dag_id text PRIMARY KEY)",
    "CREATE TABLE dag_run (id int PRIMARY KEY)",
    "CREATE TABLE task_instance (id int PRIMARY KEY)",
)

# type: values as SQL literals, NULL is always among them
VALUES = {
    "boolean": ["'t'", "'f'"],
    "smallint": ["-32768", "32767", "0"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["'NaN'", "'-0'", "'Infinity'", "'-Infinity'", "1.17549435e-38", "3.4028235e38", "0.1"],
    "double precision": ["'NaN'", "'-0'", "'Infinity'", "'-Infinity'", "5e-324", "1.7e308", "0.1"],
    "text": ["''", "' '", "E'\\t\\n\\r\\x01\\x7f'", "'NULL'", "'\\N'", "'ä€𝄞'", "'\"q\"'", "'{}'"],
    "character varying(20)": ["''", "'  x  '"],
    "character(5)": ["'ab'", "''"],
    "bytea": ["''", "'\\x00ff'", "'\\x5c78'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "json": ["'null'", "'{\"a\" :1,  \"a\":2}'", "'1e400'", "'\" \"'", "'[ ]'"],
    "jsonb": ["'null'", "'{\"b\": 1, \"a\": 2}'", "'1e400'", "'\"\"'", "'0.10'", "'[]'"],
    "date": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'9999-12-31'", "'1999-12-31'"],
    "timestamp without time zone": [
        "'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'", "'9999-12-31 23:59:59.999999'",
        "'1969-12-31 23:59:59.999999'", "'0001-01-01'", "'294246-12-31'",
    ],
    "timestamp with time zone": [
        "'infinity'", "'-infinity'", "'4713-01-02 00:00:00+00 BC'",
        "'2026-11-21 14:30:22.123456+02'",
        "'0001-01-01 00:00:00+00'", "'294246-12-31 00:00:00+00'",
    ],
    "timestamp(3) with time zone": ["'2026-11-21 14:30:22.1235+00'"],
    "time without time zone": ["'24:00:00'", "'00:00:00.000001'"],
    "time with time zone": ["'23:59:59+15:59'"],
    "interval": ["'-1 mon +2 days -03:04:05.000006'", "'178000000 years'"],
    "numeric": ["'NaN'", "'Infinity'", "1e100", "0.1000", "-12345678901234567890.123456789"],
    "numeric(10,2)": ["'NaN'", "12345678.90"],
    "money": ["'-12.34'"],
    "oid": ["4294967295"],
    "name": ["'n'"],
    "\"char\"": ["'c'", "''"],
    "inet": ["'10.0.0.1/8'", "'::1'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "bit varying": ["B'101'", "B''"],
    "point": ["'(1,-0)'"],
    "int4range": ["'[1,5)'", "'empty'"],
    "tsvector": ["'a:1 b:2'"],
    "integer[]": ["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[0:1]={7,8}'"],
    "text[]": ["'{\"\",NULL,\"NULL\",\"a,b\",\"q\\\"\\\\\"}'"],
    "double precision[]": ["'{0.30000000000000004,5e-324,NaN}'"],
    "pg_lsn": ["'16/B374D848'"],
    "mood": ["'sad'", "'o''k'"],
    "pair": ["ROW(1, 'x,\"y')", "ROW(NULL, NULL)"],
    "positive": ["7"],
}  # fmt: skip
MADE = (
    "CREATE TYPE mood AS ENUM ('sad', 'o''k')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
)


def test_every_value_of_every_type_comes_back_as_it_was(
    databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.empty(), databases.empty()
    statements = [*CORE, *MADE]
    for number, (kind, values) in enumerate(VALUES.items()):
        statements.append(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {kind})")
        rows = ", ".join(f"({n}, {v})" for n, v in enumerate([*values, "NULL"]))
        statements.append(f"INSERT INTO t{number} VALUES {rows}")
    for statement in statements:
        query(source, statement)
    for statement in (*MADE[1:],):
        query(target, statement)  # composites and domains are no part of a snapshot's schema

    lake = str(tmp_path / "lake")
    airkeep.export(source, lake, environment="e")
    airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)

    before, after = data_of(source), data_of(target)
    for number, kind in enumerate(VALUES):
        assert after[f"t{number}"] == before[f"t{number}"], kind


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("beside", ["now", "-infinity"])
def test_a_time_beyond_what_the_reader_can_hold_is_refused_not_changed(
    kind: str, beside: str, databases: Databases, tmp_path: Path
) -> None:
    source = databases.empty()
    rows = f"INSERT INTO t VALUES ('294270-01-01'), ('{beside}')"
    for statement in (*CORE, f"CREATE TABLE t (v {kind})", rows):
        query(source, statement)
    with pytest.raises(AirkeepError, match="reading t"):
        airkeep.export(source, str(tmp_path / "lake"), environment="e")


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
ROWS = st.lists(
    st.tuples(
        st.none() | TEXT,
        st.none() | st.floats(),
        st.none() | st.binary(max_size=20),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(210866803200 - 1) * 10**6, 9223371331199 * 10**6),
    ),
    max_size=20,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_any_rows_come_back_as_they_were(
    rows: list[tuple[object, ...]], databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.empty(), databases.empty()
    for statement in CORE:
        query(source, statement)
    query(source, "CREATE TABLE t (n int, a text, b float8, c bytea, d bigint, e timestamptz)")
    insert(source, rows)
    lake = f"memory-{len(list(tmp_path.iterdir()))}"
    airkeep.export(source, str(tmp_path / lake), environment="e")
    airkeep.restore(str(tmp_path / lake), "latest", target, create_schema=True, **AS_IT_WAS)
    assert data_of(target)["t"] == data_of(source)["t"]


def insert(url: str, rows: list[tuple[object, ...]]) -> None:
    """Through literals, so that nothing of our own writing is on this way."""
    for n, (a, b, c, d, e) in enumerate(rows):
        values = (
            str(n),
            "NULL" if a is None else "'" + str(a).replace("'", "''") + "'",
            "NULL" if b is None else f"'{b}'",
            "NULL" if not isinstance(c, bytes) else f"'\\x{c.hex()}'",
            "NULL" if d is None else str(d),
            "NULL" if e is None else f"'epoch'::timestamptz + {e} * interval '1 microsecond'",
        )
        query(url, f"INSERT INTO t VALUES ({', '.join(values)})")
