"""What environments are billed, as their journals tell; nothing of Airflow is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from airkeep.cost.estimate import why_unpriced
from airkeep.cost.prices import load_prices
from airkeep.environment.journal import Journal
from airkeep.environment.saved import usage_of
from airkeep.environment.trips import sleeps
from airkeep.report.cost import Priced
from airkeep.store import Store


def bills_of(store: Store, environments: Iterable[str]) -> dict[str, Priced]:
    """By environment, of those whose class its journal has, and a price is known of."""
    prices, found = load_prices(), {}
    for environment in environments:
        summary = Journal(store, environment).read()
        match usage_of(summary):
            case usage, region if why_unpriced(usage, region, prices) is None:
                found[environment] = Priced(usage, region, prices, sleeps(summary.trips))
    return found
