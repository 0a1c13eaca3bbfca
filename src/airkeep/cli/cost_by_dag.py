"""`airkeep cost by-dag`."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Age, Context, shared_options
from airkeep.cli.cost_estimate import short, show_estimate
from airkeep.cli.output import Output
from airkeep.cli.pricing import Quantity, environment_options, needed_region
from airkeep.cli.rows import one_line

if TYPE_CHECKING:
    from airkeep.cost.share import By
    from airkeep.report.cost import Bill, Paid, Priced

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
@click.option("--environment", "-e", help="Whose bill it is, where the lake has several.")
@click.option("--total", type=Quantity(), help="What the period cost: 449.11. Or let --class say.")
@click.option("--spread-idle", is_flag=True, help="Deal out what was paid while nothing ran, too.")
@environment_options
@shared_options()
def by_dag(
    ctx: Context,
    lake: str,
    *,
    by: By,
    since: timedelta | datetime,
    environment: str | None,
    total: Decimal | None,
    spread_idle: bool,
    environment_class: str | None,
    workers: int,
    extra_worker_hours: Decimal,
    schedulers: int | None,
    storage_gb: Decimal,
    hours: Decimal | None,
    region: str | None,
    prices_file: Path | None,
) -> None:
    """Share what a period cost by the slot time that each DAG took, as LAKE knows it.

    What it cost is --total, or priced by --class and its like. Parts and the idle base, which was
    paid while nothing ran, are the total to the cent; of each part it is said what went into tries
    that were done again, that failed, and into sensors. A DAG with several owners or tags is
    parted evenly among them.
    """
    import airkeep
    from airkeep.cost.estimate import Usage
    from airkeep.cost.prices import load_prices
    from airkeep.report.cost import Paid, Priced

    if (total is None) == (environment_class is None):
        raise click.UsageError("say what the period cost: --total AMOUNT, or --class mw1.small")
    paid: Paid | Priced
    if total is not None:
        paid = Paid(total, hours)
    else:
        prices = load_prices(prices_file)
        usage = Usage(environment_class, hours, workers, schedulers, extra_worker_hours, storage_gb)
        paid = Priced(usage, needed_region(region, prices), prices)
    with ctx.output.progress("cost") as progress:
        bill = airkeep.cost_by(
            ctx.lake(lake, remember=True),
            paid,
            by=by,
            since=since,
            environment=environment,
            spread=spread_idle,
            limits=ctx.question_limits,
            spool=ctx.spool,
            progress=progress,
            warn=ctx.output.warn,
        )
    ctx.output.result(bill, lambda: _show(bill, ctx.output))


def _show(bill: Bill, out: Output) -> None:
    if bill.estimate is not None:
        show_estimate(bill.estimate, out)
        out.line("")
    currency = f" ({bill.currency})" if bill.currency else ""
    sums = [sum((getattr(one, name) for one in bill.shares), Decimal(0)) for name in _PARTS]
    rows = [
        [one_line(one.name) or _NOBODY[bill.by], f"{one.slot_h:,.2f}", f"{one.amount:,}",
         _percent(one.amount, bill.total), *(_money(getattr(one, name)) for name in _PARTS)]
        for one in bill.shares
    ]  # fmt: skip
    if bill.idle:
        nothing = ["-"] * len(_PARTS)
        rows.append(["(idle)", "-", f"{bill.idle:,}", _percent(bill.idle, bill.total), *nothing])
    rows.append([f"total{currency}", "-", f"{bill.total:,}", "-", *map(_money, sums)])
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


def _money(amount: Decimal) -> str:
    return f"{amount:,}" if amount else "-"


def _percent(amount: Decimal, total: Decimal) -> str:
    return f"{amount / total:.1%}" if total else "-"
