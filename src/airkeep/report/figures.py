"""Marts become figures: frozen dataclasses of small, rounded values that a page can draw.

Nothing here grows with task instances: every list is cut in SQL and says how many rows there are.
Times are seconds since 1970 (UTC), days are ISO texts, NaN and infinity are None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

from airkeep.models.catalog import Model
from airkeep.report.questions import SECTIONS, Chart, Question

Value = str | int | float | bool | None
Row = tuple[Value, ...]
Ask = Callable[[str], Iterable[tuple[object, ...]]]
Kind = Literal["count", "s", "h", "d", "share", "ratio", "bytes", "money", "at", "day", "flag",
               "text"]  # fmt: skip

_FEWEST = 20
_SUFFIXES: dict[str, Kind] = {"_s": "s", "_h": "h", "_d": "d", "_at": "at"}
_NAMED: dict[str, Kind] = {
    "day": "day", "week": "day", "first_day": "day", "last_day": "day", "fullest_day": "day",
    "bytes": "bytes", "largest_bytes": "bytes",
    "share": "share", "limit_share": "share", "waste": "share", "utilisation": "share",
    "ratio": "ratio", "spread": "ratio", "effect_size": "ratio", "versions_per_day": "ratio",
    "blocked_per_failure": "ratio", "rows_per_day": "ratio",
    "is_stale": "flag", "is_open": "flag", "is_paused": "flag", "is_critical": "flag",
    "is_there": "flag", "runs_per_event": "ratio",
    "times_usual": "ratio", "score": "ratio",
}  # fmt: skip
_TEXTS = frozenset(
    ("environment", "dag_id", "task_id", "run_id", "state", "owners", "owner", "schedule", "why",
     "pool", "hostname", "bundle", "file", "asset", "tag", "operator", "event", "kind",
     "config_key", "table_name", "xcom_key", "job_type", "version_before", "version_after")
)  # fmt: skip

_LABELS = {
    "dag_id": "DAG", "task_id": "task", "run_id": "run", "slot": "slot hours", "lost": "lost time",
    "all_slot": "all slot hours", "failed_slot": "failed slot hours", "is_paused": "paused",
    "is_stale": "stale", "is_open": "open", "is_there": "there", "table_name": "table",
    "config_key": "key", "xcom_key": "key", "xcoms": "XComs", "hour": "hour (UTC)",
    "limit_share": "of the limit", "times_usual": "times the usual", "sla": "SLA",
    "days_full": "days with no slot free", "saturated": "time with no slot free",
    "fullest_day": "fullest day", "sla_late": "SLAs late", "sla_misses": "SLA misses",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a table; its kind says the unit."""

    name: str
    label: str
    kind: Kind


@dataclass(frozen=True)
class Shown:
    """How many rows of an environment are shown, and how many there are."""

    environment: str
    rows: int
    of: int


@dataclass(frozen=True)
class Figure:
    """One table, drawn too where it has a chart.

    Attributes:
        mart: where it comes from.
        narrowed: whether it holds only what a report since a time is about.
    """

    key: str
    title: str
    why: str
    mart: str
    narrowed: bool
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    shown: tuple[Shown, ...]
    chart: Chart | None


@dataclass(frozen=True)
class Since:
    """What a report since a time is about.

    Attributes:
        at: seconds since 1970.
        sql: the same as a SQL timestamp.
        marts: those that are made of nothing older.
    """

    at: int
    sql: str
    marts: frozenset[str]


@dataclass(frozen=True)
class Part:
    """A concern and its figures."""

    key: str
    title: str
    lead: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Source:
    """A mart as the page explains it."""

    answers: str
    grain: str
    key: str
    units: str
    leaves_out: str
    sql: str


def parts(
    ask: Ask, known: Iterable[str], environments: int, since: Since | None = None
) -> tuple[Part, ...]:
    """Every section with the figures whose marts are known; one without any is left out."""
    there = frozenset(known)
    found = (
        Part(
            section.key,
            section.title,
            section.lead,
            tuple(
                figure(ask, question, f"{section.key}-{n}", environments, since)
                for n, question in enumerate(section.questions)
                if question.mart in there
            ),
        )
        for section in SECTIONS
    )
    return tuple(part for part in found if part.figures)


def figure(
    ask: Ask, question: Question, key: str, environments: int, since: Since | None = None
) -> Figure:
    """Ask one question; every environment gets its share of the rows."""
    each = question.each or max(_FEWEST, question.most // max(environments, 1))
    rows: list[Row] = []
    many: dict[str, int] = {}
    shown: dict[str, int] = {}
    for found in ask(statement(question, each, since)):
        *values, total = (plain(value) for value in found)
        environment = str(values[0])
        rows.append(tuple(values))
        many[environment] = int(total or 0)
        shown[environment] = shown.get(environment, 0) + 1
    return Figure(
        key=key,
        title=question.title,
        why=question.why,
        mart=question.mart,
        narrowed=since is not None and (question.since is not None or question.mart in since.marts),
        columns=tuple(Column(n, label(n), kind(n)) for n in question.columns),
        rows=tuple(rows),
        shown=tuple(Shown(e, shown[e], many[e]) for e in sorted(many)),
        chart=question.chart,
    )


def statement(question: Question, each: int, since: Since | None = None) -> str:
    """The SQL of a question: the first rows of each environment, and how many it has."""
    columns = ", ".join(question.columns)
    later = ""
    if since is not None and question.since is not None:
        where = question.since.format(since=since.sql)
        later = f"WITH {question.mart} AS (SELECT * FROM {question.mart} WHERE {where}) "
    return (
        f"{later}SELECT {columns}, many FROM ("
        f"SELECT *, row_number() OVER (PARTITION BY environment ORDER BY {question.order}) "
        f"AS place, count(*) OVER (PARTITION BY environment) AS many "
        f"FROM ({question.source or f'SELECT * FROM {question.mart}'}) AS asked "
        f"WHERE {question.where}) AS placed WHERE place <= {each} "
        f"ORDER BY {question.order}, environment"
    )


def sources(found: Sequence[Model]) -> dict[str, Source]:
    """What the page says of each mart."""
    return {
        m.name: Source(m.answers, m.grain, ", ".join(m.key), m.units, m.leaves_out, m.sql)
        for m in found
    }


def kind(name: str) -> Kind:
    """The unit of a column, by its name."""
    if name in _NAMED:
        return _NAMED[name]
    if name in _TEXTS:
        return "text"
    if "_rate" in name:
        return "share"
    return next((k for suffix, k in _SUFFIXES.items() if name.endswith(suffix)), "count")


def label(name: str) -> str:
    """A column's name for people: its unit stands in every cell."""
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return _LABELS.get(name, name.replace("_", " "))


def plain(value: object, digits: int = 6) -> Value:
    """A database's value as a page carries it: small, and always valid JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            number = float(value)
            return float(f"{number:.{digits}g}") if math.isfinite(number) else None
        case datetime():
            return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())
        case date():
            return value.isoformat()
        case _:
            return str(value)
