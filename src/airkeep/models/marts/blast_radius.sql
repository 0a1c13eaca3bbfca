-- Which task's failure keeps the most others from running?
-- grain: one task that ever failed for good
-- key: environment, dag_id, task_id
-- units: failures (runs in which it failed), runs_failed (of these, runs that failed), tasks_blocked (task instances of these that never ran for a failed upstream) counts; blocked_per_failure tasks_blocked over failures
-- leaves out: what other DAGs missed by it; in a run in which several tasks failed each is charged with all that was blocked
WITH failed AS (
  SELECT DISTINCT environment, dag_id, task_id, run_id FROM tasks WHERE state = 'failed'
),
blocked AS (
  SELECT environment, dag_id, run_id, count(*) AS tasks_blocked
  FROM tasks
  WHERE state = 'upstream_failed'
  GROUP BY environment, dag_id, run_id
)
SELECT
  f.environment,
  f.dag_id,
  f.task_id,
  count(*) AS failures,
  sum(CASE WHEN r.state = 'failed' THEN 1 ELSE 0 END) AS runs_failed,
  sum(coalesce(b.tasks_blocked, 0)) AS tasks_blocked,
  CAST(sum(coalesce(b.tasks_blocked, 0)) AS DOUBLE) / count(*) AS blocked_per_failure
FROM failed AS f
LEFT JOIN runs AS r
  ON r.environment = f.environment AND r.dag_id = f.dag_id AND r.run_id = f.run_id
LEFT JOIN blocked AS b
  ON b.environment = f.environment AND b.dag_id = f.dag_id AND b.run_id = f.run_id
GROUP BY f.environment, f.dag_id, f.task_id
