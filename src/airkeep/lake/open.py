"""A lake opened for SQL as a whole run needs it: within its limits, with a folder of its own."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from airkeep.database.limits import ReadLimits, question_bytes
from airkeep.lake.connect import OpenLake, connect
from airkeep.lake.manifests import Warn
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import LakePlace, open_lake


@contextmanager
def open_for_sql(
    lake: LakePlace,
    *,
    environments: Sequence[str] = (),
    at: datetime | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    warn: Warn = warnings.warn,
    also: Collection[str] = (),
    listed_by: str | None = None,
) -> Iterator[tuple[OpenLake, Path]]:
    """Open a lake for SQL, with a private folder for what does not fit into memory.

    Args:
        limits: memory and threads; None: as much as questions usually take here.
        spool: where the folder is made, by default where temporary files are.

    The others are those of `connect`.

    Raises:
        ConfigError: `spool` is no folder.
        NoSuchSnapshotError: the lake is a folder that is not there.
    """
    limits = limits or ReadLimits(question_bytes())
    with (
        private_folder(spool) as folder,
        connect(
            open_lake(lake),
            folder=folder,
            environments=environments,
            at=at,
            warn=warn,
            memory_bytes=limits.memory_bytes,
            threads=limits.threads,
            also=also,
            listed_by=listed_by,
        ) as opened,
    ):
        yield opened, folder
