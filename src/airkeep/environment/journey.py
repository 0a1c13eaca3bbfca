"""A journey: down or up, step by step, each said in the journal before it is taken.

Whatever ends a run, the next one reads the journal and goes on. A run that fails on its way down,
before it deletes, gives back what it paused; a run that is killed leaves that to the next one.
While it works it renews its hold on the environment; when somebody has taken that over, its next
event says so and it stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic

from airkeep.environment import contents, gate, keys
from airkeep.environment.events import (
    Began,
    Ended,
    Event,
    Journey,
    Lost,
    Recorded,
    Renewed,
    Stepped,
)
from airkeep.environment.hold import Hold, check_free
from airkeep.environment.means import Arrived, Foreseen, Means, StepTaken
from airkeep.environment.situation import Situation, foresee, kept_as, to_restore
from airkeep.environment.state import State, recorded_with
from airkeep.errors import AirkeepError, GateError, JourneyError, TooLongError
from airkeep.hidden import hidden
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.names import id_time
from airkeep.snapshot.progress import Step
from airkeep.snapshot.results import VerifyResult
from airkeep.snapshot.verify import verify
from airkeep.store.failure import explain_os


@dataclass(frozen=True)
class Traveller(Means):
    """Who takes an environment's journeys; one object a run."""

    def down(self, *, force: bool = False, take_over: bool = False) -> Arrived:
        """Put the environment to sleep.

        Args:
            force: delete whatever speaks against it; `lost` says what.
            take_over: another run's hold is not waited for.

        Raises:
            GateError: something speaks against deleting it; its DAGs are as they were.
            HeldError: another run is at work.
            AirkeepError: a step failed; nothing was deleted, or the next run goes on.
        """
        return _Run(self, "down", force=force).run(take_over=take_over)

    def up(self, *, snapshot: str | None = None, take_over: bool = False) -> Arrived:
        """Wake the environment, or make it.

        Args:
            snapshot: of another moment, or another environment, than the one that it sleeps as.

        Raises:
            HeldError: another run is at work.
            AirkeepError: a step failed; the next run goes on.
        """
        return _Run(self, "up", snapshot=snapshot).run(take_over=take_over)

    def to_restore(self, wanted: str | None = None) -> Snapshot | None:
        """The snapshot that an `up` would put into it, if any; nothing is changed.

        Raises:
            AirkeepError: it would not set out, or something cannot be looked at.
        """
        return to_restore(self, wanted)

    def foresee(
        self, journey: Journey, *, snapshot: str | None = None, force: bool = False
    ) -> Foreseen:
        """What such a journey would do from here; the journal and the environment stay as they are.

        Raises:
            AirkeepError: it would not set out, or something cannot be looked at.
        """
        return foresee(self, journey, wanted=snapshot, force=force)


class _Run:
    """One journey; a method a step."""

    def __init__(
        self, means: Means, journey: Journey, *, force: bool = False, snapshot: str | None = None
    ) -> None:
        self.means, self.journey, self.force = means, journey, force
        self.hold = Hold(means.journal, means.patience.lease_s)
        self.situation = Situation(means, journey, snapshot, say=self.hold.say)
        self.begun: set[str] = set()
        self.taken: list[StepTaken] = []
        self.lost: tuple[str, ...] = ()
        self.orphaned = 0
        self.verified: VerifyResult | None = None

    @property
    def state(self) -> State:
        return self.situation.state

    @property
    def snapshot(self) -> Snapshot:
        return self.situation.snapshot

    def run(self, *, take_over: bool) -> Arrived:
        began = monotonic()
        self.means.journal.read()
        if self.state.place is None:
            raise JourneyError(
                f"{self.state.environment} is not known here: airkeep env add "
                f"{self.state.environment} --kind mwaa, or local"
            )
        if not take_over:
            check_free(self.means.journal, self.means.alive)
        self.say(Began(self.journey, self.hold.until(), force=self.force))
        with self.hold.kept(), self.giving_back(), _explained():
            planned = self.situation.plan()
            self.say(planned)
            for step in planned.steps:
                self.take(step)
            self.say(Ended("done"))
        took_s = round(monotonic() - began, 3)
        kept = None if self.state.kept is None else self.state.kept.snapshot
        return Arrived(
            self.state.environment,
            self.state.standing,
            kept,
            tuple(self.taken),
            self.lost,
            took_s,
            self.orphaned,
        )

    def say(self, event: Event) -> None:
        self.hold.say(event)

    @contextmanager
    def giving_back(self) -> Iterator[None]:
        """What was paused by this run, or one that was killed, and does not sleep is unpaused."""
        try:
            yield
        except BaseException as error:
            if self.hold.lost is None:
                with suppress(AirkeepError):
                    self.give_back(error)
            lost = self.hold.lost
            if lost is not None and isinstance(error, AirkeepError) and error is not lost:
                raise lost from error  # what failed may well be the other run's doing
            raise

    def give_back(self, error: BaseException) -> None:
        why = _why(error)
        if self.owes_dags():
            try:
                with self.means.giving_back():
                    self.unpause_again()
            except AirkeepError as left:
                why += f"; and its DAGs are still paused: {left}"
        self.say(Ended("failed", hidden(why)))  # who was overtaken meanwhile hears it again

    def owes_dags(self) -> bool:
        state = self.state
        is_lived_in = state.standing != "asleep" or state.restored
        is_owed = self.journey == "down" and state.recorded is not None
        return is_owed and is_lived_in and "gone" not in self.begun

    def unpause_again(self) -> None:
        """Said first: whoever was overtaken meanwhile must not unpause what another run paused."""
        ground = self.means.ground
        if not ground.exists() or (self.state.deleting and not ground.is_whole()):
            return
        self.say(Stepped("unpause", is_done=False))
        self.tell(f"unpausing {len(self.active)} DAGs again")
        ground.unpause(self.active)
        self.say(Stepped("unpause", is_done=True))

    # Steps.

    def take(self, step: str) -> None:
        began = monotonic()
        self.tell(step)
        self.say(Stepped(step, is_done=False))
        self.begun.add(step)
        _DEEDS[step](self)
        self.say(Stepped(step, is_done=True))
        self.taken.append(StepTaken(step, round(monotonic() - began, 3)))
        self.means.taken(self.taken[-1])

    def record(self) -> None:
        self.lost = self.means.ground.doubts()
        self.check_nothing_lost()
        now, owed = self.means.ground.record(), self.state.recorded
        active = set(now.active) | set(() if owed is None else owed.active)
        self.say(Recorded(tuple(sorted(active)), now.definition))

    def pause(self) -> None:
        self.means.ground.pause(self.active)

    def drain(self) -> None:
        """Until no task is at work, and no run is left that would end when it wakes."""
        patience = self.means.patience

        def is_quiet() -> bool:
            pulse = self.means.ground.pulse()
            if pulse.running:
                self.tell(f"waiting for {gate.counted(pulse.running, 'task', 'tasks')} at work")
            self.orphaned = pulse.orphaned
            return pulse.running == 0

        def is_closed() -> bool:
            closing = self.means.ground.pulse().closing
            if closing:
                runs = gate.counted(closing, "run", "runs")
                self.tell(f"waiting for Airflow to look at {runs} whose tasks have ended")
            return closing == 0

        try:
            self.wait(is_quiet, patience.drain_s, "its tasks were at work all the time")
        except TooLongError:
            if not self.force:
                raise
        with suppress(TooLongError):  # what Airflow does not end sleeps as it is
            self.wait(is_closed, patience.closing_s, "its runs were not ended")

    def export(self) -> None:
        self.say(kept_as(self.means.ground.export(self.token)))

    def verify(self) -> None:
        [self.verified] = verify(
            self.means.lake, self.snapshot, spool=self.means.spool, progress=self.means.progress
        )

    def gate(self) -> None:
        self.tell("looking at what speaks against its deletion")
        means, snapshot = self.means, self.snapshot
        found = gate.Findings(
            snapshot=str(snapshot.name),
            manifest=snapshot.manifest,
            manifest_sha256=snapshot.manifest_sha256,
            verified=self.verified,
            unopened=keys.unopened(
                snapshot,
                archive_key=means.keys.archive,
                fernet_key=means.keys.fernet,
                spool=means.spool,
            ),
            dies=means.key_dies,
            pulse=means.ground.pulse(id_time(snapshot.id)),
        )
        self.lost += gate.against(found)
        self.check_nothing_lost()

    def check_nothing_lost(self) -> None:
        if self.lost and not self.force:
            raise GateError(self.means.ground.name, self.lost)

    def delete(self) -> None:
        """Begin it; where that has to wait, the hold is asked for anew before each attempt."""
        if "gate" not in self.begun:
            self.lost = self.state.lost  # by the run that came through the gate
        elif self.lost:
            self.say(Lost(self.lost))
        for loss in self.lost:
            self.means.warn(f"lost: {loss}")
        self.tell("deleting it")

        def is_begun() -> bool:
            self.say(Renewed(self.hold.until()))
            self.means.ground.delete()
            return True

        if "gate" in self.begun:
            is_begun()  # what the gate saw is not true for ever
        else:
            self.wait(is_begun, self.means.patience.gone_s, "it could not be deleted")

    def gone(self) -> None:
        self.tell("waiting until it is gone")
        self.wait(self.means.ground.is_gone, self.means.patience.gone_s, "it is still there")

    def create(self) -> None:
        asleep = self.state.standing == "asleep" and self.state.source is not None
        self.means.ground.create(self.state.last, self.snapshot if asleep else None)

    def start(self) -> None:
        self.means.ground.start()

    def ready(self) -> None:
        self.wait(self.means.ground.is_ready, self.means.patience.ready_s, "it is not ready")

    def restore(self) -> None:
        if not self.means.ground.is_restored(self.snapshot):
            self.means.ground.restore(self.snapshot, self.active_there(), self.token)

    def settle(self) -> None:
        self.means.ground.settle()

    def unpause(self) -> None:
        if self.state.recorded is not None:
            self.means.ground.unpause(self.active)

    # What steps share.

    @property
    def active(self) -> tuple[str, ...]:
        assert self.state.recorded is not None  # noqa: S101 - `record` comes first
        return self.state.recorded.active

    def active_there(self) -> tuple[str, ...] | None:
        """Those that the snapshot has: one that was deleted since would stop its restore."""
        snapshot = self.snapshot
        recorded = self.state.recorded if self.state.chosen is None else None
        recorded = recorded or recorded_with(self.means.journal.entries(), str(snapshot.name))
        if recorded is None:
            return None
        there = contents.dags(snapshot, spool=self.means.spool)
        return tuple(dag for dag in recorded.active if dag in there)

    @property
    def token(self) -> str:
        """Of this attempt, whichever run makes it: another one when a run has ended."""
        of = sha256(self.state.environment.encode()).hexdigest()[:8]
        ended = self.means.journal.summary.ended
        return f"{self.journey}-{ended}-{of}"  # short: an id of Airflow's runs is made of it

    def tell(self, doing: str) -> None:
        self.means.progress(Step(doing, 0, 0))

    def wait(self, until: Callable[[], bool], most_s: float, why: str) -> None:
        """Look until it is so; a look that is not answered is no reason to end.

        Raises:
            TooLongError: it was not within the time.
            AirkeepError: nor was the last look answered.
        """
        began = monotonic()
        while True:
            unanswered: AirkeepError | None = None
            try:
                if until():
                    return
            except AirkeepError as error:
                if not error.retryable or self.hold.lost is not None:
                    raise
                self.tell(str(error))
                unanswered = error
            if self.hold.lost is not None:
                raise self.hold.lost
            if monotonic() - began >= most_s:
                raise unanswered or TooLongError(
                    f"{self.means.ground.name}: waited {most_s:g} s, and {why}; run it again to go "
                    f"on waiting"
                )
            self.means.pause(self.means.patience.every_s)


@contextmanager
def _explained() -> Iterator[None]:
    """A disk that is full is no bug, and no reason to leave other environments."""
    try:
        yield
    except OSError as error:
        raise explain_os(error, str(error.filename or "a file")) from error


def _why(error: BaseException) -> str:
    if isinstance(error, AirkeepError):
        return str(error)
    return f"a bug: {type(error).__name__}" if isinstance(error, Exception) else "interrupted"


_DEEDS: dict[str, Callable[[_Run], None]] = {
    "record": _Run.record,
    "pause": _Run.pause,
    "drain": _Run.drain,
    "export": _Run.export,
    "verify": _Run.verify,
    "gate": _Run.gate,
    "delete": _Run.delete,
    "gone": _Run.gone,
    "create": _Run.create,
    "start": _Run.start,
    "ready": _Run.ready,
    "restore": _Run.restore,
    "settle": _Run.settle,
    "unpause": _Run.unpause,
}
