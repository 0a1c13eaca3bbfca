"""What a Glue job does: Spark reads a table by JDBC and writes Parquet. Two local cores.

The table is read in two halves, one for each core, over two connections.
"""

import os
import sys
from urllib.parse import unquote, urlsplit

from pyspark.sql import SparkSession  # noqa: TID253 (a program that Spark runs)

out, jar, *tables = sys.argv[1:]
place = urlsplit(os.environ["BENCH_URL"])
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.jars", jar)
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.memory", "2g")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.parquet.compression.codec", "zstd")
    .config("spark.local.dir", f"{out}/.spark")
    .getOrCreate()
)
for table in tables:
    spark.read.jdbc(
        f"jdbc:postgresql://{place.hostname}:{place.port}{place.path}",
        f"public.{table}",
        predicates=[f"mod(hashtext(ctid::text), 2) {sign} 0" for sign in ("=", "<>")],
        properties={
            "user": unquote(place.username or ""),
            "password": unquote(place.password or ""),
            "driver": "org.postgresql.Driver",
            "fetchsize": "10000",
        },
    ).write.parquet(f"{out}/{table}")
spark.stop()
