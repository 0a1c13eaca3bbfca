"""Price tables: those that come with airkeep, and those of a file that a user hands in.

A price is known for a region, an item and, of some items, a class; it carries the day on which its
source had it from AWS, and the source. Nothing is guessed from another region or class: what is
not in a table is an error that names it. A user's table goes before ours, of several of one file
the newest.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from airkeep.errors import ConfigError, NoPriceError, did_you_mean

CLASSES = ("mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge")
_OURS = Path(__file__).parent / "prices.toml"
_HEAD = ("region", "date", "source", "currency")


@dataclass(frozen=True)
class Item:
    """Something that has a price.

    Attributes:
        words: what an error calls it.
        unit: of which the price is for one.
        per: `class` or `storage class` where each of them has a price of its own.
    """

    words: str
    unit: str
    per: str = ""


ITEMS: Mapping[str, Item] = {
    "environment_hour": Item("an environment of", "hour", "class"),
    "worker_hour": Item("an extra worker of", "hour", "class"),
    "scheduler_hour": Item("an extra scheduler of", "hour", "class"),
    "database_gb_month": Item("the metadata database", "GB-month"),
    "serverless_task_hour": Item("a task of MWAA Serverless", "task-hour"),
    "glue_dpu_hour": Item("Glue", "DPU-hour"),
    "s3_gb_month": Item("S3 in", "GB-month", "storage class"),
    "s3_puts_1000": Item("S3 PUT, COPY, POST and LIST requests to", "1,000 requests",
                         "storage class"),
    "s3_gets_1000": Item("S3 GET requests to", "1,000 requests", "storage class"),
    "s3_transitions_1000": Item("S3 lifecycle transitions to", "1,000 requests",
                                "storage class"),
}  # fmt: skip


@dataclass(frozen=True)
class Price:
    """What one unit of an item costs, and who says so.

    Attributes:
        kind: the class or storage class, empty where an item has none.
        unit: of which the price is for one.
        day: on which the source had it from AWS.
    """

    item: str
    kind: str
    amount: Decimal
    unit: str
    currency: str
    region: str
    day: date
    source: str


@dataclass(frozen=True)
class Prices:
    """Prices in the order in which they are believed."""

    known: tuple[Price, ...]

    def of(self, item: str, region: str, kind: str = "") -> Price:
        """The price of an item in a region.

        Raises:
            NoPriceError: no table has it.
        """
        for price in self.known:
            if (price.item, price.kind, price.region) == (item, kind, region):
                return price
        raise NoPriceError(self._unknown(item, region, kind))

    def _unknown(self, item: str, region: str, kind: str) -> str:
        what = f"{ITEMS[item].words} {kind}".strip()
        regions = sorted({p.region for p in self.known})
        if region not in regions:
            there = f", prices are known of {', '.join(regions)}"
        else:
            kinds = [p.kind for p in self.known if (p.item, p.region) == (item, region) and p.kind]
            there = f", only of {', '.join(dict.fromkeys(kinds))}" if kinds else ""
        return f"no price for {what} in {region}{there}: give --prices FILE (docs/cost.md)"


def load_prices(file: str | Path | None = None) -> Prices:
    """The prices that come with airkeep, after those of a file in TOML or JSON.

    Args:
        file: of the form of airkeep's own `prices.toml`; as JSON where its name ends in `.json`.

    Raises:
        ConfigError: the file cannot be read, or is of another form.
    """
    own = () if file is None else _read(Path(file))
    return Prices((*own, *_ours()))


@cache
def _ours() -> tuple[Price, ...]:
    return _read(_OURS)


def _read(file: Path) -> tuple[Price, ...]:
    try:
        return read_prices(file.read_text(encoding="utf-8"), is_json=file.suffix == ".json")
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ConfigError(
            f"{file} cannot be read ({why}): give --prices a TOML or JSON file"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} cannot be read: expected UTF-8 text") from None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None


def read_prices(text: str, *, is_json: bool = False) -> tuple[Price, ...]:
    """The prices of a file's text, the newest tables first.

    Raises:
        ValueError: it has another form; says where.
    """
    parse: Callable[[str], Any] = _from_json if is_json else _from_toml
    document = parse(text)
    tables = document.get("table") if isinstance(document, dict) else None
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise ValueError("expected [[table]], each with region, date, source and prices")
    found = [price for n, one in enumerate(tables, start=1) for price in _table(one, f"table {n}")]
    return tuple(sorted(found, key=lambda price: price.day, reverse=True))


def _from_toml(text: str) -> Any:
    return tomllib.loads(text, parse_float=Decimal)


def _from_json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _table(table: Mapping[str, Any], where: str) -> Iterable[Price]:
    region, source = (_text(table, name, where) for name in ("region", "source"))
    day, currency = _day(table, where), table.get("currency", "USD")
    if not isinstance(currency, str) or not currency:
        raise ValueError(f"{where}: expected a currency such as USD, found {currency!r}")
    for name, value in table.items():
        if name in _HEAD:
            continue
        if name not in ITEMS:
            raise ValueError(f"{where}: there is no item {name!r}{did_you_mean(name, ITEMS)}")
        for kind, amount in _kinds(name, value, where):
            place = f"{where}, {name} {kind}".strip()
            yield Price(
                name, kind, _amount(amount, place), ITEMS[name].unit, currency, region, day, source
            )


def _kinds(name: str, value: Any, where: str) -> Sequence[tuple[str, Any]]:
    per = ITEMS[name].per
    match value:
        case dict() if per:
            if per == "class":
                _check_classes(value, f"{where}, {name}")
            return list(value.items())
        case _ if per:
            raise ValueError(f"{where}: {name} has a price per {per}, found {value!r}")
    return [("", value)]


def _check_classes(names: Iterable[str], where: str) -> None:
    for name in names:
        if name not in CLASSES:
            near = did_you_mean(f"mw1.{name.removeprefix('mw1.')}", CLASSES)
            raise ValueError(
                f"{where}: there is no class {name!r}{near}: they are {', '.join(CLASSES)}"
            )


def _text(table: Mapping[str, Any], name: str, where: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {name} is missing, or no text")
    return value


def _day(table: Mapping[str, Any], where: str) -> date:
    value = table.get("date")
    try:
        return value if type(value) is date else date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{where}: expected a date such as 2026-11-01, found {value!r}") from None


def _amount(value: Any, where: str) -> Decimal:
    try:
        amount = Decimal(value) if isinstance(value, (str, int, Decimal)) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount < 1_000_000:
        raise ValueError(f"{where}: expected a price such as 0.49, found {value!r}")
    return amount
