"""A PostgreSQL `Catalog` as the statements that make it again, name for name.

Three parts, so that rows can be loaded between them: `tables` (schemas, types, sequences,
functions, tables), then the rows, then `keys` (primary and unique keys, indexes) and `references`
(foreign keys, triggers, sequence owners): a bulk load without indexes is the fast one. What the
database printed itself (defaults, constraint and index definitions) is used as it is; the
catalogue was read with an empty search_path, so every name in it is qualified.
"""

from __future__ import annotations

from dataclasses import dataclass

from airkeep.database.catalog import Catalog, Column, NumberSequence, Table
from airkeep.database.sql import ident, literal, qualified
from airkeep.errors import ManifestError

_MARKS = ("-- airkeep: tables", "-- airkeep: keys", "-- airkeep: references")


@dataclass(frozen=True)
class Ddl:
    """Statements in the order in which they must run."""

    tables: tuple[str, ...]
    keys: tuple[str, ...]
    references: tuple[str, ...]

    def script(self) -> str:
        """All of it as one SQL file, in three parts that `split_script` finds again."""
        parts = (self.tables, self.keys, self.references)
        return "".join(
            f"{mark}\n" + "".join(f"{s};\n" for s in part)
            for mark, part in zip(_MARKS, parts, strict=True)
        )


def make_ddl(catalog: Catalog) -> Ddl:
    """The statements that make the catalogue's tables in an empty database."""
    return Ddl(
        tables=(
            *(f"CREATE SCHEMA IF NOT EXISTS {ident(s)}" for s in catalog.schemas if s != "public"),
            *(
                f"CREATE TYPE {qualified(e.schema, e.name)} AS ENUM "
                f"({', '.join(literal(label) for label in e.labels)})"
                for e in catalog.enums
            ),
            *(_sequence(s) for s in catalog.sequences if not s.identity),
            *(f.rstrip() for f in catalog.functions),
            *(_table(t, catalog) for t in catalog.tables),
        ),
        keys=tuple(s for t in catalog.tables for s in _keys(t)),
        references=(
            *(s for t in catalog.tables for s in _references(t)),
            *(s for t in catalog.tables for s in t.triggers),
            *(_owner(s) for s in catalog.sequences if s.owner_table and not s.identity),
        ),
    )


def split_script(script: str) -> tuple[str, str, str]:
    """The three parts of a `schema.sql`: before the rows, after them, and last.

    Raises:
        ManifestError: it was not written by `Ddl.script`.
    """
    rest = script
    parts = []
    for mark in reversed(_MARKS):
        rest, found, part = rest.rpartition(f"{mark}\n")
        if not found:
            raise ManifestError("schema.sql has not the three parts that docs/format.md names")
        parts.append(part)
    references, keys, tables = parts
    return tables, keys, references


def _sequence(s: NumberSequence) -> str:
    return f"CREATE SEQUENCE {qualified(s.schema, s.name)} AS {s.type} {_sequence_options(s)}"


def _sequence_options(s: NumberSequence) -> str:
    return (
        f"START WITH {s.start} INCREMENT BY {s.increment} MINVALUE {s.minimum} "
        f"MAXVALUE {s.maximum} CACHE {s.cache}{' CYCLE' if s.cycle else ''}"
    )


def _owner(s: NumberSequence) -> str:
    assert s.owner_table is not None and s.owner_column is not None  # noqa: S101, PT018 (narrows)
    owner = f"{qualified(s.owner_schema, s.owner_table)}.{ident(s.owner_column)}"
    return f"ALTER SEQUENCE {qualified(s.schema, s.name)} OWNED BY {owner}"


def _table(table: Table, catalog: Catalog) -> str:
    lines = [_column(c, table, catalog) for c in table.columns]
    lines += [
        f"CONSTRAINT {ident(k.name)} {k.definition}" for k in table.constraints if k.kind == "c"
    ]
    unlogged = "UNLOGGED " if table.persistence == "u" else ""
    body = ",\n    ".join(lines)
    return f"CREATE {unlogged}TABLE {qualified(table.schema, table.name)} (\n    {body}\n)"


def _column(column: Column, table: Table, catalog: Catalog) -> str:
    text = f"{ident(column.name)} {column.type}"
    if column.collation:
        text += f" COLLATE {column.collation}"
    if column.generated is not None:
        text += f" GENERATED ALWAYS AS ({column.generated}) "
        text += "VIRTUAL" if column.virtual else "STORED"
    elif column.identity:
        text += f" GENERATED {'ALWAYS' if column.identity == 'a' else 'BY DEFAULT'} AS IDENTITY"
        text += _identity_options(column, table, catalog)
    elif column.default is not None:
        text += f" DEFAULT {column.default}"
    if column.nullable:
        return text
    name = f" CONSTRAINT {ident(column.not_null_name)}" if column.not_null_name else ""
    return f"{text}{name} NOT NULL"


def _identity_options(column: Column, table: Table, catalog: Catalog) -> str:
    for s in catalog.sequences:
        if s.identity and (s.owner_schema, s.owner_table, s.owner_column) == (
            table.schema,
            table.name,
            column.name,
        ):
            return f" (SEQUENCE NAME {qualified(s.schema, s.name)} {_sequence_options(s)})"
    return ""


def _keys(table: Table) -> list[str]:
    name = qualified(table.schema, table.name)
    statements = [
        f"ALTER TABLE ONLY {name} ADD CONSTRAINT {ident(k.name)} {k.definition}"
        for k in table.constraints
        if k.kind in "pux"
    ]
    statements += [i.definition for i in table.indexes]
    statements += [
        f"ALTER TABLE {name} CLUSTER ON {ident(i.name)}" for i in table.indexes if i.clustered
    ]
    return statements


def _references(table: Table) -> list[str]:
    return [
        f"ALTER TABLE ONLY {qualified(table.schema, table.name)} "
        f"ADD CONSTRAINT {ident(k.name)} {k.definition}"
        for k in table.constraints
        if k.kind == "f"
    ]
