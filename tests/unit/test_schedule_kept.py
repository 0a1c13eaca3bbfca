"""A schedule that is kept by real journeys, of an environment on paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airkeep.environment.events import Journey, Scheduled
from airkeep.environment.journal import Author, Journal
from airkeep.environment.journey import Traveller
from airkeep.environment.news import News
from airkeep.environment.state import State
from airkeep.environment.turn import Keeping, Turn, take_turn
from airkeep.errors import AirkeepError
from paper import DAGS, ENVIRONMENT, ROWS, Killed, Paper


class Kept:
    """A paper environment with a schedule; its clock counts from when the schedule was made."""

    def __init__(self, folder: Path) -> None:
        self.paper, self.told = Paper(folder), list[News]()
        self.paper.traveller().journal.append(Scheduled("0 */12 * * *", "0 6,18 * * *"))
        began = datetime.now(UTC)
        self.noon = began.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)

    @contextmanager
    def walker_of(self, journal: Journal, state: State, journey: Journey) -> Iterator[Traveller]:
        yield replace(self.paper.traveller(), journal=journal)

    def look(self, hours: float, kill_at: int | None = None) -> tuple[Turn, AirkeepError | None]:
        now = self.noon + timedelta(hours=hours)
        journal = Journal(self.paper.lake.store, ENVIRONMENT, Author(clock=lambda: now))
        keeping = Keeping(self.walker_of, lambda _, news: self.told.append(news))
        self.paper.switch.arm(kill_at)
        try:
            return take_turn(journal, keeping)
        finally:
            self.paper.switch.arm(None)


def test_it_is_put_to_sleep_and_woken_with_all_that_was_in_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert [kept.look(hours)[0].what for hours in (0, 0.1, 5.9)] == ["done", "stands", "stands"]
    assert not kept.paper.ground.exists()
    assert [kept.look(hours)[0].what for hours in (6, 6.1)] == ["done", "stands"]
    assert (kept.paper.ground.dags, kept.paper.ground.rows) == (DAGS, ROWS)
    assert [(n.journey, n.outcome) for n in kept.told] == [("down", "done"), ("up", "done")]


def test_a_look_that_was_killed_on_its_way_is_gone_on_with_by_a_later_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for moment in (9, 14):
        try:
            kept.look(0, kill_at=moment)
        except Killed:
            continue
    assert kept.paper.is_whole()
    assert kept.look(0.2)[0].what == "done"  # its hold of five minutes is over
    assert kept.paper.is_whole()
    assert kept.look(6)[0].what == "done"
    assert (kept.paper.ground.dags, kept.paper.ground.rows) == (DAGS, ROWS)


def test_a_gate_that_stays_shut_is_knocked_at_three_times_and_pauses_nothing(
    tmp_path: Path,
) -> None:
    kept = Kept(tmp_path)
    kept.paper.ground.finished = 1
    what = [kept.look(hours)[0].what for hours in (0, 0.1, 0.3, 0.9, 1, 5)]
    assert what == ["failed", "waits", "failed", "failed", "gave up", "gave up"]
    assert kept.paper.ground.dags == DAGS
    assert kept.look(6)[0].what == "rests"
    kept.paper.ground.finished = 0
    assert kept.look(12)[0].what == "done"
