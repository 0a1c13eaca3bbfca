"""dlt's sql_database source, ConnectorX backend, to Parquet files in a folder."""

import os
import sys

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_database

out, *tables = sys.argv[1:]
pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=f"{out}/work",
    destination=filesystem(bucket_url=f"file://{out}/data"),
    dataset_name="airflow",
)
source = sql_database(
    os.environ["BENCH_URL"].replace("postgresql:", "postgresql+psycopg2:"),
    schema="public",
    table_names=tables,
    backend="connectorx",
    reflection_level="full",
    backend_kwargs={"conn": os.environ["BENCH_URL"]},
)
pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
