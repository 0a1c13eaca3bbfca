"""What an MWAA environment did not cost while it slept last. Pure.

From its journal: when its last `down` ended, when the `up` after it began, and the definition that
it was deleted with. What it costs in the lake meanwhile is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from airkeep.aws.mwaa import Definition
from airkeep.cost.estimate import Usage, estimate
from airkeep.cost.period import Period
from airkeep.cost.prices import Prices
from airkeep.environment.summary import Summary
from airkeep.environment.trips import sleeps
from airkeep.errors import ConfigError, NoPriceError


@dataclass(frozen=True)
class Saved:
    """An amount, and the hours it is for."""

    amount: Decimal
    currency: str
    hours: Decimal


def usage_of(summary: Summary) -> tuple[Usage, str] | None:
    """What the definition that was recorded last is billed as, and its region; None: none was."""
    recorded = summary.state.last
    if recorded is None:
        return None
    try:
        definition = Definition.from_json(recorded.definition)
        told = definition.told
        usage = Usage(
            str(told["EnvironmentClass"]),
            workers=int(told.get("MinWorkers") or 1),
            schedulers=int(told["Schedulers"]) if told.get("Schedulers") else None,
        )
    except (ValueError, KeyError, TypeError):
        return None
    return (usage, definition.region) if definition.region else None


def saved(summary: Summary, prices: Prices) -> Saved | None:
    """What its last sleep saved; None where it is not known."""
    slept, billed = sleeps(summary.trips), usage_of(summary)
    if billed is None or not slept:
        return None
    begin, end = slept[-1]
    if end is None or end <= begin:
        return None
    usage, region = billed
    period = Period(begin, end)
    try:
        found = estimate(usage, period, prices, region=region)
    except (ConfigError, NoPriceError):
        return None  # a price that nobody knows is no reason to fail a journey that is over
    return Saved(found.total, found.currency, round(period.hours, 2))
