"""Tables as text that a person can check: a line of names, a line of kinds, then the rows.

    == runs
    dag_id | started_at       | runs
    text   | instant          | integer
    a      | 2026-11-01 00:10 | 3
    b      | -                | 0

`-` is NULL. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pytest

from airkeep.lake.columns import Kind

Row = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """A small table."""

    kinds: dict[str, Kind]
    rows: tuple[Row, ...]


def parse(text: str) -> dict[str, Grid]:
    """Every table of a text, by the name in its `== name` line; `#` begins a remark."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    found: dict[str, list[list[str]]] = {}
    for line in lines:
        if line.startswith("== "):
            found[line[3:]] = []
        else:
            found[list(found)[-1]].append([cell.strip() for cell in line.split("|")])
    return {name: _grid(cells) for name, cells in found.items()}


def _grid(cells: Sequence[Sequence[str]]) -> Grid:
    names, kinds, *rows = cells
    typed: dict[str, Any] = dict(zip(names, kinds, strict=True))
    return Grid(
        typed,
        tuple(
            {n: _value(cell, typed[n]) for n, cell in zip(names, row, strict=True)} for row in rows
        ),
    )


def _value(cell: str, kind: Kind) -> Any:
    if cell == "-":
        return None
    match kind:
        case "integer":
            return int(cell)
        case "float":
            return float(cell)
        case "boolean":
            return {"true": True, "false": False}[cell]
        case "instant":
            return datetime.fromisoformat(cell)
        case "date":
            return date.fromisoformat(cell)
    return cell


def same_rows(found: Sequence[Row], expected: Sequence[Row], key: Sequence[str]) -> None:
    """The same rows whatever their order; floats to nine digits; a key is there once."""
    ours, theirs = ({tuple(row[k] for k in key): row for row in rows} for rows in (found, expected))
    assert len(ours) == len(found)
    assert set(ours) == set(theirs)
    for place, row in theirs.items():
        assert set(ours[place]) == set(row)
        for name, value in row.items():
            there = ours[place][name]
            if isinstance(value, float):
                assert there == pytest.approx(value, rel=1e-9, abs=1e-9), (place, name)
            else:
                assert there == value, (place, name)
