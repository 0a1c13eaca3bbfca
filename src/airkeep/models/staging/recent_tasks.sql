-- Task instances of each DAG's 20 newest runs that ended.
-- grain: one task instance
-- key: environment, dag_id, task_id, run_id, map_index
-- units: times UTC
-- leaves out: older runs, runs that are not finished
SELECT
  t.environment,
  t.dag_id,
  t.task_id,
  t.run_id,
  t.map_index,
  t.state,
  t.started_at,
  t.ended_at,
  r.started_at AS run_started_at,
  r.dag_version_id,
  r.code_version
FROM tasks AS t
INNER JOIN (
  SELECT
    environment,
    dag_id,
    run_id,
    started_at,
    dag_version_id,
    code_version,
    row_number() OVER (
      PARTITION BY environment, dag_id ORDER BY coalesce(due_at, started_at) DESC, run_id DESC
    ) AS age
  FROM runs
  WHERE state IN ('success', 'failed') AND started_at IS NOT NULL
) AS r
  ON r.environment = t.environment AND r.dag_id = t.dag_id AND r.run_id = t.run_id
WHERE r.age <= 20
