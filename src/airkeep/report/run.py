"""A lake -> one HTML file: marts, figures, page; the file is never half of one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airkeep.database.limits import ReadLimits
from airkeep.errors import ConfigError, did_you_mean
from airkeep.lake.connect import OpenLake
from airkeep.lake.manifests import Warn
from airkeep.lake.open import open_for_sql
from airkeep.models.build import make_models
from airkeep.models.catalog import models, needed_for
from airkeep.report import dags, overview
from airkeep.report.bills import Bills, cost_part, plan_bills
from airkeep.report.cost import MARTS as COST_MARTS
from airkeep.report.cost import Paid, Priced
from airkeep.report.figures import Part, Since, parts, sources
from airkeep.report.page import Report, render
from airkeep.report.questions import SECTIONS, WHOLE
from airkeep.snapshot.lake import LakePlace
from airkeep.snapshot.names import id_time, utc
from airkeep.snapshot.new_file import check_new, write_new
from airkeep.snapshot.progress import Progress, silent
from airkeep.version import __version__

# What is about a period is made of the rows of these that lie in it; their name on the page (what
# tasks and attempts are made of has none).
_TIMES = {
    "runs": ("runs", "coalesce(started_at, due_at)"),
    "tasks": ("task instances", "coalesce(started_at, queued_at, ended_at)"),
    "task_states": ("", "coalesce(started_at, queued_at, ended_at)"),
    "attempts": ("tries", "started_at"),
    "events": ("log entries", "happened_at"),
    "asset_events": ("asset events", "happened_at"),
}
_READ = ("runs", "dags", "environments")  # staging that the report itself reads


@dataclass(frozen=True)
class Written:
    """What a report holds, and where it is."""

    file: str
    bytes: int
    environments: tuple[str, ...]
    dags: int
    figures: int


def report(
    lake: LakePlace,
    output: str | Path,
    *,
    environments: Sequence[str] = (),
    since: datetime | timedelta | None = None,
    compare: Sequence[str] = (),
    bills: Mapping[str, Paid | Priced] | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
    warn: Warn = warnings.warn,
) -> Written:
    """Show what a lake knows as one HTML file.

    Args:
        lake: a folder, `s3://...`, or an open `Lake`.
        output: a new file.
        environments: only these; all of them when empty.
        since: what is about a period holds only what began then or later, UTC when it has no zone;
            an age counts back from the newest snapshot.
        compare: two environments to set side by side, or none.
        bills: what an environment cost in the period, by its name; of the name "" every other
            one's. Without a period it is that of the last 30 days.
        spool: a folder with space for the models' tables.
        warn: told of a snapshot that cannot be read and was passed over, or that is damaged; the
            page says it, too.

    Raises:
        ConfigError: the file is there already or cannot be made.
        NoSuchSnapshotError: there is no such lake, or no such environment in it.
    """
    output = Path(output)
    if compare and len(set(compare)) != 2:
        raise ConfigError(f"compare: expected two environments, found {', '.join(compare)}")
    check_new(output)
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        warn(line)

    with open_for_sql(lake, environments=environments, limits=limits, spool=spool, warn=tell) as (
        opened,
        folder,
    ):
        made = make_report(
            opened, folder, since=since, compare=compare, bills=bills or {}, progress=progress
        )
    return write_report(replace(made, warnings=tuple(dict.fromkeys(said))), output)


def make_report(
    opened: OpenLake,
    folder: Path,
    *,
    since: datetime | timedelta | None = None,
    compare: Sequence[str] = (),
    bills: Bills | None = None,
    progress: Progress = silent,
) -> Report:
    """Answer every question of the report.

    Args:
        folder: a private one, with space for the models' tables.
        since: what is about a period holds only what began then or later; an age counts back from
            the newest snapshot.
        compare: two environments to set side by side.
        bills: what environments cost.

    Raises:
        ConfigError: an environment is not there.
        NoPriceError: a price is not known.
    """
    manifests = opened.manifests()
    names = sorted({m.environment for m in manifests})
    for wanted in compare:
        if wanted not in names:
            raise ConfigError(
                f"there is no environment {wanted!r} to compare{did_you_mean(wanted, names)}: "
                f"the report is about {', '.join(names) or 'none'}"
            )
    taken = {m.environment: id_time(m.id) for m in sorted(manifests, key=lambda m: m.id)}
    newest = max(taken.values(), default=None)
    if isinstance(since, timedelta):
        since = None if newest is None else newest - since
    elif since is not None:
        since = utc(since)
    plan = plan_bills(bills or {}, taken, since)
    known = models()
    marts = [m for m in (*_wanted(), *(COST_MARTS if plan.bills else ())) if m in known]
    period = _make(opened, marts, folder, since, progress)

    def ask(statement: str) -> list[tuple[object, ...]]:
        return list(opened.query(statement).rows())

    every = dags.dags(ask, marts, period)
    return Report(
        made_by=f"airkeep {__version__}",
        lake=opened.url,
        at=None if newest is None else int(newest.timestamp()),
        since=None if period is None else period.at,
        narrows=() if period is None else tuple(words for words, _ in _TIMES.values() if words),
        narrowed=() if period is None else tuple(sorted(period.marts)),
        overview=overview.overview(ask, marts, manifests, compare),
        changes=dags.changes(every),
        dags=every,
        parts=_with_cost(
            parts(ask, marts, len(names), period),
            cost_part(ask, plan, narrowed=period is not None),
        ),
        sources=sources([known[m] for m in (*marts, *_READ)]),
    )


def _make(
    opened: OpenLake,
    marts: Sequence[str],
    folder: Path,
    since: datetime | None,
    progress: Progress,
) -> Since | None:
    """Make the marts and what the report reads beside them, of less where that is asked."""
    if since is None:
        make_models(opened, [*marts, *_READ], folder, progress=progress)
        return None
    of_all = [mart for mart in marts if mart in WHOLE or mart in COST_MARTS]
    make_models(opened, [*of_all, "dags", "environments"], folder, progress=progress)
    rest = [mart for mart in (*marts, "runs") if mart not in of_all]
    sql = _timestamp(since)
    where = {name: f"{at} >= {sql}" for name, (_, at) in _TIMES.items()}
    make_models(opened, rest, folder, where=where, progress=progress)
    narrowed = (
        one for one in rest if not where.keys().isdisjoint(m.name for m in needed_for([one]))
    )
    return Since(int(since.timestamp()), sql, frozenset(narrowed))


def _with_cost(found: Sequence[Part], cost: Part) -> tuple[Part, ...]:
    """Cost stands behind waste."""
    at = next((n for n, part in enumerate(found, start=1) if part.key == "waste"), len(found))
    return (*found[:at], cost, *found[at:])


def write_report(report: Report, output: Path) -> Written:
    """Write the page to a new file.

    Raises:
        ConfigError: the file is there already.
        StoreError: it cannot be written.
    """
    content = render(report).encode()
    write_new(output, content)
    return Written(
        str(output),
        len(content),
        tuple(e.name for e in report.overview.environments),
        len(report.dags),
        sum(len(p.figures) for p in report.parts),
    )


def _wanted() -> list[str]:
    asked = (question.mart for section in SECTIONS for question in section.questions)
    return list(dict.fromkeys((*overview.WANTED, *dags.WANTED, *asked, "environments_compared")))


def _timestamp(at: datetime) -> str:
    return f"TIMESTAMP '{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
