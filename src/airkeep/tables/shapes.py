"""What Airflow's tables look like in which version: columns, their types, the key.

A backup of another tool is text without types. Which version it is of follows from its columns,
and the types follow from the version; where several versions fit, only what they agree in is said.

The tables lie in shapes.tsv, made by tools/make_shapes.py: those of some 17 releases, each as its
own migrations make them. A release between two of them looks like one of them, most often.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from airkeep.errors import ConfigError

_LONG = {
    "varchar": "character varying",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "double": "double precision",
}


@dataclass(frozen=True)
class ColumnShape:
    """A column: `type` as PostgreSQL spells it."""

    type: str
    nullable: bool


@dataclass(frozen=True)
class Shape:
    """A table of one or more versions; columns in the database's order."""

    columns: Mapping[str, ColumnShape]
    key: tuple[str, ...]


def known_versions() -> tuple[str, ...]:
    """The releases whose tables are known, oldest first."""
    return _shapes()[0]


def shape_of(table: str, version: str) -> Shape | None:
    """A table as a version has it; None where it has none."""
    return _shapes()[1].get(table, {}).get(version)


def shapes_of(table: str, versions: Iterable[str]) -> list[Shape]:
    """The different shapes that a table has in these versions."""
    found = _shapes()[1].get(table, {})
    return list({id(found[v]): found[v] for v in versions if v in found}.values())


def fitting(tables: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The versions whose tables have exactly these columns, oldest first.

    Tables that no Airflow has say nothing.

    Args:
        tables: the columns of each table.
    """
    told = {name: set(columns) for name, columns in tables.items() if name in _shapes()[1]}

    def fits(version: str) -> bool:
        shapes = [(shape_of(name, version), columns) for name, columns in told.items()]
        return all(shape is not None and set(shape.columns) == c for shape, c in shapes)

    return tuple(v for v in known_versions() if fits(v)) if told else ()


def version_like(version: str) -> str:
    """The known release whose tables stand for a version's: of the same minor, the nearest.

    Raises:
        ConfigError: none of that minor is known.
    """
    parts = version.strip().split(".")
    if len(parts) not in (2, 3) or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--airflow-version {version!r} is no version: write 2.10.5, or 2.10")
    minor = [v for v in known_versions() if v.split(".")[:2] == parts[:2]]
    if not minor:
        raise ConfigError(
            f"--airflow-version {version}: the tables of that Airflow are not known here. Leave "
            f"the flag out, or name one of {', '.join(known_versions())}"
        )
    patch = int(parts[2]) if len(parts) == 3 else 1 << 30
    return min(minor, key=lambda v: abs(int(v.split(".")[2]) - patch))


def core_tables(version: str) -> set[str]:
    """The tables that a release makes whatever is installed with it; none where it is not known.

    From 3.0 on FAB's are made by a provider, so they are not counted; where a minor is not known
    nothing is.
    """
    try:
        like = version_like(version)
    except ConfigError:
        return set()
    found = {name for name, shapes in _shapes()[1].items() if like in shapes}
    if int(like.partition(".")[0]) >= 3:
        found = {t for t in found if not t.startswith("ab_")} - {"session", "alembic_version_fab"}
    return found


def span(versions: Collection[str]) -> str:
    """How a manifest spells them: `2.10.1 to 2.11.2`, or `unknown`."""
    shown = [v for v in known_versions() if v in versions]
    if not shown:
        return "unknown"
    return shown[0] if len(shown) == 1 else f"{shown[0]} to {shown[-1]}"


@cache
def _shapes() -> tuple[tuple[str, ...], dict[str, dict[str, Shape]]]:
    text = Path(__file__).with_name("shapes.tsv").read_text(encoding="utf-8")
    _, versions_line, *lines = text.splitlines()
    versions = tuple(versions_line.split())
    tables: dict[str, dict[str, Shape]] = {}
    for line in lines:
        name, at, key, columns = line.split("\t")
        shape = Shape(
            dict(_column(column) for column in columns.split("; ")),
            tuple(key.split(",")) if key else (),
        )
        for number in at.split(","):
            tables.setdefault(name, {})[versions[int(number)]] = shape
    return versions, tables


def _column(text: str) -> tuple[str, ColumnShape]:
    name, _, kind = text.partition(" ")
    word, bracket, rest = kind.removesuffix("!").partition("(")
    return name, ColumnShape(_LONG.get(word, word) + bracket + rest, not kind.endswith("!"))
