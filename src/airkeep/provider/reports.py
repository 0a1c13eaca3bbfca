"""Reports kept in a lake: `reports/<time>.html`, no part of any snapshot.

A report is saved whole before older ones are deleted, so there is always one to show. `clean` does
not know of them.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from airkeep.snapshot import names
from airkeep.store import Store

FOLDER = "reports/"
_OURS = re.compile(r"reports/\d{8}T\d{6}\.\d{6}Z\.html")


def save_report(store: Store, file: Path, *, at: datetime, keep: int) -> str:
    """Keep a report; its path in the lake.

    Args:
        keep: how many of them stay, the newest; all of them below 1.
    """
    path = f"{FOLDER}{names.make_id(at)}.html"
    store.save_file(path, file)
    if keep > 0:
        store.delete(_saved(store)[:-keep])
    return path


def newest_report(store: Store) -> str | None:
    """The path of the newest one, None where there is none."""
    saved = _saved(store)
    return saved[-1] if saved else None


def _saved(store: Store) -> list[str]:
    return sorted(e.path for e in store.list(FOLDER) if _OURS.fullmatch(e.path))
