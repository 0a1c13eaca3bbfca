"""A folder for rows that Spark writes aside while it works: beside its output, gone afterwards.

Executors come and go and no disk of theirs stays, so it lies where the output does, which all of
them reach. Its name begins with `_`, as what crawlers and readers of Parquet pass over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airkeep.errors import ConfigError
from airkeep.lake.manifests import Warn
from airkeep.lake.spark import explained

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def folder_aside(spark: SparkSession, output: str, warn: Warn) -> Iterator[str]:
    """The URL of a folder in the output that nobody else uses, made when the first file is.

    It is removed with all that is in it, however the block ends; what a killed driver leaves can
    be deleted at any time.

    Args:
        warn: told of a folder that could not be removed.
    """
    url = f"{output}/_aside-{uuid4().hex}"
    try:
        yield url
    finally:
        _remove(spark, url, warn)


def _remove(spark: SparkSession, url: str, warn: Warn) -> None:
    from py4j.protocol import Py4JError

    context: Any = spark.sparkContext  # PySpark has no function that deletes; Java has
    try:
        with explained(f"delete {url}, which could not be removed"):
            path = context._jvm.org.apache.hadoop.fs.Path(url)
            place = path.getFileSystem(context._jsc.hadoopConfiguration())
            place.delete(path, True)  # noqa: FBT003 (Java's: with all that is in it)
    except ConfigError as error:
        warn(str(error))
    except (Py4JError, OSError):  # Spark itself is gone
        warn(f"delete {url}, which may be there still")
