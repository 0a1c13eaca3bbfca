"""SIGKILL before and after every entry of the journal: run again, it comes to the same end."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, repeat

import pytest

from airkeep.environment.events import Entry, Kept, Stepped
from airkeep.environment.journal import Journal
from mwaa_environments import ACTIVE, RUNS, recorded
from mwaa_journeys import Kill, Way, When, travel, travel_and_die
from mwaa_server import MwaaServer
from rekeyed import opened, read_secrets
from servers import FERNET_KEY, query

KILLED = -9
MOST_RUNS = 40
# What a run that is killed leaves undone is done by the next one, which is killed a little later:
# every entry of a journey is the last one of some run.
COARSE = pytest.param(range(2, 60, 4), cycle(("before", "after")), id="at some entries")
EACH = [
    pytest.param(range(1, 60), repeat(when), id=f"{when} each entry", marks=pytest.mark.slow)
    for when in ("before", "after")
]


def until_done(way: Way, journey: str, at: Iterable[int], when: Iterable[When]) -> int:
    """Run it again and again, each time killed later; how many runs were killed."""
    for runs, kill in enumerate(map(Kill, when, at)):
        assert runs < MOST_RUNS
        status = travel_and_die(way, journey, kill)
        if status == 0:
            return runs
        assert status == KILLED, way.said
    raise AssertionError("it did not end")


def journal(way: Way) -> list[Entry]:
    return list(Journal(way.lake.store, way.environment).entries())


def check_no_deletion_without_a_gate(entries: list[Entry]) -> None:
    """A run that begins to delete has passed the gate, or goes on with what has begun."""
    begun = False
    for n, entry in enumerate(entries):
        if entry.event == Stepped("delete", is_done=False) and not begun:
            own = [e.event for e in entries[:n] if e.run == entry.run]
            assert Stepped("gate", is_done=True) in own
            assert any(isinstance(e, Kept) for e in own)
            begun = True
        elif entry.event == Stepped("record", is_done=False):
            begun = False


@pytest.mark.parametrize(("at", "when"), [COARSE, *EACH])
def test_a_journey_that_is_killed_comes_to_the_same_end(
    at: range, when: Iterable[When], mwaa: MwaaServer, way: Way
) -> None:
    before = mwaa.made[way.name]
    active, runs = query(before.url, ACTIVE), query(before.url, RUNS)
    secrets = opened(read_secrets(before.url), FERNET_KEY)

    kills = until_done(way, "down", at, when)
    assert way.name not in mwaa.made
    state = way.state
    assert state.standing == "asleep"
    assert [(dag,) for dag in recorded(way).active] == active
    assert state.recorded == recorded(way)
    assert mwaa.calls == [f"DELETE {way.name}"]
    check_no_deletion_without_a_gate(journal(way))

    kills += until_done(way, "up", at, when)
    after = mwaa.made[way.name]
    # Some of its DAGs begin unpaused: `settle` gives back what kept them from running.
    assert mwaa.calls == [f"{deed} {way.name}" for deed in ("DELETE", "PUT", "PATCH")]
    assert query(after.url, ACTIVE) == active
    assert query(after.url, RUNS) == runs
    assert opened(read_secrets(after.url), after.fernet_key) == secrets
    assert way.state.standing == "awake"
    assert way.state.recorded is None
    assert [job.split()[0] for job in way.jobs].count("restore") == 1
    assert kills > 6


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("entry", range(1, 18))
def test_one_kill_and_one_more_run_are_enough(
    entry: int, when: When, mwaa: MwaaServer, way: Way
) -> None:
    active = query(mwaa.made[way.name].url, ACTIVE)
    assert travel_and_die(way, "down", Kill(when, entry)) == KILLED
    assert travel_and_die(way, "down") == 0, way.said
    assert way.name not in mwaa.made
    status = travel_and_die(way, "up", Kill(when, entry))
    assert status in (0, KILLED)
    assert travel_and_die(way, "up") == 0, way.said
    assert query(mwaa.made[way.name].url, ACTIVE) == active
    check_no_deletion_without_a_gate(journal(way))


def test_who_worked_after_a_deletion_that_did_not_begin_is_not_deleted(
    mwaa: MwaaServer, way: Way
) -> None:
    assert travel_and_die(way, "down", Kill("after", step="delete")) == KILLED
    assert way.state.deleting
    url = mwaa.made[way.name].url
    query(url, "UPDATE dag_run SET end_date = now() + interval '1 minute' WHERE id IN "
               "(SELECT id FROM dag_run WHERE state = 'success' LIMIT 1)")  # fmt: skip
    assert travel_and_die(way, "down") == 97
    assert "1 run has ended since" in way.said[-1]
    assert not mwaa.calls
    assert not way.state.deleting
    query(url, "UPDATE dag_run SET end_date = start_date WHERE end_date > now()")
    assert travel(way, "down").standing == "asleep"


@pytest.mark.slow
def test_what_was_restored_is_not_restored_twice_though_its_job_is_forgotten(
    mwaa: MwaaServer, way: Way
) -> None:
    travel(way, "down")
    assert travel_and_die(way, "up", Kill("before", 8)) == KILLED
    assert way.state.holder is not None
    assert way.state.holder.step == "restore"
    for outcome in way.folder.glob("up-*.json"):
        outcome.unlink()
    assert travel(way, "up").standing == "awake"
    assert [job.split()[0] for job in way.jobs] == ["export", "restore"]
