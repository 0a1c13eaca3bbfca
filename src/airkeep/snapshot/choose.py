"""Which of a snapshot's tables `--tables` and `--skip` leave, for a restore and a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from airkeep.errors import ConfigError, no_such_table
from airkeep.snapshot.manifest import Manifest, TableEntry


def named(tables: Sequence[str]) -> tuple[str, ...]:
    """The names of tables that a function of the library was given; a text alone is one name."""
    return (tables,) if isinstance(tables, str) else tuple(tables)


def choose_entries(
    manifest: Manifest, tables: Sequence[str], skip: Sequence[str]
) -> list[TableEntry]:
    """The snapshot's tables that --tables and --skip leave.

    Raises:
        ConfigError: one of them is not in the snapshot, or they leave none.
    """
    labels = [t.label for t in manifest.tables]
    tables, skip = named(tables), named(skip)
    for flag, given in (("--tables", tables), ("--skip", skip)):
        for name in given:
            if name not in labels:
                raise no_such_table(flag, name, "the snapshot", labels)
    wanted = (set(tables) or set(labels)) - set(skip)
    if labels and not wanted:
        raise ConfigError("--tables and --skip leave no table")
    return [t for t in manifest.tables if t.label in wanted]
