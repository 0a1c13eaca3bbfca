-- How long after they were due do runs start?
-- grain: one DAG
-- key: environment, dag_id
-- units: runs a count; p50_s, p90_s, worst_s seconds from due to started, percentiles by nearest rank
-- leaves out: manual, backfill and asset-triggered runs and those of @once, which are not due at a time; runs that did not start; cleared runs, whose first start is not known (before Airflow 2.8 nothing tells them: they count by the start that they have); before Airflow 2.2 each DAG's newest run
SELECT
  environment,
  dag_id,
  count(*) AS runs,
  min(CASE WHEN place >= 0.50 * many THEN delay_s END) AS p50_s,
  min(CASE WHEN place >= 0.90 * many THEN delay_s END) AS p90_s,
  max(delay_s) AS worst_s
FROM (
  SELECT
    environment,
    dag_id,
    delay_s,
    row_number() OVER (PARTITION BY environment, dag_id ORDER BY delay_s) AS place,
    count(*) OVER (PARTITION BY environment, dag_id) AS many
  FROM (
    SELECT
      environment,
      dag_id,
      (CAST(epoch_us(started_at) AS DOUBLE) - CAST(epoch_us(due_at) AS DOUBLE)) / 1000000.0
        AS delay_s
    FROM scheduled_runs
    WHERE clears = 0 AND started_at >= due_at
  ) AS delays
) AS ranked
GROUP BY environment, dag_id
