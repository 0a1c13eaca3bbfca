"""Tables that Python makes, on Spark: its executors make them, the driver holds none of their rows.

Every maker works DAG by DAG: what it gives of a DAG follows from that DAG's rows alone. So the
sources' rows are dealt out by environment and DAG, and each executor calls the maker for each DAG
of its share, with rows that come and go one by one. Only what is made of `manifests` is made on
the driver, which has them all: a row a snapshot, or a row a snapshot and table.

Executors have PySpark and nothing of ours: the text of the modules that makers need is sent to
them as Spark sends Python files. Modules of `_SENT` import, beside the standard library, only each
other.
"""

from __future__ import annotations

import atexit
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from hashlib import sha256
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import DataFrame

Row = dict[str, Any]
_SENT = (
    "airkeep.models.cron",
    "airkeep.models.serialized",
    "airkeep.models.slack",
    "airkeep.models.spread",
    "cronsim",
    "cronsim.cronsim",
)
_DAG = ("environment", "dag_id")


def spread(
    maker: Callable[..., Iterable[tuple[Any, ...]]], sources: list[DataFrame], schema: str
) -> DataFrame:
    """What a maker makes of these rows; made when it is asked for, each time.

    As many shares are dealt as `spark.sql.shuffle.partitions` says.

    Args:
        maker: a function of a module that is sent, see `made.py`.
        sources: each with the columns `environment` and `dag_id`, times without a zone.
        schema: of the rows made, in Spark's words.
    """
    from pyspark.sql import functions as f

    spark = sources[0].sparkSession
    _send(spark.sparkContext)
    tagged = (
        source.select(*_DAG, f.lit(n).alias("source"), f.struct("*").alias(f"of_{n}"))
        for n, source in enumerate(sources)
    )
    every = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), tagged)
    shares = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    dealt = every.repartition(shares, *_DAG)
    if len(sources) > 1:  # else rows may come in any order
        dealt = dealt.sortWithinPartitions(*_DAG, "source")
    return spark.createDataFrame(dealt.rdd.mapPartitions(_Share(maker, len(sources))), schema)


class _Share:
    """Makes one executor's share."""

    def __init__(self, maker: Callable[..., Iterable[tuple[Any, ...]]], sources: int) -> None:
        self.maker, self.sources = maker, sources

    def __call__(self, rows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        if self.sources == 1:
            yield from self.maker(map(_plain, (row[-1] for row in rows)))
            return
        for _, of_dag in groupby(rows, key=lambda row: (row[0], row[1])):
            yield from self.maker(*_apart(of_dag, self.sources))


def _apart(rows: Iterable[Any], sources: int) -> list[Iterator[Row]]:
    """The rows of each source, which come one source after the other, and are read so."""
    parts = groupby(rows, key=lambda row: row[2])
    coming = [next(parts, None)]

    def of(number: int) -> Iterator[Row]:
        part = coming[0]
        if part is not None and part[0] == number:
            yield from (_plain(row[3 + number]) for row in part[1])
            coming[0] = next(parts, None)

    return [of(number) for number in range(sources)]


def _plain(row: Any) -> Row:
    values: Row = row.asDict()
    return {n: bytes(v) if isinstance(v, bytearray) else v for n, v in values.items()}


def _send(context: SparkContext) -> None:
    """Give the executors our modules, once for each Spark."""
    from pyspark import SparkFiles

    texts = _texts()
    name = f"airkeep_{sha256(repr(texts).encode()).hexdigest()[:16]}.zip"
    if Path(SparkFiles.get(name)).exists():
        return
    folder = mkdtemp(prefix="airkeep-")  # executors that start later read it, too
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = Path(folder) / name
    with zipfile.ZipFile(file, "w") as packed:
        for path, text in texts.items():
            packed.writestr(path, text)
    context.addPyFile(str(file))


def _texts() -> dict[str, str]:
    """Their text, by their path below a folder that Python imports from."""
    texts = dict.fromkeys(("airkeep/__init__.py", "airkeep/models/__init__.py"), "")
    for name in _SENT:
        spec = find_spec(name)
        assert spec is not None  # noqa: S101 (they are ours, or imported by ours)
        source = spec.loader.get_source(name)  # type: ignore[union-attr]
        is_package = spec.submodule_search_locations is not None
        path = name.replace(".", "/") + ("/__init__" if is_package else "")
        texts[f"{path}.py"] = source
    return texts
