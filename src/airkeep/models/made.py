"""Tables that Python makes for models, because SQL has no portable words for them.

A maker is a pure function: it is given the rows of each source that the model names, in its order,
and gives tuples in the order of the columns that the model names. It reads its sources one after
the other, each once and as it comes. A row is a dict; its times are naive UTC `datetime`s, its
bytes `bytes`. Of `manifests` it is given the `Outline` of every snapshot, or the whole `Manifest`.

What a maker keeps meanwhile: `task_edges` and `task_slas` nothing; `due_times` the times of each
schedule and month that it met; `schedules` the names of the DAGs; `slack` every edge and every task
instance that it is given.

But for those of `manifests`, what a maker gives of a DAG follows from the rows of this DAG in this
environment alone: it may be called with those of one DAG, of some, or of all (`spread.py`).

Whoever runs models elsewhere than in DuckDB calls the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airkeep.models.catalog import MADE
from airkeep.models.cron import due_times
from airkeep.models.serialized import schedules, task_edges, task_slas
from airkeep.models.slack import slack
from airkeep.snapshot.manifest import Manifest
from airkeep.snapshot.names import id_time

if TYPE_CHECKING:
    from airkeep.snapshot.outline import Outline

Row = dict[str, Any]
Maker = Callable[..., Iterable[tuple[Any, ...]]]


def maker_of(name: str) -> Maker:
    """The function that makes `made_<function>`."""
    return MAKERS[name.removeprefix(MADE)]


def snapshots(manifests: Iterable[Manifest | Outline]) -> Iterator[tuple[Any, ...]]:
    """What the manifests say of each snapshot as a whole."""
    for one in manifests:
        yield (
            one.environment,
            one.id,
            id_time(one.id).replace(tzinfo=None),
            one.airflow_version,
            one.server.engine,
            one.mode,
            one.complete,
        )


def table_sizes(manifests: Iterable[Manifest | Outline]) -> Iterator[tuple[Any, ...]]:
    """How large each table was at each snapshot; not those of which a window took some rows.

    Bytes are those of a table's files where they hold it whole, else NULL.
    """
    for one in manifests:
        taken_at = id_time(one.id).replace(tzinfo=None)
        for table in one.tables:
            if table.window is None:
                size = table.bytes if table.whole else None
                yield one.environment, one.id, taken_at, table.label, table.rows, size


MAKERS: dict[str, Maker] = {
    "snapshots": snapshots,
    "table_sizes": table_sizes,
    "task_edges": task_edges,
    "slack": slack,
    "schedules": schedules,
    "due_times": due_times,
    "task_slas": task_slas,
}
