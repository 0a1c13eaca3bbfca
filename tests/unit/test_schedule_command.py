"""`airkeep schedule` and `schedule run` on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from airkeep.cli.context import Context
from airkeep.cli.ending import ending
from airkeep.cli.environments import read_state
from airkeep.cli.main import cli
from airkeep.cli.output import Output
from airkeep.cli.schedule_run import walker_of
from airkeep.config import load_settings
from airkeep.environment.events import (
    Began,
    Ended,
    Event,
    LocalPlace,
    MwaaPlace,
    Placed,
    Scheduled,
)
from airkeep.environment.journal import Author, Journal
from airkeep.environment.journey import Traveller
from airkeep.environment.mwaa.ground import MwaaGround
from airkeep.environment.mwaa.job import Here
from airkeep.errors import ConfigError, JourneyError
from airkeep.snapshot.lake import Lake
from airkeep.store.local import LocalStore

HERE = MwaaPlace("prod", "eu-central-1", jobs="here")
WEEK = timedelta(days=7)


def say(lake: Path, environment: str, events: Sequence[Event], *, ago: timedelta = WEEK) -> None:
    """Write into a journal as of some time ago."""
    at = datetime.now(UTC) - ago
    journal = Journal(LocalStore(lake), environment, Author(clock=lambda: at))
    journal.read()
    for event in events:
        journal.append(event)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    say(tmp_path, "prod", [Placed(MwaaPlace("prod", "eu-central-1"))])
    say(tmp_path, "here", [Placed(LocalPlace(str(tmp_path / "x"), "3.1.8", str(tmp_path)))])
    return tmp_path


def ask(lake: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["schedule", *words, "--lake", str(lake)])


def document(ran: Result) -> Any:
    assert ran.exception is None, ran.exception
    return json.loads(ran.stdout)


def scheduled(lake: Path, environment: str = "prod") -> Scheduled | None:
    return Journal(LocalStore(lake), environment).read().state.schedule


def test_a_schedule_is_saved_shown_changed_and_cleared(lake: Path) -> None:
    said = document(
        ask(lake, "prod", "--down", "0 20 * * MON-FRI", "--up", "0 6 * * MON-FRI",
            "--timezone", "Europe/Copenhagen", "--json", "--count", "4")
    )  # fmt: skip
    assert [due["journey"] for due in said["next"]] in (["down", "up"] * 2, ["up", "down"] * 2)
    shown = ask(lake, "prod").stdout
    assert "down 0 20 * * MON-FRI, up 0 6 * * MON-FRI, Europe/Copenhagen" in shown
    assert "20:00 CE" in shown
    document(ask(lake, "prod", "--up", "30 6 * * MON-FRI", "--json"))
    assert scheduled(lake) == Scheduled("0 20 * * MON-FRI", "30 6 * * MON-FRI", "Europe/Copenhagen")
    assert ask(lake, "prod", "--clear").stdout == "prod has no schedule\n"
    assert scheduled(lake) is None


def test_the_same_schedule_said_again_is_no_news(lake: Path) -> None:
    for _ in range(2):
        document(ask(lake, "prod", "--down", "0 20 * * *", "--json"))
    assert len(list((lake / "environments").rglob("0*.json"))) == 3


def test_eventbridge_is_told_by_its_own_names(lake: Path) -> None:
    arn = "sns:arn:aws:sns:eu-central-1:123456789012:airflow"
    asked = ["--down", "0 20 * * *", "--timezone", "Europe/Copenhagen", "--notify", arn]
    assert document(ask(lake, "prod", *asked, "--eventbridge")) == [
        {
            "journey": "down",
            "ScheduleExpression": "cron(0 20 * * ? *)",
            "ScheduleExpressionTimezone": "Europe/Copenhagen",
            "State": "ENABLED",
        }
    ]


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (("prdo",), JourneyError, "did you mean prod"),
        (("here", "--up", "0 6 * * *"), ConfigError, "no schedule can wake it"),
        (("prod", "--eventbridge"), ConfigError, "has no schedule"),
        (("prod", "--down", "20:00"), ConfigError, "five fields"),
        (("prod", "--up", ""), ConfigError, "--up '': expected the five fields"),
        (("prod", "--down", "0 20 * * *", "--timezone", ""), ConfigError, "--timezone ''"),
        (("prod", "--down", "0 20 * * *", "--notify", ""), ConfigError, "--notify: expected"),
        (("prod", "--clear", "--up", ""), click.UsageError, "no other part"),
        (("run", "nobody"), JourneyError, "nobody"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    lake: Path, words: tuple[str, ...], error: type[Exception], told: str
) -> None:
    ran = ask(lake, *words)
    assert isinstance(ran.exception, error) or error is click.UsageError
    assert told in str(ran.exception) + ran.stderr
    assert scheduled(lake) is None


@pytest.mark.parametrize("flags", [(), ("--eventbridge",)])
def test_what_the_clock_leaves_out_is_a_warning_a_day(lake: Path, flags: tuple[str, ...]) -> None:
    ran = ask(lake, "prod", "--up", "* 2 * * *", "--timezone", "Europe/Copenhagen", *flags)
    assert ran.exception is None
    [warning] = [line for line in ran.stderr.splitlines() if line.startswith("warning")]
    assert " 02:00 to 02:59 is left out: the clock is put forward over it" in warning


def test_a_schedule_is_changed_under_a_journey_which_goes_on(lake: Path) -> None:
    journey = Journal(LocalStore(lake), "prod")
    journey.read()
    journey.append(Began("up", datetime.now(UTC) + timedelta(minutes=5)))
    assert ask(lake, "prod", "--down", "0 20 * * *").exception is None
    assert ask(lake, "run", "prod").exception is None
    journey.append(Ended("done"))
    state = Journal(LocalStore(lake), "prod").read().state
    assert (state.standing, state.schedule) == ("awake", Scheduled("0 20 * * *", None))


def test_run_looks_at_those_that_have_a_schedule(lake: Path) -> None:
    assert ask(lake, "run").stdout == "no environment of this lake has a schedule\n"
    say(lake, "here", [Scheduled("0 20 * * *", None)])
    [turn] = document(ask(lake, "run", "--dry-run", "--json"))
    assert (turn["environment"], turn["what"], turn["due"]["journey"]) == ("here", "due", "down")


def test_run_says_of_a_local_environment_that_it_cannot_be_woken(lake: Path) -> None:
    say(
        lake,
        "here",
        [Scheduled(None, "0 6 * * *"), Began("down", datetime(2026, 1, 1, tzinfo=UTC))],
    )
    ran = ask(lake, "run", "here")
    assert isinstance(ran.exception, JourneyError)
    assert "runs in the foreground" in str(ran.exception)


def test_run_without_a_sound_address_to_tell_does_nothing(lake: Path) -> None:
    say(lake, "here", [Scheduled("0 20 * * *", None)])
    ran = ask(lake, "run", "--notify", "http://example.com/T0KEN")
    assert isinstance(ran.exception, ConfigError)
    assert "T0KEN" not in str(ran.exception)


def test_a_journal_that_cannot_be_read_stops_no_other_environment(lake: Path) -> None:
    say(lake, "a", [Placed(MwaaPlace("a")), Scheduled("0 20 * * *", None)])
    say(lake, "prod", [Scheduled("0 20 * * *", None)], ago=timedelta(minutes=1))
    broken = lake / "environments/environment=a/journal/000000000/000000000001.json"
    broken.chmod(0o644)
    broken.write_text("{")
    ran = ask(lake, "run", "--dry-run")
    assert isinstance(ran.exception, JourneyError)
    assert "is no entry of a journal" in str(ran.exception)
    assert ran.stdout.startswith("prod: ")


def test_a_scheduled_down_that_is_stopped_has_the_time_to_give_back(lake: Path) -> None:
    say(lake, "prod", [Placed(HERE)])
    ctx = Context(load_settings({}, {}, None), Output())
    place = Lake(lake)
    journal, state = read_state(place, "prod")
    with walker_of(ctx, place, 5)(journal, state, "down") as traveller:
        assert isinstance(traveller, Traveller)
        assert traveller.patience.drain_s == 300
        assert "airkeep status prod" in ending().left
        with traveller.giving_back():
            assert (ending().give_up_s, ending().left) == (
                360,
                "its DAGs may be paused: airkeep up prod",
            )


@pytest.mark.parametrize(("asked", "done"), [(None, "seal"), ("keep", "keep"), ("drop", "drop")])
def test_secrets_are_sealed_where_the_key_dies_unless_another_way_is_asked_for(
    lake: Path, asked: str | None, done: str
) -> None:
    say(lake, "prod", [Placed(HERE)])
    ctx, place = Context(load_settings({"secrets": asked}, {}, None), Output()), Lake(lake)
    with walker_of(ctx, place, 5)(*read_state(place, "prod"), "down") as traveller:
        assert isinstance(traveller, Traveller)
        assert isinstance(traveller.ground, MwaaGround)
        assert traveller.ground.means.secrets == done


def test_a_job_of_a_journey_may_take_as_long_as_is_said(lake: Path) -> None:
    say(lake, "prod", [Placed(HERE)])
    ctx, place = Context(load_settings({"job_minutes": "90"}, {}, None), Output()), Lake(lake)
    with walker_of(ctx, place, 5)(*read_state(place, "prod"), "down") as traveller:
        assert isinstance(traveller, Traveller)
        assert isinstance(traveller.ground, MwaaGround)
        run = traveller.ground.means.run
        assert isinstance(run, Here)
        assert run.timeout_s == 5_400
        assert "environ=" not in repr(run)
