"""`airkeep cost estimate`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import Output
from airkeep.cli.pricing import Kinds, Quantity, Said, environment_options, needed_region

if TYPE_CHECKING:
    from airkeep.cost.estimate import Estimate

Kind = tuple[str, Decimal]
_NO_MONTH = datetime(9999, 12, 1, tzinfo=UTC)  # after which there is no other to end it


class Month(click.ParamType):  # type: ignore[type-arg]
    """`2021-08`."""

    name = "month"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            found = datetime.strptime(str(value), "%Y-%m").replace(tzinfo=UTC)
        except ValueError:
            found = _NO_MONTH
        if (found.year, found.month) >= (_NO_MONTH.year, _NO_MONTH.month):
            self.fail(f"{value!r}: write a month such as 2021-08", param, ctx)
        return found


@click.command("estimate")
@environment_options()
@click.option("--month", type=Month(), help="Whose hours are counted: 2021-08.  [this month]")
@click.option(
    "--serverless-task-hours",
    type=Quantity(),
    default="0",
    help="Hours of tasks on MWAA Serverless; a task of less than a minute is one.",
)
@click.option("--glue-dpu-hours", type=Quantity(), default="0", help="Hours of Glue's DPUs.")
@click.option("--s3-gb", type=Kinds(), multiple=True, help="GB of the lake: 500, GLACIER=500.")
@click.option("--s3-puts", type=Kinds(), multiple=True, help="PUT, COPY, POST, LIST requests.")
@click.option("--s3-gets", type=Kinds(), multiple=True, help="GET requests.")
@click.option(
    "--s3-transitions", type=Kinds(), multiple=True, help="Files moved to a class: GLACIER=5000."
)
@shared_options(tuning=False)
def estimate(
    ctx: Context,
    *,
    said: Said,
    month: datetime | None,
    serverless_task_hours: Decimal,
    glue_dpu_hours: Decimal,
    s3_gb: tuple[Kind, ...],
    s3_puts: tuple[Kind, ...],
    s3_gets: tuple[Kind, ...],
    s3_transitions: tuple[Kind, ...],
) -> None:
    """Say what a month costs, line by line.

    Each line is rounded to the cent. With --hours the environment and its database are priced for
    those hours, the lake for the whole month: the lake stays while an environment sleeps.
    """
    from airkeep.cost.estimate import Usage
    from airkeep.cost.estimate import estimate as priced
    from airkeep.cost.period import month_of

    prices = said.prices
    of = month or datetime.now(UTC)
    usage = Usage(
        **said.used,
        serverless_task_hours=serverless_task_hours,
        glue_dpu_hours=glue_dpu_hours,
        s3_gb=s3_gb,
        s3_puts=s3_puts,
        s3_gets=s3_gets,
        s3_transitions=s3_transitions,
    )
    region = needed_region(said.region, prices)
    found = priced(usage, month_of(of.year, of.month), prices, region=region)
    ctx.output.result(found, lambda: show_estimate(found, ctx.output))


def show_estimate(found: Estimate, out: Output) -> None:
    """The lines, their sum, and where the prices come from."""
    rows = [
        [line.what, short(line.quantity), line.price.unit, f"{line.price.amount}",
         f"{line.amount:,}"]
        for line in found.lines
    ]  # fmt: skip
    total = [f"total ({found.currency})", "-", "-", "-", f"{found.total:,}"]
    out.table(["line", "quantity", "unit", "price", "amount"], [*rows, total])
    for region, day, source in dict.fromkeys(
        (line.price.region, line.price.day, line.price.source) for line in found.lines
    ):
        out.note(f"prices: {region}, of {day}, {source}")


def short(quantity: Decimal) -> str:
    """With as many digits as say something: `1,519`, `2.7083`."""
    text = f"{quantity:,.4f}"
    return text.rstrip("0").rstrip(".")
