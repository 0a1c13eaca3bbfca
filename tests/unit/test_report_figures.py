"""Rows become figures: units by name, values that JSON can carry, signals, what changed."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.models.catalog import models
from airkeep.report import page
from airkeep.report.dags import Dag, changes, signals
from airkeep.report.figures import figure, kind, label, plain
from airkeep.report.questions import SECTIONS, Question

PACKAGE = Path(page.__file__).parent
FORBIDDEN = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
    "http://", "https://", "fetch(", "XMLHttpRequest", "</script",
)  # fmt: skip
ASKED = [question for section in SECTIONS for question in section.questions]
DAG = Dag(
    environment="prod", dag_id="a", owners=None, schedule="@daily", file=None, is_paused=False,
    is_active=True, signals=(), runs=7, failed=0, success_rate=1.0, success_rate_before=1.0,
    mean_s=10.0, mean_before_s=10.0, slot_h=None, last_state="success",
    last_started_at=10_000_000, strip=(), weeks=(), changes=(), tasks=(), path=(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("p95_s", "s"), ("slot_h", "h"), ("idle_d", "d"), ("last_failed_at", "at"), ("day", "day"),
        ("success_rate_before", "share"), ("saturated_s", "s"), ("failed", "count"),
        ("dag_id", "text"), ("is_open", "flag"), ("operator", "text"), ("bytes", "bytes"),
    ],
)  # fmt: skip
def test_a_columns_name_says_its_unit(name: str, unit: str) -> None:
    assert kind(name) == unit
    assert not label(name).endswith(("_s", "_h", "_at"))


@given(st.floats() | st.decimals(allow_nan=False) | st.datetimes() | st.dates() | st.none())
def test_any_value_becomes_one_that_json_has(value: object) -> None:
    json.dumps(plain(value), allow_nan=False)


def test_values_are_rounded_and_times_are_seconds() -> None:
    assert plain(math.nan) is None
    assert plain(Decimal("0.123456789")) == 0.123457
    assert plain(datetime(1970, 1, 2)) == plain(datetime(1970, 1, 2, tzinfo=UTC)) == 86_400
    assert plain(date(2026, 11, 1)) == "2026-11-01"


def test_each_environment_has_its_share_of_rows_and_what_is_left_out_is_told() -> None:
    rows = [("prod", "a", 3, 900), ("prod", "b", 2, 900), ("test", "a", 1, 1)]
    asked: list[str] = []

    def ask(statement: str) -> list[tuple[object, ...]]:
        asked.append(statement)
        return list(rows)

    question = Question("m", "t", "w", ("environment", "dag_id", "failed"), "failed DESC")
    found = figure(ask, question, "k", environments=4)

    assert "place <= 50" in asked[0]
    assert found.rows == (("prod", "a", 3), ("prod", "b", 2), ("test", "a", 1))
    assert [(s.environment, s.rows, s.of) for s in found.shown] == [
        ("prod", 2, 900),
        ("test", 1, 1),
    ]


@pytest.mark.parametrize(
    ("dag", "told"),
    [
        (DAG, ()),
        (replace(DAG, failed=1, success_rate=0.8), ("flaky", "worse")),
        (replace(DAG, failed=1, success_rate=0.98), ("flaky",)),
        (replace(DAG, mean_s=15.1), ("slower",)),
        (replace(DAG, mean_s=15.1, mean_before_s=None), ()),
        (replace(DAG, changes=(("t", 9_999_000, 2.0, None, None),)), ("slower",)),
        (replace(DAG, changes=(("t", 9_999_000, 0.5, None, None),)), ()),
        (replace(DAG, changes=(("t", 1, 2.0, None, None),)), ()),
        (replace(DAG, last_started_at=1), ("silent",)),
        (replace(DAG, last_started_at=None), ("silent",)),
        (replace(DAG, last_started_at=1, is_paused=True), ()),
        (replace(DAG, last_started_at=1, schedule=None), ()),
        (replace(DAG, last_started_at=1, schedule="Asset"), ()),
    ],
)
def test_a_dag_that_needs_a_look_says_why(dag: Dag, told: tuple[str, ...]) -> None:
    assert of(dag) == told


def test_a_dag_whose_last_finished_run_failed_is_failing_also_while_another_runs() -> None:
    for state in ("failed", "running"):
        assert of(replace(DAG, failed=1, last_state=state), failing=True) == ("failing",)


def of(dag: Dag, *, failing: bool = False) -> tuple[str, ...]:
    return signals(dag, 10_000_000, failing=failing, stuck=False, zombies=False, missed=False)


def test_what_changed_names_failures_first_and_says_both_weeks() -> None:
    found = changes(
        [
            replace(DAG, dag_id="steady", success_rate=0.99),
            replace(DAG, dag_id="faster", mean_s=5.0),
            replace(DAG, dag_id="slower", mean_s=20.0),
            replace(DAG, dag_id="quick", mean_s=0.9, mean_before_s=0.1),
            replace(DAG, dag_id="less", success_rate_before=0.5),
            replace(DAG, dag_id="more", success_rate=0.5),
            replace(DAG, dag_id="gone", success_rate=None, mean_s=None),
        ]
    )
    assert [(c.dag_id, c.what, c.before, c.now) for c in found] == [
        ("more", "fails more", 1.0, 0.5),
        ("less", "fails less", 0.5, 1.0),
        ("slower", "slower", 10.0, 20.0),
        ("gone", "ran no more", 1.0, None),
        ("faster", "faster", 10.0, 5.0),
    ]


def test_every_mart_is_shown_somewhere() -> None:
    from airkeep.report import cost, dags, overview

    shown = {q.mart for q in ASKED} | {*dags.WANTED, *overview.WANTED, "environments_compared"}
    shown |= {*cost.MARTS}
    assert {m.name for m in models().values() if m.kind == "mart"} <= shown


def test_the_chart_library_is_the_one_that_make_charts_made() -> None:
    note = json.loads((PACKAGE / "static" / "echarts.json").read_text())
    bundle = (PACKAGE / "static" / "echarts.js").read_bytes()

    assert hashlib.sha256(bundle).hexdigest() == note["sha256"]
    assert b"</script" not in bundle
    for name in ("LICENSE.echarts", "NOTICE.echarts", "LICENSE.zrender"):
        assert (PACKAGE / "static" / name).stat().st_size > 100


@pytest.mark.parametrize("name", page.SCRIPTS)
def test_our_scripts_never_make_html_of_a_value(name: str) -> None:
    script = (PACKAGE / "templates" / name).read_text(encoding="utf-8")
    for forbidden in FORBIDDEN:
        assert forbidden not in script
