"""The bare scan: DuckDB with few threads and bounded memory, to Parquet, and nothing else.

No locks, catalogue, hashes, manifest or copying into a lake: what airkeep adds is measured by it.
"""

# ruff: noqa: TID253 (a program that does nothing without them)

import os
import sys
from pathlib import Path

import duckdb
import duckdb_extension_postgres_scanner as wheel

out, memory, level, *tables = sys.argv[1:]
name = f"v{duckdb.__version__}/postgres_scanner.duckdb_extension"
[extension] = [f for p in wheel.__path__ if (f := Path(p, "extensions", name)).is_file()]
db = duckdb.connect(
    config={
        "threads": 2,
        "memory_limit": memory,
        "preserve_insertion_order": "false",
        "allow_unsigned_extensions": "true",  # the signature is not looked at, as in airkeep
    }
)
db.execute("SET enable_progress_bar = false")
db.execute(f"LOAD '{extension}'")
db.execute(f"ATTACH '{os.environ['BENCH_URL']}' AS pg (TYPE postgres, READ_ONLY)")
db.execute("BEGIN")
for table in tables:
    db.execute(
        f"COPY (FROM pg.public.{table}) TO '{out}/{table}.parquet' "
        f"(FORMAT parquet, COMPRESSION zstd, "
        f"COMPRESSION_LEVEL {level}, ROW_GROUP_SIZE 100000)"
    )
