"""A table of Parquet files as Hive describes it: what Glue and Athena are told. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@dataclass(frozen=True, order=True)
class HivePartition:
    """A folder of files, and the values of the partition keys that its rows have."""

    values: tuple[str, ...]
    location: str


@dataclass(frozen=True)
class HiveTable:
    """An external table.

    Attributes:
        columns: names with Hive's types, without the partition keys.
        keys: the partition keys; all are strings.
        location: where the folders of the partitions lie.
    """

    name: str
    comment: str
    columns: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    location: str
    partitions: tuple[HivePartition, ...]
