"""The five questions by Spark on two local cores, over the lake's Parquet files.

FILES is a JSON document: per table and environment the files of its chain, oldest first, and those
with deleted keys. The questions are Spark SQL as one would write it there.
"""

# ruff: noqa: TID253 (a program that Spark runs)

import json
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.window import Window

out, files = sys.argv[1:]
layers_of = json.loads(Path(files).read_text())
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.memory", "4g")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "8")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.local.dir", f"{out}/.spark")
    .getOrCreate()
)


def table(name: str, columns: list[str], key: str) -> None:
    """The newest state as a view: later files win, deleted keys go."""
    whole: DataFrame | None = None
    for environment, layers in layers_of[name].items():
        for number, layer in enumerate(layers):
            for kind in ("files", "deleted"):
                if not layer[kind]:
                    continue
                rows = spark.read.parquet(*layer[kind])
                wanted = [f.col(c) if c in rows.columns else f.lit(None).alias(c)
                          for c in dict.fromkeys([*columns, key])]  # fmt: skip
                part = rows.select(*wanted, f.lit(environment).alias("environment"),
                                   f.lit(number).alias("layer"),
                                   f.lit(kind == "files").alias("here"))  # fmt: skip
                whole = part if whole is None else whole.unionByName(part)
    assert whole is not None
    newest = Window.partitionBy("environment", key).orderBy(f.desc("layer"))
    whole = whole.withColumn("n", f.row_number().over(newest)).where("n = 1 AND here")
    whole.createOrReplaceTempView(name)


tries = ["dag_id", "task_id", "state", "start_date", "end_date", "queued_dttm", "pool",
         "pool_slots"]  # fmt: skip
table("dag_run", ["dag_id", "state", "run_after"], "id")
table("task_instance", tries, "id")
table("task_instance_history", tries, "task_instance_id")
table("dag", ["owners"], "dag_id")
took = "(unix_micros(end_date) - unix_micros(start_date)) / 1e6"
waited = "(unix_micros(start_date) - unix_micros(queued_dttm)) / 1e6"
both = " UNION ALL ".join(
    f"SELECT environment, dag_id, task_id, state, start_date, end_date, pool_slots FROM {name}"
    for name in ("task_instance", "task_instance_history")
)
QUESTIONS = {
    "success_by_dag_day": """
        SELECT *, succeeded / runs, sum(succeeded) OVER w / sum(runs) OVER w FROM (
          SELECT environment, dag_id, to_date(run_after) AS day, count(*) AS runs,
                 count_if(state = 'success') AS succeeded
          FROM dag_run WHERE state IN ('success', 'failed') GROUP BY 1, 2, 3)
        WINDOW w AS (PARTITION BY environment, dag_id ORDER BY day
                     ROWS BETWEEN 6 PRECEDING AND CURRENT ROW)""",
    "task_duration_by_week": f"""
        SELECT environment, dag_id, task_id, date_trunc('week', start_date) AS week, count(*) AS n,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY {took}) AS p50,
               percentile_disc(0.95) WITHIN GROUP (ORDER BY {took}) AS p95,
               percentile_disc(0.99) WITHIN GROUP (ORDER BY {took}) AS p99, max({took}) AS longest
        FROM task_instance WHERE state = 'success' AND end_date >= start_date
        GROUP BY 1, 2, 3, 4""",
    "lost_hours": f"""
        SELECT environment, dag_id, task_id, count(*) AS n, sum({took}) / 3600 AS h,
               max(end_date) AS last
        FROM ({both}) WHERE state IN ('failed', 'up_for_retry') AND start_date IS NOT NULL
        GROUP BY 1, 2, 3""",
    "queue_wait": f"""
        SELECT environment, pool, to_date(start_date) AS day, count(*) AS n,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY {waited}) AS p50,
               percentile_disc(0.95) WITHIN GROUP (ORDER BY {waited}) AS p95, max({waited}) AS worst
        FROM task_instance WHERE start_date >= queued_dttm GROUP BY 1, 2, 3""",
    "slot_hours_by_dag": f"""
        SELECT t.environment, t.dag_id, to_date(start_date) AS day, max(d.owners) AS owners,
               count(*) AS n, sum({took} * pool_slots) / 3600 AS h
        FROM ({both}) t LEFT JOIN dag d ON d.environment = t.environment AND d.dag_id = t.dag_id
        WHERE end_date >= start_date GROUP BY 1, 2, 3""",
}
for name, question in QUESTIONS.items():
    found = spark.sql(question)
    found.toDF(*(f"c{n}" for n in range(len(found.columns)))).write.parquet(f"{out}/{name}")
spark.stop()
