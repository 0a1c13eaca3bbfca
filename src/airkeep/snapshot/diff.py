"""What changed between two snapshots: rows, columns, tables.

The comparison itself is `compare`'s. A table whose files are the same in both, as most are
between an increment and its parent, is not read at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airkeep.errors import no_such_table
from airkeep.snapshot.compare import ColumnChange, column_changes, side_of
from airkeep.snapshot.fold import fold, layers_of
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import TableEntry
from airkeep.snapshot.match import Rows, compare_sides
from airkeep.snapshot.opener import Keys, Opener
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import SnapshotReader

EXAMPLES = 10


@dataclass(frozen=True)
class TableDiff:
    """One table that both snapshots hold; `here` is the first's, `there` the second's.

    Attributes:
        rows: `only_here` are removed, `only_there` added.
        columns: a column without type here was added, without type there removed.
        window: which rows one of them holds, where not all: others look added or removed.
    """

    label: str
    rows: Rows
    columns: tuple[ColumnChange, ...] = ()
    window: str | None = None

    @property
    def added(self) -> int:
        return self.rows.only_there

    @property
    def removed(self) -> int:
        return self.rows.only_here

    @property
    def changed(self) -> int:
        return self.rows.changed

    @property
    def equal(self) -> bool:
        return not (self.columns or self.added or self.removed or self.changed)


@dataclass(frozen=True)
class Diff:
    """What the second snapshot has that the first has not, and the other way round."""

    first: str
    second: str
    equal: bool
    tables: tuple[TableDiff, ...]
    tables_removed: tuple[str, ...]
    tables_added: tuple[str, ...]
    unopened: tuple[str, ...]
    not_compared: int


def diff_snapshots(
    first: Snapshot,
    second: Snapshot,
    table: str | None = None,
    *,
    folder: Path,
    memory_bytes: int = 400 << 20,
    threads: int = 2,
    keys: Keys | None = None,
    examples: int = EXAMPLES,
    progress: Progress = silent,
) -> Diff:
    """Compare two snapshots of one lake or of two, increments folded.

    Args:
        table: only this one, with up to `examples` keys of each kind of difference.
        folder: private, for files of one table at a time.
        keys: what opens secrets; without them some cannot be compared.

    Raises:
        ConfigError: neither holds the table.
    """
    ours = {t.label: t for t in first.tables}
    theirs = {t.label: t for t in second.tables}
    if table is not None and table not in {**ours, **theirs}:
        raise no_such_table("--table", table, "either snapshot", {**ours, **theirs})
    labels = [label for label in ours if label in theirs and table in (None, label)]
    opener = Opener(keys or Keys())
    found = []
    with (
        SnapshotReader(first, folder=folder, memory_bytes=memory_bytes, threads=threads) as one,
        SnapshotReader(second, folder=folder, memory_bytes=memory_bytes, threads=threads) as two,
    ):
        total, done = sum(ours[label].rows for label in labels), 0
        for label in labels:
            progress(Step(label, done, total))
            pair = ours[label], theirs[label]
            found.append(_diff(one, two, pair, opener, examples if table else 0))
            done += ours[label].rows
    removed = tuple(sorted(n for n in set(ours) - set(theirs) if table in (None, n)))
    added = tuple(sorted(n for n in set(theirs) - set(ours) if table in (None, n)))
    return Diff(
        first=str(first.name),
        second=str(second.name),
        equal=all(t.equal for t in found) and not (removed or added),
        tables=tuple(found),
        tables_removed=removed,
        tables_added=added,
        unopened=tuple(opener.failed),
        not_compared=sum(n for t in found for n in t.rows.not_compared.values()),
    )


def _diff(
    one: SnapshotReader,
    two: SnapshotReader,
    entries: tuple[TableEntry, TableEntry],
    opener: Opener,
    examples: int,
) -> TableDiff:
    ours, theirs = entries
    first, second = one.snapshot.manifest, two.snapshot.manifest
    here, there = side_of("", first, ours), side_of("", second, theirs)
    columns = column_changes(here, there)
    window = theirs.window or ours.window
    if not columns and _same_files(one, two, ours.label):
        rows = Rows(ours.rows, theirs.rows, 0, 0, 0, ours.rows, "file")
        return TableDiff(ours.label, rows, columns, window)
    layers = one.fetch(ours.label), two.fetch(ours.label)
    try:
        rows = compare_sides(
            one.db,
            side_of(fold(layers[0]), first, ours),
            side_of(fold(layers[1]), second, theirs),
            label=ours.label,
            opener=opener,
            modes=(first.secrets.mode, second.secrets.mode),
            examples=examples,
        )
    finally:
        one.drop(layers[0])
        two.drop(layers[1])
    return TableDiff(ours.label, rows, columns, window)


def _same_files(one: SnapshotReader, two: SnapshotReader, label: str) -> bool:
    """Whether both tables are the same bytes; an increment that adds nothing adds no file."""
    return _hashes(one.snapshot.chain(), label) == _hashes(two.snapshot.chain(), label)


def _hashes(chain: Sequence[Snapshot], label: str) -> list[tuple[list[str], list[str]]]:
    layers = [
        (sorted(f.sha256 for f in e.files), sorted(f.sha256 for f in e.deleted))
        for e in layers_of(chain, label)
    ]
    return [layer for layer in layers if layer != ([], [])]
