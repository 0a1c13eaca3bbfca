"""Journeys down and up of an environment on paper, whole and cut off at every moment."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airkeep.environment.events import Began, MwaaPlace, Placed, Recorded, Stepped
from airkeep.environment.ground import Pulse
from airkeep.environment.journal import Author, Journal
from airkeep.environment.journey import Traveller
from airkeep.environment.means import Arrived, Patience
from airkeep.environment.plan import plan_up
from airkeep.environment.state import State
from airkeep.errors import (
    AwsError,
    AwsUnavailableError,
    DiskFullError,
    GateError,
    HeldError,
    JourneyError,
    MissingKeyError,
    NoEnvironmentError,
    StoreError,
    TooLongError,
)
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.names import SnapshotName, id_time
from airkeep.store.local import LocalStore
from paper import DAGS, ENVIRONMENT, ROWS, Killed, Paper

FOLDER_STAYS = [HealthCheck.function_scoped_fixture]  # each example has one of its own in it
LOCAL_STEPS = ("create", "restore", "ready")
Journey = Callable[[Traveller], Arrived]
JOURNEYS: dict[str, Journey] = {"down": Traveller.down, "up": Traveller.up}


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the machine has that: every save waits for the disk."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as made:
        yield Path(made)


def walk(paper: Paper, journey: str, kill_at: int | None = None) -> Arrived | None:
    """One run; None where it was killed."""
    traveller = paper.traveller()
    paper.switch.arm(kill_at)
    try:
        return JOURNEYS[journey](traveller)
    except Killed:
        return None
    finally:
        paper.switch.arm(None)


def test_down_and_up_give_back_rows_and_pauses(folder: Path) -> None:
    paper = Paper(folder)
    down = walk(paper, "down")
    assert down is not None
    assert (down.standing, down.snapshot) == ("asleep", next(map(str, paper.ground.kept)))
    assert not paper.ground.exists()
    assert [s.name for s in down.steps][-3:] == ["gate", "delete", "gone"]

    up = walk(paper, "up")
    assert up is not None
    assert up.standing == "awake"
    assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)
    assert paper.state().recorded is None


def test_the_gate_asks_what_has_ended_since_the_snapshot_and_up_makes_it_of_that(
    folder: Path,
) -> None:
    paper = Paper(folder)
    down = walk(paper, "down")
    walk(paper, "up")
    [name] = paper.ground.kept
    assert down is not None
    assert paper.ground.since == [id_time(name.id)]
    assert (str(name), paper.ground.made_of) == (down.snapshot, [down.snapshot])
    assert paper.ground.restored == [(down.snapshot, ("daily", "hourly"))]


@pytest.mark.parametrize("journey", ["down", "up"])
def test_a_job_of_a_killed_run_is_gone_on_with_and_one_that_failed_is_not(
    journey: str, folder: Path
) -> None:
    paper = Paper(folder)
    if journey == "up":
        walk(paper, "down")
    deed = "export" if journey == "down" else "restore"
    tokens = paper.ground.exports if journey == "down" else paper.ground.restores
    work, ends = getattr(paper.ground, deed), iter([Killed(), Killed(), AwsError("no job")])

    def ended(*given: object) -> object:
        if (end := next(ends, None)) is None:
            return work(*given)
        tokens.append(str(given[-1]))
        if isinstance(end, Killed):
            paper.switch.arm(0)
        raise end

    setattr(paper.ground, deed, ended)
    assert walk(paper, journey) is None
    assert walk(paper, journey) is None
    with pytest.raises(AwsError, match="no job"):
        walk(paper, journey)
    walk(paper, journey)
    killed, again, failed, done = tokens
    assert killed == again == failed
    assert done != failed


def test_an_environment_that_sleeps_already_is_left_alone(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    again = walk(paper, "down")
    assert again is not None
    assert again.steps == ()
    assert again.standing == "asleep"
    assert len(paper.ground.exports) == 1


@pytest.mark.parametrize("wake_steps", [None, LOCAL_STEPS], ids=["mwaa", "local"])
@pytest.mark.parametrize("journey", ["down", "up"])
def test_killed_at_every_moment_the_next_run_comes_to_the_same_end(
    journey: str, wake_steps: tuple[str, ...] | None, folder: Path
) -> None:
    moment, was_killed = 0, True
    while was_killed:
        paper = Paper(folder / str(moment), wake_steps=wake_steps)
        if journey == "up":
            walk(paper, "down")
        was_killed = walk(paper, journey, moment) is None
        assert paper.is_whole()
        walk(paper, journey)
        assert paper.state().standing == ("asleep" if journey == "down" else "awake")
        assert paper.is_whole()
        if journey == "down":
            walk(paper, "up")
        assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)
        moment += 1
    assert moment > 25


def test_killed_on_its_way_down_an_environment_can_be_woken_instead(folder: Path) -> None:
    moment, was_killed = 0, True
    while was_killed:
        paper = Paper(folder / str(moment))
        was_killed = walk(paper, "down", moment) is None
        walk(paper, "up")
        assert paper.state().standing == "awake"
        assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)
        moment += 1


@settings(max_examples=60, deadline=None, suppress_health_check=FOLDER_STAYS)
@given(
    walks=st.lists(
        st.tuples(st.sampled_from(["down", "up"]), st.integers(0, 60)), min_size=1, max_size=6
    )
)
def test_whatever_is_killed_in_whatever_order_nothing_is_lost(
    walks: list[tuple[str, int]], folder: Path
) -> None:
    paper = Paper(folder / uuid4().hex)
    for journey, kill_at in walks:
        walk(paper, journey, kill_at)
        assert paper.is_whole()
    walk(paper, "up")
    assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)


def test_what_was_paused_is_given_back_when_the_way_down_fails(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.finished = 2
    there: list[dict[str, bool] | None] = []

    @contextmanager
    def giving_back() -> Iterator[None]:
        there.append(dict(paper.ground.dags or {}))
        yield
        there.append(dict(paper.ground.dags or {}))

    with pytest.raises(GateError, match=r"prod was not deleted: 2 runs have ended since .*--force"):
        replace(paper.traveller(), giving_back=giving_back).down()
    assert there == [dict.fromkeys(DAGS, True), DAGS]
    assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)
    state = paper.state()
    assert (state.standing, state.recorded, state.holder) == ("new", None, None)
    assert "2 runs have ended" in state.why


@pytest.mark.parametrize("fails", ["exists", "record", "export"])
def test_what_a_killed_run_paused_is_given_back_by_one_that_fails(fails: str, folder: Path) -> None:
    paper = Paper(folder)
    kill_at_the_drain(paper)
    assert paper.ground.dags == dict.fromkeys(DAGS, True)
    refusals, deed = iter([refuse]), getattr(paper.ground, fails)

    def refused_once(*given: object) -> object:
        return next(refusals, deed)(*given)

    setattr(paper.ground, fails, refused_once)
    with pytest.raises(AwsError, match="no job"):
        walk(paper, "down")
    assert (paper.ground.dags, paper.state().recorded) == (DAGS, None)


def test_what_cannot_be_given_back_is_said(folder: Path) -> None:
    paper = Paper(folder)
    kill_at_the_drain(paper)
    paper.ground.record = paper.ground.unpause = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(AwsError, match="no job"):
        walk(paper, "down")
    assert paper.state().why == "no job; and its DAGs are still paused: no job"
    assert paper.state().recorded is not None


def test_who_fails_to_delete_what_was_never_restored_unpauses_nothing(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    lose_the_restore(paper, is_committed=False)
    paper.ground.dags = dict.fromkeys(DAGS, True)
    paper.ground.delete = refuse  # type: ignore[method-assign]
    with pytest.raises(AwsError, match="no job"):
        walk(paper, "down")
    assert paper.ground.dags == dict.fromkeys(DAGS, True)


def kill_at_the_drain(paper: Paper) -> None:
    """One run down that was killed when it had paused the DAGs."""
    pulse = paper.ground.pulse

    def killed(since: object = None) -> Pulse:
        paper.switch.arm(0)
        raise Killed

    paper.ground.pulse = killed  # type: ignore[method-assign]
    assert walk(paper, "down") is None
    paper.ground.pulse = pulse  # type: ignore[method-assign]


def test_a_run_that_began_since_is_not_lost_though_nothing_is_at_work(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.pulse = lambda since=None: Pulse(0, None, 0, 1, 2)  # type: ignore[method-assign]
    with pytest.raises(GateError, match=r"1 run has begun since .* 2 tasks have ended since"):
        walk(paper, "down")
    assert paper.ground.dags == DAGS


def test_a_run_whose_tasks_have_ended_ends_before_it_sleeps(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.closing, export, left = 9, paper.ground.export, list[int]()

    def looked_at(token: str) -> Snapshot:
        left.append(paper.ground.closing)
        return export(token)

    paper.ground.export = looked_at  # type: ignore[method-assign]
    assert paper.traveller().down().standing == "asleep"
    assert left == [0]


def test_a_run_that_its_airflow_never_ends_sleeps_as_it_is(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.closing = 1_000_000
    assert paper.traveller(closing_s=0.01).down().standing == "asleep"


def test_each_step_is_told_before_and_after_and_what_is_waited_for_only_where_it_is_there(
    folder: Path,
) -> None:
    paper = Paper(folder)
    doing, taken = list[str](), list[str]()
    told = replace(
        paper.traveller(),
        progress=lambda step: doing.append(step.doing),
        taken=lambda step: taken.append(step.name),
    )
    paper.ground.closing = 3
    names = [step.name for step in told.down().steps]
    assert taken == names
    assert [what for what in doing if what in names] == names
    looks = [what for what in doing if what.startswith("waiting for ")]
    assert looks == ["waiting for Airflow to look at 1 run whose tasks have ended"]


def test_tasks_of_an_airflow_that_runs_no_more_are_not_waited_for_and_said(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.orphaned = 2
    arrived = paper.traveller().down()
    assert (arrived.standing, arrived.orphaned, arrived.lost) == ("asleep", 2, ())


def test_force_says_what_is_lost_and_deletes(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.at_work, paper.ground.finished = 3, 1
    said: list[tuple[str, bool]] = []

    def warn(text: str) -> None:
        said.append((text, paper.ground.is_whole()))

    told: list[str] = []
    tell = replace(paper.traveller(), warn=warn, progress=lambda step: told.append(step.doing))
    arrived = tell.down(force=True)
    assert said == [(f"lost: {loss}", True) for loss in arrived.lost]
    deleting = told.index("deleting it")
    assert told[deleting + 1 : deleting + 3] == ["gone", "waiting until it is gone"]
    assert arrived.lost[0] == "3 tasks are at work: what they do will be lost"
    assert arrived.lost[1].startswith(f"1 run has ended since {arrived.snapshot} was taken")
    assert not paper.ground.exists()


def test_the_run_that_ends_a_deletion_says_what_it_has_cost(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.finished = 1
    is_gone = paper.ground.is_gone
    paper.ground.is_gone = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(AwsError, match="no job"):
        paper.traveller().down(force=True)
    paper.ground.is_gone = is_gone  # type: ignore[method-assign]
    [reason] = paper.state().lost
    assert "1 run has ended since" in reason
    assert paper.traveller().down().lost == (reason,)
    assert paper.state().lost == ()


def test_what_is_foreseen_is_what_is_done_and_nothing_is_changed(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.at_work, paper.ground.doubtful = 2, ("nothing would wake it",)
    for journey in ("down", "up"):
        before = [*folder.rglob("*")]
        found = paper.traveller().foresee(journey)
        assert [*folder.rglob("*")] == before
        if journey == "down":
            assert found.active == ("hourly", "daily")
            assert (found.pulse, found.against) == (Pulse(2, None, 0), ("nothing would wake it",))
        paper.ground.at_work, paper.ground.doubtful = 0, ()
        arrived = walk(paper, journey)
        assert arrived is not None
        assert found.steps == tuple(step.name for step in arrived.steps)
        assert found.snapshot == (arrived.snapshot if journey == "up" else None)
    assert paper.traveller().foresee("up").steps == ("create", "ready")


def test_what_cannot_be_recorded_is_foreseen_as_a_refusal(folder: Path) -> None:
    paper = Paper(folder)

    def refuse() -> tuple[str, ...]:
        raise MissingKeyError("no key")

    paper.ground.to_pause = refuse  # type: ignore[method-assign]
    found = paper.traveller().foresee("down")
    assert ("gate" in found.steps, found.against, found.pulse) == (True, ("no key",), None)


def test_a_journey_is_foreseen_though_nobody_heard_of_a_restore(folder: Path) -> None:
    paper = Paper(folder)
    down = walk(paper, "down")
    lose_the_restore(paper, is_committed=True)
    before = [*folder.rglob("*")]
    assert down is not None
    assert "gate" in paper.traveller().foresee("down").steps
    with pytest.raises(JourneyError, match="put this one to sleep first"):
        paper.traveller().foresee("up", snapshot=down.snapshot)
    paper.traveller().journal.append(Began("up", datetime.now(UTC) + timedelta(minutes=5)))
    [held] = paper.traveller(lives=True).foresee("down").against
    assert "is at work on" in held
    assert len([*folder.rglob("*")]) == len(before) + 1


def test_what_its_kind_has_against_it_is_said_before_anything_is_paused(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.doubtful = ("nothing would wake it",)
    with pytest.raises(GateError, match=r"prod was not deleted: nothing would wake it\. --force"):
        walk(paper, "down")
    assert (paper.ground.exports, paper.state().recorded) == ([], None)
    forced = paper.traveller().foresee("down", force=True)
    assert (forced.against, forced.lost) == ((), ("nothing would wake it",))
    assert paper.traveller().down(force=True).lost == ("nothing would wake it",)


def test_tasks_that_do_not_end_are_waited_for_and_no_longer(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.at_work = 1
    traveller = paper.traveller()
    with pytest.raises(TooLongError, match="waited 0 s, and its tasks were at work"):
        replace(traveller, patience=Patience(drain_s=0)).down()
    assert paper.ground.dags == DAGS


def test_a_damaged_snapshot_lets_nothing_go(folder: Path) -> None:
    paper = Paper(folder)
    export = paper.ground.export

    def damaged(token: str) -> object:
        snapshot = export(token)
        [file] = folder.glob(f"tables/dag_run/*/snapshot={snapshot.id}/*.parquet")
        file.write_bytes(file.read_bytes()[:-9] + b"elsewhere")
        return snapshot

    paper.ground.export = damaged  # type: ignore[method-assign,assignment]
    with pytest.raises(GateError, match="does not verify"):
        walk(paper, "down")
    assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)


def test_of_two_runs_the_second_is_told_of_the_first(folder: Path) -> None:
    paper = Paper(folder)
    first = paper.traveller()
    first.journal.append(Began("down", datetime.now(UTC) + timedelta(minutes=5)))
    said = len(first.journal.entries())
    with pytest.raises(HeldError, match=r"`airkeep down prod` is at work on .*--take-over"):
        paper.traveller(lives=True).up()
    assert len(first.journal.entries()) == said
    assert paper.traveller(lives=True).up(take_over=True).standing == "awake"
    with pytest.raises(HeldError, match="has taken prod over"):
        first.journal.append(Began("down", datetime.now(UTC)))


def test_a_run_that_was_overtaken_stops_and_changes_nothing_more(folder: Path) -> None:
    paper = Paper(folder)
    traveller = paper.traveller()
    pause = paper.ground.pause

    def overtaken(dags: object) -> None:
        paper.traveller().journal.append(Began("up", datetime.now(UTC) + timedelta(minutes=5)))
        pause(dags)  # type: ignore[arg-type]

    paper.ground.pause = overtaken  # type: ignore[method-assign]
    with pytest.raises(HeldError, match="has taken prod over"):
        traveller.down()
    assert paper.ground.exports == []
    holder = paper.state().holder
    assert holder is not None
    assert holder.journey == "up"


def test_a_run_that_was_overtaken_and_fails_says_so_and_unpauses_nothing(folder: Path) -> None:
    paper = Paper(folder)

    def overtaken(since: object = None) -> Pulse:
        other = paper.traveller().journal
        other.append(Began("down", datetime.now(UTC) + timedelta(minutes=5)))
        raise NoEnvironmentError("prod", [])

    paper.ground.pulse = overtaken  # type: ignore[method-assign]
    with pytest.raises(HeldError, match="has taken prod over"):
        walk(paper, "down")
    assert paper.ground.dags == dict.fromkeys(DAGS, True)


def test_a_deletion_that_is_refused_gives_back_what_was_paused(folder: Path) -> None:
    paper = Paper(folder)
    delete = paper.ground.delete
    paper.ground.delete = refuse  # type: ignore[method-assign]
    with pytest.raises(AwsError):
        walk(paper, "down")
    assert (paper.ground.dags, paper.state().recorded) == (DAGS, None)

    def half_refused() -> None:
        delete()
        raise AwsError("no answer")

    paper.ground.delete = half_refused  # type: ignore[method-assign]
    with pytest.raises(AwsError):
        walk(paper, "down")
    assert paper.ground.dags == dict.fromkeys(DAGS, True)  # it goes, and nothing begins in it


def test_what_changed_since_a_run_was_killed_is_recorded_too(folder: Path) -> None:
    paper = Paper(folder)
    moment = 0
    while (owed := paper.state().recorded) is None or not all((paper.ground.dags or {}).values()):
        walk(paper, "down", moment)
        moment += 1
    assert owed.active == ("daily", "hourly")
    paper.ground.dags = {"daily": True, "hourly": True, "paused": True, "new": False}
    definition = "the next one"
    paper.ground.record = lambda: Recorded(("new",), definition)  # type: ignore[method-assign]
    walk(paper, "down")
    assert paper.state().recorded == Recorded(("daily", "hourly", "new"), definition)


def test_what_its_making_still_owes_is_asked_for_by_every_up() -> None:
    steps = ("create", "ready", "restore", "settle")
    awake = State(ENVIRONMENT, "awake", last=Recorded(("daily",), "of its last sleep"))
    assert plan_up(awake, steps, exists=True) == ("create", "ready", "settle")


def test_what_was_overtaken_while_it_waited_deletes_nothing(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    paper.ground.dags, paper.ground.rows = dict(DAGS), []
    journal = paper.traveller().journal
    journal.append(Began("up", datetime.now(UTC)))
    journal.append(Stepped("create", is_done=False))  # and killed: nothing is in it
    delete, tries = paper.ground.delete, 0

    def not_yet() -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            other = paper.traveller().journal
            other.append(Began("up", datetime.now(UTC) + timedelta(minutes=5)))
        if tries < 3:
            raise AwsUnavailableError("CREATING")
        delete()

    paper.ground.delete = not_yet  # type: ignore[method-assign]
    with pytest.raises(HeldError, match="has taken prod over"):
        walk(paper, "down")
    assert (tries, paper.ground.deleting) == (2, False)


def test_a_wait_ends_when_the_hold_is_gone(folder: Path) -> None:
    paper = Paper(folder)
    first = paper.traveller(lease_s=0.6)

    def at_work(since: object = None) -> Pulse:
        other = paper.traveller().journal
        other.append(Began("up", datetime.now(UTC) + timedelta(minutes=5)))
        time.sleep(0.5)
        return Pulse(1, None)

    paper.ground.pulse = at_work  # type: ignore[method-assign]
    with pytest.raises(HeldError, match="has taken prod over"):
        first.down()
    assert paper.ground.exports == []


def test_after_the_gate_nothing_is_waited_for(folder: Path) -> None:
    paper = Paper(folder)

    def not_yet() -> None:
        raise AwsUnavailableError("UPDATING")

    paper.ground.delete = not_yet  # type: ignore[method-assign]
    with pytest.raises(AwsUnavailableError, match="UPDATING"):
        walk(paper, "down")
    assert paper.ground.dags == DAGS


def test_a_journey_goes_on_when_its_place_is_said_anew_on_its_way(folder: Path) -> None:
    paper = Paper(folder)
    pause, place = paper.ground.pause, MwaaPlace(ENVIRONMENT, region="eu-west-1")

    def said(dags: Collection[str]) -> None:
        paper.traveller().journal.append(Placed(place))
        pause(dags)

    paper.ground.pause = said  # type: ignore[method-assign]
    assert paper.traveller().down().standing == "asleep"
    assert (paper.state().place, paper.state().holder) == (place, None)


def test_a_save_that_nobody_answered_is_the_runs_own(folder: Path) -> None:
    for moment in range(1, 20):
        paper = Paper(folder / str(moment))
        traveller = paper.traveller()
        save, saves = paper.lake.store.save, iter(range(20))

        def unanswered(path: str, data: bytes) -> None:
            save(path, data)  # noqa: B023
            if next(saves, None) == moment:  # noqa: B023
                raise StoreError("no answer")

        paper.lake.store.save = unanswered  # type: ignore[method-assign]
        with suppress(StoreError):
            traveller.down()
        assert paper.state().holder is None
        if paper.ground.is_whole():
            assert paper.ground.dags == DAGS


def test_a_look_that_is_not_answered_ends_no_wait(folder: Path) -> None:
    paper, failures = Paper(folder), iter([AwsUnavailableError("Throttling")] * 3)
    is_gone = paper.ground.is_gone

    def unanswered() -> bool:
        if failure := next(failures, None):
            raise failure
        return is_gone()

    paper.ground.is_gone = unanswered  # type: ignore[method-assign]
    assert paper.traveller().down().standing == "asleep"
    assert next(failures, None) is None


def test_who_is_never_answered_is_told_so_when_the_time_is_over(folder: Path) -> None:
    paper = Paper(folder)

    def unanswered(since: object = None) -> Pulse:
        raise AwsUnavailableError("Throttling")

    paper.ground.pulse = unanswered  # type: ignore[method-assign]
    with pytest.raises(AwsUnavailableError, match="Throttling"):
        replace(paper.traveller(), patience=Patience(drain_s=0)).down()
    assert paper.ground.dags == DAGS


def test_a_folder_that_somebody_runs_is_a_failure_and_no_other_journey(folder: Path) -> None:
    paper = Paper(folder)

    def taken(dags: Collection[str]) -> None:
        raise HeldError("prod is being run by process 7: end that one first")

    paper.ground.pause = taken  # type: ignore[method-assign]
    with pytest.raises(HeldError, match="process 7"):
        walk(paper, "down")
    state = paper.state()
    assert (state.holder, state.recorded) == (None, None)
    assert "process 7" in state.why


def test_the_lake_keeps_no_password_of_an_address(folder: Path) -> None:
    paper = Paper(folder)

    def broken(dags: Collection[str]) -> None:
        raise AwsError("postgresql://bob:hunter2@db/airflow did not answer")

    paper.ground.pause = paper.ground.unpause = broken  # type: ignore[method-assign]
    with pytest.raises(AwsError):
        walk(paper, "down")
    told = "postgresql://bob:***@db/airflow did not answer"
    assert paper.state().why == f"{told}; and its DAGs are still paused: {told}"


@pytest.mark.parametrize(
    ("error", "why"),
    [(ZeroDivisionError(), "a bug: ZeroDivisionError"), (KeyboardInterrupt(), "interrupted")],
)
def test_a_bug_is_called_one(error: BaseException, why: str, folder: Path) -> None:
    paper = Paper(folder)

    def broken(dags: Collection[str]) -> None:
        raise error

    paper.ground.pause = broken  # type: ignore[method-assign]
    with pytest.raises(type(error)):
        walk(paper, "down")
    assert paper.state().why == why


def test_a_disk_that_is_full_is_no_bug(folder: Path) -> None:
    paper = Paper(folder)

    def full(token: str) -> Snapshot:
        assert token
        raise OSError(errno.ENOSPC, "No space left on device", "/spool/a")

    paper.ground.export = full  # type: ignore[method-assign]
    with pytest.raises(DiskFullError) as told:
        walk(paper, "down")
    assert paper.state().why == str(told.value)
    assert "/spool/a cannot be written" in str(told.value)


def test_a_hold_that_was_not_renewed_can_be_taken(folder: Path) -> None:
    paper = Paper(folder)
    paper.traveller().journal.append(Began("down", datetime.now(UTC) - timedelta(seconds=1)))
    assert paper.traveller(lives=True).down().standing == "asleep"


def test_an_environment_that_somebody_else_made_is_not_deleted(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    paper.ground.dags, paper.ground.rows = {"other": False}, ["theirs"]
    with pytest.raises(JourneyError, match="is asleep by its record, and exists"):
        walk(paper, "down")
    assert paper.ground.rows == ["theirs"]


def test_what_somebody_else_made_and_uses_is_not_restored_over(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    paper.ground.dags, paper.ground.rows = {"other": False}, []
    paper.ground.at_work = 1
    with pytest.raises(JourneyError, match="works in it, which a restore would overwrite"):
        walk(paper, "up")
    assert paper.ground.dags == {"other": False}
    paper.ground.at_work = 0  # nothing has ever run there
    walk(paper, "up")
    assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)


@pytest.mark.parametrize("journey", ["down", "up"])
def test_what_somebody_else_made_after_an_up_that_failed_is_left_alone(
    journey: str, folder: Path
) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    create = paper.ground.create
    paper.ground.create = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(AwsError, match="no job"):
        walk(paper, "up")
    paper.ground.create = create  # type: ignore[method-assign]
    paper.ground.dags, paper.ground.rows = {"other": False}, ["theirs"]
    paper.ground.last_finish = datetime.now(UTC)
    for take in (JOURNEYS[journey], lambda way: way.foresee(journey)):
        with pytest.raises(JourneyError, match="somebody made it without airkeep"):
            take(paper.traveller())
    assert (paper.ground.dags, paper.ground.rows) == ({"other": False}, ["theirs"])


def lose_the_restore(paper: Paper, *, is_committed: bool) -> None:
    """One run up whose restore was begun, and that did not hear of its end."""
    restore = paper.ground.restore

    def lost(*given: object) -> None:
        if is_committed:
            restore(*given)  # type: ignore[arg-type]
        raise AwsError("ExpiredToken")

    paper.ground.restore = lost  # type: ignore[method-assign,assignment]
    with pytest.raises(AwsError, match="ExpiredToken"):
        walk(paper, "up")
    paper.ground.restore = restore  # type: ignore[method-assign]


def test_what_was_woken_unheard_is_looked_at_before_it_goes(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    lose_the_restore(paper, is_committed=True)
    paper.ground.rows.append("of the day")
    down = walk(paper, "down")
    assert down is not None
    assert "gate" in [s.name for s in down.steps]
    walk(paper, "up")
    assert paper.ground.rows == [*ROWS, "of the day"]


def test_what_was_never_restored_is_deleted_and_not_exported(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    lose_the_restore(paper, is_committed=False)
    down = walk(paper, "down")
    assert down is not None
    assert [s.name for s in down.steps] == ["delete", "gone"]
    walk(paper, "up")
    assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)


def of_staging(paper: Paper) -> str:
    """A snapshot of another environment, in the same lake."""
    tables = {"dag": pa.table({"dag_id": list(DAGS)}), "dag_run": pa.table({"id": ["theirs"]})}
    manifest = paper.ground.written.save("staging", tables, keys={"dag": ("dag_id",)})
    name = SnapshotName(manifest.environment, manifest.id)
    paper.ground.kept[name] = ["theirs"]
    return str(name)


@pytest.mark.parametrize("step", ["create", "restore"])
def test_a_choice_that_came_to_nothing_leaves_what_it_sleeps_as(step: str, folder: Path) -> None:
    paper = Paper(folder)
    down, staging = walk(paper, "down"), of_staging(paper)
    assert down is not None
    deed = getattr(paper.ground, step)
    setattr(paper.ground, step, refuse)
    with pytest.raises(AwsError, match="no job"):
        paper.traveller().up(snapshot=staging)
    setattr(paper.ground, step, deed)
    kept = paper.state().kept
    assert kept is not None
    assert kept.snapshot == down.snapshot
    if step == "restore":
        assert paper.traveller().foresee("up").snapshot == staging  # it is made for that one
        walk(paper, "down")
    assert paper.traveller().foresee("up").snapshot == down.snapshot
    up = walk(paper, "up")
    assert up is not None
    assert (up.snapshot, paper.ground.rows, paper.ground.dags) == (down.snapshot, ROWS, DAGS)
    assert paper.ground.made_of[-1] == down.snapshot


def test_killed_while_it_is_made_of_a_choice_it_wakes_as_one_of_the_two(folder: Path) -> None:
    moment, was_killed, woken = 0, True, []
    while was_killed:
        paper = Paper(folder / str(moment))
        walk(paper, "down")
        staging, traveller = of_staging(paper), paper.traveller()
        paper.switch.arm(moment)
        try:
            traveller.up(snapshot=staging)
            was_killed = False
        except Killed:
            paper.switch.arm(None)
            walk(paper, "up")
        is_theirs = paper.ground.rows == ["theirs"]
        state = paper.state()
        assert state.kept is not None
        assert (state.kept.snapshot == staging, state.chosen) == (is_theirs, None)
        assert (paper.ground.rows, paper.ground.dags) == (
            (["theirs"], dict.fromkeys(DAGS, True)) if is_theirs else (ROWS, DAGS)
        )
        woken.append(is_theirs)
        moment += 1
    assert woken == sorted(woken)
    assert {*woken} == {False, True}


def test_a_snapshot_of_another_environment_wakes_without_our_list_of_dags(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    staging = of_staging(paper)
    up = paper.traveller().up(snapshot=staging)
    assert (up.standing, up.snapshot, paper.ground.rows) == ("awake", staging, ["theirs"])
    assert paper.ground.restored == [(staging, None)]
    assert paper.ground.dags == dict.fromkeys(DAGS, True)
    state = paper.state()
    assert (state.kept and state.kept.snapshot, state.recorded) == (staging, None)


def test_an_older_snapshot_wakes_with_the_dags_that_were_active_then(folder: Path) -> None:
    paper = Paper(folder)
    old = walk(paper, "down")
    walk(paper, "up")
    paper.ground.dags = DAGS | {"hourly": True, "paused": False}
    new = walk(paper, "down")
    assert old is not None
    assert new is not None
    assert paper.traveller().up(snapshot=old.snapshot).snapshot == old.snapshot
    assert paper.ground.restored[-1] == (old.snapshot, ("daily", "hourly"))
    assert paper.ground.dags == DAGS


def test_what_was_to_be_made_of_a_snapshot_is_made_of_it_by_the_next_run(folder: Path) -> None:
    for source in (None, "latest"):
        paper = Paper(folder / str(source))
        down = walk(paper, "down")
        walk(paper, "up")
        assert down is not None
        delete_by_hand(paper)
        restore = paper.ground.restore
        paper.ground.restore = refuse  # type: ignore[method-assign,assignment]
        for _ in range(2):
            with pytest.raises(AwsError, match="no job"):
                paper.traveller().up(snapshot=down.snapshot)
            assert paper.state().standing == "asleep"
        paper.ground.restore = restore  # type: ignore[method-assign]
        assert paper.traveller().up(snapshot=source and down.snapshot).standing == "awake"
        assert (paper.ground.dags, paper.ground.rows) == (DAGS, ROWS)


def test_a_snapshot_of_ones_choice_goes_into_nothing_that_was_restored(folder: Path) -> None:
    paper = Paper(folder)
    down = walk(paper, "down")
    assert down is not None
    lose_the_restore(paper, is_committed=True)
    with pytest.raises(JourneyError, match="put this one to sleep first"):
        paper.traveller().up(snapshot=down.snapshot)


def test_what_was_deleted_by_hand_is_not_made_of_an_old_snapshot_unasked(folder: Path) -> None:
    paper = Paper(folder)
    down = walk(paper, "down")
    walk(paper, "up")
    delete_by_hand(paper)
    assert down is not None
    words = rf"--from prod/latest for its newest, .* --from {down.snapshot} for the one of its last"
    with pytest.raises(JourneyError, match=words):
        walk(paper, "up")
    assert paper.ground.dags is None
    assert paper.traveller().up(snapshot="prod/latest").standing == "awake"
    assert paper.ground.rows == ROWS


def delete_by_hand(paper: Paper) -> None:
    paper.ground.dags, paper.ground.rows = None, []


def refuse(*_: object) -> None:
    """What AWS says."""
    raise AwsError("no job")


def test_what_cannot_be_asked_whether_it_was_restored_stays(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    lose_the_restore(paper, is_committed=True)

    def unanswered(_: object) -> bool:
        raise AwsUnavailableError("no answer")

    paper.ground.is_restored = unanswered  # type: ignore[method-assign,assignment]
    with pytest.raises(JourneyError, match=r"was begun .* no answer. Run airkeep up prod first"):
        walk(paper, "down")
    assert paper.ground.rows == ROWS


def test_a_restore_that_is_still_at_work_is_not_deleted_under(folder: Path) -> None:
    paper = Paper(folder)
    walk(paper, "down")
    lose_the_restore(paper, is_committed=False)
    paper.ground.at_work = 1
    with pytest.raises(JourneyError, match="something is at work in it"):
        walk(paper, "down")
    assert paper.ground.exists()


def test_an_environment_that_is_gone_cannot_be_put_to_sleep(folder: Path) -> None:
    paper = Paper(folder)
    paper.ground.dags = None
    with pytest.raises(
        JourneyError,
        match=r"is not there \(there are: dev, test\), so nothing .*: airkeep env add prod tells",
    ):
        walk(paper, "down")


def test_an_unknown_environment_goes_nowhere(folder: Path) -> None:
    paper = Paper(folder)
    traveller = paper.traveller()
    other = Journal(LocalStore(folder), "staging", Author())
    with pytest.raises(JourneyError, match="staging is not known here: airkeep env add"):
        replace(traveller, journal=other).down()
    assert traveller.journal.environment == ENVIRONMENT
