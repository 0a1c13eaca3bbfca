-- Scheduled runs, each with the time at which it was truly due.
-- grain: one scheduled run
-- key: environment, dag_id, run_id
-- units: times UTC; due_at is the end of the run's interval: before Airflow 2.2, which names its start, the start of the next run's
-- leaves out: runs without a due time; before Airflow 2.2 each DAG's newest run
SELECT environment, dag_id, run_id, state, due_at, started_at, ended_at
FROM (
  SELECT
    environment,
    dag_id,
    run_id,
    state,
    started_at,
    ended_at,
    CASE
      WHEN interval_end_at IS NULL AND due_at = logical_at THEN
        lead(due_at) OVER (PARTITION BY environment, dag_id ORDER BY due_at, run_id)
      ELSE due_at
    END AS due_at
  FROM runs
  WHERE run_type = 'scheduled'
) AS r
WHERE due_at IS NOT NULL
