-- How does a DAG do in each environment that has it?
-- grain: one DAG in one environment, where at least two environments have runs of it
-- key: dag_id, environment
-- units: runs, failed counts; success_rate share from 0 to 1; p50_s seconds of successful runs, nearest rank
-- leaves out: runs that are not finished
SELECT
  f.dag_id,
  f.environment,
  f.runs,
  f.failed,
  CAST(f.runs - f.failed AS DOUBLE) / f.runs AS success_rate,
  d.p50_s
FROM (
  SELECT
    environment,
    dag_id,
    count(*) AS runs,
    sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed,
    count(*) OVER (PARTITION BY dag_id) AS environments
  FROM runs
  WHERE state IN ('success', 'failed')
  GROUP BY environment, dag_id
) AS f
LEFT JOIN (
  SELECT environment, dag_id, min(CASE WHEN place >= 0.50 * many THEN duration_s END) AS p50_s
  FROM (
    SELECT
      environment,
      dag_id,
      duration_s,
      row_number() OVER (PARTITION BY environment, dag_id ORDER BY duration_s) AS place,
      count(*) OVER (PARTITION BY environment, dag_id) AS many
    FROM runs
    WHERE state = 'success' AND duration_s IS NOT NULL
  ) AS ranked
  GROUP BY environment, dag_id
) AS d
  ON d.environment = f.environment AND d.dag_id = f.dag_id
WHERE f.environments >= 2
