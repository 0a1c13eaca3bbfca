"""What the existing Airflow backup tools do: SQLAlchemy, 1,000 rows at a time, csv."""

import csv
import os
import sys
from pathlib import Path

from sqlalchemy import create_engine, text

out, *tables = sys.argv[1:]
engine = create_engine(os.environ["BENCH_URL"].replace("postgresql:", "postgresql+psycopg2:"))
with engine.connect().execution_options(stream_results=True, max_row_buffer=1000) as connection:
    for table in tables:
        found = connection.execute(text(f"SELECT * FROM public.{table}"))
        with Path(out, f"{table}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(found.keys())
            while rows := found.fetchmany(1000):
                writer.writerows(rows)
