"""`airkeep report`."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Age, Context, shared_options, split_names
from airkeep.cli.pricing import Quantity, needed_region, price_options

if TYPE_CHECKING:
    from airkeep.report.cost import Paid, Priced


@click.command()
@click.argument("lake")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="A new file to write to: report.html.",
)
@click.option("--environment", "-e", multiple=True, help="Only this one; may be repeated, or a,b.")
@click.option(
    "--since",
    type=Age(),
    help="What is about a period holds only what began since then: 2026-11-01, or an age, 30d, "
    "before the newest snapshot.",
)
@click.option("--compare", metavar="A,B", help="Set two environments side by side: staging,prod.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="[ENV=]CLASS",
    help="An environment class, to price the period with: mw1.small, prod=mw1.large.",
)
@click.option(
    "--total",
    "totals",
    multiple=True,
    metavar="[ENV=]AMOUNT",
    help="What the period cost one environment, where it is known: 449.11, prod=449.11.",
)
@price_options
@shared_options()
def report(
    ctx: Context,
    lake: str,
    *,
    output: Path,
    environment: tuple[str, ...],
    since: timedelta | datetime | None,
    compare: str | None,
    classes: tuple[str, ...],
    totals: tuple[str, ...],
    region: str | None,
    prices_file: Path | None,
) -> None:
    """Show what LAKE knows as one HTML file.

    The file needs no network and no server, and nothing of it depends on when it is read: its now
    is the newest snapshot. Every number names the model that it comes from and links to its SQL.
    What the time since --since cost, or the last 30 days, is shared among DAGs where --class or
    --total says what was paid.
    """
    from airkeep.report import run
    from airkeep.snapshot.new_file import check_new

    sides = split_names((compare,)) if compare else ()
    if sides and len(set(sides)) != 2:
        raise click.UsageError("--compare takes two environments: --compare staging,prod")
    check_new(output)
    with ctx.output.progress("report") as progress:
        written = run.report(
            ctx.lake(lake, remember=True),
            output,
            environments=split_names(environment),
            since=since,
            compare=sides,
            bills=_bills(classes, totals, region, prices_file),
            limits=ctx.question_limits,
            spool=ctx.spool,
            progress=progress,
            warn=ctx.output.warn,
        )

    def text() -> None:
        environments = ", ".join(written.environments) or "no environment"
        ctx.output.line(
            f"{written.file}: {written.bytes / 1e6:.1f} MB, {environments}, "
            f"{written.dags:,} DAGs, {written.figures} figures"
        )

    ctx.output.result(written, text)


def _bills(
    classes: tuple[str, ...],
    totals: tuple[str, ...],
    region: str | None,
    prices_file: Path | None,
) -> dict[str, Paid | Priced]:
    """What each environment cost; one that is named twice is an error."""
    from airkeep.cost.estimate import Usage
    from airkeep.cost.prices import load_prices
    from airkeep.report.cost import Paid, Priced

    found: dict[str, Paid | Priced] = {}

    def add(given: str, paid: Paid | Priced) -> None:
        name = _named(given)[0]
        if name in found:
            which = name or "every environment"
            raise click.UsageError(f"--class and --total: the cost of {which} is said twice")
        found[name] = paid

    for given in classes:
        prices = load_prices(prices_file)
        usage = Usage(environment_class=_named(given)[1])
        add(given, Priced(usage, needed_region(region, prices), prices))
    for given in totals:
        amount: Decimal = Quantity().convert(_named(given)[1], None, None)
        add(given, Paid(amount))
    return found


def _named(given: str) -> tuple[str, str]:
    """`prod=449.11` -> `prod`, `449.11`; without a name the first is empty."""
    name, _, value = given.rpartition("=")
    return name.strip(), value.strip()
