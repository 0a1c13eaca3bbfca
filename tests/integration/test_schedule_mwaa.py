"""A schedule puts an environment of MWAA to sleep, and wakes it: real calls, exports, restores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from airkeep.cost.prices import load_prices
from airkeep.environment.events import Journey, Scheduled
from airkeep.environment.journal import Author, Journal
from airkeep.environment.journey import Traveller
from airkeep.environment.news import News
from airkeep.environment.state import State
from airkeep.environment.turn import Keeping, Turn, take_turn
from mwaa_environments import ACTIVE
from mwaa_journeys import Way, variables
from mwaa_server import MwaaServer
from servers import query


def test_an_environment_sleeps_by_its_schedule_and_tells_what_that_saved(
    mwaa: MwaaServer, way: Way
) -> None:
    told: list[News] = []
    journal = Journal(way.lake.store, way.environment)
    journal.read()
    journal.append(Scheduled("0 20 * * *", "0 6 * * *"))
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    active = query(mwaa.made[way.name].url, ACTIVE)

    @contextmanager
    def walker_of(journal: Journal, state: State, journey: Journey) -> Iterator[Traveller]:
        yield replace(way.traveller(), journal=journal)

    def look(days: int, hour: int) -> Turn:
        at = midnight + timedelta(days=days, hours=hour)
        journal = Journal(way.lake.store, way.environment, Author(clock=lambda: at))
        keeping = Keeping(walker_of, lambda _, news: told.append(news), prices=load_prices())
        with variables(way.variables):
            turn, failure = take_turn(journal, keeping)
        assert failure is None
        return turn

    assert look(1, 20).what == "done"
    assert way.name not in mwaa.made
    woken = look(2, 6)
    assert woken.what == "done"
    assert query(mwaa.made[way.name].url, ACTIVE) == active
    assert woken.saved is not None
    assert woken.saved.hours == Decimal(10)
    assert told[-1].saved == f"{woken.saved.amount} USD"
    assert [job.split()[0] for job in way.jobs] == ["export", "restore"]
