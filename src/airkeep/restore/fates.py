"""What becomes of a snapshot's rows in a living target: counted, with examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from airkeep.errors import ConflictError
from airkeep.tables.roles import role_of

FateKind = Literal[
    "inserted", "remapped", "same", "skipped", "replaced", "removed", "dropped", "conflict"
]


@dataclass(frozen=True)
class Fate:
    """Rows of one table that fare alike.

    Attributes:
        kind: `inserted` as they are; `remapped`: inserted under another number or uuid; `same`:
            the target has them word for word; `skipped` and `replaced`: it had other content;
            `removed`: the target's own, which hung on what was replaced;
            `dropped`: they cannot go in; `conflict`: other content, and the policy is `fail`.
        why: of rows that are dropped, or skipped for another reason than `--on-conflict skip`.
        examples: rows by what they are known by, never a secret.
    """

    kind: FateKind
    rows: int
    why: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Merged:
    """What becomes of one table's rows."""

    label: str
    rows: int
    brought: bool
    fates: tuple[Fate, ...]

    def count(self, *kinds: FateKind) -> int:
        return sum(f.rows for f in self.fates if f.kind in kinds)


class Told(Protocol):
    """What is told of a table."""

    @property
    def label(self) -> str: ...
    @property
    def fates(self) -> Sequence[Fate]: ...


def check_conflicts(tables: Iterable[Told]) -> None:
    """Refuse what `--on-conflict fail` is to refuse.

    Raises:
        ConflictError: rows are there with other content; one is named.
    """
    found = [(t.label, f) for t in tables for f in t.fates if f.kind == "conflict"]
    if not found:
        return
    label, fate = found[0]
    rows = sum(f.rows for _, f in found)
    raise ConflictError(
        f"{rows:,} rows of {len(found)} tables are in the target with other content "
        f"({label} {fate.examples[0]}, ...), and --on-conflict is fail: say skip or replace, for "
        f"all or by class of table (--on-conflict fail,{role_of(label).value}=skip)"
    )
