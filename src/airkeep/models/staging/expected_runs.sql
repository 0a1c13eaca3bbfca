-- Runs that a DAG's schedule made due, whether they came or not.
-- grain: one due time
-- key: environment, dag_id, due_at
-- units: times UTC; due_at as in runs: before Airflow 2.2 the start of the interval
-- leaves out: what schedule_spans leaves out; of DAGs that run at intervals the runs that came in time; the start of the first interval after an upgrade from before 2.2, which names no run: the one before is named by its own start, the one after by its end
-- made: due_times(environment text, dag_id text, due_at instant, number integer) from schedule_spans
WITH named AS (
  SELECT
    environment,
    dag_id,
    run_id,
    coalesce(interval_start_at, logical_at, due_at) AS begins_at,
    due_at,
    CASE WHEN interval_end_at IS NULL AND due_at = logical_at THEN 1 ELSE 0 END AS is_early
  FROM runs
  WHERE run_type = 'scheduled'
),
turns AS (
  SELECT
    *,
    lag(is_early) OVER (
      PARTITION BY environment, dag_id ORDER BY begins_at, run_id
    ) AS was_early
  FROM named
)
SELECT DISTINCT
  m.environment,
  m.dag_id,
  m.due_at,
  s.schedule,
  s.timezone,
  s.interval_s,
  s.catchup
FROM made_due_times AS m
INNER JOIN schedules AS s
  ON s.environment = m.environment AND s.dag_id = m.dag_id AND s.number = m.number
LEFT JOIN (
  SELECT environment, dag_id, begins_at
  FROM turns
  WHERE is_early = 0 AND was_early = 1 AND begins_at < due_at
) AS t
  ON t.environment = m.environment AND t.dag_id = m.dag_id AND t.begins_at = m.due_at
WHERE t.environment IS NULL
