"""Which of a snapshot's tables `--tables` and `--skip` leave, for a restore and a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from airkeep.errors import no_such_table
from airkeep.snapshot.manifest import Manifest, TableEntry


def choose_entries(
    manifest: Manifest, tables: Sequence[str], skip: Sequence[str]
) -> list[TableEntry]:
    """The snapshot's tables that --tables and --skip leave.

    Raises:
        ConfigError: one of them is not in the snapshot.
    """
    labels = [t.label for t in manifest.tables]
    for flag, named in (("--tables", tables), ("--skip", skip)):
        for name in named:
            if name not in labels:
                raise no_such_table(flag, name, "the snapshot", labels)
    wanted = set(tables) or set(labels)
    return [t for t in manifest.tables if t.label in wanted and t.label not in set(skip)]
