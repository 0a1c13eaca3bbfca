"""What a SQLite database says about itself, from its schema table and its pragmas.

Each statement is kept as SQLite keeps it, so the schema comes back name for name. How far an
AUTOINCREMENT has counted is a sequence of the table's name. Virtual tables and the tables
inside them are named in `left_out`: only the module that made them can write them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from airkeep.database.catalog import Catalog, Column, ForeignKey, Index, NumberSequence, Table
from airkeep.database.sql import ident
from airkeep.errors import DatabaseError

MAX_INTEGER = (1 << 63) - 1
_HIDDEN, _GENERATED = 1, (2, 3)  # PRAGMA table_xinfo.hidden
_SHADOW_TABLES = (3, 37)  # the SQLite from which on PRAGMA table_list names them


def read_catalog(db: sqlite3.Connection, *, shown: str) -> Catalog:
    """Everything about the database that `db` is connected to.

    Args:
        db: with `text_factory` as `decode_text`.
        shown: the file as the user wrote it.

    Raises:
        DatabaseError: a name is not valid UTF-8.
    """
    rows = db.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' "
        "ESCAPE '\\' ORDER BY rowid"
    ).fetchall()
    _check_text(rows, shown)
    shadows = _shadow_tables(db)
    names, left_out = [], []
    for kind, name, _, sql in rows:
        if kind == "view":
            left_out.append(f"view {name}")
        elif kind == "table" and (name in shadows or _is_virtual(sql)):
            left_out.append(f"virtual table {name}")
        elif kind == "table":
            names.append((name, sql))
    known = {name.lower(): name for name, _ in names}
    tables = tuple(_table(db, name, sql, known) for name, sql in names)
    return Catalog(
        engine="sqlite",
        server_version=sqlite3.sqlite_version,
        main_schema=None,
        tables=tables,
        revisions=_revisions(db, tables),
        sequences=_sequences(db, tables),
        left_out=tuple(left_out),
        statements=tuple(
            _whole(sql)
            for kind, _, table, sql in rows
            if sql is not None and kind != "table" and (kind == "view" or table.lower() in known)
        ),
    )


def decode_text(data: bytes) -> str:
    """Text as it is, bytes that are not UTF-8 as lone surrogates: a `text_factory`."""
    return data.decode("utf-8", "surrogateescape")


def _check_text(rows: Sequence[tuple[Any, ...]], shown: str) -> None:
    for row in rows:
        try:
            "".join(value for value in row if value is not None).encode()
        except UnicodeEncodeError:
            raise DatabaseError(
                f"{shown}: the {row[0]} {row[1]!a} has a name or a definition that is not valid "
                f"UTF-8; rename it"
            ) from None


def _is_virtual(sql: str) -> bool:
    return sql.upper().startswith("CREATE VIRTUAL TABLE")


def _shadow_tables(db: sqlite3.Connection) -> frozenset[str]:
    if sqlite3.sqlite_version_info < _SHADOW_TABLES:
        return frozenset()
    listed = db.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'"
    )
    return frozenset(name for (name,) in listed)


def _whole(sql: str) -> str:
    """The statement so that a `;` behind it ends it: one may end in a comment."""
    return sql if sqlite3.complete_statement(f"{sql};") else f"{sql}\n"


def _table(db: sqlite3.Connection, name: str, sql: str, known: Mapping[str, str]) -> Table:
    info = db.execute(f"PRAGMA table_xinfo({ident(name)})").fetchall()
    key = sorted((place, column) for _, column, *_, place, _ in info if place)
    return Table(
        schema=None,
        name=name,
        columns=tuple(
            Column(
                name=column,
                type=declared,
                nullable=not not_null,
                default=default,
                generated="as the table's definition says" if hidden in _GENERATED else None,
                virtual=hidden == _GENERATED[0],
            )
            for _, column, declared, not_null, default, _, hidden in info
            if hidden != _HIDDEN
        ),
        key=tuple(column for _, column in key),
        foreign_keys=_foreign_keys(db, name, known),
        indexes=_indexes(db, name),
        definition=_whole(sql),
    )


def _foreign_keys(
    db: sqlite3.Connection, table: str, known: Mapping[str, str]
) -> tuple[ForeignKey, ...]:
    """The references of a table; SQLite tells no constraint's name, so each has one of ours."""
    grouped: dict[int, list[tuple[str, str, str | None]]] = {}
    for number, _, target, column, target_column, *_ in db.execute(
        f"PRAGMA foreign_key_list({ident(table)})"
    ):
        grouped.setdefault(number, []).append((target, column, target_column))
    found = []
    for number in sorted(grouped, reverse=True):  # SQLite counts them from the last one
        parts = grouped[number]
        target = known.get(parts[0][0].lower(), parts[0][0])
        columns = tuple(column for _, column, _ in parts)
        named = tuple(c for _, _, c in parts if c is not None)
        found.append(
            ForeignKey(
                name=f"{table}_{'_'.join(columns)}_fkey",
                columns=columns,
                target_schema=None,
                target=target,
                target_columns=named or _key(db, target),
            )
        )
    return tuple(found)


def _key(db: sqlite3.Connection, table: str) -> tuple[str, ...]:
    info = db.execute(f"PRAGMA table_xinfo({ident(table)})").fetchall()
    return tuple(name for _, name in sorted((row[5], row[1]) for row in info if row[5]))


def _indexes(db: sqlite3.Connection, table: str) -> tuple[Index, ...]:
    unique = {row[1] for row in db.execute(f"PRAGMA index_list({ident(table)})") if row[2]}
    made = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? "
        "AND sql IS NOT NULL ORDER BY rowid",
        (table,),
    )
    return tuple(Index(name, _whole(sql), name in unique) for name, sql in made)


def _revisions(db: sqlite3.Connection, tables: Sequence[Table]) -> tuple[str, ...]:
    table = next((t for t in tables if t.name == "alembic_version"), None)
    if table is None or not any(c.name == "version_num" for c in table.columns):
        return ()
    found = db.execute("SELECT version_num FROM alembic_version ORDER BY version_num")
    return tuple(str(revision) for (revision,) in found if revision is not None)


def _sequences(db: sqlite3.Connection, tables: Sequence[Table]) -> tuple[NumberSequence, ...]:
    by_name = {t.name: t for t in tables}
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchall():
        return ()
    counted = db.execute(
        "SELECT name, coalesce(max(CAST(seq AS INTEGER)), 0) FROM sqlite_sequence "
        "GROUP BY name ORDER BY name"
    )
    return tuple(
        NumberSequence(
            schema=None,
            name=name,
            type="integer",
            start=1,
            increment=1,
            minimum=1,
            maximum=MAX_INTEGER,
            cache=1,
            cycle=False,
            last_value=last,
            is_called=True,
            owner_table=name,
            owner_column=by_name[name].key[0],
        )
        for name, last in counted
        if name in by_name and by_name[name].key
    )
