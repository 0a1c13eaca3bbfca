"""ConnectorX's Arrow stream into pyarrow's ParquetWriter."""

# ruff: noqa: TID253 (a program that does nothing without them)

import os
import sys

import connectorx
import pyarrow.parquet as pq

out, *tables = sys.argv[1:]
for table in tables:
    reader = connectorx.read_sql(
        os.environ["BENCH_URL"],
        f"SELECT * FROM public.{table}",
        return_type="arrow_stream",
        batch_size=50_000,
    )
    with pq.ParquetWriter(f"{out}/{table}.parquet", reader.schema, compression="zstd") as file:
        for batch in reader:
            file.write_batch(batch)
