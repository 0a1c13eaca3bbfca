"""The marts that the report asks for first, once more in plain Python; see `plain.py`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]


def run_duration_by_week(tables: Tables) -> list[Row]:
    weeks: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for run in tables["runs"]:
        if run["state"] != "success" or run["started_at"] is None or run["duration_s"] is None:
            continue
        day = run["started_at"].date()
        monday = day - timedelta(days=day.weekday())
        weeks[run["environment"], run["dag_id"], monday].append(run["duration_s"])
    found = []
    for (environment, dag_id, week), took in weeks.items():
        took.sort()
        found.append(
            {"environment": environment, "dag_id": dag_id, "week": week, "runs": len(took),
             "p50_s": took[math.ceil(len(took) / 2) - 1],
             "p95_s": took[math.ceil(len(took) * 95 / 100) - 1], "longest_s": took[-1]}
        )  # fmt: skip
    return found


def dag_week(tables: Tables) -> list[Row]:
    started = [run for run in tables["runs"] if run["started_at"] is not None]
    newest: dict[str, Any] = {}
    for run in started:
        day = run["started_at"].date()
        newest[run["environment"]] = max(newest.get(run["environment"], day), day)
    found = []
    for environment, dag_id in {(run["environment"], run["dag_id"]) for run in started}:
        own = [r for r in started if (r["environment"], r["dag_id"]) == (environment, dag_id)]
        last = max(own, key=lambda r: (r["started_at"], r["run_id"]))
        row = {
            "environment": environment,
            "dag_id": dag_id,
            "newest_day": newest[environment],
            "last_state": last["state"],
            "last_started_at": last["started_at"],
        }
        for days, suffix in ((range(7), ""), (range(7, 14), "_before")):
            week = [r for r in own if (newest[environment] - r["started_at"].date()).days in days]
            done = [r for r in week if r["state"] in ("success", "failed")]
            good = [r for r in done if r["state"] == "success"]
            row |= {
                f"runs{suffix}": len(done),
                f"failed{suffix}": len(done) - len(good),
                f"success_rate{suffix}": len(good) / len(done) if done else None,
                f"mean{suffix}_s": mean(r["duration_s"] for r in good),
            }
        found.append(row)
    return found


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


REPORT: dict[str, Callable[[Tables], list[Row]]] = {
    function.__name__: function for function in (run_duration_by_week, dag_week)
}
