"""When runs are due: as Airflow 2.11 itself counted it, over every change of the clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.models.cron import cron_times, due_times

# [expression, zone, after, the times that follow], made by Airflow 2.11.2's CronMixin
AIRFLOW: list[tuple[str, str, str, list[str]]] = json.loads(
    (Path(__file__).parent / "cron_times.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "times"), AIRFLOW, ids=["|".join(a[:3]) for a in AIRFLOW]
)
def test_times_are_those_of_airflow(
    expression: str, zone: str, after: str, times: Sequence[str]
) -> None:
    found = islice(cron_times(expression, zone, datetime.fromisoformat(after)), len(times))
    assert [time.isoformat() for time in found] == times


def span(**values: Any) -> dict[str, Any]:
    return {
        "environment": "prod",
        "dag_id": "a",
        "number": 1,
        "expression": "0 0 * * *",
        "timezone": "UTC",
        "interval_s": None,
        "after_at": datetime(2026, 11, 1),
        "until_at": datetime(2026, 11, 4),
        "ends_with_run": False,
        "names_interval_start": False,
        **values,
    }


def days(**values: Any) -> list[float]:
    """Due times, as days after the span's beginning."""
    begin = datetime(2026, 11, 1)
    return [(due - begin) / timedelta(days=1) for _, _, due, _ in due_times([span(**values)])]


def test_a_span_begins_after_its_first_and_ends_with_its_last_time() -> None:
    assert days() == [1, 2, 3]


def test_a_run_named_after_its_start_is_due_when_its_interval_is_over() -> None:
    assert days(names_interval_start=True) == [1, 2]


def test_an_interval_counts_from_the_run_before_until_half_an_interval_before_the_next() -> None:
    day = {"expression": None, "interval_s": 86400.0}
    assert days(**day) == [1, 2, 3]
    late = datetime(2026, 11, 3, 11)
    assert days(**day, until_at=late, ends_with_run=True) == [1]
    later = datetime(2026, 11, 3, 13)
    assert days(**day, until_at=later, ends_with_run=True) == [1, 2]


@pytest.mark.parametrize("expression", ["", "0 0 30 2 *", "61 * * * *", "a b c d e", "0 0 * *"])
def test_what_is_no_cron_makes_nothing_due(expression: str) -> None:
    assert days(expression=expression) == []


def test_an_unknown_time_zone_makes_nothing_due() -> None:
    assert days(timezone="Europe/Nowhere") == []


def test_of_several_expressions_each_time_is_due_once() -> None:
    assert days(expression="0 0 * * * | 0 0,12 2 * *") == [1, 1.5, 2, 3]


@settings(deadline=None, max_examples=10)
@given(
    st.sampled_from([(e, z) for e, z, _, _ in AIRFLOW]),
    st.datetimes(datetime(2020, 1, 1), datetime(2027, 1, 1)),
    st.integers(1, 40),
)
def test_a_span_gives_what_the_expression_gives(
    schedule: tuple[str, str], after: datetime, most: int
) -> None:
    times = list(islice(cron_times(*schedule, after), most))
    found = due_times(
        [
            span(
                expression=schedule[0],
                timezone=schedule[1],
                after_at=after,
                until_at=times[-1],
            )
        ]
    )
    assert [due for _, _, due, _ in found] == times
