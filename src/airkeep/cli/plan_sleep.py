"""`airkeep plan-sleep`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airkeep.cli.context import Age, Context, setting_option, shared_options
from airkeep.cli.output import Output, counted
from airkeep.cli.pricing import Quantity, needed_region, price_options

if TYPE_CHECKING:
    from airkeep.environment.sleep_history import Bill
    from airkeep.environment.sleep_plan import Cost
    from airkeep.environment.sleep_report import Candidate, SleepReport

_SHOWN = 5
_COSTS = 3  # DAGs of a plan; all are in JSON
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Night(click.ParamType):  # type: ignore[type-arg]
    """`20-6`."""

    name = "from-to"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", str(value))
        hours = (int(found[1]), int(found[2])) if found else (0, 0)
        if hours[0] == hours[1] or max(hours) > 23:
            self.fail(f"{value!r}: write two hours of the day such as 20-6", param, ctx)
        return hours


class Minutes(Age):
    """`40m`, `1h`: shorter than a day."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        found = super().convert(value, param, ctx)
        if not isinstance(found, timedelta) or found >= timedelta(days=1) or found.seconds % 60:
            self.fail(f"{value!r}: write whole minutes or hours such as 40m", param, ctx)
        return found


@click.command("plan-sleep")
@click.argument("lake")
@setting_option(
    "environment", "--environment", "-e", help="Whose plan it is, where the lake has several."
)
@click.option(
    "--since",
    type=Age(),
    default="30d",
    show_default=True,
    help="Which history counts, in whole weeks: 2026-11-01, or an age before the newest snapshot.",
)
@click.option(
    "--timezone", default="UTC", show_default=True, help="On whose clock: Europe/Copenhagen."
)
@click.option("--lead", type=Minutes(), help="How long waking takes.  [its last journeys, or 40m]")
@click.option(
    "--night", type=Night(), default="20-6", show_default=True, help="Which hours a night has."
)
@click.option(
    "--class", "environment_class", help="The environment class.  [its journal's, where it is told]"
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Workers.")
@click.option("--schedulers", type=click.IntRange(1), help="Schedulers.  [those included]")
@click.option("--storage-gb", type=Quantity(), default="0", help="GB of the metadata database.")
@price_options
@shared_options("environment")
def plan_sleep(
    ctx: Context,
    lake: str,
    *,
    since: timedelta | datetime,
    timezone: str,
    lead: timedelta | None,
    night: tuple[int, int],
    environment_class: str | None,
    workers: int,
    schedulers: int | None,
    storage_gb: Decimal,
    region: str | None,
    prices_file: Path | None,
) -> None:
    """Say when an environment could sleep, by the history in LAKE, and what that would cost.

    What is scheduled while it sleeps is missed: waking makes no run for the past. What somebody, an
    API or an asset asks for comes late. What is saved is told with --class and --region, or where
    the journal of an MWAA environment has them.
    """
    import airkeep

    bill = _bill(environment_class, workers, schedulers, storage_gb, region, prices_file)
    with ctx.output.progress("plan-sleep") as progress:
        found = airkeep.plan_sleep(
            ctx.lake(lake, remember=True),
            environment=ctx.settings.environment,
            since=since,
            timezone=timezone,
            lead=lead,
            night=night,
            bill=bill,
            limits=ctx.question_limits,
            spool=ctx.spool,
            progress=progress,
            warn=ctx.output.warn,
        )
    ctx.output.result(found, lambda: _show(found, ctx.output))


def _bill(
    environment_class: str | None,
    workers: int,
    schedulers: int | None,
    storage_gb: Decimal,
    region: str | None,
    prices_file: Path | None,
) -> Bill:
    from airkeep.cost.estimate import Usage
    from airkeep.cost.prices import load_prices
    from airkeep.environment.sleep_history import Bill

    prices = load_prices(prices_file)
    if environment_class is None:
        return Bill(prices)
    usage = Usage(environment_class, workers=workers, schedulers=schedulers, storage_gb=storage_gb)
    return Bill(prices, usage, needed_region(region, prices))


# What is shown.


def _show(found: SleepReport, out: Output) -> None:
    asleep = f"{found.down_min} min" if found.down_min else "as long as nobody knows yet"
    out.line(
        f"{found.environment}: {counted(found.weeks, 'week')} up to {found.end:%Y-%m-%d %H:%M} "
        f"UTC, {found.runs:,.1f} runs a week are needed; waking takes {found.lead_min} min "
        f"({found.lead_by}), falling asleep {asleep}"
    )
    _show_idle(found, out)
    _show_plans(found, out)
    for one in found.candidates:
        _show_costs(one, found.schedules, out)
    for blocker in found.blockers[:_SHOWN]:
        names = " and ".join(f"{d} ({found.schedules.get(d, 'gone')})" for d in blocker.dag_ids)
        out.line(
            f"without {names} it could sleep {blocker.gained_h:g} h a week more and miss nothing: "
            f"nothing else needs {_needed(blocker.hours)}"
        )
    _advise(found, out)
    for note in found.notes:
        out.note(f"note: {note}")


def _show_idle(found: SleepReport, out: Output) -> None:
    """A line a day, a character an hour."""
    out.line("")
    out.line(
        f"     0     6     12    18     {found.timezone}: "
        f". idle, + at work now and then, # always, blank: not known"
    )
    for day, name in enumerate(_WEEK):
        hours = found.idle[day * 24 : day * 24 + 24]
        out.line(f"{name}  {''.join(map(_mark, hours))}".rstrip())
    out.line("")


def _mark(idle: float | None) -> str:
    if idle is None:
        return " "
    return "." if idle == 1 else "#" if idle == 0 else "+"


def _show_plans(found: SleepReport, out: Output) -> None:
    rows = [_row(one) for one in found.candidates]
    out.table(
        ["plan", "down", "up", "away h", "unpaid h", "missed", "late", "waited for", "saved"], rows
    )
    out.note("hours and runs are of a week; unpaid are the hours away less those of waking")


def _row(one: Candidate) -> list[str]:
    judged, plan = one.judged, one.judged.plan
    saved = "-"
    if one.saving is not None:
        saved = f"{one.saving.saved:,} of {one.saving.cost:,} {one.saving.currency}"
        saved += f" in {one.saving.month}"
    return [plan.name, plan.down or "-", plan.up or "-", f"{judged.away_h}",
            f"{judged.asleep_h:.1f}", _runs(judged.missed), _runs(judged.late),
            _runs(judged.holding), saved]  # fmt: skip


def _runs(count: float) -> str:
    return f"{count:,.1f}" if count else "0"


def _show_costs(one: Candidate, schedules: dict[str, str], out: Output) -> None:
    costs = one.judged.costs
    for cost in costs[:_COSTS]:
        schedule = schedules.get(cost.dag_id, "gone")
        out.line(f"{one.judged.plan.name}: {cost.dag_id} ({schedule}) {_lost(cost)}")
    if len(costs) > _COSTS:
        out.line(f"{one.judged.plan.name}: and {len(costs) - _COSTS} DAGs more (--json has all)")


def _lost(cost: Cost) -> str:
    parts = [
        f"{_runs(count)} {what}"
        for count, what in ((cost.missed, "missed"), (cost.late, "late"))
        if count
    ]
    return f"{' and '.join(parts)} a week: {_hours(cost.hours)}"


def _hours(hours: tuple[str, ...]) -> str:
    more = len(hours) - _SHOWN
    return ", ".join(hours[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _needed(hours: tuple[str, ...]) -> str:
    return "any hour" if hours == ("always",) else _hours(hours)


def _advise(found: SleepReport, out: Output) -> None:
    best = next(o.judged.plan for o in found.candidates if o.judged.plan.name == "nothing missed")
    if best.down is not None and best.up is not None:
        out.line(
            f"airkeep schedule {found.environment} --down '{best.down}' --up '{best.up}' "
            f"--timezone {found.timezone}"
        )
    elif not best.hours:
        out.line("there is no sleep worth its journeys in which nothing would be missed")
    elif all(hour is None for hour in found.idle):
        out.line("there is no history to say by when it could sleep, and nothing is scheduled")
    else:
        out.line("nothing of this history needs it: it could sleep for good")
