"""Which manifests a question needs, read when it is asked, each once.

The newest state of a table needs, of every environment, the manifests down to the newest snapshot
that holds the table without a window or is complete without it, and the parents of that one as far
as the table was only added to. A history needs all.

One that cannot be read is passed over, with a warning: a lake is asked for what the others know. An
increment that stands on it is no state any more, the newest one before it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from airkeep.errors import NoSuchSnapshotError, SnapshotError
from airkeep.lake.pieces import Piece, gone_after, piece_of
from airkeep.snapshot import names
from airkeep.snapshot.manifest import Manifest
from airkeep.snapshot.names import SnapshotName

if TYPE_CHECKING:
    from airkeep.snapshot.outline import Outline

Warn = Callable[[str], None]
Told = TypeVar("Told", bound="Manifest | Outline")
Told_co = TypeVar("Told_co", bound="Manifest | Outline", covariant=True)

_LOADERS = 16
# Parents are read one after the other; from so many on, the next older snapshots along with them,
# which they most likely are: of a chain of hundreds at most a quarter more than is needed.
_LONG_CHAIN = 8


class Snapshots(Protocol[Told_co]):
    """A lake, as far as its manifests go: `Lake`, or what Spark has read of one."""

    def environments(self) -> list[str]: ...

    def check_environment(self, environment: str) -> None: ...

    def names(self, environment: str) -> list[SnapshotName]:
        """Those of an environment, newest first."""

    def outline(self, name: SnapshotName) -> Told_co: ...


class Manifests(Generic[Told]):
    """The manifests of a lake, or of some of its environments, up to a time."""

    def __init__(
        self, lake: Snapshots[Told], environments: Sequence[str], at: datetime | None, warn: Warn
    ) -> None:
        self._lake: Snapshots[Told] = lake
        self._environments, self._warn = environments, warn
        self._last = None if at is None else names.make_id(at.astimezone(UTC))
        self._known: dict[SnapshotName, Told | None] = {}
        self._names: dict[str, list[SnapshotName]] | None = None
        self._errors: list[SnapshotError] = []

    def state(self, label: str) -> list[Piece]:
        """The pieces that the newest state of a table is made of, with more windows maybe."""
        by_environment = self._by_environment().values()
        with ThreadPoolExecutor(_LOADERS) as pool:
            found = pool.map(lambda known: self._state(known, label), by_environment)
            return [piece for pieces in found for piece in pieces]

    def history(self, label: str) -> list[Piece]:
        """What every snapshot says of a table, by environment, oldest first.

        Also that one of Airflow's own is there no more, for a migration drops tables. Any other
        table may have been left out.
        """
        found: list[Piece] = []
        for known in self._by_environment().values():
            last: Piece | None = None
            for outline in self._load(known[::-1]):
                piece = None if outline is None else self._piece(outline, label)
                if piece is None and outline is not None and last is not None:
                    piece = _end(last, outline, label)
                if piece is not None:
                    found.append(piece)
                    last = piece
        return found

    def all(self) -> list[Told]:
        """Those of every snapshot that can be read, each environment's newest first."""
        found = (self._load(known) for known in self._by_environment().values())
        return [outline for several in found for outline in several if outline is not None]

    def newest(self) -> list[Told]:
        """Of each environment those down to the newest complete one."""
        found: list[Told] = []
        for known in self._by_environment().values():
            for name in known:
                [outline] = self._load([name])
                if outline is not None:
                    found.append(outline)
                    if outline.complete:
                        break
        return found

    def newest_names(self) -> list[SnapshotName]:
        """The newest snapshot of each environment that has one.

        Raises:
            NoSuchSnapshotError: there is no such environment, or nothing as old as that.
        """
        return [known[0] for known in self._by_environment().values() if known]

    def check_readable(self, label: str, known: Collection[str]) -> None:
        """Refuse a table of which there is no piece because no snapshot of it can be read.

        Raises:
            SnapshotError: why the first one cannot.
        """
        if self._errors and (label in known or not any(self._known.values())):
            raise self._errors[0]

    def _state(self, known: Sequence[SnapshotName], label: str) -> list[Piece]:
        later: list[Piece] = []
        for name in known:
            [outline] = self._load([name])
            piece = None if outline is None else self._piece(outline, label)
            if piece is not None and piece.covers:
                chain = self._chain(piece, label, known)
                if chain is not None:
                    return [*chain, *later[::-1]]
            elif piece is not None:
                later.append(piece)
            if outline is not None and outline.complete and label not in outline.labels:
                break
        return later[::-1]

    def _chain(self, tip: Piece, label: str, known: Sequence[SnapshotName]) -> list[Piece] | None:
        """The pieces that fold into a tip, oldest first; None where one of them is lost."""
        chain = [tip]
        while (parent := chain[-1].parent) is not None:
            ahead = min(max(len(chain) // _LONG_CHAIN * 2, 1), _LOADERS)
            wanted = [name for name in known if name.id <= parent][:ahead]
            if not wanted or wanted[0].id != parent:
                self._pass_over(SnapshotName(tip.environment, tip.snapshot), "a parent is gone")
                return None
            outline = self._load(wanted)[0]
            piece = None if outline is None else self._piece(outline, label)
            if piece is None:
                said = f"its parent {parent} cannot be read"
                self._pass_over(SnapshotName(tip.environment, tip.snapshot), said)
                return None
            chain.append(piece)
        return chain[::-1]

    def _piece(self, outline: Told, label: str) -> Piece | None:
        try:
            entry = outline.table(label)
        except SnapshotError as error:
            self._failed(SnapshotName(outline.environment, outline.id), error)
            return None
        return None if entry is None else piece_of(outline, entry)

    def _by_environment(self) -> dict[str, list[SnapshotName]]:
        """Names, newest first."""
        if self._names is None:
            for environment in self._environments:
                self._lake.check_environment(environment)
            wanted = self._environments or self._lake.environments()
            known = {e: self._lake.names(e) for e in wanted}
            self._names = known if self._last is None else _until(self._last, known)
        return self._names

    def _load(self, wanted: Sequence[SnapshotName]) -> list[Told | None]:
        missing = [name for name in wanted if name not in self._known]
        if len(missing) == 1:
            self._known[missing[0]] = self._outline(missing[0])
        elif missing:
            with ThreadPoolExecutor(_LOADERS) as pool:
                self._known.update(zip(missing, pool.map(self._outline, missing), strict=True))
        return [self._known[name] for name in wanted]

    def _outline(self, name: SnapshotName) -> Told | None:
        try:
            return self._lake.outline(name)
        except SnapshotError as error:
            self._failed(name, error)
            return None

    def _failed(self, name: SnapshotName, error: SnapshotError) -> None:
        self._errors.append(error)
        self._pass_over(name, str(error))

    def _pass_over(self, name: SnapshotName, why: str) -> None:
        self._warn(f"{name} was passed over, this is what the other snapshots say: {why}")


def _until(last: str, known: Mapping[str, Sequence[SnapshotName]]) -> dict[str, list[SnapshotName]]:
    found = {e: [n for n in several if n.id <= last] for e, several in known.items()}
    oldest = min((several[-1] for several in known.values() if several), key=_id, default=None)
    if oldest is not None and not any(found.values()):
        raise NoSuchSnapshotError(
            f"there is no snapshot at or before {names.id_time(last):%Y-%m-%dT%H:%M:%SZ}: "
            f"the oldest is {oldest}"
        )
    return found


def _id(name: SnapshotName) -> str:
    return name.id


def _end(last: Piece, outline: Manifest | Outline, label: str) -> Piece | None:
    is_told = outline.complete and label not in outline.labels and last.entry.role != "foreign"
    is_known = last.entry.whole and last.covers and not last.entry.rows
    return gone_after(last, outline) if is_told and not is_known else None
