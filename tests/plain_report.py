"""The marts that the report asks for first, once more in plain Python; see `plain.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from counting import Row, Tables, could_be, groups, nearest_rank


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
        found.append(
            {"environment": environment, "dag_id": dag_id, "week": week, "runs": len(took),
             "p50_s": nearest_rank(took, 0.5), "p95_s": nearest_rank(took, 0.95),
             "p99_s": nearest_rank(took, 0.99), "longest_s": max(took)}
        )  # fmt: skip
    return found


def dag_week(tables: Tables) -> list[Row]:
    started = [run for run in tables["runs"] if could_be(tables, run)]
    newest: dict[str, Any] = {}
    for run in started:
        day = run["started_at"].date()
        newest[run["environment"]] = max(newest.get(run["environment"], day), day)
    found = []
    for (environment, dag_id), own in groups(started, "environment", "dag_id").items():
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
