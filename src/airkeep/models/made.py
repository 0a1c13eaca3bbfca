"""Tables that Python makes for models, because SQL has no portable words for them.

A maker is a pure function: it is given the rows of each source that the model names, in its order,
and gives tuples in the order of the columns that the model names. It reads each source once, as it
comes, so that no table has to fit into memory. A row is a dict; its times are naive UTC
`datetime`s, its bytes `bytes`. Of `manifests` it is given every `Manifest` of the lake.

Whoever runs models elsewhere than in DuckDB calls the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from airkeep.models.catalog import MADE
from airkeep.snapshot.manifest import Manifest
from airkeep.snapshot.names import id_time

Row = dict[str, Any]
Maker = Callable[..., Iterable[tuple[Any, ...]]]


def maker_of(name: str) -> Maker:
    """The function that makes `made_<function>`."""
    return MAKERS[name.removeprefix(MADE)]


def snapshots(manifests: Iterable[Manifest]) -> Iterator[tuple[Any, ...]]:
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


MAKERS: dict[str, Maker] = {
    "snapshots": snapshots,
}
