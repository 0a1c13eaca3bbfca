"""Where an environment stands, by its journal and a look at it, and what is to be done there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from airkeep.environment.events import Event, Journey, Kept, Planned, Stepped
from airkeep.environment.hold import check_free
from airkeep.environment.means import Foreseen, Means
from airkeep.environment.plan import may_be_anothers, may_be_restored, plan_down, plan_up
from airkeep.environment.state import State
from airkeep.errors import AirkeepError, HeldError, JourneyError
from airkeep.snapshot.lake import Snapshot


class Situation:
    """What a plan rests on.

    Args:
        wanted: the snapshot that somebody chose.
        say: what is learnt by a look goes into the journal by it; None: it is kept here.
    """

    def __init__(
        self,
        means: Means,
        journey: Journey,
        wanted: str | None = None,
        *,
        say: Callable[[Event], None] | None,
    ) -> None:
        self.means, self.journey, self.wanted = means, journey, wanted
        self._say, self._learnt = say, False

    @property
    def state(self) -> State:
        """As the journal tells, and what was learnt since."""
        told = self.means.journal.summary.state
        return replace(told, restored=True) if self._learnt else told

    @property
    def snapshot(self) -> Snapshot:
        source = self.state.source
        assert source is not None  # noqa: S101 - `export` comes first
        snapshot = self.means.lake[source.snapshot]
        if snapshot.manifest_sha256 != source.manifest_sha256:
            raise JourneyError(
                f"{snapshot.name} is not the snapshot that was taken: its manifest was changed"
            )
        return snapshot

    def plan(self) -> Planned:
        ground, exists = self.means.ground, self.means.ground.exists()
        whole = self.state.deleting and ground.is_whole()
        if self.journey == "down":
            if exists and (whole or not self.state.deleting):
                self.learn_if_restored()
            used = self.state.made and self.is_anothers()
            is_missed = not (exists or self.state.deleting or self.state.standing == "asleep")
            steps = plan_down(
                self.state,
                exists=exists,
                whole=whole,
                used=used,
                where=ground.name,
                beside=ground.beside() if is_missed else (),
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
                f"{self.means.ground.name} is there: a snapshot of one's choice goes into a new "
                f"one, put this one to sleep first"
            )
        return kept_as(self.means.lake.find(self.wanted, complete=True))

    def is_anothers(self) -> bool:
        return may_be_anothers(self.state) and self.means.ground.is_whole() and self.is_used()

    def is_used(self) -> bool:
        pulse = self.means.ground.pulse()
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
        ground = self.means.ground
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
        if self._say is None:
            self._learnt = True
        else:
            self._say(Stepped("restore", is_done=True))

    def unsure(self, why: str) -> str:
        return (
            f"{self.means.ground.name}: the restore of {self.snapshot.name} was begun and its end "
            f"is not known, and {why}. Run airkeep up {self.state.environment} first"
        )


def to_restore(means: Means, wanted: str | None) -> Snapshot | None:
    """What an `up` would restore from here; nothing is written into the journal.

    Raises:
        AirkeepError: it would not set out, or something cannot be looked at.
    """
    situation = Situation(means, "up", wanted, say=None)
    return _restored_by(situation, situation.plan())


def _restored_by(situation: Situation, planned: Planned) -> Snapshot | None:
    source = planned.chosen or situation.state.kept
    if source is None or "restore" not in planned.steps:
        return None
    return situation.means.lake[source.snapshot]


def foresee(
    means: Means, journey: Journey, *, wanted: str | None = None, force: bool = False
) -> Foreseen:
    """What a journey would do from here; the journal and the environment stay as they are.

    Raises:
        AirkeepError: it would not set out, or something cannot be looked at.
    """
    means.journal.read()
    against: list[str] = []
    try:
        check_free(means.journal, means.alive)
    except HeldError as error:
        against.append(str(error))
    situation = Situation(means, journey, wanted, say=None)
    planned, ground = situation.plan(), means.ground
    steps, snapshot = planned.steps, _restored_by(situation, planned)
    if journey == "up":
        try:
            ground.check(snapshot)
        except AirkeepError as error:
            against.append(str(error))
    doubts = ground.doubts() if "gate" in steps else ()
    found = Foreseen(
        means.journal.environment,
        steps,
        None if snapshot is None else str(snapshot.name),
        against=tuple(against) if force else (*against, *doubts),
        lost=doubts if force else (),
    )
    if "record" not in steps:
        return found
    try:
        return replace(found, active=ground.to_pause(), pulse=ground.pulse())
    except AirkeepError as error:
        return replace(found, against=(*found.against, str(error)))


def kept_as(snapshot: Snapshot) -> Kept:
    """A snapshot as a journal names it."""
    return Kept(str(snapshot.name), snapshot.manifest_sha256)
