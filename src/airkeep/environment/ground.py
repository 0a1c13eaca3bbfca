"""What a kind of environment can do, behind one interface: `local` and `mwaa` are its two kinds.

Each deed may be done twice: a run that was killed begins its step again, so whatever is as it
should be already is left alone. Waiting is not done here: `is_...` looks once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from airkeep.environment.events import Recorded
from airkeep.snapshot.lake import Snapshot


@dataclass(frozen=True)
class Pulse:
    """What an environment is doing right now.

    Attributes:
        running: tasks at work, the export's own aside.
        last_finish: when the newest of the other runs ended; None where none has.
        finished_since: runs that ended after the instant that was asked for.
        begun_since: runs that began after it, and have not ended.
        tasks_since: tasks that ended after it.
        closing: runs of which a task has ended since Airflow looked at them last: it may end them.
        orphaned: tasks at work by their rows, of an Airflow that runs no more.
    """

    running: int
    last_finish: datetime | None
    finished_since: int = 0
    begun_since: int = 0
    tasks_since: int = 0
    closing: int = 0
    orphaned: int = 0


class Ground(Protocol):
    """Where an environment lives.

    Every method may raise the errors of what it talks to (`DatabaseError`, `AwsError`, ...).
    """

    @property
    def wake_steps(self) -> tuple[str, ...]:
        """Of `create`, `start`, `ready`, `restore` and `settle` those it has, in its order."""

    @property
    def name(self) -> str:
        """What it is called where it is, for messages."""

    def exists(self) -> bool:
        """Whether it is there, whatever state it is in."""

    def beside(self) -> tuple[str, ...]:
        """What is where it is not, for messages: names, as far as they can be seen."""

    def doubts(self) -> tuple[str, ...]:
        """What its kind has against its deletion, whatever its snapshot will be, in sentences."""

    def record(self) -> Recorded:
        """Look at what must be known to make it again."""

    def to_pause(self) -> tuple[str, ...]:
        """The DAGs that would be paused now: the one that carries its jobs is none of them.

        Raises:
            AirkeepError: `record` would refuse; what that waits for is not waited for.
        """

    def pause(self, dags: Collection[str]) -> None: ...
    def unpause(self, dags: Collection[str]) -> None: ...

    def pulse(self, since: datetime | None = None) -> Pulse:
        """Look whether something is at work, and what has ended since."""

    def export(self, token: str) -> Snapshot:
        """A new complete snapshot of it, in the lake.

        Args:
            token: the same when a run that was killed is gone on with, another one when it failed.
        """

    def is_whole(self) -> bool:
        """Whether nothing of it is deleted yet, though that may have been about to begin."""

    def delete(self) -> None:
        """Begin to delete it now; nothing of it is needed any more.

        Raises:
            AirkeepError: where it is retryable, it cannot be deleted yet.
        """

    def is_gone(self) -> bool:
        """Whether its deletion is through."""

    def check(self, snapshot: Snapshot | None) -> None:
        """Look, before anything is changed, whether it can be made, or run.

        Args:
            snapshot: that would be put into it.

        Raises:
            AirkeepError: it cannot; says why.
        """

    def create(self, recorded: Recorded | None, snapshot: Snapshot | None) -> None:
        """Begin to make it, as recorded, or as its place says where nothing is.

        Args:
            snapshot: that will be put into it.
        """

    def start(self) -> None:
        """Begin to run what was made, where making it does not."""

    def is_ready(self) -> bool:
        """Whether it takes work.

        Raises:
            JourneyError: it never will; says why.
        """

    def is_restored(self, snapshot: Snapshot) -> bool:
        """Whether a restore of this snapshot was committed there already."""

    def restore(self, snapshot: Snapshot, active: Collection[str] | None, token: str) -> None:
        """Put the snapshot into it, all or nothing.

        Args:
            active: of its DAGs exactly these end unpaused; None: those of the snapshot.
            token: as `export`'s.
        """

    def settle(self) -> None:
        """Give back what it was made without, so that nothing ran before it was restored."""
