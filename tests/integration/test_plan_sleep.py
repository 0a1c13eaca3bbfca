"""Plans of sleep from what a real Airflow ran, and on the command line."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import airkeep
from airkeep.cli.main import cli
from airkeep.environment.events import Began, Ended, Kept, MwaaPlace, Placed, Recorded
from airkeep.environment.journal import Author, Journal
from airkeep.export.run import export
from airkeep.snapshot.lake import Lake
from servers import airflow_sqlite

SINCE = datetime(2026, 11, 1, tzinfo=UTC)  # every run of the data is of the 21st


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("plan-sleep")
    made = Lake(str(folder / "lake"))
    export(airflow_sqlite("airflow-3.3.2", folder), made, environment="prod", allow_plain=True)
    return made


def test_what_runs_say_and_what_schedules_say_is_told_apart(lake: Lake) -> None:
    found = airkeep.plan_sleep(lake, since=SINCE)
    nights = found.candidates[0].judged
    costs = {cost.dag_id: cost for cost in nights.costs}
    assert found.schedules["lab_part_prod"] == "*/2 * * * * UTC"
    assert costs["lab_part_prod"].missed == 7 * 10 * 30  # of seven nights, two minutes apart
    assert costs["lab_flaky"].missed == 7 * 10 * 60  # an interval of a minute
    assert costs["lab_etl_orders"].missed == 7  # at midnight UTC
    asked = {dag for dag, cost in costs.items() if cost.late and not cost.missed}
    assert {"lab_asset_consumer", "lab_params"} <= asked
    assert costs["lab_asset_consumer"].hours == ("SAT 03",)
    assert nights.kept + nights.late + nights.missed == pytest.approx(found.runs)


def test_dags_that_down_paused_are_needed_those_that_somebody_paused_are_not(
    lake: Lake, tmp_path: Path
) -> None:
    database = airflow_sqlite("airflow-3.3.2", tmp_path)
    with closing(sqlite3.connect(database)) as db, db:
        active = [str(d) for (d,) in db.execute("SELECT dag_id FROM dag WHERE NOT is_paused")]
        db.execute("UPDATE dag SET is_paused = 1")
    own = Lake(str(tmp_path / "lake"))
    slept_as = export(database, own, environment="prod", allow_plain=True)
    assert airkeep.plan_sleep(own, since=SINCE).schedules == {}  # somebody paused them all

    awake, journal = airkeep.plan_sleep(lake, since=SINCE), Journal(own.store, "prod")
    for event in (
        Placed(MwaaPlace("prod")),
        Began("down", datetime.now(UTC)),
        Recorded(tuple(active)),
        Kept(f"prod/{slept_as.id}", "sha"),
        Ended("done"),
    ):
        journal.append(event)
    asleep = airkeep.plan_sleep(own, since=SINCE)
    assert (asleep.runs, asleep.schedules) == (awake.runs, awake.schedules)
    assert [one.dag_ids for one in asleep.blockers] == [one.dag_ids for one in awake.blockers]


def test_nothing_can_sleep_beside_dags_that_run_all_the_time_and_they_are_named(
    lake: Lake,
) -> None:
    found = airkeep.plan_sleep(lake, since=SINCE)
    best = next(o.judged for o in found.candidates if o.judged.plan.name == "nothing missed")
    assert (best.away_h, best.missed, best.late) == (0, 0, 0)
    [blocker] = found.blockers
    assert blocker.dag_ids == ("lab_asset_producer", "lab_flaky", "lab_part_prod")
    assert blocker.gained_h > 100
    notes = " ".join(found.notes)
    for told in ("lab_defer wait for something", "follow assets", "by hand or by an API"):
        assert told in notes


def test_without_a_history_nothing_is_said_to_sleep_for_good(tmp_path: Path) -> None:
    database = airflow_sqlite("airflow-3.3.2", tmp_path)
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("UPDATE dag SET is_paused = 1")
        for table in ("dag_run", "task_instance", "task_instance_history"):
            db.execute(f"DELETE FROM {table}")
    lake = str(tmp_path / "lake")
    export(database, Lake(lake), environment="prod", allow_plain=True)
    ran = CliRunner().invoke(cli, ["plan-sleep", lake], catch_exceptions=False)
    assert "there is no history to say by when it could sleep" in ran.stdout
    assert "for good" not in ran.stdout
    assert "nothing is known to have run in these weeks" in ran.stderr


def asked(lake: Lake, *more: str) -> dict[str, Any]:
    words = ["plan-sleep", lake.url, "--since", "2026-11-01", "--json", *more]
    ran = CliRunner().invoke(cli, words, catch_exceptions=False)
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


def test_what_is_saved_is_what_the_hours_asleep_cost(lake: Lake) -> None:
    found = asked(
        lake, "--class", "mw1.small", "--region", "us-east-1", "--lead", "40m",
        "--timezone", "Europe/Copenhagen", "--night", "22-6",
    )  # fmt: skip
    nights = found["candidates"][0]
    assert (nights["judged"]["plan"]["down"], nights["judged"]["plan"]["up"]) == (
        "0 22 * * *", "20 5 * * *",
    )  # fmt: skip
    saving = nights["saving"]
    hours = Decimal(saving["hours"])
    paid = (hours * Decimal("0.49")).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert Decimal(saving["cost"]) - Decimal(saving["saved"]) == paid
    assert len(found["idle"]) == 168


def test_without_a_class_nothing_is_said_of_money(lake: Lake) -> None:
    assert {one["saving"] for one in asked(lake)["candidates"]} == {None}


def test_the_journal_tells_how_long_journeys_take_and_what_is_billed(
    lake: Lake, tmp_path: Path
) -> None:
    own = Lake(str(tmp_path / "lake"))
    export(airflow_sqlite("airflow-3.3.2", tmp_path), own, environment="prod", allow_plain=True)
    now = datetime(2026, 11, 10, tzinfo=UTC)
    journal = Journal(own.store, "prod", Author(clock=lambda: now))
    definition = {
        "EnvironmentClass": "mw1.medium",
        "Arn": "arn:aws:airflow:us-east-1:123456789012:environment/prod",
    }
    journal.append(Placed(MwaaPlace("prod")))
    journal.append(Began("up", now + timedelta(minutes=5)))
    journal.append(Recorded((), json.dumps(definition)))
    now += timedelta(minutes=33)
    journal.append(Ended("done"))
    journal.append(Began("down", now + timedelta(minutes=5)))
    now += timedelta(minutes=11, seconds=5)
    journal.append(Ended("done"))
    found = airkeep.plan_sleep(own, since=SINCE, bill=airkeep.Bill(airkeep.load_prices()))
    assert (found.lead_min, found.lead_by) == (33, "the longest of its last journeys")
    assert found.down_min == 12
    saving = found.candidates[0].saving
    assert saving is not None
    assert saving.cost > Decimal("0.74") * 24 * 28


def test_the_command_says_it_in_words(lake: Lake) -> None:
    words = ["plan-sleep", lake.url, "--since", "2026-11-01"]
    ran = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "nights               0 20 * * *        20 5 * * *" in ran.stdout
    assert "nights: lab_flaky (every 60 s) 4,200.0 missed a week: MON 20-TUE 05" in ran.stdout
    assert "there is no sleep worth its journeys" in ran.stdout
    assert "h a week more and miss nothing: nothing else needs MON 01-23" in ran.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--since", "3d"), "a week or more"),
        (("--timezone", "Mars"), "no such time zone"),
        (("--class", "mw1.small"), "--region"),
        (("--lead", "2d"), "whole minutes or hours"),
        (("--night", "20"), "two hours of the day"),
    ],
)
def test_what_makes_no_sense_is_refused(lake: Lake, more: tuple[str, ...], told: str) -> None:
    ran = CliRunner().invoke(
        cli, ["plan-sleep", lake.url, *more], env={"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
    )
    assert told in f"{ran.output}{ran.exception}"
