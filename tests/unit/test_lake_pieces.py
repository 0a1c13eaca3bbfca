"""Which pieces a state is made of: by hand-made manifests' entries."""

from __future__ import annotations

import pytest

from airkeep.errors import MissingFileError
from airkeep.lake.columns import Kind, kind_of, united, value
from airkeep.lake.pieces import Piece, by_environment, state_of
from airkeep.snapshot.manifest import ColumnEntry, TableEntry


def piece(
    snapshot: str,
    *,
    parent: str | None = None,
    window: str | None = None,
    key: tuple[str, ...] = ("id",),
) -> Piece:
    entry = TableEntry(
        label="t", schema="public", name="t", role="foreign", columns=(), key=key, references=(),
        rows=0, files=(), whole=parent is None, window=window,
    )  # fmt: skip
    return Piece("prod", snapshot, entry, parent, "postgresql", opaque=False)


def ids(pieces: list[Piece]) -> list[str]:
    return [p.snapshot for p in pieces]


def test_a_state_is_the_newest_chain_and_the_windows_after_it() -> None:
    full, one, old, two, new = (
        piece("1"),
        piece("2", parent="1"),
        piece("3", window="w"),
        piece("4", parent="2"),
        piece("5", window="w"),
    )
    assert ids(state_of([full, one, old, two, new])) == ["1", "2", "4", "5"]
    assert ids(state_of([full, one, old])) == ["1", "2", "3"]
    assert ids(state_of([full, one, piece("3")])) == ["3"]


def test_two_increments_on_one_parent_do_not_mix() -> None:
    assert ids(state_of([piece("1"), piece("2", parent="1"), piece("3", parent="1")])) == ["1", "3"]


def test_windows_alone_are_all_that_is_known() -> None:
    assert ids(state_of([piece("1", window="w"), piece("2", window="w")])) == ["1", "2"]


def test_what_has_no_key_or_another_one_cannot_be_laid_over() -> None:
    assert ids(state_of([piece("1", key=()), piece("2", key=(), window="w")])) == ["1"]
    assert ids(state_of([piece("1", window="w", key=()), piece("2", window="w", key=())])) == ["2"]
    assert ids(state_of([piece("1"), piece("2", window="w", key=("other",))])) == ["1"]


def test_a_parent_that_is_gone_is_named() -> None:
    with pytest.raises(MissingFileError, match="1"):
        state_of([piece("2", parent="1")])


def test_environments_stay_apart() -> None:
    assert list(by_environment([piece("1"), piece("2")])) == ["prod"]


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("timestamp with time zone", "instant"), ("timestamp without time zone", "instant"),
        ("TIMESTAMP", "instant"), ("DATETIME", "instant"), ("boolean", "boolean"),
        ("INTEGER", "integer"), ("smallint", "integer"), ("double precision", "float"),
        ("FLOAT", "float"), ("bytea", "bytes"), ("BLOB", "bytes"), ("date", "date"),
        ("character varying(250)", "text"), ("VARCHAR(250)", "text"), ("JSON", "text"),
        ("numeric(10,2)", "text"), ("integer[]", "text"), ("interval", "text"), ("uuid", "text"),
    ],
)  # fmt: skip
def test_a_column_is_of_the_kind_that_its_database_declares(declared: str, kind: Kind) -> None:
    assert kind_of(ColumnEntry("c", declared, "VARCHAR")) == kind


def test_kinds_unite_without_a_loss() -> None:
    assert united(["integer", "integer"]) == "integer"
    assert united(["integer", "float"]) == "float"
    assert united(["bytes", "text"]) == "text"
    assert united(["instant", "text"]) == "text"


@pytest.mark.parametrize(
    ("declared", "parquet", "encoding", "stored", "kind", "expected"),
    [
        ("BOOLEAN", "BIGINT", "same", 1, "boolean", "true"),
        (
            "TIMESTAMP",
            "VARCHAR",
            "same",
            "2026-11-01 00:00:00.5",
            "instant",
            "2026-11-01 00:00:00.5",
        ),
        ("TIMESTAMP", "VARCHAR", "same", "yesterday", "instant", None),
        ("INTEGER", "VARCHAR", "same", None, "integer", None),
        ("FLOAT", "BIGINT", "same", 2, "float", "2.0"),
        ("CHAR(32)", "VARCHAR", "same", "0" * 32, "text", "00000000-0000-0000-0000-000000000000"),
        ("VARCHAR(32)", "VARCHAR", "same", "0" * 32, "text", "0" * 32),
        ("JSON", "VARCHAR", "literal", "'it''s'", "text", "it's"),
        ("JSON", "VARCHAR", "literal", "42", "text", "42"),
        ("INTEGER", "VARCHAR", "literal", "42", "integer", "42"),
        ("INTEGER", "VARCHAR", "literal", "'many'", "integer", None),
        ("BLOB", "BLOB", "same", b"\x80a", "text", "\\x8061"),
    ],
)
def test_sqlites_values_become_what_their_column_declares(
    declared: str, parquet: str, encoding: str, stored: object, kind: Kind, expected: str | None
) -> None:
    import duckdb

    column = ColumnEntry("c", declared, parquet, encoding=encoding)  # type: ignore[arg-type]
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE t (c {parquet})")
        db.execute("INSERT INTO t VALUES (?)", [stored])
        text = f"CAST({value(column, 'sqlite', kind)} AS VARCHAR)"
        assert db.execute(f"SELECT {text} FROM t").fetchall() == [(expected,)]
