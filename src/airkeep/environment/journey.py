"""A journey: down or up, step by step, each said in the journal before it is taken.

Whatever ends a run, the next one reads the journal and goes on. A run that fails on its way down,
before it deletes, gives back what it paused; a run that is killed leaves that to the next one.
While it works it renews its hold on the environment; when somebody has taken that over, its next
event says so and it stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep

from airkeep.environment import contents, gate, keys
from airkeep.environment.events import (
    Began,
    Ended,
    Event,
    Journey,
    Kept,
    Lost,
    Planned,
    Recorded,
    Renewed,
    Stepped,
)
from airkeep.environment.ground import Ground, Pulse
from airkeep.environment.hold import Hold, check_free, is_alive
from airkeep.environment.journal import Journal
from airkeep.environment.plan import may_be_anothers, may_be_restored, plan_down, plan_up
from airkeep.environment.state import Holder, Standing, State, recorded_with
from airkeep.errors import AirkeepError, GateError, HeldError, JourneyError, TooLongError
from airkeep.hidden import hidden
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.names import id_time
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.results import VerifyResult
from airkeep.snapshot.verify import verify


@dataclass(frozen=True)
class Patience:
    """How long each wait may last, and how often it looks.

    Attributes:
        closing_s: until Airflow has looked at the runs whose tasks have ended: at those of paused
            DAGs it does every 60 s.
        lease_s: how long a run holds an environment after it was last heard of.
    """

    drain_s: float = 1_800
    ready_s: float = 3_600
    gone_s: float = 3_600
    every_s: float = 10
    lease_s: float = 300
    closing_s: float = 90


@dataclass(frozen=True)
class Keys:
    """What secrets are opened with.

    Attributes:
        fernet: the environment's, where it outlives it.
    """

    archive: str | None = None
    fernet: str | None = None


@dataclass(frozen=True)
class StepTaken:
    """One step, and how long it took."""

    name: str
    took_s: float


@dataclass(frozen=True)
class Arrived:
    """Where a journey has led.

    Attributes:
        lost: what `--force` gave up, in sentences.
        orphaned: tasks that sleep as if at work, for their Airflow had ended before them.
    """

    environment: str
    standing: Standing
    snapshot: str | None
    steps: tuple[StepTaken, ...]
    lost: tuple[str, ...] = ()
    took_s: float = 0.0
    orphaned: int = 0


@dataclass(frozen=True)
class Foreseen:
    """What a journey would do, of which nothing is done.

    Attributes:
        snapshot: that would be put into it.
        active: DAGs that would be paused.
        pulse: of the environment now.
        against: what would stop it, as far as that is known now, in sentences.
        lost: what `--force` would give up of it.
    """

    environment: str
    steps: tuple[str, ...]
    snapshot: str | None = None
    active: tuple[str, ...] = ()
    pulse: Pulse | None = None
    against: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Traveller:
    """What a journey needs; one object a run.

    Attributes:
        key_dies: what secrets are encrypted with goes when the environment does.
        pause: what waits between two looks.
        warn: is told of each loss, before the deletion.
        giving_back: entered while what a run paused is unpaused again, which must not be cut off.
        alive: whether the process of a holder, of this machine, is.
    """

    lake: Lake
    journal: Journal
    ground: Ground
    keys: Keys = Keys()
    patience: Patience = Patience()
    key_dies: bool = True
    spool: Path | None = None
    progress: Progress = silent
    warn: Callable[[str], None] = lambda _: None
    pause: Callable[[float], None] = sleep
    giving_back: Callable[[], AbstractContextManager[object]] = nullcontext
    alive: Callable[[Holder], bool] = is_alive

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

    def foresee(
        self, journey: Journey, *, snapshot: str | None = None, force: bool = False
    ) -> Foreseen:
        """What such a journey would do from here; the journal and the environment stay as they are.

        Raises:
            AirkeepError: it would not set out, or something cannot be looked at.
        """
        return _Run(self, journey, snapshot=snapshot, force=force, is_dry=True).foresee()


class _Run:
    """One journey; a method a step."""

    def __init__(
        self,
        way: Traveller,
        journey: Journey,
        *,
        force: bool = False,
        snapshot: str | None = None,
        is_dry: bool = False,
    ) -> None:
        self.way, self.journey, self.force, self.wanted = way, journey, force, snapshot
        self.is_dry = is_dry
        self.foreseen: State | None = None  # by a dry run
        self.begun: set[str] = set()
        self.taken: list[StepTaken] = []
        self.lost: tuple[str, ...] = ()
        self.orphaned = 0
        self.verified: VerifyResult | None = None
        self.hold = Hold(way.journal, way.patience.lease_s)

    @property
    def state(self) -> State:
        return self.foreseen or self.way.journal.summary.state

    def run(self, *, take_over: bool) -> Arrived:
        began = monotonic()
        self.way.journal.read()
        if self.state.place is None:
            raise JourneyError(
                f"{self.state.environment} is not known here: airkeep env add "
                f"{self.state.environment} --kind mwaa, or local"
            )
        if not take_over:
            check_free(self.way.journal, self.way.alive)
        self.say(Began(self.journey, self.hold.until(), force=self.force))
        with self.hold.kept(), self.giving_back():
            planned = self.plan()
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

    def foresee(self) -> Foreseen:
        self.way.journal.read()
        against: list[str] = []
        try:
            check_free(self.way.journal, self.way.alive)
        except HeldError as error:
            against.append(str(error))
        planned, ground = self.plan(), self.way.ground
        steps = planned.steps
        source = planned.chosen or self.state.kept
        doubts = ground.doubts() if "gate" in steps else ()
        found = Foreseen(
            self.state.environment,
            steps,
            source.snapshot if source is not None and "restore" in steps else None,
            against=tuple(against) if self.force else (*against, *doubts),
            lost=doubts if self.force else (),
        )
        if "record" not in steps:
            return found
        paused = ground.to_pause(ground.record().active)
        return replace(found, active=paused, pulse=ground.pulse())

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
            raise

    def give_back(self, error: BaseException) -> None:
        why = _why(error)
        if self.owes_dags():
            try:
                with self.way.giving_back():
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
        ground = self.way.ground
        if not ground.exists() or (self.state.deleting and not ground.is_whole()):
            return
        self.say(Stepped("unpause", is_done=False))
        self.tell(f"unpausing {len(self.active)} DAGs again")
        ground.unpause(self.active)
        self.say(Stepped("unpause", is_done=True))

    # Steps.

    def plan(self) -> Planned:
        ground, exists = self.way.ground, self.way.ground.exists()
        whole = self.state.deleting and ground.is_whole()
        if self.journey == "down":
            if exists and (whole or not self.state.deleting):
                self.learn_if_restored()
            settles = "settle" in ground.wake_steps
            used = self.state.made and self.is_anothers()
            steps = plan_down(
                self.state,
                exists=exists,
                whole=whole,
                settles=settles,
                used=used,
                where=ground.name,
            )
            return Planned(steps, self.state.chosen)
        chosen = self.choice(exists=exists)
        steps = plan_up(
            self.state,
            ground.wake_steps,
            exists=exists,
            whole=whole,
            used=self.is_anothers(),
            chosen=chosen is not None,
        )
        return Planned(steps, chosen)

    def choice(self, *, exists: bool) -> Kept | None:
        """One of before holds as long as what was begun to be made of it is there."""
        if self.wanted is None:
            return self.state.chosen if exists else None
        if self.state.deleting or (exists and not self.is_half_made()):
            raise JourneyError(
                f"{self.way.ground.name} is there: a snapshot of one's choice goes into a new one, "
                f"put this one to sleep first"
            )
        return _kept(self.way.lake.find(self.wanted, complete=True))

    def is_anothers(self) -> bool:
        return may_be_anothers(self.state) and self.way.ground.is_whole() and self.is_used()

    def is_used(self) -> bool:
        pulse = self.way.ground.pulse()
        return bool(pulse.running or pulse.orphaned) or pulse.last_finish is not None

    def is_half_made(self) -> bool:
        """Whether it was begun to be made, and nothing is in it yet."""
        self.learn_if_restored()
        state = self.state
        return state.standing == "asleep" and state.made and not state.restored

    def learn_if_restored(self) -> None:
        """A restore may have been committed though its run did not live to hear of it.

        Raises:
            JourneyError: it cannot be told, or something is at work in what is not restored.
        """
        ground = self.way.ground
        if not may_be_restored(self.state):
            return
        try:
            is_restored = ground.is_restored(self.snapshot)
            is_used = self.is_used()
        except AirkeepError as error:
            raise JourneyError(self.unsure(f"it cannot be asked: {error}")) from error
        if is_restored:
            self.learn_restored()
        elif is_used:
            raise JourneyError(self.unsure("something is at work in it, or was"))

    def learn_restored(self) -> None:
        """Said, for the plan rests on it; who only foresees a journey keeps it to itself."""
        if self.is_dry:
            self.foreseen = replace(self.state, restored=True)
        else:
            self.say(Stepped("restore", is_done=True))

    def unsure(self, why: str) -> str:
        return (
            f"{self.way.ground.name}: the restore of {self.snapshot.name} was begun and its end is "
            f"not known, and {why}. Run airkeep up {self.state.environment} first"
        )

    def take(self, step: str) -> None:
        began = monotonic()
        self.say(Stepped(step, is_done=False))
        self.begun.add(step)
        _DEEDS[step](self)
        self.say(Stepped(step, is_done=True))
        self.taken.append(StepTaken(step, round(monotonic() - began, 3)))

    def record(self) -> None:
        self.lost = self.way.ground.doubts()
        self.check_nothing_lost()
        now, owed = self.way.ground.record(), self.state.recorded
        active = set(now.active) | set(() if owed is None else owed.active)
        self.say(Recorded(tuple(sorted(active)), now.definition))

    def pause(self) -> None:
        self.way.ground.pause(self.active)

    def drain(self) -> None:
        """Until no task is at work, and no run is left that would end when it wakes."""
        patience = self.way.patience

        def is_quiet() -> bool:
            pulse = self.way.ground.pulse()
            self.tell(f"waiting for {pulse.running} tasks at work")
            self.orphaned = pulse.orphaned
            return pulse.running == 0

        def is_closed() -> bool:
            closing = self.way.ground.pulse().closing
            self.tell(f"waiting for Airflow to look at {closing} runs whose tasks have ended")
            return closing == 0

        try:
            self.wait(is_quiet, patience.drain_s, "its tasks were at work all the time")
        except TooLongError:
            if not self.force:
                raise
        with suppress(TooLongError):  # what Airflow does not end sleeps as it is
            self.wait(is_closed, patience.closing_s, "its runs were not ended")

    def export(self) -> None:
        self.say(_kept(self.way.ground.export(self.token)))

    def verify(self) -> None:
        [self.verified] = verify(
            self.way.lake, self.snapshot, spool=self.way.spool, progress=self.way.progress
        )

    def gate(self) -> None:
        self.tell("looking at what speaks against its deletion")
        way, snapshot = self.way, self.snapshot
        found = gate.Findings(
            snapshot=str(snapshot.name),
            manifest=snapshot.manifest,
            manifest_sha256=snapshot.manifest_sha256,
            verified=self.verified,
            unopened=keys.unopened(
                snapshot, archive_key=way.keys.archive, fernet_key=way.keys.fernet, spool=way.spool
            ),
            dies=way.key_dies,
            pulse=way.ground.pulse(id_time(snapshot.id)),
        )
        self.lost += gate.against(found)
        self.check_nothing_lost()

    def check_nothing_lost(self) -> None:
        if self.lost and not self.force:
            raise GateError(self.way.ground.name, self.lost)

    def delete(self) -> None:
        """Begin it; where that has to wait, the hold is asked for anew before each attempt."""
        if "gate" not in self.begun:
            self.lost = self.state.lost  # by the run that came through the gate
        elif self.lost:
            self.say(Lost(self.lost))
        for loss in self.lost:
            self.way.warn(f"lost: {loss}")

        def is_begun() -> bool:
            self.say(Renewed(self.hold.until()))
            self.way.ground.delete()
            return True

        if "gate" in self.begun:
            is_begun()  # what the gate saw is not true for ever
        else:
            self.wait(is_begun, self.way.patience.gone_s, "it could not be deleted")

    def gone(self) -> None:
        self.tell("waiting until it is gone")
        self.wait(self.way.ground.is_gone, self.way.patience.gone_s, "it is still there")

    def create(self) -> None:
        asleep = self.state.standing == "asleep" and self.state.source is not None
        self.way.ground.create(self.state.last, self.snapshot if asleep else None)

    def start(self) -> None:
        self.way.ground.start()

    def ready(self) -> None:
        self.wait(self.way.ground.is_ready, self.way.patience.ready_s, "it is not ready")

    def restore(self) -> None:
        if not self.way.ground.is_restored(self.snapshot):
            self.way.ground.restore(self.snapshot, self.active_there(), self.token)

    def settle(self) -> None:
        self.way.ground.settle(self.state.last)

    def unpause(self) -> None:
        if self.state.recorded is not None:
            self.way.ground.unpause(self.active)

    # What steps share.

    @property
    def active(self) -> tuple[str, ...]:
        assert self.state.recorded is not None  # noqa: S101 - `record` comes first
        return self.state.recorded.active

    def active_there(self) -> tuple[str, ...] | None:
        """Those that the snapshot has: one that was deleted since would stop its restore."""
        snapshot = self.snapshot
        recorded = self.state.recorded if self.state.chosen is None else None
        recorded = recorded or recorded_with(self.way.journal.entries(), str(snapshot.name))
        if recorded is None:
            return None
        there = contents.dags(snapshot, spool=self.way.spool)
        return tuple(dag for dag in recorded.active if dag in there)

    @property
    def token(self) -> str:
        """Of this attempt, whichever run makes it: another one when a run has ended."""
        of = sha256(self.state.environment.encode()).hexdigest()[:8]
        ended = self.way.journal.summary.ended
        return f"{self.journey}-{ended}-{of}"  # short: an id of Airflow's runs is made of it

    @property
    def snapshot(self) -> Snapshot:
        source = self.state.source
        assert source is not None  # noqa: S101 - `export` comes first
        snapshot = self.way.lake[source.snapshot]
        if snapshot.manifest_sha256 != source.manifest_sha256:
            raise JourneyError(
                f"{snapshot.name} is not the snapshot that was taken: its manifest was changed"
            )
        return snapshot

    def tell(self, doing: str) -> None:
        self.way.progress(Step(doing, 0, 0))

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
                    f"{self.way.ground.name}: waited {most_s:g} s, and {why}; run it again to go "
                    f"on waiting"
                )
            self.way.pause(self.way.patience.every_s)


def _kept(snapshot: Snapshot) -> Kept:
    return Kept(str(snapshot.name), snapshot.manifest_sha256)


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
