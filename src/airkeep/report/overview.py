"""What a lake's environments are, how their last week was beside the one before, day by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from airkeep.database.sql import literal
from airkeep.report.figures import Ask, Kind, Row, Value, plain
from airkeep.snapshot.names import id_time
from airkeep.snapshot.outline import Outline

_CALENDAR_D = 371  # a year and the week that it begins in


@dataclass(frozen=True)
class Standing:
    """What the report knows of an environment, and from when.

    Attributes:
        at: when its newest snapshot was taken.
        silent_since: its Airflow's last sign of life, where that is more than five minutes older
            than the newest snapshot.
    """

    name: str
    airflow_version: str
    snapshot: str
    at: int
    snapshots: int
    first_at: int
    mode: str
    rows: int
    week_ends: str | None = None
    silent_since: int | None = None


@dataclass(frozen=True)
class Metric:
    """One number of an environment.

    Attributes:
        before: the same of the week before, where there is one.
        worse: which way is worse, if any is.
        about: what is counted, for people.
    """

    environment: str
    label: str
    kind: Kind
    value: Value
    before: Value
    mart: str
    worse: Literal["up", "down", "neither"]
    weekly: bool


@dataclass(frozen=True)
class Overview:
    """The first screen.

    Attributes:
        calendar: environment, day, runs, failed.
        compared: a DAG in two environments: dag_id, then runs, success_rate, p50_s of each.
    """

    environments: tuple[Standing, ...]
    metrics: tuple[Metric, ...]
    calendar: tuple[Row, ...]
    compare: tuple[str, ...]
    compared: tuple[Row, ...]


@dataclass(frozen=True)
class _Wanted:
    label: str
    kind: Kind
    mart: str
    value: str
    before: str | None = None
    worse: Literal["up", "down", "neither"] = "up"
    source: str | None = None


def _weeks(aggregate: str, column: str, filled: str) -> tuple[str, str]:
    """The same aggregate of the last seven days and of the seven before."""
    return tuple(  # type: ignore[return-value]
        f"{aggregate}(CASE WHEN age_d BETWEEN {first} AND {first + 6} THEN {column} {filled} END)"
        for first in (0, 7)
    )


# Airflow's processes say every few seconds that they live; a snapshot may take minutes.
_SILENT_S = 300
# None was heard of again, while something else in the environment was.
_SILENT_ALONE = f"""(
  SELECT g.environment, date_diff('second', g.began_at, e.alive_at) AS silent_s
  FROM heartbeat_gaps AS g JOIN environments AS e ON e.environment = g.environment
  WHERE g.job_type = 'SchedulerJob' AND g.ended_at IS NULL
    AND date_diff('second', g.began_at, e.alive_at) > {_SILENT_S}
) AS silent"""

_METRICS = (
    _Wanted("finished runs", "count", "dag_week", "sum(runs)", "sum(runs_before)", "neither"),
    _Wanted("failed runs", "count", "dag_week", "sum(failed)", "sum(failed_before)"),
    _Wanted(
        "runs that succeeded", "share", "dag_week",
        "1 - sum(failed) / nullif(sum(runs), 0)",
        "1 - sum(failed_before) / nullif(sum(runs_before), 0)", "down",
    ),
    _Wanted(
        "DAGs with a failed run", "count", "dag_week",
        "sum(CASE WHEN failed > 0 THEN 1 ELSE 0 END)",
        "sum(CASE WHEN failed_before > 0 THEN 1 ELSE 0 END)",
    ),
    _Wanted("worst day's queue wait (p95)", "s", "queue_wait", *_weeks("max", "p95_s", "")),
    _Wanted("slot hours", "h", "slot_hours_by_dag", *_weeks("sum", "slot_h", "ELSE 0"), "neither"),
    _Wanted("DAGs still failing", "count", "failure_streaks",
            "count(DISTINCT CASE WHEN recovered_at IS NULL THEN dag_id END)"),
    _Wanted("silence of the scheduler alone", "s", "heartbeat_gaps", "max(silent_s)",
            source=_SILENT_ALONE),
    _Wanted("stuck runs", "count", "stuck_runs", "count(*)"),
    _Wanted("silent task instances", "count", "zombies", "count(*)"),
    _Wanted("missed runs", "count", "missed_runs", "count(*)"),
    _Wanted("files that do not import", "count", "import_errors_by_day",
            "count(DISTINCT CASE WHEN is_open THEN file END)"),
    _Wanted("stale assets", "count", "asset_freshness",
            "sum(CASE WHEN is_stale THEN 1 ELSE 0 END)"),
)  # fmt: skip
WANTED = (*dict.fromkeys(w.mart for w in _METRICS), "success_by_dag_day")
# Where no process was ever heard of, nothing is known of its silence.
_LIVES = (
    "SELECT environment, alive_at FROM environments WHERE environment IN "
    "(SELECT environment FROM heartbeat_gaps WHERE ended_at IS NULL)"
)
_ENDS = "SELECT environment, max(newest_day) AS newest_day FROM dag_week GROUP BY environment"


def overview(
    ask: Ask, known: Collection[str], manifests: Sequence[Outline], compare: Sequence[str]
) -> Overview:
    """The environments of these manifests, and what the marts say of their last week."""
    ends = {str(e): str(plain(day)) for e, day in ask(_ENDS)}
    lives = {str(e): at for e, found in ask(_LIVES) if isinstance(at := plain(found), int)}
    standings = tuple(
        _standing(name, own, ends.get(name), lives.get(name))
        for name, own in _by_environment(manifests)
    )
    calendar = ask(
        "SELECT environment, day, sum(runs), sum(failed) FROM success_by_dag_day AS s "
        f"JOIN ({_ENDS}) AS e USING (environment) "
        f"WHERE date_diff('day', day, newest_day) BETWEEN 0 AND {_CALENDAR_D} "
        "GROUP BY environment, day ORDER BY environment, day"
    )
    return Overview(
        environments=standings,
        metrics=tuple(
            metric
            for wanted in _METRICS
            if wanted.mart in known
            for metric in _metrics(ask, wanted, [s.name for s in standings])
        ),
        calendar=tuple(tuple(plain(v) for v in row) for row in calendar),
        compare=tuple(compare),
        compared=_compared(ask, *compare) if compare else (),
    )


def _metrics(ask: Ask, wanted: _Wanted, environments: Sequence[str]) -> list[Metric]:
    dated = wanted.before is not None and wanted.mart != "dag_week"
    source = wanted.source or wanted.mart
    if dated:
        source = (
            f"(SELECT *, date_diff('day', day, newest_day) AS age_d FROM {wanted.mart} "
            f"JOIN ({_ENDS}) AS e USING (environment)) AS dated"
        )
    rows = ask(
        f"SELECT environment, {wanted.value}, {wanted.before or 'NULL'} "
        f"FROM {source} GROUP BY environment"
    )
    found = {str(e): (plain(value), plain(before)) for e, value, before in rows}
    nothing = (None, None) if wanted.kind in ("share", "s") else (0, None)
    return [
        Metric(
            e, wanted.label, wanted.kind, *found.get(e, nothing), wanted.mart, wanted.worse,
            wanted.before is not None,
        )
        for e in environments
    ]  # fmt: skip


def _compared(ask: Ask, one: str, other: str) -> tuple[Row, ...]:
    sides = ", ".join(
        f"max(CASE WHEN environment = {literal(side)} THEN {column} END)"
        for side in (one, other)
        for column in ("runs", "success_rate", "p50_s")
    )
    rows = ask(
        f"SELECT dag_id, {sides} FROM environments_compared "
        f"WHERE environment IN ({literal(one)}, {literal(other)}) "
        "GROUP BY dag_id HAVING count(*) = 2 ORDER BY dag_id"
    )
    return tuple(tuple(plain(v) for v in row) for row in rows)


def _by_environment(manifests: Sequence[Outline]) -> list[tuple[str, list[Outline]]]:
    found: dict[str, list[Outline]] = defaultdict(list)
    for manifest in manifests:
        found[manifest.environment].append(manifest)
    return [(name, sorted(found[name], key=lambda m: m.id)) for name in sorted(found)]


def _standing(
    name: str, own: Sequence[Outline], week_ends: str | None, alive_at: int | None
) -> Standing:
    newest = own[-1]
    at = int(id_time(newest.id).timestamp())
    is_silent = alive_at is not None and at - alive_at > _SILENT_S
    return Standing(
        name=name,
        airflow_version=newest.airflow_version,
        snapshot=newest.id,
        at=at,
        snapshots=len(own),
        first_at=int(id_time(own[0].id).timestamp()),
        mode=newest.mode,
        rows=newest.rows,
        week_ends=week_ends,
        silent_since=alive_at if is_silent else None,
    )
