"""The marts that a bill is shared by, in plain Python; see `plain.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

from counting import Row, Tables, groups

INSTANCE = ("environment", "dag_id", "task_id", "run_id", "map_index")


def slot_waste_by_task(tables: Tables) -> list[Row]:
    use = tables["slot_use"]
    tries = {
        key: max((s["try_number"] for s in own if s["try_number"]), default=1)
        for key, own in groups(use, *INSTANCE).items()
    }
    parts = []
    for s in use:
        last = tries[tuple(s[n] for n in INSTANCE)]
        slot_s = s["held_s"] * (s["pool_slots"] or 1)
        is_again = last > 1 and (s["try_number"] or 0) < last
        is_failed = not is_again and s["state"] in ("failed", "up_for_retry")
        is_sensor = s["rescheduled"] or "sensor" in (s["operator"] or "").lower()
        is_waiting = is_sensor and not is_again and not is_failed
        parts.append(
            {**s, "day": s["began_at"].date(), "slot_s": slot_s, "again_s": slot_s * is_again,
             "failed_s": slot_s * is_failed, "waited_s": slot_s * is_waiting}
        )  # fmt: skip
    names = ("environment", "dag_id", "task_id", "day")
    sums = ("slot_s", "again_s", "failed_s", "waited_s")
    return [
        {**dict(zip(names, key, strict=True)), **{n: sum(p[n] for p in own) for n in sums}}
        for key, own in groups(parts, *names).items()
    ]


def busy_by_day(tables: Tables) -> list[Row]:
    dated = [{**s, "day": s["began_at"].date()} for s in tables["slot_use"]]
    found = []
    for (environment, day), own in groups(dated, "environment", "day").items():
        moments = sorted({s[n] for s in own for n in ("began_at", "ended_at")})
        busy_s = sum(
            (later - moment) / timedelta(seconds=1)
            for moment, later in pairwise(moments)
            if any(s["began_at"] <= moment < s["ended_at"] for s in own)
        )
        found.append({"environment": environment, "day": day, "busy_s": busy_s})
    return found


COST: dict[str, Callable[[Tables], list[Any]]] = {
    function.__name__: function for function in (slot_waste_by_task, busy_by_day)
}
