"""The Python floor: read a binary COPY with psycopg and throw it away."""

import os
import sys

import psycopg

_, *tables = sys.argv[1:]
with psycopg.connect(os.environ["BENCH_URL"]) as connection, connection.cursor() as cursor:
    for table in tables:
        with cursor.copy(f"COPY public.{table} TO STDOUT (FORMAT binary)") as copy:
            for _block in copy:
                pass
