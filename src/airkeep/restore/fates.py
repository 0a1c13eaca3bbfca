"""What becomes of a snapshot's rows in a living target: counted, with examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
        why: of dropped rows.
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
