"""Spark in this process: its session, and rows of its answers as the command line shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airkeep.errors import ConfigError, MissingExtraError
from airkeep.lake.spark import explained

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_AT_ONCE = 2_048
_ARROW = {
    "boolean": "bool",
    "tinyint": "int8",
    "smallint": "int16",
    "int": "int32",
    "bigint": "int64",
    "float": "float32",
    "double": "float64",
    "binary": "binary",
    "date": "date32",
    "timestamp_ntz": "timestamp[us]",
}


def spark_session(*, memory_bytes: int, threads: int, folder: Path) -> SparkSession:
    """The session that is there, or one of this machine.

    Args:
        folder: a private one, for the warehouse that Spark makes though nobody uses it.

    Raises:
        MissingExtraError: PySpark is not installed.
        ConfigError: Spark does not start.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingExtraError("--engine spark --execute", "spark") from None
    if (there := SparkSession.getActiveSession()) is not None:
        return there
    builder = SparkSession.builder.appName("airkeep").master(f"local[{threads}]")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": f"{max(memory_bytes >> 20, 512)}m",
        "spark.sql.shuffle.partitions": threads,
        "spark.sql.warehouse.dir": str(folder / "spark-warehouse"),
        "spark.ui.enabled": False,
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except PySparkException as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"Spark does not start, it needs Java 17 (JAVA_HOME): {first}") from None
    session.sparkContext.setLogLevel("ERROR")
    return session


class SparkRows:
    """The rows that a question found; they are read once.

    Attributes:
        columns: their names.
    """

    def __init__(self, found: DataFrame, where: str) -> None:
        self._found, self._where = found, where
        self.columns = tuple(found.columns)

    def rows(self, most: int | None = None) -> Iterator[tuple[Any, ...]]:
        """The next rows: times as naive UTC `datetime`, bytes as `bytes`."""
        with explained(self._where):
            for row in islice(self._found.toLocalIterator(), most):
                yield tuple(bytes(v) if isinstance(v, bytearray) else v for v in row)

    def batches(self) -> pa.RecordBatchReader:
        """What is no type of a model's (a list, a decimal) is text."""
        import pyarrow as pa

        fields = self._found.schema.fields
        kinds = (_ARROW.get(f.dataType.simpleString(), "string") for f in fields)
        types = [pa.type_for_alias(kind) for kind in kinds]
        schema = pa.schema(list(zip(self.columns, types, strict=True)))

        def made() -> Iterator[pa.RecordBatch]:
            rows = self.rows()
            while some := list(islice(rows, _AT_ONCE)):
                by_column = zip(zip(*some, strict=True), types, strict=True)
                arrays = [pa.array(_taken(values, one), one) for values, one in by_column]
                yield pa.record_batch(arrays, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, made())


def _taken(values: Iterable[Any], kind: pa.DataType) -> list[Any]:
    if kind != "string":
        return list(values)
    return [None if v is None else str(v) for v in values]
