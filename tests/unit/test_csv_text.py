"""CSV text against a strict reader of RFC 4180 that tells NULL from an empty field."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.database.spool import SpoolFile
from airkeep.database.sqlite_value import RawText, literal_of
from airkeep.database.types import Travel
from airkeep.snapshot.csv_text import CsvColumn, CsvShape, CsvWriter, read_shape
from csv_strict import parse

ODD = st.text(st.sampled_from(",\"\r\n\t \\\x00\x01\x7f'.;|aNUL\u00fc\u20ac\U0001f600\ufeff\u2028"))
TEXT = st.none() | ODD | st.text()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS = st.integers(-(2**55), 2**56)


@dataclass
class Bench:
    """A writer and a folder that take any number of tables, one after the other."""

    folder: Path
    writer: CsvWriter
    count: int = 0

    def write(self, names: list[str], arrays: list[pa.Array], ways: list[Travel]) -> Path:
        self.count += 1
        target = self.folder / f"{self.count}.csv.gz"
        columns = [CsvColumn(n, w) for n, w in zip(names, ways, strict=True)]
        rows = self.writer.write(columns, self.spooled(names, arrays), target)
        assert rows == len(arrays[0])
        return target

    def spooled(self, names: list[str], arrays: list[pa.Array]) -> Iterator[SpoolFile]:
        """Two files, so that their border is crossed."""
        table = pa.table(arrays, names=names)
        half = len(table) // 2
        for n, part in enumerate((table.slice(0, half), table.slice(half))):
            if len(part):
                file = self.folder / f"{self.count}-{n}.parquet"
                pq.write_table(part, file)
                yield SpoolFile(file, len(part), file.stat().st_size)
                assert not file.exists()

    def column(self, values: list[Any], kind: pa.DataType, way: Travel) -> list[str | None]:
        file = self.write(["a"], [pa.array(values, kind)], [way])
        [head, *records] = parse(gzip.decompress(file.read_bytes()))
        assert head == ["a"]
        assert read_shape(file) == CsvShape(("a",), len(values))
        return [field for [field] in records]


@contextmanager
def opened() -> Iterator[Bench]:
    with TemporaryDirectory() as folder, CsvWriter(Path(folder), memory_bytes=300 << 20) as writer:
        yield Bench(Path(folder), writer)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with opened() as made:
        yield made


def test_any_text_comes_back_and_null_is_not_empty(bench: Bench) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=6), st.lists(ODD, min_size=3, max_size=3))
    def check(rows: list[tuple[str | None, ...]], odd: list[str]) -> None:
        names = [f"{n}{name}".replace("\0", "") for n, name in enumerate(odd)]
        arrays = [pa.array([row[n] for row in rows], pa.string()) for n in range(3)]
        file = bench.write(names, arrays, [Travel("VARCHAR")] * 3)
        text = gzip.decompress(file.read_bytes())

        assert parse(text) == [names, *(list(row) for row in rows)]
        assert read_shape(file) == CsvShape(tuple(names), len(rows))

    check()


def test_quotes_stand_only_where_they_must(bench: Bench) -> None:
    values = ["", None, "a b", " a", "'", "\\.", "NULL", "#", "a,b", 'q"', "l\nf", "c\rr", "\t"]
    file = bench.write(["a", "b"], [pa.array(values)] * 2, [Travel("VARCHAR")] * 2)
    fields = [
        '""', "", "a b", " a", "'", "\\.", "NULL", "#", '"a,b"', '"q"""', '"l\nf"', '"c\rr"', "\t",
    ]  # fmt: skip

    text = gzip.decompress(file.read_bytes()).decode()
    assert text == "a,b\r\n" + "".join(f"{f},{f}\r\n" for f in fields)


def test_every_double_reads_back_as_itself(bench: Bench) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(), max_size=8))
    def check(values: list[float]) -> None:
        found = bench.column(values, pa.float64(), Travel("DOUBLE"))
        assert [bits(float(text or "")) for text in found] == [bits(v) for v in values]

    check()


def test_doubles_are_spelled_as_postgresql_spells_them(bench: Bench) -> None:
    values = [math.nan, math.inf, -math.inf, -0.0, 0.0, 2.0, 1.5, 1e22, 1e-7, None]
    found = bench.column(values, pa.float64(), Travel("DOUBLE"))
    assert found == [
        "NaN", "Infinity", "-Infinity", "-0", "0", "2", "1.5", "1e+22", "1e-07", None,
    ]  # fmt: skip


@given(values=st.lists(st.none() | MICROSECONDS, max_size=8))
@settings(max_examples=40, deadline=None)
def test_instants_keep_their_microseconds(values: list[int | None]) -> None:
    with opened() as bench:
        found = bench.column(values, pa.timestamp("us", tz="UTC"), Travel("TIMESTAMPTZ"))
        plain = bench.column(values, pa.timestamp("us"), Travel("TIMESTAMP"))

    assert [None if f is None else f.removesuffix(" BC").removesuffix("+00") for f in found] == [
        None if p is None else p.removesuffix(" BC") for p in plain
    ]
    for value, text in zip(values, found, strict=True):
        if value is not None and text is not None:
            assert datetime.fromisoformat(text) == EPOCH + timedelta(microseconds=value)


@pytest.mark.parametrize(
    ("values", "kind", "parquet", "texts"),
    [
        ([b"", b"\x00\xff", None], pa.binary(), "BLOB", ["\\x", "\\x00ff", None]),
        ([True, False, None], pa.bool_(), "BOOLEAN", ["true", "false", None]),
        ([date(2026, 11, 21), None], pa.date32(), "DATE", ["2026-11-21", None]),
        ([-(2**63), 0, None], pa.int64(), "BIGINT", ["-9223372036854775808", "0", None]),
    ],
)
def test_the_plain_types(
    values: list[Any], kind: pa.DataType, parquet: str, texts: list[str | None], bench: Bench
) -> None:
    assert bench.column(values, kind, Travel(parquet)) == texts


SQLITE = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    ODD,
    st.binary(max_size=9),
    st.binary(max_size=4).map(RawText),
)


def test_what_sqlite_mixes_in_a_column_stands_as_its_text(bench: Bench) -> None:
    @settings(max_examples=80, deadline=None)
    @given(st.lists(SQLITE, max_size=8))
    def check(values: list[Any]) -> None:
        literals = [as_literal(value) for value in values]
        found = bench.column(literals, pa.string(), Travel("VARCHAR", "literal"))
        for value, text in zip(values, found, strict=True):
            if isinstance(value, float):
                assert bits(float(text or "")) == bits(value)
            else:
                assert text == as_text(value)

    check()


def as_literal(value: Any) -> str | None:
    if isinstance(value, str):
        return literal_of(value.encode(), "text")
    if isinstance(value, RawText):
        return literal_of(value.data, "text")
    return literal_of(value, "blob" if isinstance(value, bytes) else "")


def as_text(value: Any) -> str | None:
    if isinstance(value, RawText):
        try:
            return value.data.decode()
        except UnicodeDecodeError:
            return f"\\x{value.data.hex()}"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return None if value is None else str(value)


def bits(value: float) -> str:
    return value.hex()


def test_equal_rows_are_equal_bytes(bench: Bench) -> None:
    arrays = [pa.array([str(n) for n in range(5000)])]
    first, second = (bench.write(["a"], arrays, [Travel("VARCHAR")]) for _ in range(2))

    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[4:8] == bytes(4)


def test_no_rows_are_a_header(bench: Bench) -> None:
    file = bench.write(["a", "b"], [pa.array([], pa.string())] * 2, [Travel("VARCHAR")] * 2)
    assert gzip.decompress(file.read_bytes()) == b"a,b\r\n"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-9], "cut off"),
        (lambda data: b"", "cut off"),
        (lambda data: b"PK" + data, "no gzip"),
        (lambda data: data + b"x", "goes on"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-1]), "inside of a record"),
        (lambda data: gzip.compress(gzip.decompress(data) + b'"\r\n'), "inside of a record"),
    ],
)
def test_a_damaged_file_has_no_shape(damage: Any, says: str, bench: Bench) -> None:
    file = bench.write(["a"], [pa.array(["x"])], [Travel("VARCHAR")])
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=says):
        read_shape(file)


def test_a_large_file_is_counted_across_chunks(bench: Bench) -> None:
    values = [f'{n},"\n' + "x" * (n % 700) for n in range(9000)]
    file = bench.write(["a\n,b"], [pa.array(values)], [Travel("VARCHAR")])
    assert len(gzip.decompress(file.read_bytes())) > 3 << 20
    assert read_shape(file) == CsvShape(("a\n,b",), 9000)
