"""Names and values as SQL text, safe to put into a statement."""

from __future__ import annotations


def ident(name: str) -> str:
    """`my"table` -> `"my""table"`."""
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str | None, name: str) -> str:
    """`public`, `dag` -> `"public"."dag"`; a SQLite table has no schema."""
    return ident(name) if schema is None else f"{ident(schema)}.{ident(name)}"


def literal(text: str) -> str:
    """A standard string literal; backslashes mean themselves (standard_conforming_strings)."""
    return "'" + text.replace("'", "''") + "'"
