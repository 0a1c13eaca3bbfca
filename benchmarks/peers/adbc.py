"""ADBC's Arrow batches into pyarrow's ParquetWriter."""

# ruff: noqa: TID253 (a program that does nothing without them)

import os
import sys

import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

out, *tables = sys.argv[1:]
with dbapi.connect(os.environ["BENCH_URL"]) as connection, connection.cursor() as cursor:
    for table in tables:
        cursor.execute(f"SELECT * FROM public.{table}")
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(f"{out}/{table}.parquet", reader.schema, compression="zstd") as file:
            for batch in reader:
                file.write_batch(batch)
