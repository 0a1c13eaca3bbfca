"""The marts of slots, idleness and waiting, in plain Python; see `plain.py`.

What runs at once is counted here by asking, at every moment at which something begins, which
tries hold a slot then: no running sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from counting import Row, Tables, groups, nearest_rank

MINUTE = timedelta(minutes=1)


def floor(time: datetime, step: timedelta) -> datetime:
    return time - (time - datetime.min) % step


def held_at(stretches: Sequence[Row], time: datetime) -> list[Row]:
    return [s for s in stretches if s["began_at"] <= time < s["ended_at"]]


def slots(stretches: Sequence[Row]) -> int:
    return sum(s["pool_slots"] for s in stretches)


def slot_h(stretches: Sequence[Row]) -> float:
    held_s: float = sum(s["held_s"] * s["pool_slots"] for s in stretches)
    return held_s / 3600


def concurrency_by_minute(tables: Tables) -> list[Row]:
    limits: dict[str, int | None] = {}
    there = [p for p in tables["pools"] if p["gone_at"] is None]
    for (environment,), pools in groups(there, "environment").items():
        known = [p["slots"] for p in pools]
        limits[environment] = None if None in known else sum(known)
    found = []
    for (environment,), own in groups(tables["slot_use"], "environment").items():
        moments = groups(
            [
                {"at": s[n], "minute": floor(s[n], MINUTE)}
                for s in own
                for n in ("began_at", "ended_at")
            ],
            "minute",
        )
        for (minute,), moved in moments.items():
            here = {minute, *(m["at"] for m in moved)}
            peak = max(slots(held_at(own, m)) for m in here)
            limit = limits.get(environment)
            found.append(
                {
                    "environment": environment,
                    "minute": minute,
                    "peak_running": max(len(held_at(own, m)) for m in here),
                    "peak_slots": peak,
                    "end_slots": slots(held_at(own, max(here))),
                    "slot_limit": limit,
                    "limit_share": peak / limit if limit else None,
                }
            )
    return found


def pool_saturation(tables: Tables) -> list[Row]:
    sizes = {(p["environment"], p["pool"]): p["slots"] for p in tables["pools"]}
    named = [
        {**s, "day": s["began_at"].date()} for s in tables["slot_use"] if s["pool"] is not None
    ]
    found = []
    for (environment, pool, day), own in groups(named, "environment", "pool", "day").items():
        size = sizes.get((environment, pool))
        moments = sorted({s[n] for s in own for n in ("began_at", "ended_at")})
        peak, used, full = 0, 0.0, 0.0
        for moment, after in pairwise(moments):
            held, lasted = slots(held_at(own, moment)), (after - moment) / timedelta(seconds=1)
            peak, used = max(peak, held), used + held * lasted
            full += lasted if size is not None and held and held >= size else 0
        found.append(
            {
                "environment": environment,
                "pool": pool,
                "day": day,
                "slots": size,
                "peak_slots": peak,
                "slot_h": used / 3600,
                "utilisation": used / 86400 / size if size else None,
                "saturated_s": None if size is None else full,
            }
        )
    return found


def busy_hours(tables: Tables) -> list[Row]:
    named = [
        {**s, "weekday": s["began_at"].isoweekday(), "hour": s["began_at"].hour}
        for s in tables["slot_use"]
    ]
    found = []
    for (environment,), there in groups(named, "environment").items():
        for (weekday, hour), own in groups(there, "weekday", "hour").items():
            found.append(
                {"environment": environment, "weekday": weekday, "hour": hour,
                 "tries": sum(s["tries"] for s in own), "slot_h": slot_h(own),
                 "share": slot_h(own) / slot_h(there) if slot_h(there) > 0 else None}
            )  # fmt: skip
    return found


def idle_windows(tables: Tables) -> list[Row]:
    found = []
    for (environment,), own in groups(tables["slot_use"], "environment").items():
        for stretch in own:
            end = stretch["ended_at"]
            if held_at(own, end):
                continue
            later = min((s["began_at"] for s in own if s["began_at"] >= end), default=None)
            if later is not None and later - end >= timedelta(minutes=15):
                idle = (later - end) / timedelta(seconds=1)
                found.append(
                    {"environment": environment, "began_at": end, "ended_at": later, "idle_s": idle}
                )
    return list({(f["environment"], f["began_at"]): f for f in found}.values())


def heartbeat_gaps(tables: Tables) -> list[Row]:
    watched_until = {
        e["environment"]: e["last_taken_at"]
        if (e["last_taken_at"] - e["alive_at"]).total_seconds() <= 7 * 86_400
        else e["alive_at"]
        for e in tables["environments"]
    }
    served = [
        j
        for j in tables["jobs"]
        if j["job_type"] in ("SchedulerJob", "TriggererJob", "DagProcessorJob") and j["started_at"]
    ]
    found = []
    for (environment, job_type), own in groups(served, "environment", "job_type").items():
        lives = [
            (j["started_at"], max(t for t in (j["ended_at"], j["heartbeat_at"]) if t))
            if j["ended_at"] or j["heartbeat_at"]
            else (j["started_at"], j["started_at"])
            for j in own
        ]
        for end in {end for _, end in lives}:
            if any(began <= end < other for began, other in lives):
                continue
            later = min((began for began, _ in lives if began > end), default=None)
            gap = ((later or watched_until[environment]) - end) / timedelta(seconds=1)
            if gap > 30:
                found.append(
                    {"environment": environment, "job_type": job_type, "began_at": end,
                     "ended_at": later, "gap_s": gap}
                )  # fmt: skip
    return found


def sensor_waste(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "task_id")
    again = groups(tables["reschedules"], *names)
    found = []
    for there in groups(tables["slot_use"], "environment").values():
        for key, own in groups(there, *names).items():
            operator = max((s["operator"] for s in own if s["operator"]), default=None)
            times = len(again.get(key, []))
            if times or "sensor" in (operator or "").lower():
                found.append(
                    {
                        **dict(zip(names, key, strict=True)),
                        "operator": operator,
                        "tries": sum(s["tries"] for s in own),
                        "reschedules": times,
                        "slot_h": slot_h(own),
                        "share": slot_h(own) / slot_h(there) if slot_h(there) > 0 else None,
                    }
                )
    return found


def slot_hours_by_tag(tables: Tables) -> list[Row]:
    gone_at = {(d["environment"], d["dag_id"]): d["gone_at"] for d in tables["dags"]}
    held = [
        t
        for t in tables["dag_tags"]
        if t["gone_at"] in (None, gone_at.get((t["environment"], t["dag_id"])))
    ]
    tags = groups(held, "environment", "dag_id")
    tagged = [
        {**s, "day": s["began_at"].date(), "tag": tag["tag"]}
        for s in tables["slot_use"]
        for tag in tags.get((s["environment"], s["dag_id"]), [{"tag": ""}])
    ]
    names = ("environment", "tag", "day")
    return [
        {
            **dict(zip(names, key, strict=True)),
            "dags": len({s["dag_id"] for s in own}),
            "tries": sum(s["tries"] for s in own),
            "slot_h": slot_h(own),
        }
        for key, own in groups(tagged, *names).items()
    ]


def slot_hours_by_owner(tables: Tables) -> list[Row]:
    owners = {(d["environment"], d["dag_id"]): d["owners"] for d in tables["dags"]}
    owned = [
        {
            **s,
            "day": s["began_at"].date(),
            "owners": owners.get((s["environment"], s["dag_id"])) or "",
        }
        for s in tables["slot_use"]
    ]
    names = ("environment", "owners", "day")
    return [
        {
            **dict(zip(names, key, strict=True)),
            "dags": len({s["dag_id"] for s in own}),
            "tries": sum(s["tries"] for s in own),
            "slot_h": slot_h(own),
        }
        for key, own in groups(owned, *names).items()
    ]


# Some operators with a deferrable mode, and what is said of them; the mart knows more.
REMOTE = {"GlueJobOperator", "TriggerDagRunOperator", "KubernetesPodOperator", "SimpleHttpOperator"}
WHY = {
    "decorated": "a sensor that pokes holds its slot: mode=reschedule",
    "sensor": "a sensor that pokes holds its slot: deferrable=True where it has that, "
    "else mode=reschedule",
    "remote": "waits for work elsewhere: deferrable=True, if it is not on yet",
}


def waits(operator: str | None) -> str | None:
    """The kind of waiting that an operator's name tells of."""
    if operator is None or operator.endswith("Async"):
        return None
    if "sensor" in operator.lower():
        return "decorated" if operator.startswith("@task") else "sensor"
    return "remote" if operator in REMOTE else None


def deferrable_candidates(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "task_id")
    good = {tuple(r[n] for n in names) for r in tables["reschedules"]}
    good |= {tuple(t[n] for n in names) for t in tables["tasks"] if t["was_deferred"]}
    waiting = [a for a in tables["attempts"] if waits(a["operator"]) and (a["duration_s"] or 0) > 0]
    found = []
    for key, tries in groups(waiting, *names).items():
        p50 = nearest_rank([a["duration_s"] for a in tries], 0.5)
        if key not in good and p50 >= 60:
            operator = max(a["operator"] for a in tries)
            found.append(
                {
                    **dict(zip(names, key, strict=True)),
                    "operator": operator,
                    "tries": len(tries),
                    "slot_h": sum(a["duration_s"] * a["pool_slots"] for a in tries) / 3600,
                    "p50_s": p50,
                    "why": WHY[waits(operator) or ""],
                }
            )
    return found


CAPACITY: dict[str, Callable[[Tables], list[Any]]] = {
    function.__name__: function
    for function in (
        concurrency_by_minute,
        pool_saturation,
        busy_hours,
        idle_windows,
        heartbeat_gaps,
        sensor_waste,
        slot_hours_by_tag,
        slot_hours_by_owner,
        deferrable_candidates,
    )
}
