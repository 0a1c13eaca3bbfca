"""The flags that say what is used and whose prices hold: what `cost` and `report` share."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from airkeep.cli.context import Command

if TYPE_CHECKING:
    from airkeep.cost.prices import Prices


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


_REGION = click.option(
    "--region",
    envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
    help="Whose prices: us-east-1.  [AWS_REGION]",
)
_PRICES = click.option(
    "--prices",
    "prices_file",
    type=click.Path(path_type=Path),
    help="A TOML or JSON file of prices, which go before ours.",
)
_ENVIRONMENT_OPTIONS = (
    click.option(
        "--class", "environment_class", help="The environment class: mw1.micro to mw1.2xlarge."
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Workers that are always there; one of them is included.",
    ),
    click.option(
        "--extra-worker-hours",
        type=Quantity(),
        default="0",
        help="Hours of workers that scaling added, of all of them together.",
    ),
    click.option(
        "--schedulers",
        type=click.IntRange(1),
        help="Schedulers; two are included, of mw1.micro one.  [those]",
    ),
    click.option("--storage-gb", type=Quantity(), default="0", help="GB of the metadata database."),
    click.option(
        "--hours",
        type=Quantity(),
        help="Hours for which the environment is there, where it sleeps.  [all of them]",
    ),
)


def environment_options(function: Command) -> Command:
    """What an environment is, and whose prices hold."""
    return _decorated(function, (*_ENVIRONMENT_OPTIONS, _REGION, _PRICES))


def price_options(function: Command) -> Command:
    """Whose prices hold."""
    return _decorated(function, (_REGION, _PRICES))


def needed_region(region: str | None, prices: Prices) -> str:
    """The region whose prices hold."""
    if not region:
        known = ", ".join(sorted({price.region for price in prices.known}))
        raise click.UsageError(f"--region: prices differ by region, name one (known: {known})")
    return region


def _decorated(function: Command, options: tuple[Callable[..., Any], ...]) -> Command:
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    result: Command = decorated
    return result
