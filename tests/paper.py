"""An environment on paper: a ground that keeps rows and pauses in memory, and can be cut off.

Whatever it does goes through a `Switch`, as its journal's files do: at the moment that a test
chooses the run is killed there, which no code of it hears of, since nothing works for it any more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from airkeep.environment.events import MwaaPlace, Placed, Recorded
from airkeep.environment.ground import Pulse
from airkeep.environment.journal import Author, Journal
from airkeep.environment.journey import Traveller
from airkeep.environment.means import Patience
from airkeep.environment.state import State
from airkeep.environment.summary import Summary, fold
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.names import SnapshotName
from airkeep.store.local import LocalStore
from written_lake import Written

ENVIRONMENT = "prod"


class Killed(BaseException):
    """What a killed process does not see."""


class Switch:
    """Counts what happens, and cuts a run off at one of these moments."""

    def __init__(self) -> None:
        self.moments, self.last = 0, 0

    def arm(self, moments: int | None) -> None:
        """Let this many things happen; None for all."""
        self.moments, self.last = 0, -1 if moments is None else moments

    def tick(self) -> None:
        if self.moments == self.last:
            raise Killed
        self.moments += 1


class SwitchedStore(LocalStore):
    """A folder whose saves go through a switch."""

    def __init__(self, folder: Path, switch: Switch) -> None:
        super().__init__(folder)
        self._switch = switch

    def save(self, path: str, data: bytes) -> None:
        self._switch.tick()
        super().save(path, data)
        self._switch.tick()


@dataclass
class PaperGround:
    """The environment itself.

    Attributes:
        dags: whether each is paused; None while it does not exist.
        rows: of its runs.
        at_work: tasks that never end.
        finished: runs that ended since any snapshot.
        closing: looks until its Airflow has ended the runs whose tasks have ended.
        last_finish: when its newest run ended.
        orphaned: tasks of an Airflow that runs no more.
        kept: what each snapshot holds.
        made_of: the snapshot of each `create`; `restored`: that of each `restore`, and which DAGs
            were to end active.
        exports: the token of each; `restores`: too.
        since: each instant that a pulse was asked of.
    """

    lake: Lake
    switch: Switch
    written: Written
    dags: dict[str, bool] | None
    rows: list[str]
    at_work: int = 0
    finished: int = 0
    closing: int = 0
    orphaned: int = 0
    last_finish: datetime | None = None
    looks: int = 0
    deleting: bool = False
    kept: dict[SnapshotName, list[str]] = field(default_factory=dict)
    made_of: list[str | None] = field(default_factory=list)
    restored: list[tuple[str, tuple[str, ...] | None]] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    restores: list[str] = field(default_factory=list)
    since: list[datetime] = field(default_factory=list)
    wake_steps: tuple[str, ...] = ("create", "ready", "restore")
    name: str = ENVIRONMENT
    doubtful: tuple[str, ...] = ()

    def exists(self) -> bool:
        return self.dags is not None

    def beside(self) -> tuple[str, ...]:
        return ("dev", "test")

    def doubts(self) -> tuple[str, ...]:
        return self.doubtful

    def record(self) -> Recorded:
        assert self.dags is not None
        return Recorded(tuple(d for d, paused in self.dags.items() if not paused), "{}")

    def to_pause(self) -> tuple[str, ...]:
        return self.record().active

    def pause(self, dags: Collection[str]) -> None:
        self._set(dags, paused=True)

    def unpause(self, dags: Collection[str]) -> None:
        self._set(dags, paused=False)

    def _set(self, dags: Collection[str], *, paused: bool) -> None:
        assert self.dags is not None
        for dag in dags:
            self.switch.tick()
            self.dags[dag] = paused

    def pulse(self, since: datetime | None = None) -> Pulse:
        self.closing = max(0, self.closing - 1)
        self.since += [] if since is None else [since]
        return Pulse(
            self.at_work,
            self.last_finish,
            self.finished,
            closing=self.closing,
            orphaned=self.orphaned,
        )

    def export(self, token: str) -> Snapshot:
        self.exports.append(token)
        self.switch.tick()
        tables = {
            "dag": pa.table({"dag_id": list(self.dags or ())}),
            "dag_run": pa.table({"id": self.rows}),
        }
        manifest = self.written.save(ENVIRONMENT, tables, keys={"dag": ("dag_id",)})
        name = SnapshotName(manifest.environment, manifest.id)
        self.kept[name] = list(self.rows)
        self.switch.tick()
        return self.lake.get(name)

    def delete(self) -> None:
        self.switch.tick()
        self.deleting = True
        self.switch.tick()

    def is_whole(self) -> bool:
        return self.dags is not None and not self.deleting

    def is_gone(self) -> bool:
        self.looks += 1
        if self.deleting and self.looks % 3 == 0:
            self.dags, self.rows, self.deleting = None, [], False
        return self.dags is None

    def check(self, snapshot: Snapshot | None) -> None: ...

    def create(self, recorded: Recorded | None, snapshot: Snapshot | None) -> None:
        self.made_of.append(None if snapshot is None else str(snapshot.name))
        self.switch.tick()
        if self.dags is None:
            self.dags, self.rows = {}, []
        self.switch.tick()

    def start(self) -> None:
        raise AssertionError("its wake_steps name no start")

    def is_ready(self) -> bool:
        self.looks += 1
        return self.looks % 3 == 0

    def is_restored(self, snapshot: Snapshot) -> bool:
        return bool(self.rows)

    def restore(self, snapshot: Snapshot, active: Collection[str] | None, token: str) -> None:
        self.restores.append(token)
        told = None if active is None else tuple(active)
        self.restored.append((str(snapshot.name), told))
        self.switch.tick()
        self.dags = {dag: dag not in (told or ()) for dag in DAGS}
        self.rows = list(self.kept[snapshot.name])
        self.switch.tick()

    def settle(self) -> None:
        raise AssertionError("its wake_steps name no settling")


DAGS = {"hourly": False, "daily": False, "paused": True}
ROWS = ["one", "two"]


class Paper:
    """One environment with its lake and journal."""

    def __init__(self, folder: Path, *, wake_steps: tuple[str, ...] | None = None) -> None:
        self.folder, self.switch = folder, Switch()
        self.switch.arm(None)
        self.lake = Lake(SwitchedStore(folder, self.switch))
        plain = LocalStore(folder)
        self.ground = PaperGround(self.lake, self.switch, Written(plain), dict(DAGS), list(ROWS))
        if wake_steps is not None:
            self.ground.wake_steps = wake_steps
        self.traveller().journal.append(Placed(MwaaPlace(ENVIRONMENT)))

    def traveller(
        self, *, lives: bool = False, lease_s: float = 300, closing_s: float = 3
    ) -> Traveller:
        """A new run's; those before are dead unless they live."""
        journal = Journal(self.lake.store, ENVIRONMENT, Author())
        journal.read()
        return Traveller(
            self.lake, journal, self.ground, patience=Patience(3, 3, 3, 0.001, lease_s, closing_s),
            key_dies=False, pause=lambda _: None, alive=lambda _: lives,
        )  # fmt: skip

    def state(self) -> State:
        """By its journal, whose checkpoints say what its entries say."""
        journal = Journal(LocalStore(self.folder), ENVIRONMENT)
        assert journal.read() == fold(Summary(State(ENVIRONMENT)), journal.entries())
        return journal.summary.state

    def is_whole(self) -> bool:
        """Whether its rows are there, or in the snapshot that the journal names."""
        if self.ground.rows == ROWS and not self.ground.deleting:
            return True
        kept = self.state().kept
        names = {str(name): rows for name, rows in self.ground.kept.items()}
        return kept is not None and names[kept.snapshot] == ROWS
