"""How a person would count what runs did: see `plain.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from counting import Row, Tables, groups, seconds

INSTANCE = ("environment", "dag_id", "run_id", "task_id", "map_index")


def critical_path(tables: Tables) -> list[Row]:
    """Let each task end a year later, and see how much later the run ends."""
    year = timedelta(days=365)
    found = []
    edges = groups(tables["task_edges"], "environment", "dag_id")
    runs = groups(tables["recent_tasks"], "environment", "dag_id", "run_id")
    for (environment, dag_id, _), own in runs.items():
        ran = [t for t in own if seconds(t["ended_at"], t["started_at"]) is not None]
        if (environment, dag_id) not in edges or not ran:
            continue
        versions = groups(edges[environment, dag_id], "version")
        is_own = True
        for name in (own[0]["dag_version_id"], own[0]["code_version"]):
            if (name,) in versions:
                version = versions[name,]
                break
        else:
            is_own = False
            began = own[0]["run_started_at"]
            by_age = sorted(versions.values(), key=lambda v: v[0]["since_at"] or datetime.min)
            before = [v for v in by_age if v[0]["since_at"] and v[0]["since_at"] <= began]
            version = before[-1] if before else by_age[0]
        above = {e["task_id"]: set[str]() for e in version}
        for e in version:
            if e["downstream_task_id"] is not None:
                above.setdefault(e["downstream_task_id"], set()).add(e["task_id"])
        for t in ran:
            above.setdefault(t["task_id"], set())
        last = max(t["ended_at"] for t in ran)
        for t in ran:
            passed = _passed(above, ran, t["task_id"], t["ended_at"], timedelta())
            late = _passed(above, ran, t["task_id"], t["ended_at"], year)
            later = max(p for p in late.values() if p is not None)
            spare = (last + year - later) / timedelta(seconds=1)
            began = _began(ran, t["task_id"])
            uppers = [passed[u] for u in above[t["task_id"]]]
            held = [p for p in uppers if p is not None and began is not None and p <= began]
            known = t["task_id"] in {e["task_id"] for e in version}
            ready = max(held, default=None)
            if not above[t["task_id"]] and known:
                ready = t["run_started_at"]
            found.append(
                {
                    **{
                        n: t[n] for n in ("environment", "dag_id", "run_id", "task_id", "map_index")
                    },
                    **{n: t[n] for n in ("state", "started_at", "ended_at")},
                    "duration_s": seconds(t["ended_at"], t["started_at"]),
                    "wait_s": seconds(t["started_at"], ready),
                    "slack_s": spare,
                    "is_critical": spare == 0,
                    "is_own_version": is_own,
                }
            )
    return found


def _began(ran: list[Row], task: str) -> datetime | None:
    return min((t["started_at"] for t in ran if t["task_id"] == task), default=None)


def _passed(
    above: dict[str, set[str]], ran: list[Row], late: str, since: datetime, by: timedelta
) -> dict[str, datetime | None]:
    """When each task let the next go, had the `late` one's instance that ended then ended later."""
    seen: dict[str, tuple[datetime | None, datetime | None]] = {}

    def visit(task: str) -> tuple[datetime | None, datetime | None]:
        """As it was, and as it would have been."""
        if task not in seen:
            own = [t["ended_at"] for t in ran if t["task_id"] == task]
            pairs = [visit(u) for u in above[task]]
            began = _began(ran, task)
            held = [(a, b) for a, b in pairs if a and b and (began is None or a <= began)]
            was = max(own) if own else max((a for a, _ in held), default=None)
            would = was
            if was is not None and held:
                lag = was - max(a for a, _ in held)
                would = max(b for _, b in held) + lag
            if task == late and was is not None and would is not None:
                would = max(would, since + by)
            seen[task] = (was, would)
        return seen[task]

    return {task: visit(task)[1] for task in above}


RUNS: dict[str, Callable[[Tables], list[Row]]] = {
    function.__name__: function for function in (critical_path,)
}
