"""Make models over an open lake, in DuckDB: each a table of a file that is gone afterwards.

A model that several others read is computed once, and compressed on disk rather than in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from airkeep.database.sql import literal
from airkeep.lake.connect import OpenLake
from airkeep.models.catalog import Model, needed_for, raw_inputs
from airkeep.snapshot.progress import Progress, Step, silent

_PLACE = "models"


def make_models(
    opened: OpenLake,
    names: Sequence[str],
    folder: Path,
    *,
    where: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> None:
    """Make these models and what they need; they can be asked for by their names then.

    Args:
        folder: a private one, with space for the tables.
        where: by the name of a model, SQL that says which of its rows count.
    """
    wanted = needed_for(names)
    file = folder / "models.duckdb"
    opened.db.execute(f"ATTACH {literal(str(file))} AS {_PLACE}")
    for one, columns in raw_inputs(wanted).items():
        opened.need_last(one.name, one.table, columns, per=one.per)
    for model in wanted:
        progress(Step(model.name, 0, 0))
        opened.make_table(_PLACE, model.name, _narrowed(model, where or {}))


def _narrowed(model: Model, where: Mapping[str, str]) -> str:
    if model.name not in where:
        return model.sql
    return f"SELECT * FROM ({model.sql}) AS whole WHERE {where[model.name]}"
