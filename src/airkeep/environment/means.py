"""What a journey needs, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from airkeep.environment.ground import Ground, Pulse
from airkeep.environment.hold import is_alive
from airkeep.environment.journal import Journal
from airkeep.environment.state import Holder, Standing
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.progress import Progress, silent


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
class Means:
    """What a journey needs.

    Attributes:
        key_dies: what secrets are encrypted with goes when the environment does.
        taken: is told of each step that is done.
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
    taken: Callable[[StepTaken], None] = lambda _: None
    pause: Callable[[float], None] = sleep
    giving_back: Callable[[], AbstractContextManager[object]] = nullcontext
    alive: Callable[[Holder], bool] = is_alive
