"""Questions as functions: one statement over a lake, and which models there are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airkeep.database.limits import ReadLimits
from airkeep.lake.manifests import Warn
from airkeep.lake.open import open_for_sql
from airkeep.models.build import ask
from airkeep.models.catalog import Model, models
from airkeep.snapshot.lake import LakePlace
from airkeep.snapshot.names import utc

if TYPE_CHECKING:
    import pyarrow as pa


def query(
    lake: LakePlace,
    statement: str,
    *,
    environments: Sequence[str] = (),
    as_of: datetime | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    warn: Warn = warnings.warn,
) -> pa.Table:
    """Ask a lake one question in DuckDB's SQL.

    `dag_run` is the newest state of every environment, `dag_run_history` every version of every
    row ever seen, and so for every table; `history.task_instance` is that one's, for Airflow has a
    `task_instance_history` of its own. A model is a table by its name. Buckets are read where they
    are, and as much of them as the question needs.

    Args:
        environments: only these; all of them when empty.
        as_of: as the lake was known at this time, UTC when it has no zone; now, when None.
        limits: memory in bytes (the rows of the answer are beside it) and threads.
        spool: a folder for what does not fit into memory, by default the temporary one.
        warn: told of a snapshot that cannot be read and was passed over, or that is damaged.

    Returns:
        The rows in memory: times in UTC without a zone.

    Raises:
        ConfigError: it is no SQL, or names what is not there, or it fails.
        NoSuchSnapshotError: there is no such lake or environment, or nothing as old as `as_of`.
        SnapshotError: no snapshot, or a file, cannot be read.
    """
    with open_for_sql(
        lake,
        environments=environments,
        at=None if as_of is None else utc(as_of),
        limits=limits,
        spool=spool,
        warn=warn,
        also=models(),
    ) as (opened, folder):
        return ask(opened, statement, folder).table()


def list_models() -> list[Model]:
    """Every model: what it answers, its grain, key and units; `query` takes their names."""
    return list(models().values())
