"""`airkeep report`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Age, Context, shared_options, split_names
from airkeep.cli.pricing import Quantity, Said, bill_of, environment_options

if TYPE_CHECKING:
    from airkeep.report.cost import Paid, Priced
    from airkeep.snapshot.lake import Lake


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
@environment_options(own_class=True)
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
    said: Said,
) -> None:
    """Show what LAKE knows as one HTML file.

    The file needs no network and no server, and nothing of it depends on when it is read: its now
    is the newest snapshot. Every number names the model that it comes from and links to its SQL.
    What the time since --since cost, or the last 30 days, is shared among DAGs where --class,
    --total or an environment's journal says what was paid, as by `airkeep cost by-dag`. --workers
    and its like are of every environment that is priced.
    """
    from airkeep.report import run
    from airkeep.snapshot.new_file import check_new

    sides = split_names((compare,)) if compare else ()
    if sides and len(set(sides)) != 2:
        raise click.UsageError("--compare takes two environments: --compare staging,prod")
    check_new(output)
    opened, environments = ctx.lake(lake, remember=True), split_names(environment)
    named = environments or tuple(opened.environments())
    bills = _bills(opened, named, _said_of(classes, totals, said))
    with ctx.output.progress("report") as progress:
        written = run.report(
            opened,
            output,
            environments=environments,
            since=since,
            compare=sides,
            bills=bills,
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


def _said_of(
    classes: tuple[str, ...], totals: tuple[str, ...], said: Said
) -> dict[str, tuple[Said, Decimal | None]]:
    """What flags say of each environment, the unnamed one's for every other; once of each."""
    found: dict[str, tuple[Said, Decimal | None]] = {}

    def add(name: str, one: Said, total: Decimal | None) -> None:
        if name in found:
            which = name or "every environment"
            raise click.UsageError(f"--class and --total: the cost of {which} is said twice")
        found[name] = (one, total)

    for given in classes:
        name, of = _named(given)
        add(name, replace(said, used={**said.used, "environment_class": of}), None)
    for given in totals:
        name, amount = _named(given)
        add(name, said, Quantity().convert(amount, None, None))
    found.setdefault("", (said, None))
    return found


def _bills(
    lake: Lake, names: tuple[str, ...], said: dict[str, tuple[Said, Decimal | None]]
) -> dict[str, Paid | Priced]:
    """What each environment cost, where that is known; why it is not, the page says."""
    from airkeep.report.cost import Paid

    every = said.pop("")
    if every[1] is not None and len(names) > 1:
        return {"": Paid(every[1])}  # which is refused: whose it is, is not said
    found = {
        name: bill_of(lake, name, one, lambda _: None, total=total)
        for name, (one, total) in {**dict.fromkeys(names, every), **said}.items()
    }
    return {n: b for n, b in found.items() if not isinstance(b, Paid) or b.total is not None}


def _named(given: str) -> tuple[str, str]:
    """`prod=449.11` -> `prod`, `449.11`; without a name the first is empty."""
    name, _, value = given.rpartition("=")
    return name.strip(), value.strip()
