"""The marts once more, in plain Python: how a person would count, row by row.

No SQL, no window, no join: where these and a mart agree on the same rows, both are likely right.
Each function takes the staging tables that the mart reads and gives its rows in any order.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from counting import Row, Tables, could_be, due, groups, nearest_rank, seconds
from plain_assets import ASSETS
from plain_capacity import CAPACITY
from plain_cost import COST
from plain_report import REPORT
from plain_runs import RUNS


def success_by_dag_day(tables: Tables) -> list[Row]:
    runs = [
        {**r, "day": due(r).date()}  # type: ignore[union-attr]
        for r in tables["runs"]
        if r["state"] in ("success", "failed") and due(r) is not None
    ]
    found = []
    for (environment, dag_id), own in groups(runs, "environment", "dag_id").items():
        days = groups(own, "day")
        for day, here in days.items():
            last = [r for r in own if timedelta() <= day[0] - r["day"] < timedelta(days=7)]
            good = sum(r["state"] == "success" for r in here)
            found.append(
                {
                    "environment": environment,
                    "dag_id": dag_id,
                    "day": day[0],
                    "runs": len(here),
                    "succeeded": good,
                    "failed": len(here) - good,
                    "success_rate": good / len(here),
                    "success_rate_7d": sum(r["state"] == "success" for r in last) / len(last),
                }
            )
    return found


def task_duration_by_week(tables: Tables) -> list[Row]:
    tasks = [
        {**t, "week": t["started_at"].date() - timedelta(days=t["started_at"].weekday())}
        for t in tables["tasks"]
        if t["state"] == "success" and t["duration_s"] is not None and t["started_at"] is not None
    ]
    names = ("environment", "dag_id", "task_id", "week")
    found = []
    for key, own in groups(tasks, *names).items():
        took = [t["duration_s"] for t in own]
        figures = {f"p{p}_s": nearest_rank(took, p / 100) for p in (50, 95, 99)}
        found.append(
            {**dict(zip(names, key, strict=True)), "tasks": len(own), **figures,
             "longest_s": max(took)}
        )  # fmt: skip
    return found


def first_try_success(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "task_id")
    found = []
    ended = [t for t in tables["tasks"] if t["state"] in ("success", "failed")]
    for key, own in groups(ended, *names).items():
        good = [t for t in own if t["state"] == "success"]
        first = [t for t in good if t["try_number"] is not None and t["try_number"] <= 1]
        found.append(
            {**dict(zip(names, key, strict=True)), "finished": len(own), "succeeded": len(good),
             "first_try": len(first), "first_try_rate": len(first) / len(own)}
        )  # fmt: skip
    return found


def failure_streaks(tables: Tables) -> list[Row]:
    runs = [r for r in tables["runs"] if r["state"] in ("success", "failed") and due(r)]
    found = []
    for (environment, dag_id), own in groups(runs, "environment", "dag_id").items():
        streak: list[Row] = []
        successes = 0
        for run in [*sorted(own, key=lambda r: (due(r), r["run_id"])), None]:
            if run is not None and run["state"] == "failed":
                streak.append(run)
                continue
            if streak:
                failed_at = min((r["ended_at"] for r in streak if r["ended_at"]), default=None)
                recovered_at = None if run is None else run["ended_at"]
                found.append(
                    {
                        "environment": environment,
                        "dag_id": dag_id,
                        "successes_before": successes,
                        "first_due_at": due(streak[0]),
                        "last_due_at": due(streak[-1]),
                        "failed_runs": len(streak),
                        "failed_at": failed_at,
                        "recovered_at": recovered_at,
                        "recovery_s": seconds(recovered_at, failed_at),
                    }
                )
            streak, successes = [], successes + 1
    return found


def lost_hours(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "task_id")
    failed, held = (
        [one for one in tables[table] if one["state"] in ("failed", "up_for_retry")]
        for table in ("attempts", "slot_use")
    )
    stretches = groups(held, *names)
    return [
        {
            **dict(zip(names, key, strict=True)),
            "failed_tries": len(own),
            "lost_h": sum(s["held_s"] for s in stretches.get(key, ())) / 3600,
            "last_failed_at": max((a["ended_at"] for a in own if a["ended_at"]), default=None),
        }
        for key, own in groups(failed, *names).items()
    ]


def scheduling_delay(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id")
    found = []
    for key, own in groups(tables["scheduled_runs"], *names).items():
        delays = [
            (r["started_at"] - r["due_at"]) / timedelta(seconds=1)
            for r in own
            if not r["clears"] and r["started_at"] and r["started_at"] >= r["due_at"]
        ]
        if delays:
            found.append(
                {**dict(zip(names, key, strict=True)), "runs": len(delays),
                 "p50_s": nearest_rank(delays, 0.5), "p90_s": nearest_rank(delays, 0.9),
                 "worst_s": max(delays)}
            )  # fmt: skip
    return found


def queue_wait(tables: Tables) -> list[Row]:
    names = ("environment", "pool", "day")
    waited = [
        {**t, "day": t["started_at"].date()} for t in tables["tasks"] if t["queued_s"] is not None
    ]
    found = []
    for key, own in groups(waited, *names).items():
        waits = [t["queued_s"] for t in own]
        found.append(
            {**dict(zip(names, key, strict=True)), "tasks": len(own),
             "p50_s": nearest_rank(waits, 0.5), "p95_s": nearest_rank(waits, 0.95),
             "worst_s": max(waits)}
        )  # fmt: skip
    return found


def slot_hours_by_dag(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "day")
    owners = {(d["environment"], d["dag_id"]): d["owners"] for d in tables["dags"]}
    stretches = [{**s, "day": s["began_at"].date()} for s in tables["slot_use"]]
    return [
        {
            **dict(zip(names, key, strict=True)),
            "owners": owners.get(key[:2]),
            "tries": sum(s["tries"] for s in own),
            "slot_h": sum(s["held_s"] * s["pool_slots"] for s in own) / 3600,
        }
        for key, own in groups(stretches, *names).items()
    ]


def stale_dags(tables: Tables) -> list[Row]:
    found = []
    for dag in tables["dags"]:
        if not dag["is_active"] or dag["gone_at"] or dag["is_subdag"]:
            continue
        there = [
            {**r, "started_at": r["started_at"] if could_be(tables, r) else None}
            for r in tables["runs"]
            if r["environment"] == dag["environment"]
        ]
        own = [r for r in there if r["dag_id"] == dag["dag_id"]]
        last = max((r["started_at"] for r in own if r["started_at"]), default=None)
        newest = max((r["started_at"] for r in there if r["started_at"]), default=None)
        idle = None if last is None or newest is None else (newest - last) / timedelta(days=1)
        found.append(
            {**{n: dag[n] for n in ("environment", "dag_id", "is_paused", "schedule")},
             "runs": len(own), "last_started_at": last, "idle_d": idle}
        )  # fmt: skip
    return found


def duration_variance(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "task_id")
    good = [t for t in tables["tasks"] if t["state"] == "success" and t["duration_s"] is not None]
    found = []
    for key, own in groups(good, *names).items():
        took = [t["duration_s"] for t in own]
        if len(took) < 2:
            continue
        mean, deviation = statistics.fmean(took), statistics.stdev(took)
        found.append(
            {**dict(zip(names, key, strict=True)), "tasks": len(took), "mean_s": mean,
             "deviation_s": deviation, "spread": deviation / mean if mean > 0 else None}
        )  # fmt: skip
    return found


def retry_waste(tables: Tables) -> list[Row]:
    """A task instance at a time: its tries without numbers are given those that are free."""
    instances = groups(
        tables["attempts"], "environment", "dag_id", "task_id", "run_id", "map_index"
    )
    retries: Counter[tuple[str, str]] = Counter()
    for (environment, dag_id, *_), tries in instances.items():
        numbers = {max(1, a["try_number"]) for a in tries if a["try_number"] is not None}
        for one in tries:
            if one["duration_s"] is None:
                continue
            number = one["try_number"]
            if number is None:
                number = 2 if 1 in numbers else 1
                numbers.add(1)
            retries[environment, dag_id] += number > 1
    stretches = groups(tables["slot_use"], "environment", "dag_id")
    found = []
    for environment, dag_id in {**retries, **stretches}:
        hours = [
            (s["state"], s["held_s"] * s["pool_slots"] / 3600)
            for s in stretches.get((environment, dag_id), ())
        ]
        spent = sum(h for _, h in hours)
        lost = sum(h for state, h in hours if state in ("failed", "up_for_retry"))
        found.append(
            {
                "environment": environment,
                "dag_id": dag_id,
                "retries": retries[environment, dag_id],
                "all_slot_h": spent,
                "failed_slot_h": lost,
                "waste": lost / spent if spent > 0 else None,
            }
        )
    return found


def who_did_what(tables: Tables) -> list[Row]:
    names = ("environment", "day", "owner", "event", "dag_id")
    known = [
        {
            **e,
            **{n: e[n] or "" for n in ("owner", "event", "dag_id")},
            "day": e["happened_at"].date(),
        }
        for e in tables["events"]
        if e["happened_at"] is not None
    ]
    return [
        {
            **dict(zip(names, key, strict=True)),
            "events": len(own),
            "first_at": min(e["happened_at"] for e in own),
            "last_at": max(e["happened_at"] for e in own),
        }
        for key, own in groups(known, *names).items()
    ]


def version_churn(tables: Tables) -> list[Row]:
    found = []
    for (environment, dag_id), own in groups(
        tables["dag_versions"], "environment", "dag_id"
    ).items():
        made = sorted(v["created_at"] for v in own)
        days = (made[-1] - made[0]) / timedelta(days=1)
        found.append(
            {"environment": environment, "dag_id": dag_id, "versions": len(own),
             "first_at": made[0], "last_at": made[-1], "span_d": days,
             "versions_per_day": (len(own) - 1) / days if days > 0 else None}
        )  # fmt: skip
    return found


def environments_compared(tables: Tables) -> list[Row]:
    ended = [r for r in tables["runs"] if r["state"] in ("success", "failed")]
    found = []
    for (dag_id,), own in groups(ended, "dag_id").items():
        by_environment = groups(own, "environment")
        if len(by_environment) < 2:
            continue
        for (environment,), runs in by_environment.items():
            took = [
                r["duration_s"]
                for r in runs
                if r["state"] == "success" and r["duration_s"] is not None
            ]
            failed = sum(r["state"] == "failed" for r in runs)
            found.append(
                {"dag_id": dag_id, "environment": environment, "runs": len(runs),
                 "failed": failed, "success_rate": (len(runs) - failed) / len(runs),
                 "p50_s": nearest_rank(took, 0.5) if took else None}
            )  # fmt: skip
    return found


PLAIN: dict[str, Callable[[Tables], list[Row]]] = (
    {
        function.__name__: function
        for function in (
            success_by_dag_day,
            task_duration_by_week,
            first_try_success,
            failure_streaks,
            lost_hours,
            scheduling_delay,
            queue_wait,
            slot_hours_by_dag,
            stale_dags,
            duration_variance,
            retry_waste,
            who_did_what,
            version_churn,
            environments_compared,
        )
    }
    | ASSETS
    | CAPACITY
    | COST
    | REPORT
    | RUNS
)
