"""What `cost` and `report` share: flags of environments and prices, and what these come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from airkeep.cli.context import Command

if TYPE_CHECKING:
    from airkeep.cost.prices import Prices
    from airkeep.report.cost import Paid, Priced
    from airkeep.snapshot.lake import Lake


class Quantity(click.ParamType):  # type: ignore[type-arg]
    """A decimal number, taken as it is written."""

    name = "number"
    _DIGITS = 12  # on either side of the point: what is longer is no quantity of anything

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            found = Decimal("NaN")
        is_short = found.is_finite() and abs(int(found.as_tuple().exponent)) <= self._DIGITS
        if not is_short or not 0 <= found < 10**self._DIGITS:
            self.fail(f"{value!r}: write a number such as 1519 or 0.5", param, ctx)
        return found


class Kinds(click.ParamType):  # type: ignore[type-arg]
    """`500`, or `GLACIER=500`: of a storage class, of STANDARD where none is named."""

    name = "[class=]number"
    _USUAL: ClassVar = "STANDARD"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Decimal]:
        if isinstance(value, tuple):
            return value
        kind, _, number = str(value).rpartition("=")
        return kind.upper() or self._USUAL, Quantity().convert(number, param, ctx)


@dataclass(frozen=True)
class Said:
    """What flags say of an environment, and of prices.

    Attributes:
        used: fields of `Usage`: those that were given.
    """

    used: Mapping[str, Any]
    region: str | None
    prices_file: Path | None

    @property
    def prices(self) -> Prices:
        from airkeep.cost.prices import load_prices

        return load_prices(self.prices_file)

    @property
    def hours(self) -> Decimal | None:
        return self.used.get("hours")


_REGION = click.option(
    "--region",
    callback=lambda _context, _option, name: name and name.lower(),
    help="Whose prices: us-east-1.  [its journal's, or AWS_REGION]",
)
_PRICES = click.option(
    "--prices",
    "prices_file",
    type=click.Path(path_type=Path),
    help="A TOML or JSON file of prices, which go before ours.",
)
class_option = click.option(
    "--class",
    "environment_class",
    help="The environment class: mw1.micro to mw1.2xlarge.",
)
_USED = {
    "environment_class": class_option,
    "workers": click.option(
        "--workers",
        type=click.IntRange(1),
        help="Workers that are always there; one of them is included.  [that]",
    ),
    "extra_worker_hours": click.option(
        "--extra-worker-hours",
        type=Quantity(),
        help="Hours of workers that scaling added, of all of them together.",
    ),
    "schedulers": click.option(
        "--schedulers",
        type=click.IntRange(1),
        help="Schedulers; two are included, of mw1.micro one.  [those]",
    ),
    "storage_gb": click.option(
        "--storage-gb", type=Quantity(), help="GB of the metadata database."
    ),
    "hours": click.option(
        "--hours",
        type=Quantity(),
        help="Hours for which the environment is there, where it sleeps.  [all of them]",
    ),
}


def environment_options(*, own_class: bool = False) -> Callable[[Command], Command]:
    """What an environment is, and whose prices hold, as `said`.

    Args:
        own_class: the command has another --class.
    """
    options = {
        name: one for name, one in _USED.items() if name != "environment_class" or not own_class
    }

    def decorate(function: Command) -> Command:
        @wraps(function)
        def run(
            *arguments: Any, region: str | None, prices_file: Path | None, **others: Any
        ) -> Any:
            given = {name: others.pop(name) for name in options}
            used = {name: value for name, value in given.items() if value is not None}
            return function(*arguments, said=Said(used, region, prices_file), **others)

        decorated: Any = run
        result: Command = _decorated(decorated, (*options.values(), _REGION, _PRICES))
        return result

    return decorate


def price_options(function: Command) -> Command:
    """Whose prices hold."""
    return _decorated(function, (_REGION, _PRICES))


def needed_region(region: str | None, prices: Prices) -> str:
    """The region whose prices hold."""
    found = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not found:
        known = ", ".join(sorted({price.region for price in prices.known}))
        raise click.UsageError(f"--region: prices differ by region, name one (known: {known})")
    return found


def bill_of(
    lake: Lake,
    environment: str | None,
    said: Said,
    note: Callable[[str], None],
    *,
    total: Decimal | None = None,
) -> Paid | Priced:
    """What an environment is billed: as flags say, else as its journal does, where it has one.

    Args:
        environment: None: of which one it is not known.
        note: is told why no amount is known.
    """
    from airkeep.cost.estimate import Usage, why_unpriced
    from airkeep.environment.journal import Journal
    from airkeep.environment.saved import usage_of
    from airkeep.environment.trips import sleeps
    from airkeep.report.cost import Paid, Priced

    summary = None if environment is None else Journal(lake.store, environment).read()
    asleep = () if summary is None else sleeps(summary.trips)
    known = None if summary is None else usage_of(summary)
    if total is not None:
        if said.used.keys() - {"hours"}:
            raise click.UsageError("--total is the whole bill: leave out --class and its like")
        return Paid(total, said.hours, asleep)
    prices = said.prices
    if "environment_class" in said.used:
        return Priced(Usage(**said.used), needed_region(said.region, prices), prices, asleep)
    if known is not None:
        usage, region = replace(known[0], **said.used), said.region or known[1]
        if (why := why_unpriced(usage, region, prices)) is None:
            return Priced(usage, region, prices, asleep)
    elif said.used.keys() - {"hours"}:
        raise click.UsageError("workers, schedulers and storage are of a class: give --class")
    else:
        why = "its journal has no class of MWAA: give --class mw1.small or --total 449.11"
    note(f"what {environment or 'the environment'} cost is not known: {why}")
    return Paid(None, said.hours, asleep)


def _decorated(function: Command, options: tuple[Callable[..., Any], ...]) -> Command:
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    result: Command = decorated
    return result
