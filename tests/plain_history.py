"""What a lake knows of a table, kept as plain Python would: one dict of rows a snapshot."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Version = tuple[Hashable, Hashable, datetime, datetime | None]


@dataclass
class PlainHistory:
    """The rows, by key, that are known after each snapshot."""

    known: list[tuple[datetime, dict[Hashable, Hashable]]] = field(default_factory=list)

    @property
    def now(self) -> dict[Hashable, Hashable]:
        return self.known[-1][1] if self.known else {}

    def saw_all(self, at: datetime, rows: Mapping[Any, Hashable]) -> None:
        """A full snapshot or an increment: what is not in it is not there."""
        self.known.append((at, dict(rows)))

    def saw_some(self, at: datetime, rows: Mapping[Any, Hashable]) -> None:
        """A window: what is not in it is as it was."""
        self.known.append((at, {**self.now, **rows}))

    def versions(self) -> set[Version]:
        """Every version of every row: key, value, first seen, first missed."""
        found: set[Version] = set()
        for key in {key for _, rows in self.known for key in rows}:
            value: Hashable = None
            since: datetime | None = None
            for at, rows in self.known:
                new = rows.get(key)
                if new != value:
                    if since is not None:
                        found.add((key, value, since, at))
                    value, since = new, at if key in rows else None
            if since is not None:
                found.add((key, value, since, None))
        return found
