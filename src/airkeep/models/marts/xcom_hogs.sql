-- Which tasks leave the most in the database for others to read?
-- grain: one key of one task's XComs
-- key: environment, dag_id, task_id, xcom_key
-- units: xcoms a count; bytes, largest_bytes, mean_bytes as the database keeps them; share of the environment's bytes, NULL where it has none; last_written_at UTC
-- leaves out: values; what a custom backend keeps elsewhere. XComs that Airflow deleted since a snapshot count, too
SELECT
  environment,
  dag_id,
  task_id,
  xcom_key,
  xcoms,
  bytes,
  largest_bytes,
  CAST(bytes AS DOUBLE) / xcoms AS mean_bytes,
  CASE WHEN sum(bytes) OVER (PARTITION BY environment) > 0 THEN
    CAST(bytes AS DOUBLE) / CAST(sum(bytes) OVER (PARTITION BY environment) AS DOUBLE)
  END AS share,
  last_written_at
FROM (
  SELECT
    environment,
    dag_id,
    task_id,
    xcom_key,
    count(*) AS xcoms,
    CAST(sum(bytes) AS BIGINT) AS bytes,
    max(bytes) AS largest_bytes,
    max(written_at) AS last_written_at
  FROM xcoms
  GROUP BY environment, dag_id, task_id, xcom_key
) AS counted
