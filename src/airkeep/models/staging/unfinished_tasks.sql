-- Task instances that are there and not finished: those of an environment's newest state.
-- grain: one task instance (its newest try)
-- key: environment, dag_id, task_id, run_id, map_index
-- units: none
-- leaves out: task instances that were deleted or expanded before they ended; rows that name no run: of Airflow 1.10 to 2.1 those whose run is gone. Where windows alone were saved of task_instance, nothing tells that one was deleted
-- input: task_instance newest(dag_id text, task_id text, run_id text, execution_date instant, map_index integer, state text)
SELECT DISTINCT
  t.environment,
  t.dag_id,
  t.task_id,
  coalesce(t.run_id, r.run_id) AS run_id,
  coalesce(t.map_index, -1) AS map_index
FROM (
  SELECT *
  FROM raw_task_instance_newest
  WHERE
    state IS NULL
    OR state NOT IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
) AS t
LEFT JOIN run_dates AS r
  ON r.environment = t.environment
  AND r.dag_id = t.dag_id
  AND r.execution_date = t.execution_date
WHERE coalesce(t.run_id, r.run_id) IS NOT NULL
