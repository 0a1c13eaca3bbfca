"""Which tasks a run waited for: slack from the DAG's own edges and what was seen.

    passed(t)  when t let the next ones go: its end, of a task that never ran when its last
               upstream passed
    ready(d)   the last passed(u) of those upstreams u that passed before d began; another one
               did not hold d up (a trigger rule, or it was cleared and ran again)
    slack(t)   the least of ready(d) - passed(t) + slack(d) over all d that waited for t; with
               none, from passed(t) to the end of the run's last task

The time from ready(d) to the start of d (queue, failed tries) is taken as it was. Instances of a
mapped task count together: the task began with the first of them and ended with the last, and what
an instance had left until then is slack of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Row = Mapping[str, Any]
Edges = dict[str, set[str]]


@dataclass
class _Version:
    since: datetime | None
    downstream: Edges = field(default_factory=dict)


@dataclass(frozen=True)
class _Instance:
    task_id: str
    map_index: int
    started_at: datetime
    ended_at: datetime


def slack(edges: Iterable[Row], tasks: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    """Of each instance that ran: when it could begin, its slack, whether the edges are its own.

    A first task could begin with its run; of one that began before any of its upstreams had ended,
    or that is not among the DAG's tasks, it is not known. Slack is in seconds. Instances that have
    not ended give no row, nor do DAGs without edges; tasks in a circle, which no Airflow lets
    through, neither.

    The edges of all DAGs given are held in memory, and the task instances of their runs.

    Args:
        edges: rows of `task_edges`; read to their end first.
        tasks: rows of `recent_tasks`, in any order.

    Returns:
        Environment, DAG, run, task, map index, when it could begin, slack, whether the edges are
        those of the run's own version.
    """
    known: dict[tuple[str, str], dict[str, _Version]] = defaultdict(dict)
    for row in edges:
        versions = known[row["environment"], row["dag_id"]]
        version = versions.setdefault(row["version"], _Version(row["since_at"]))
        below = version.downstream.setdefault(row["task_id"], set())
        if row["downstream_task_id"] is not None:
            below.add(row["downstream_task_id"])
    runs: dict[tuple[Any, ...], list[_Instance]] = defaultdict(list)
    for row in tasks:
        if (row["environment"], row["dag_id"]) not in known:
            continue
        run = tuple(row[n] for n in _RUN)
        if row["started_at"] and row["ended_at"] and row["ended_at"] >= row["started_at"]:
            runs[run].append(
                _Instance(row["task_id"], row["map_index"], row["started_at"], row["ended_at"])
            )
    for run, instances in runs.items():
        environment, dag_id, run_id, started_at, *names = run
        version, is_own = _version_of(known[environment, dag_id], started_at, names)
        first = {*version.downstream} - set().union(*version.downstream.values())
        for one, ready, least in _of_run(version.downstream, instances):
            ready_at = started_at if one.task_id in first else ready
            yield (environment, dag_id, run_id, one.task_id, one.map_index, ready_at, least, is_own)


_RUN = ("environment", "dag_id", "run_id", "run_started_at", "dag_version_id", "code_version")


def _version_of(
    versions: Mapping[str, _Version], started_at: datetime | None, names: Iterable[str | None]
) -> tuple[_Version, bool]:
    """The run's own version, or the newest that was there when it began, or the oldest known."""
    for name in names:
        if name is not None and name in versions:
            return versions[name], True
    by_age = sorted(versions.values(), key=lambda v: v.since or datetime.min)
    before = [v for v in by_age if started_at and v.since and v.since <= started_at]
    return (before[-1] if before else by_age[0]), False


def _of_run(
    downstream: Edges, instances: list[_Instance]
) -> Iterator[tuple[_Instance, datetime | None, float]]:
    began: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for one in instances:
        began[one.task_id] = min(one.started_at, began.get(one.task_id, one.started_at))
        ended[one.task_id] = max(one.ended_at, ended.get(one.task_id, one.ended_at))
    upstream = _upstream(downstream)
    order = _ordered(downstream, upstream)
    passed: dict[str, datetime] = dict(ended)
    ready: dict[str, datetime] = {}
    gates: dict[str, list[str]] = defaultdict(list)
    for task in order:
        held_by = [
            upper
            for upper in upstream.get(task, ())
            if upper in passed and (task not in began or passed[upper] <= began[task])
        ]
        if held_by:
            ready[task] = max(passed[upper] for upper in held_by)
            passed.setdefault(task, ready[task])
        for upper in held_by:
            gates[upper].append(task)
    last = max(ended.values())
    least: dict[str, timedelta] = {}
    for task in [*(t for t in ended if t not in upstream and t not in downstream), *order[::-1]]:
        if task in passed:
            waits = [ready[d] - passed[task] + least[d] for d in gates.get(task, ())]
            least[task] = min(waits, default=last - passed[task])
    for one in instances:
        if one.task_id in least:
            spare = least[one.task_id] + (ended[one.task_id] - one.ended_at)
            yield one, ready.get(one.task_id), spare / timedelta(seconds=1)


def _upstream(downstream: Edges) -> Edges:
    found: Edges = {}
    for task, below in downstream.items():
        for one in below:
            found.setdefault(one, set()).add(task)
    return found


def _ordered(downstream: Edges, upstream: Edges) -> list[str]:
    """Tasks, each after those that it waits for."""
    left = {task: len(upstream.get(task, ())) for task in {*downstream, *upstream}}
    free = [task for task, waits in left.items() if not waits]
    order: list[str] = []
    while free:
        task = free.pop()
        order.append(task)
        for one in downstream.get(task, ()):
            left[one] -= 1
            if not left[one]:
                free.append(one)
    return order
