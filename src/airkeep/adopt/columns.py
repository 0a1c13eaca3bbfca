"""Which type each column of a text table has: by its Airflow's tables, else by its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from airkeep.adopt.values import EMPTY, EMPTY_JSON, GUESSES, Read, read_column, reader_of
from airkeep.snapshot.manifest import RepairEntry
from airkeep.tables.shapes import known_versions, shape_of, shapes_of

_ORM_STATE = "_sa_instance_state"
_EMPTIES = {"json": EMPTY_JSON, "jsonb": EMPTY_JSON, "text": EMPTY, "character varying": EMPTY}

# What tells rows apart where a tool left a serial number out, the first that is there whole.
_NATURAL_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "connection": (("conn_id",),),
    "dag_run": (("dag_id", "run_id"),),
    "slot_pool": (("pool",),),
    "task_instance": (
        ("dag_id", "task_id", "run_id", "map_index"),
        ("dag_id", "task_id", "run_id"),
        ("dag_id", "task_id", "execution_date"),
    ),
    "variable": (("key",),),
}


@dataclass
class ColumnText:
    """One column on its way from text to values.

    Attributes:
        at: where it stands in a row of the file.
        known: its type in its Airflow; None where that is not known.
        why_not: why it is not, in words.
        type: what it is read as; a pass in which a value does not fit changes it for the next.
        keeps_empty: '' is a value here: the column takes no NULL.
    """

    name: str
    at: int
    known: str | None = None
    nullable: bool = True
    why_not: str = "a column that is not known"
    type: str = ""
    keeps_empty: bool = False
    has_nulls: bool = False
    values: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    misfit: str = ""  # the place of the first value that is not of the known type
    _guess: int = 0

    def __post_init__(self) -> None:
        self.type = self.known or GUESSES[0][0]

    def begin(self) -> None:
        """Forget what the last pass counted."""
        self.repairs, self.values, self.has_nulls = Counter(), 0, False

    def read(self, texts: Sequence[str]) -> tuple[list[Any] | None, int]:
        """The values, or None and the place of the one that does not fit the type."""
        if self.keeps_empty and "" in texts and self.type == self.known:
            self.values += len(texts)
            return list(texts), -1
        found, misfit = read_column(texts, self._read, self.repairs, empty=self._empty)
        if misfit >= 0:
            return None, misfit
        nulls = found.count(None)
        self.has_nulls = self.has_nulls or nulls > 0
        self.values += len(found) - nulls
        return found, -1

    def widen(self, place: str) -> None:
        """Read it as something else in the next pass."""
        if self.known is not None:
            self.misfit, self.type = place, "text"
        else:
            self._guess += 1
            self.type = GUESSES[self._guess][0]

    def settle(self) -> bool:
        """Whether the pass was the last: a column of no value at all is text."""
        if self.known is None and not self.values and self.type != "text":
            self._guess = len(GUESSES) - 1
            self.type = "text"
            return False
        return True

    def told(self, table: str) -> list[RepairEntry]:
        """What the manifest says of it."""
        found = [RepairEntry(table, self.name, w, n) for w, n in sorted(self.repairs.items())]
        if self.misfit:
            what = f"not all are {self.known}, the first at {self.misfit}: text, as they stand"
            found.append(RepairEntry(table, self.name, what, self.values))
        elif self.known is None:
            what = f"{self.why_not}: read as {self.type}, by its values"
            found.append(RepairEntry(table, self.name, what, self.values))
        return found

    @property
    def _read(self) -> Read:
        if self.known is None:
            return GUESSES[self._guess][1]
        return reader_of(self.type)

    @property
    def _empty(self) -> str | None:
        if self.misfit:
            return EMPTY if _is_text(self.known) else None
        return _EMPTIES.get(self.type.partition("(")[0])


def _is_text(known: str | None) -> bool:
    return _EMPTIES.get((known or "").partition("(")[0]) is not None


@dataclass(frozen=True)
class Header:
    """What the columns of a file are.

    Attributes:
        key: the table's own, else one that Airflow keeps unique; empty where there is neither.
        is_natural: the key is not the table's own.
        width: how many values a row has.
        left_out: names in the header that are no columns of the table.
    """

    columns: tuple[ColumnText, ...]
    key: tuple[str, ...]
    is_natural: bool
    width: int
    left_out: tuple[str, ...] = ()


def read_header(
    label: str, names: Sequence[str], versions: Collection[str], *, orm: bool = False
) -> Header:
    """The columns of a table.

    Args:
        names: as in the file.
        versions: which Airflow it is of, where that is known; none for all.
        orm: the names are attributes of an ORM object: some columns' begin with `_`, and some
            are no columns.
    """
    shapes = shapes_of(label, versions or known_versions())
    there = {name for shape in shapes for name in shape.columns}
    columns, left_out = [], []
    for at, name in enumerate(names):
        column = name.removeprefix("_") if orm and name not in there else name
        if orm and (name == _ORM_STATE or column not in there):
            left_out.append(name)
            continue
        said = [s.columns[column] for s in shapes if column in s.columns]
        kinds = {c.type.partition("(")[0]: c.type for c in said}
        nullable = any(c.nullable for c in said) or not said
        known = kinds.popitem()[1] if len(kinds) == 1 else None
        keeps_empty = not nullable and _EMPTIES.get((known or "").partition("(")[0]) == EMPTY
        found = ColumnText(column, at, known, nullable, keeps_empty=keeps_empty)
        if len(kinds) > 1:
            found.why_not = _differing(label, column, versions or known_versions())
        columns.append(found)
    keys = {shape.key for shape in shapes}
    key = keys.pop() if len(keys) == 1 else ()
    taken = {c.name for c in columns}
    is_natural = not key or not taken.issuperset(key)
    if is_natural:
        key = next((k for k in _NATURAL_KEYS.get(label, ()) if taken.issuperset(k)), ())
    return Header(tuple(columns), key, is_natural, len(names), tuple(left_out))


def _differing(label: str, column: str, versions: Collection[str]) -> str:
    """Between which two versions a column changed its type first, in words."""
    shapes = [(v, shape_of(label, v)) for v in known_versions() if v in versions]
    typed = [(v, s.columns[column].type) for v, s in shapes if s and column in s.columns]
    before, after = next(
        (one[0], other[0])
        for one, other in pairwise(typed)
        if one[1].partition("(")[0] != other[1].partition("(")[0]
    )
    return f"its type differs between Airflow {before} and {after}, --airflow-version decides"


def column_names(label: str, names: Iterable[str], *, orm: bool) -> list[str]:
    """The names that say which version it is: those of an ORM object as their columns'."""
    if not orm:
        return list(names)
    return [c.name for c in read_header(label, list(names), (), orm=True).columns]
