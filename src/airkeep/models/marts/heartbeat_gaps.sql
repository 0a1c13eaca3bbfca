-- When was no scheduler, triggerer or DAG processor alive?
-- grain: one time of more than 30 s, Airflow's own limit, without a living job of a type
-- key: environment, job_type, began_at
-- units: began_at UTC; ended_at UTC, NULL where none came until the newest snapshot; gap_s seconds until then or until that snapshot, or until the environment's last sign of life where that is more than a week before it
-- leaves out: a job that went silent and came back, of which only the last heartbeat is kept; the time before the first job; jobs of single tries and backfills
-- A snapshot of what was silent for a week is one of an environment that was shut down.
WITH watched AS (
  SELECT
    environment,
    CASE
      WHEN last_taken_at <= alive_at + INTERVAL 7 DAY THEN last_taken_at
      ELSE alive_at
    END AS until_at
  FROM environments
),
lives AS (
  SELECT
    environment,
    job_type,
    started_at,
    CASE
      WHEN ended_at > heartbeat_at OR heartbeat_at IS NULL THEN coalesce(ended_at, started_at)
      ELSE heartbeat_at
    END AS last_at
  FROM jobs
  WHERE job_type IN ('SchedulerJob', 'TriggererJob', 'DagProcessorJob') AND started_at IS NOT NULL
),
seen AS (
  SELECT
    environment,
    job_type,
    max(last_at) OVER (
      PARTITION BY environment, job_type ORDER BY started_at, last_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS silent_from,
    lead(started_at) OVER (
      PARTITION BY environment, job_type ORDER BY started_at, last_at
    ) AS next_at
  FROM lives
)
SELECT
  s.environment,
  s.job_type,
  s.silent_from AS began_at,
  s.next_at AS ended_at,
  (
    CAST(epoch_us(coalesce(s.next_at, e.until_at)) AS DOUBLE)
    - CAST(epoch_us(s.silent_from) AS DOUBLE)
  ) / 1000000.0 AS gap_s
FROM seen AS s
INNER JOIN watched AS e ON e.environment = s.environment
WHERE CAST(epoch_us(coalesce(s.next_at, e.until_at)) AS DOUBLE)
  - CAST(epoch_us(s.silent_from) AS DOUBLE) > 30000000.0
