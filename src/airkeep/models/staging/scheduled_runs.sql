-- Scheduled runs, each with the time at which it was truly due.
-- grain: one scheduled run
-- key: environment, dag_id, run_id
-- units: times UTC; due_at is the end of the run's interval: before Airflow 2.2, which names its start, the start of the next run's; clears how often it was cleared, which Airflow counts since 2.8: a run's start and end are those after the last time
-- leaves out: runs without a due time; before Airflow 2.2 each DAG's newest run; runs of DAGs that are @once as last seen, which have no due time but the DAG's start date, however long that is past
SELECT r.environment, r.dag_id, r.run_id, r.state, r.due_at, r.started_at, r.ended_at, r.clears
FROM (
  SELECT
    environment,
    dag_id,
    run_id,
    state,
    started_at,
    ended_at,
    clears,
    CASE
      WHEN interval_end_at IS NULL AND due_at = logical_at THEN
        lead(coalesce(interval_start_at, logical_at, due_at)) OVER (
          PARTITION BY environment, dag_id
          ORDER BY coalesce(interval_start_at, logical_at, due_at), run_id
        )
      ELSE due_at
    END AS due_at
  FROM runs
  WHERE run_type = 'scheduled'
) AS r
LEFT JOIN dags AS d
  ON d.environment = r.environment AND d.dag_id = r.dag_id
WHERE r.due_at IS NOT NULL AND (d.schedule IS NULL OR d.schedule <> '@once')
