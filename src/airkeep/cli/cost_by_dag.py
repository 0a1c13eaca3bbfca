"""`airkeep cost by-dag`."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Age, Context, setting_option, shared_options
from airkeep.cli.cost_estimate import short, show_estimate
from airkeep.cli.output import Output
from airkeep.cli.pricing import Quantity, Said, bill_of, environment_options
from airkeep.cli.rows import one_line

if TYPE_CHECKING:
    from airkeep.cost.share import By, Share
    from airkeep.report.cost import Bill

_BY = ("dag", "owner", "tag", "task")
_NOBODY = {"owner": "(no owner)", "tag": "(no tag)"}


@click.command("by-dag")
@click.argument("lake")
@click.option(
    "--by", type=click.Choice(_BY), default="dag", show_default=True, help="Whose part is shown."
)
@click.option(
    "--since",
    type=Age(),
    default="30d",
    show_default=True,
    help="The period's first day (UTC): 2026-11-01, or an age before the newest snapshot.",
)
@setting_option(
    "environment", "--environment", "-e", help="Whose bill it is, where the lake has several."
)
@click.option("--total", type=Quantity(), help="What the period cost: 449.11.")
@click.option("--spread-idle", is_flag=True, help="Deal out what was paid while nothing ran, too.")
@environment_options()
@shared_options("environment")
def by_dag(
    ctx: Context,
    lake: str,
    *,
    by: By,
    since: timedelta | datetime,
    total: Decimal | None,
    spread_idle: bool,
    said: Said,
) -> None:
    """Share what a period cost by the slot time that each DAG took, as LAKE knows it.

    What it cost is --total, or priced by --class and its like, or by what the environment's journal
    has of an MWAA environment that `down` has put to sleep; else amounts are not known, and slot
    hours alone are shared. Parts and the idle base, which was paid while nothing ran, are the total
    to the cent; of each part it is said what went into tries that were done again, that failed, and
    into sensors. A DAG with several owners or tags is parted evenly among them.
    """
    import airkeep

    opened, environment = ctx.lake(lake, remember=True), ctx.settings.environment
    if environment is None and len(known := opened.environments()) == 1:
        [environment] = known
    notes: list[str] = []  # said once it is known that there is a bill at all
    with ctx.output.progress("cost") as progress:
        bill = airkeep.cost_by(
            opened,
            bill_of(opened, environment, said, notes.append, total=total),
            by=by,
            since=since,
            environment=environment,
            spread=spread_idle,
            limits=ctx.question_limits,
            spool=ctx.spool,
            progress=progress,
            warn=ctx.output.warn,
        )
    for note in notes:
        ctx.output.note(note)
    ctx.output.result(bill, lambda: _show(bill, ctx.output))


def _show(bill: Bill, out: Output) -> None:
    if bill.estimate is not None:
        show_estimate(bill.estimate, out)
        out.line("")
    currency = f" ({bill.currency})" if bill.currency else ""
    sums = [sum((getattr(one, name) or 0 for one in bill.shares), Decimal(0)) for name in _PARTS]
    rows = [
        [one_line(one.name) or _NOBODY[bill.by], f"{one.slot_h:,.2f}", _amount(one.amount),
         _percent(one, bill.total), *(_waste(getattr(one, name)) for name in _PARTS)]
        for one in bill.shares
    ]  # fmt: skip
    if bill.idle:
        part = f"{bill.idle / bill.total:.1%}" if bill.total else "-"
        rows.append(["(idle)", "-", _amount(bill.idle), part, *["-"] * len(_PARTS)])
    rows.append([f"total{currency}", "-", _amount(bill.total), "-", *map(_waste, sums)])
    out.table([bill.by, "slot hours", "amount", "share", "again", "failed", "waited", "work"], rows)
    out.note(
        f"{bill.environment}, {bill.period.begin:%Y-%m-%dT%H:%MZ} to "
        f"{bill.period.end:%Y-%m-%dT%H:%MZ}: something ran in {short(bill.busy_hours)} of "
        f"{short(bill.hours)} hours"
    )
    if bill.first_day is None or bill.first_day > f"{bill.period.begin:%Y-%m-%d}":
        known = f"before {bill.first_day}" if bill.first_day else "of this period"
        out.note(f"{known} no work is known: if there was no environment, say --since or --hours")


_PARTS = ("again", "failed", "waited", "work")


def _amount(amount: Decimal | None) -> str:
    return "-" if amount is None else f"{amount:,}"


def _waste(amount: Decimal | int | None) -> str:
    return f"{amount:,}" if amount else "-"


def _percent(one: Share, total: Decimal | None) -> str:
    """Of the bill; where that is not known, of all slot time."""
    if one.amount is None:
        return f"{one.part:.1%}"
    return f"{one.amount / total:.1%}" if total else "-"
