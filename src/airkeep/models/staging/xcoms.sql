-- XComs of every Airflow: how large they are, not what they say.
-- grain: one value that a task left
-- key: environment, dag_id, task_id, run_id, map_index, xcom_key, logical_at
-- units: times UTC; bytes of the value as the database keeps it: JSON as text, or a pickle
-- leaves out: values; what a custom backend keeps elsewhere, of which Airflow has the address only. logical_at is NULL but of Airflow 1.10 to 2.2 where the run is gone, and run_id with it
-- input: xcom by dag_id, task_id, run_id, execution_date, map_index, key(dag_id text, task_id text, run_id text, execution_date instant, map_index integer, key text, timestamp instant, value bytes)
SELECT
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  xcom_key,
  logical_at,
  bytes,
  written_at,
  snapshot
FROM (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY environment, dag_id, task_id, run_id, map_index, xcom_key, logical_at
      ORDER BY snapshot DESC, written_at DESC
    ) AS newest
  FROM (
    SELECT
      x.environment,
      x.dag_id,
      x.task_id,
      coalesce(x.run_id, r.run_id) AS run_id,
      coalesce(x.map_index, -1) AS map_index,
      x.key AS xcom_key,
      CASE WHEN x.run_id IS NULL AND r.run_id IS NULL THEN x.execution_date END AS logical_at,
      coalesce(octet_length(x.value), 0) AS bytes,
      x.timestamp AS written_at,
      x.snapshot
    FROM raw_xcom AS x
    LEFT JOIN run_dates AS r
      ON x.run_id IS NULL
      AND r.environment = x.environment
      AND r.dag_id = x.dag_id
      AND r.execution_date = x.execution_date
  ) AS sized
) AS known
WHERE newest = 1
