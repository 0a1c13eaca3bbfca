-- How often does a DAG fail several times in a row, and how long until it works again?
-- grain: one streak of failed runs, in the order in which they were due
-- key: environment, dag_id, successes_before
-- units: failed_runs, successes_before (of all its runs) counts; recovery_s seconds from the first failure's end to the end of the next success, NULL while there is none
-- leaves out: runs that are not finished; runs without any date
WITH numbered AS (
  SELECT
    environment,
    dag_id,
    state,
    coalesce(due_at, started_at) AS due_at,
    ended_at,
    sum(CASE WHEN state = 'success' THEN 1 ELSE 0 END) OVER (
      PARTITION BY environment, dag_id ORDER BY coalesce(due_at, started_at), run_id
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS successes
  FROM runs
  WHERE state IN ('success', 'failed') AND coalesce(due_at, started_at) IS NOT NULL
),
streaks AS (
  SELECT
    environment,
    dag_id,
    successes,
    min(due_at) AS first_due_at,
    max(due_at) AS last_due_at,
    count(*) AS failed_runs,
    min(ended_at) AS failed_at
  FROM numbered
  WHERE state = 'failed'
  GROUP BY environment, dag_id, successes
)
SELECT
  f.environment,
  f.dag_id,
  f.successes AS successes_before,
  f.first_due_at,
  f.last_due_at,
  f.failed_runs,
  f.failed_at,
  s.ended_at AS recovered_at,
  CASE WHEN s.ended_at >= f.failed_at THEN
    (CAST(epoch_us(s.ended_at) AS DOUBLE) - CAST(epoch_us(f.failed_at) AS DOUBLE)) / 1000000.0
  END AS recovery_s
FROM streaks AS f
LEFT JOIN numbered AS s
  ON s.environment = f.environment
  AND s.dag_id = f.dag_id
  AND s.state = 'success'
  AND s.successes = f.successes + 1
