-- Which DAGs are there and do not run?
-- grain: one DAG that Airflow still parses
-- key: environment, dag_id
-- units: runs a count; last_started_at UTC; idle_d days from there to the environment's newest run, NULL where it never ran; is_paused of every DAG where the newest snapshot was taken by `airkeep down`
-- leaves out: DAGs that are gone, or whose file is; subdags; starts of more than a day after the newest snapshot, by some wrong clock
WITH started AS (
  SELECT
    r.environment,
    r.dag_id,
    CASE WHEN r.started_at <= s.last_taken_at + INTERVAL 1 DAY THEN r.started_at END AS started_at
  FROM runs AS r
  INNER JOIN (
    SELECT environment, max(taken_at) AS last_taken_at FROM snapshots GROUP BY environment
  ) AS s
    ON s.environment = r.environment
)
SELECT
  d.environment,
  d.dag_id,
  d.is_paused,
  d.schedule,
  coalesce(r.runs, 0) AS runs,
  r.last_started_at,
  (CAST(epoch_us(e.newest_at) AS DOUBLE) - CAST(epoch_us(r.last_started_at) AS DOUBLE))
    / 86400000000.0 AS idle_d
FROM dags AS d
LEFT JOIN (
  SELECT environment, dag_id, count(*) AS runs, max(started_at) AS last_started_at
  FROM started
  GROUP BY environment, dag_id
) AS r
  ON r.environment = d.environment AND r.dag_id = d.dag_id
LEFT JOIN (
  SELECT environment, max(started_at) AS newest_at FROM started GROUP BY environment
) AS e
  ON e.environment = d.environment
WHERE d.is_active AND d.gone_at IS NULL AND NOT d.is_subdag
