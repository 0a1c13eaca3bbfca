"""How a person would count what runs did: see `plain.py`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from datetime import datetime, timedelta

from counting import Row, Tables, groups, nearest_rank, seconds

second = timedelta(seconds=1)
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


def time_to_recover(tables: Tables) -> list[Row]:
    found = []
    for (environment, dag_id), own in groups(
        tables["failure_streaks"], "environment", "dag_id"
    ).items():
        took = [s["recovery_s"] for s in own if s["recovery_s"] is not None]
        still = [s for s in own if s["recovered_at"] is None]
        found.append(
            {"environment": environment, "dag_id": dag_id, "streaks": len(own),
             "recovered": len(own) - len(still), "open_streaks": len(still),
             "p50_s": nearest_rank(took, 0.5) if took else None,
             "p90_s": nearest_rank(took, 0.9) if took else None,
             "worst_s": max(took, default=None)}
        )  # fmt: skip
    return found


def success_by_task_day(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "task_id", "day")
    ended = [
        {**t, "day": t["ended_at"].date()}
        for t in tables["tasks"]
        if t["state"] in ("success", "failed") and t["ended_at"] is not None
    ]
    found = []
    tasks = groups(ended, *names[:3])
    for key, own in groups(ended, *names).items():
        good = [t for t in own if t["state"] == "success"]
        last = [t for t in tasks[key[:3]] if timedelta() <= key[3] - t["day"] < timedelta(days=7)]
        found.append(
            {**dict(zip(names, key, strict=True)), "finished": len(own), "succeeded": len(good),
             "failed": len(own) - len(good), "success_rate": len(good) / len(own),
             "success_rate_7d": sum(t["state"] == "success" for t in last) / len(last)}
        )  # fmt: skip
    return found


def failure_clusters(tables: Tables) -> list[Row]:
    five = timedelta(minutes=5)
    failed = [
        a
        for a in tables["attempts"]
        if a["state"] in ("failed", "up_for_retry") and a["ended_at"] is not None
    ]
    found = []
    for (environment,), own in groups(failed, "environment").items():
        ordered = sorted(own, key=lambda a: a["ended_at"])
        clusters: list[list[Row]] = []
        for one in ordered:
            if clusters and one["ended_at"] - clusters[-1][-1]["ended_at"] <= five:
                clusters[-1].append(one)
            else:
                clusters.append([one])
        per_second = len(own) / ((ordered[-1]["ended_at"] - ordered[0]["ended_at"] + five) / second)
        for cluster in clusters:
            several = {n: {a[n] for a in cluster} for n in ("hostname", "pool", "operator")}
            dags = {a["dag_id"] for a in cluster}
            if len(dags) < 3:
                continue
            began, ended = cluster[0]["ended_at"], cluster[-1]["ended_at"]
            found.append(
                {
                    "environment": environment,
                    "began_at": began,
                    "ended_at": ended,
                    "failures": len(cluster),
                    "dags": len(dags),
                    "tasks": len({(a["dag_id"], a["task_id"]) for a in cluster}),
                    "hosts": len(several["hostname"] - {None}),
                    "pools": len(several["pool"] - {None}),
                    **{n: next(iter(v)) if len(v) == 1 else None for n, v in several.items()},
                    "times_usual": len(cluster) / (per_second * ((ended - began + five) / second)),
                }
            )
    return found


def alive(tables: Tables) -> dict[str, datetime]:
    return {e["environment"]: e["alive_at"] for e in tables["environments"]}


def zombies(tables: Tables) -> list[Row]:
    jobs = {
        (j["environment"], j["job_id"]): j
        for j in sorted(tables["jobs"], key=lambda job: str(job["snapshot"]))
        if j["job_type"] == "LocalTaskJob"
    }
    there = groups(tables["unfinished_tasks"], *INSTANCE)
    found = []
    for t in tables["tasks"]:
        if tuple(t[n] for n in INSTANCE) not in there:
            continue
        job = jobs.get((t["environment"], t["job_id"]), {})
        heard = t["last_heartbeat_at"] or job.get("heartbeat_at")
        heard = heard if t["state"] == "running" else None
        now = alive(tables)[t["environment"]]
        why = None
        since = heard or t["started_at"] if t["state"] == "running" else t["queued_at"]
        silent = None if since is None else (now - since) / second
        if t["state"] == "running" and job.get("state") not in (None, "running"):
            why = "job ended"
        elif t["state"] == "running" and silent is not None and silent > 300:
            why = "silent"
        elif t["state"] == "queued" and silent is not None and silent > 600:
            why = "queued"
        if why:
            found.append(
                {**{n: t[n] for n in (*INSTANCE, "state", "started_at", "queued_at", "hostname")},
                 "heartbeat_at": heard, "silent_s": silent, "why": why}
            )  # fmt: skip
    return found


def stuck_runs(tables: Tables) -> list[Row]:
    order = ["running", "deferred", "up_for_reschedule", "queued", "scheduled", "up_for_retry"]
    ended = ("success", "failed", "skipped", "upstream_failed", "removed")
    paused = {(d["environment"], d["dag_id"]): d["is_paused"] for d in tables["dags"]}
    tasks = groups(tables["tasks"], "environment", "dag_id", "run_id")
    runs = groups(tables["runs"], "environment", "dag_id")
    runs_there = groups(tables["unfinished_runs"], "environment", "dag_id", "run_id")
    tasks_there = groups(tables["unfinished_tasks"], *INSTANCE)
    found = []
    for (environment, dag_id), own in runs.items():
        took = [
            r["duration_s"] for r in own if r["state"] == "success" and r["duration_s"] is not None
        ]
        usual = nearest_rank(took, 0.95) if len(took) >= 5 else None
        for run in own:
            since = run["started_at"] or run["queued_at"] or run["due_at"]
            if run["state"] not in ("running", "queued") or since is None:
                continue
            if (environment, dag_id, run["run_id"]) not in runs_there:
                continue
            running = (alive(tables)[environment] - since) / second
            if running <= (86400 if usual is None else 2 * usual):
                continue
            there = tasks.get((environment, dag_id, run["run_id"]), [])
            left = [
                t["state"]
                for t in there
                if t["state"] not in ended and tuple(t[n] for n in INSTANCE) in tasks_there
            ]
            why = next((state for state in order if state in left), None)
            if why is None:
                other = sorted(state for state in left if state)
                why = other[0] if other else "not scheduled" if left else "no task left"
            found.append(
                {
                    **{n: run[n] for n in ("environment", "dag_id", "run_id", "state")},
                    "is_paused": paused.get((environment, dag_id), False),
                    "started_at": run["started_at"],
                    "running_s": running,
                    "usual_p95_s": usual,
                    "unfinished_tasks": len(left),
                    "why": why if there else "no task yet",
                }
            )
    return found


def blast_radius(tables: Tables) -> list[Row]:
    failed_runs = {
        (r["environment"], r["dag_id"], r["run_id"])
        for r in tables["runs"]
        if r["state"] == "failed"
    }
    found: dict[tuple[str, ...], list[tuple[bool, int]]] = {}
    for run, own in groups(tables["tasks"], "environment", "dag_id", "run_id").items():
        blocked = sum(t["state"] == "upstream_failed" for t in own)
        for task in {t["task_id"] for t in own if t["state"] == "failed"}:
            found.setdefault((*run[:2], task), []).append((run in failed_runs, blocked))
    return [
        {
            "environment": environment,
            "dag_id": dag_id,
            "task_id": task_id,
            "failures": len(own),
            "runs_failed": sum(bad for bad, _ in own),
            "tasks_blocked": sum(blocked for _, blocked in own),
            "blocked_per_failure": sum(blocked for _, blocked in own) / len(own),
        }
        for (environment, dag_id, task_id), own in found.items()
    ]


def duration_regressions(tables: Tables) -> list[Row]:
    """Try every point, and take the one that leaves the least unevenness on its two sides."""
    codes = {(r["environment"], r["dag_id"], r["run_id"]): r for r in tables["runs"]}
    numbers = {
        (v["environment"], v["dag_version_id"]): v["version"] for v in tables["dag_versions"]
    }
    good = [
        t
        for t in tables["tasks"]
        if t["state"] == "success" and t["duration_s"] is not None and t["started_at"] is not None
    ]
    found = []
    names = ("environment", "dag_id", "task_id")
    for key, own in groups(good, *names).items():
        runs = []
        for (run_id,), instances in groups(own, "run_id").items():
            ids = [t["dag_version_id"] for t in instances if t["dag_version_id"]]
            runs.append(
                {"run_id": run_id, "started_at": min(t["started_at"] for t in instances),
                 "took": max(t["duration_s"] for t in instances),
                 "version": max(ids, default=None)}
            )  # fmt: skip
        runs = sorted(runs, key=lambda r: (r["started_at"], r["took"]))[-2000:]
        logs = [math.log(r["took"] + 0.1) for r in runs]
        points = range(8, len(runs) - 7)
        if not points:
            continue
        unevenness = {p: _uneven(logs[:p]) + _uneven(logs[p:]) for p in points}
        point = min(points, key=lambda p: (round(unevenness[p], 9), -p))
        change = statistics.fmean(logs[point:]) - statistics.fmean(logs[:point])
        deviation = max(0.01, math.sqrt(unevenness[point] / (len(logs) - 2)))
        effect = change / deviation
        score = effect * math.sqrt(point * (len(logs) - point) / len(logs))
        before, after = (
            nearest_rank([r["took"] for r in side], 0.5) for side in (runs[:point], runs[point:])
        )
        if effect < 0.5 or score < 5 or after - before < 1 or after < 1.2 * before:
            continue

        def version(run: Row, key: tuple[str, ...] = key) -> str | None:
            there = codes.get((*key[:2], run["run_id"]), {})
            number = numbers.get((key[0], run["version"] or there.get("dag_version_id")))
            code: str | None = there.get("code_version")
            return code if number is None else str(number)

        found.append(
            {
                **dict(zip(names, key, strict=True)),
                "changed_at": runs[point]["started_at"],
                "before_n": point,
                "after_n": len(runs) - point,
                "before_p50_s": before,
                "after_p50_s": after,
                "ratio": after / before if before > 0 else None,
                "effect_size": effect,
                "score": score,
                "version_before": version(runs[point - 1]),
                "version_after": version(runs[point]),
            }
        )
    return found


def _uneven(values: list[float]) -> float:
    return statistics.pvariance(values) * len(values)


def landing_time(tables: Tables) -> list[Row]:
    slas = {(s["environment"], s["dag_id"], s["task_id"]): s["sla_s"] for s in tables["task_slas"]}
    uncleared = [r for r in tables["scheduled_runs"] if not r["clears"]]
    due_at = {(r["environment"], r["dag_id"], r["run_id"]): r["due_at"] for r in uncleared}
    runs = {(r["environment"], r["dag_id"], r["run_id"]): r for r in tables["runs"]}
    unknown: Row = {"ended_at": None, "clears": 0}
    found = []
    for dag, own in groups(uncleared, "environment", "dag_id").items():
        took = [
            landed
            for r in own
            if r["state"] == "success"
            and (landed := seconds(r["ended_at"], r["due_at"])) is not None
        ]
        if not took:
            continue
        late = 0
        for t in tables["tasks"]:
            sla = slas.get((t["environment"], t["dag_id"], t["task_id"]))
            due = due_at.get((t["environment"], t["dag_id"], t["run_id"]))
            if (t["environment"], t["dag_id"]) == dag and sla is not None and due and t["ended_at"]:
                late += (t["ended_at"] - due) / second > sla
        deadlines = [d for d in tables["deadlines"] if (d["environment"], d["dag_id"]) == dag]
        found.append(
            {
                "environment": dag[0],
                "dag_id": dag[1],
                "runs": len(took),
                "p50_s": nearest_rank(took, 0.5),
                "p90_s": nearest_rank(took, 0.9),
                "worst_s": max(took),
                "sla_s": max((s for (*d, _), s in slas.items() if tuple(d) == dag), default=None),
                "sla_late": late,
                "sla_misses": sum(
                    (s["environment"], s["dag_id"]) == dag for s in tables["sla_misses"]
                ),
                "deadlines": len(deadlines),
                "deadline_misses": sum(d["was_missed"] for d in deadlines),
                "deadline_late": sum(
                    (run["ended_at"] or alive(tables)[dag[0]]) > d["due_at"]
                    for d in deadlines
                    if not (run := runs.get((*dag, d["run_id"]), unknown))["clears"]
                ),
            }
        )
    return found


def missed_runs(tables: Tables) -> list[Row]:
    switches = {
        "paused", "api.patch_dag", "patch_dag", "cli_dag_pause", "cli_dag_unpause", "cli_pause",
        "cli_unpause",
    }  # fmt: skip
    runs = groups(tables["runs"], "environment", "dag_id")
    schedulers = groups(
        (j for j in tables["jobs"] if j["job_type"] == "SchedulerJob" and j["started_at"]),
        "environment",
    )
    unfinished = groups(tables["unfinished_runs"], "environment", "dag_id", "run_id")
    slots = groups(tables["expected_runs"], "environment", "dag_id")
    found = []
    for slot in tables["expected_runs"]:
        dag = (slot["environment"], slot["dag_id"])
        now, when = alive(tables)[dag[0]], slot["due_at"]
        own = runs.get(dag, [])
        dues = {r["due_at"] for r in own} - {None}
        if when in dues:
            continue
        times = {s["due_at"] for s in slots[dag]}
        planned = {r["due_at"] for r in own if r["run_type"] == "scheduled" and r["due_at"]}
        beside = {d for d in planned - times if min(times) < d < max(times)}
        if slot["interval_s"] is None and len(beside) > len(dues & times):
            continue
        before = max((d for d in dues if d < when), default=None)
        after = min((d for d in dues if d > when), default=None)
        if before and any(
            e["event"] in switches and before <= e["happened_at"] <= (after or datetime.max)
            for e in tables["events"]
            if (e["environment"], e["dag_id"]) == dag and e["happened_at"]
        ):
            continue
        lives = [j for j in schedulers.get(dag[:1], []) if j["heartbeat_at"]]
        if slot["catchup"] and after is None:
            why = "catching up"
        elif lives and not any(j["started_at"] <= when <= j["heartbeat_at"] for j in lives):
            why = "no scheduler"
        elif any(
            r["started_at"]
            and r["started_at"] <= when
            and when < (r["ended_at"] or (now if (*dag, r["run_id"]) in unfinished else when))
            for r in own
        ):
            why = "earlier run"
        else:
            why = "unknown"
        found.append(
            {**{n: slot[n] for n in ("environment", "dag_id", "due_at", "schedule", "timezone")},
             "catchup": slot["catchup"], "run_before_at": before, "run_after_at": after,
             "why": why}
        )  # fmt: skip
    return found


def catchup_backlog(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "run_id")
    unfinished = groups(tables["unfinished_runs"], *names)
    counted = [
        r
        for r in tables["scheduled_runs"]
        if not r["clears"] and (r["started_at"] or tuple(r[n] for n in names) in unfinished)
    ]
    found = []
    for (environment, dag_id), own in groups(counted, "environment", "dag_id").items():
        now = alive(tables)[environment]
        waits = [(r["due_at"], r["started_at"] or now) for r in own]
        for day in {due.date() for due, _ in waits}:
            midnight = datetime(day.year, day.month, day.day)
            marks = [m for wait in waits for m in wait if m.date() == day]
            late = [(start - due) / second for due, start in waits if due.date() == day]
            found.append(
                {
                    "environment": environment,
                    "dag_id": dag_id,
                    "day": day,
                    "runs": len(late),
                    "late_runs": sum(one > 300 for one in late),
                    "worst_late_s": max(late),
                    "peak_backlog": max(
                        sum(due <= mark < start for due, start in waits)
                        for mark in (midnight, *marks)
                    ),
                }
            )
    return found


RUNS: dict[str, Callable[[Tables], list[Row]]] = {
    function.__name__: function
    for function in (
        critical_path,
        time_to_recover,
        success_by_task_day,
        failure_clusters,
        zombies,
        stuck_runs,
        blast_radius,
        duration_regressions,
        landing_time,
        missed_runs,
        catchup_backlog,
    )
}
