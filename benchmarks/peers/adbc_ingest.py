"""ADBC's way back: Parquet batches by binary COPY, between the schema's two halves."""

# ruff: noqa: TID253 (a program that does nothing without them)

import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

before, after, *files = sys.argv[1:]


def statements(file: str) -> str:
    lines = Path(file).read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("\\"))


with dbapi.connect(os.environ["BENCH_URL"]) as connection, connection.cursor() as cursor:
    cursor.executescript(statements(before))
    for name in files:
        file = pq.ParquetFile(name)
        rows = pa.RecordBatchReader.from_batches(
            file.schema_arrow, file.iter_batches(batch_size=20_000)
        )
        cursor.adbc_ingest(Path(name).stem, rows, mode="append", db_schema_name="public")
    cursor.executescript(statements(after))
    connection.commit()
