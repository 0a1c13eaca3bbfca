"""Which bills a report shows, decided before anything is asked of a lake."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airkeep.errors import ConfigError
from airkeep.report.bills import cost_part, plan_bills
from airkeep.report.cost import Paid

AT = {"prod": datetime(2026, 11, 21, 12, tzinfo=UTC), "old": datetime(2026, 1, 5, tzinfo=UTC)}
ONE = Paid(Decimal(1))


def test_an_environment_without_a_price_and_one_that_ended_before_are_told_and_not_priced() -> None:
    plan = plan_bills({"prod": ONE}, AT, None)
    assert [one.environment for one in plan.bills] == ["prod"]
    assert plan.without == ("old: no price is known.",)

    plan = plan_bills({"prod": ONE, "old": ONE}, AT, datetime(2026, 6, 1, tzinfo=UTC))
    assert [one.environment for one in plan.bills] == ["prod"]
    assert plan.without == ("old: nothing is known of this period.",)


def test_the_usual_period_is_thirty_days_before_each_environments_newest_snapshot() -> None:
    begins = {
        one.environment: one.period.begin
        for one in plan_bills({"prod": ONE, "old": ONE}, AT, None).bills
    }
    assert begins == {
        "prod": datetime(2026, 10, 22, tzinfo=UTC), "old": datetime(2025, 12, 6, tzinfo=UTC),
    }  # fmt: skip


def test_an_environment_that_is_not_there_cannot_be_priced() -> None:
    with pytest.raises(ConfigError, match=r"no environment 'prd' to price \(did you mean prod\?\)"):
        plan_bills({"prd": ONE}, AT, None)


def test_a_total_that_is_not_said_whose_is_of_the_only_environment() -> None:
    only = {"prod": AT["prod"]}
    assert [one.cost.total for one in plan_bills({"": ONE}, only, None).bills] == [Decimal(1)]
    with pytest.raises(ConfigError, match=r"name it, --total old=1$"):
        plan_bills({"": ONE}, AT, None)


def test_without_any_price_the_section_says_so_and_asks_nothing() -> None:
    def ask(statement: str) -> list[tuple[object, ...]]:
        raise AssertionError(statement)

    part = cost_part(ask, plan_bills({}, AT, None), narrowed=False)
    assert part.figures == ()
    assert part.lead.startswith("What is paid is not known here")
