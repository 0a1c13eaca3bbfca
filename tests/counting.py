"""What counting by hand needs: rows in groups, the nearest rank, seconds between two times."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]


def nearest_rank(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def could_be(tables: Tables, run: Row) -> bool:
    """Whether a run started, and not later than a day after its environment's newest snapshot."""
    taken = [s["taken_at"] for s in tables["snapshots"] if s["environment"] == run["environment"]]
    return bool(run["started_at"]) and run["started_at"] - max(taken) <= timedelta(days=1)


def groups(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[n] for n in names)].append(row)
    return found


def seconds(later: datetime | None, earlier: datetime | None) -> float | None:
    if later is None or earlier is None or later < earlier:
        return None
    return (later - earlier) / timedelta(seconds=1)


def due(run: Row) -> datetime | None:
    found: datetime | None = run["due_at"] or run["started_at"]
    return found
