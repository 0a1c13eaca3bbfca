"""Every DAG on its own: how it is, what speaks for a look at it, and what its page shows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from airkeep.report.figures import Ask, Kind, Row, Since, Value, plain

RUNS, WEEKS, CHANGES, TASKS, STEPS = 60, 52, 8, 25, 30
LISTS = ("strip", "weeks", "changes", "tasks", "path")  # of a DAG's own page
_DIGITS = 4  # more than a page shows; 500 DAGs have 150,000 of these numbers
_WEEK_S = 7 * 86_400

Key = tuple[str, str]


@dataclass(frozen=True)
class Dag:
    """One DAG of one environment, with the details that its own page shows.

    Attributes:
        signals: why to look at it, the worst first; empty when all is well.
        strip: the newest runs, oldest first: state, type, started_at, duration_s.
        weeks: week, runs, p50_s, p95_s of successful runs.
        changes: task_id, changed_at, ratio, version_before, version_after.
        tasks: task_id, finished, first_try_rate, mean_s, p95_s of its newest week, lost_h.
        path: of the newest run with one: task_id, started_at, duration_s, slack_s, is_critical,
            wait_s, map_index.
    """

    environment: str
    dag_id: str
    owners: str | None
    schedule: str | None
    file: str | None
    is_paused: bool
    is_active: bool
    signals: tuple[str, ...]
    runs: int
    failed: int
    success_rate: float | None
    success_rate_before: float | None
    mean_s: float | None
    mean_before_s: float | None
    slot_h: float | None
    last_state: str | None
    last_started_at: int | None
    strip: tuple[Row, ...]
    weeks: tuple[Row, ...]
    changes: tuple[Row, ...]
    tasks: tuple[Row, ...]
    path: tuple[Row, ...]


_DAGS = """
SELECT
  coalesce(d.environment, w.environment), coalesce(d.dag_id, w.dag_id),
  d.owners, d.schedule, d.file, coalesce(d.is_paused, FALSE),
  coalesce(d.is_active AND d.gone_at IS NULL, FALSE),
  coalesce(w.runs, 0), coalesce(w.failed, 0), w.success_rate, w.success_rate_before,
  w.mean_s, w.mean_before_s, s.slot_h, w.last_state, w.last_started_at, e.newest_at
FROM (SELECT * FROM dags WHERE NOT is_subdag) AS d
FULL JOIN dag_week AS w ON w.environment = d.environment AND w.dag_id = d.dag_id
LEFT JOIN (
  SELECT h.environment, h.dag_id, sum(h.slot_h) AS slot_h
  FROM slot_hours_by_dag AS h
  JOIN (SELECT environment, max(newest_day) AS newest_day FROM dag_week GROUP BY environment) AS n
    ON n.environment = h.environment AND date_diff('day', h.day, n.newest_day) BETWEEN 0 AND 6
  GROUP BY h.environment, h.dag_id
) AS s
  ON s.environment = coalesce(d.environment, w.environment)
  AND s.dag_id = coalesce(d.dag_id, w.dag_id)
LEFT JOIN (
  SELECT environment, max(last_started_at) AS newest_at FROM dag_week GROUP BY environment
) AS e
  ON e.environment = coalesce(d.environment, w.environment)
WHERE coalesce(d.is_active AND d.gone_at IS NULL, FALSE) OR w.dag_id IS NOT NULL
ORDER BY 1, 2
"""
_STRIP = f"""
SELECT environment, dag_id, state, run_type, started_at, duration_s FROM (
  SELECT *, coalesce(started_at, due_at) AS seen_at, row_number() OVER (
    PARTITION BY environment, dag_id ORDER BY coalesce(started_at, due_at) DESC, run_id DESC
  ) AS place FROM runs
) AS r WHERE place <= {RUNS} ORDER BY seen_at, run_id
"""
_WEEKS = f"""
SELECT environment, dag_id, week, runs, p50_s, p95_s FROM (
  SELECT *, row_number() OVER (PARTITION BY environment, dag_id ORDER BY week DESC) AS place
  FROM run_duration_by_week
) AS w WHERE place <= {WEEKS} ORDER BY week
"""
_TASKS = f"""
SELECT environment, dag_id, task_id, finished, first_try_rate, mean_s, p95_s, lost_h FROM (
  SELECT
    f.environment, f.dag_id, f.task_id, f.finished, f.first_try_rate, v.mean_s, w.p95_s, l.lost_h,
    row_number() OVER (
      PARTITION BY f.environment, f.dag_id
      ORDER BY l.lost_h DESC NULLS LAST, v.mean_s DESC NULLS LAST, f.task_id
    ) AS place
  FROM first_try_success AS f
  LEFT JOIN duration_variance AS v
    ON v.environment = f.environment AND v.dag_id = f.dag_id AND v.task_id = f.task_id
  LEFT JOIN lost_hours AS l
    ON l.environment = f.environment AND l.dag_id = f.dag_id AND l.task_id = f.task_id
  LEFT JOIN (
    SELECT *, row_number() OVER (
      PARTITION BY environment, dag_id, task_id ORDER BY week DESC
    ) AS newest FROM task_duration_by_week
  ) AS w
    ON w.newest = 1 AND w.environment = f.environment AND w.dag_id = f.dag_id
    AND w.task_id = f.task_id
) AS t WHERE place <= {TASKS} ORDER BY place
"""
_CHANGES = f"""
SELECT environment, dag_id, task_id, changed_at, ratio, version_before, version_after FROM (
  SELECT *, row_number() OVER (
    PARTITION BY environment, dag_id ORDER BY changed_at DESC, score DESC, task_id
  ) AS place FROM duration_regressions
) AS c WHERE place <= {CHANGES} ORDER BY changed_at, task_id
"""
_PATH = f"""
SELECT
  environment, dag_id, task_id, started_at, duration_s, slack_s, is_critical, wait_s, map_index
FROM (
  SELECT p.*, row_number() OVER (
    PARTITION BY p.environment, p.dag_id ORDER BY p.is_critical DESC, p.duration_s DESC, p.task_id,
      p.map_index
  ) AS place
  FROM critical_path AS p
  JOIN (
    SELECT environment, dag_id, run_id, row_number() OVER (
      PARTITION BY environment, dag_id ORDER BY max(ended_at) DESC NULLS LAST, run_id DESC
    ) AS newest FROM critical_path GROUP BY environment, dag_id, run_id
  ) AS r
    ON r.newest = 1 AND r.environment = p.environment AND r.dag_id = p.dag_id
    AND r.run_id = p.run_id
) AS t WHERE place <= {STEPS} ORDER BY started_at NULLS LAST, task_id, map_index
"""
MARTS = ("dag_week", "slot_hours_by_dag", "run_duration_by_week", "first_try_success",
         "duration_variance", "lost_hours", "task_duration_by_week")  # fmt: skip
WANTED = (*MARTS, "duration_regressions", "critical_path", "failure_streaks", "stuck_runs",
          "zombies", "missed_runs")  # fmt: skip


def dags(ask: Ask, known: Collection[str], since: Since | None = None) -> tuple[Dag, ...]:
    """Every DAG that is there or ever ran, those that need a look first.

    Args:
        since: of the changes only later ones are listed; all of them make signals.
    """

    def details(statement: str, mart: str | None = None) -> dict[Key, tuple[Row, ...]]:
        return by_dag(ask(statement)) if mart is None or mart in known else {}

    def among(mart: str, where: str = "TRUE") -> frozenset[Key]:
        if mart not in known:
            return frozenset()
        rows = ask(
            f"SELECT DISTINCT m.environment, m.dag_id FROM {mart} AS m "
            "LEFT JOIN (SELECT environment, max(newest_day) AS newest_day FROM dag_week "
            f"GROUP BY environment) AS e ON e.environment = m.environment WHERE {where}"
        )
        return frozenset((str(e), str(d)) for e, d in rows)

    strips, weeks, tasks = details(_STRIP), details(_WEEKS), details(_TASKS)
    changes_of = details(_CHANGES, "duration_regressions")
    paths = details(_PATH, "critical_path")
    failing = among("failure_streaks", "recovered_at IS NULL")
    stuck, zombies = among("stuck_runs"), among("zombies")
    missed = among("missed_runs", "date_diff('day', CAST(due_at AS DATE), newest_day) < 7")
    found = []
    for row in ask(_DAGS):
        *values, newest_at = (plain(value) for value in row)
        key = (str(values[0]), str(values[1]))
        listed = [of.get(key, ()) for of in (strips, weeks, changes_of, tasks, paths)]
        facts: list[Any] = [*values[:7], (), *values[7:], *listed]
        dag = Dag(*facts)
        seen = signals(
            dag,
            newest_at,
            failing=key in failing,
            stuck=key in stuck,
            zombies=key in zombies,
            missed=key in missed,
        )
        later = (c for c in dag.changes if since is None or (_number(c[1]) or 0) >= since.at)
        found.append(replace(dag, signals=seen, changes=tuple(later)))
    return tuple(sorted(found, key=_worst_first))


def signals(
    dag: Dag, newest_at: Value, *, failing: bool, stuck: bool, zombies: bool, missed: bool
) -> tuple[str, ...]:
    """Why a DAG needs a look, the worst first.

    Args:
        newest_at: when the environment's newest run started.
    """
    week_began = (newest_at if isinstance(newest_at, int) else 0) - _WEEK_S
    before = dag.success_rate_before
    slower = [
        c for c in dag.changes if (_number(c[2]) or 0) > 1 and (_number(c[1]) or 0) >= week_began
    ]
    told = {
        "failing": failing,
        "stuck": stuck,
        "zombies": zombies,
        "missed": missed,
        "flaky": dag.failed > 0 and not failing,
        "worse": dag.success_rate is not None
        and before is not None
        and dag.success_rate < before - 0.05,
        "slower": bool(slower) or (dag.mean_s or 0) > 1.5 * (dag.mean_before_s or math.inf),
        "silent": dag.is_active
        and not dag.is_paused
        and dag.schedule is not None
        and dag.schedule not in _UNTIMED
        and (dag.last_started_at or 0) < week_began,
    }
    return tuple(name for name, true in told.items() if true)


def by_dag(rows: Iterable[tuple[object, ...]]) -> dict[Key, tuple[Row, ...]]:
    """The rows of each DAG without the two columns that name it."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for environment, dag_id, *values in rows:
        found[str(environment), str(dag_id)].append(
            tuple(plain(value, _DIGITS) for value in values)
        )
    return {key: tuple(own) for key, own in found.items()}


# Schedules that make no run due at a time.
_UNTIMED = frozenset({"Asset", "Dataset", "Partitioned Asset", "@once", "@continuous"})


@dataclass(frozen=True)
class Change:
    """What is otherwise with a DAG than in the week before."""

    environment: str
    dag_id: str
    what: str
    before: Value
    now: Value
    kind: Kind


def changes(found: Iterable[Dag], most: int = 100) -> tuple[Change, ...]:
    """The DAGs whose last seven days differ most from the seven before, failures first."""
    ranked: list[tuple[int, float, Change]] = []
    for dag in found:
        fails, failed = dag.success_rate, dag.success_rate_before
        if fails is not None and failed is not None and abs(fails - failed) >= 0.02:
            what = "fails more" if fails < failed else "fails less"
            change = Change(dag.environment, dag.dag_id, what, failed, fails, "share")
            ranked.append((fails > failed, -abs(fails - failed), change))
        if dag.mean_s and dag.mean_before_s and dag.mean_before_s >= 1:
            ratio = dag.mean_s / dag.mean_before_s
            if ratio >= 1.25 or ratio <= 0.8:
                what = "slower" if ratio > 1 else "faster"
                took = Change(dag.environment, dag.dag_id, what, dag.mean_before_s, dag.mean_s, "s")
                ranked.append((2 if ratio > 1 else 4, -abs(math.log(ratio)), took))
        if fails is None and failed is not None:
            silent = Change(dag.environment, dag.dag_id, "ran no more", failed, None, "share")
            ranked.append((3, 0, silent))
    ranked.sort(key=lambda r: (r[0], r[1], r[2].environment, r[2].dag_id))
    return tuple(change for _, _, change in ranked[:most])


_SEVERITY = ("failing", "stuck", "zombies", "missed", "worse", "flaky", "slower", "silent")


def _worst_first(dag: Dag) -> tuple[int, int, str, str]:
    worst = min((_SEVERITY.index(s) for s in dag.signals), default=len(_SEVERITY))
    return worst, -dag.failed, dag.environment, dag.dag_id


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
