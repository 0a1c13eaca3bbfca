-- How often does a task succeed, day by day?
-- grain: one task on one UTC day on which an instance of it ended
-- key: environment, dag_id, task_id, day
-- units: finished, succeeded, failed counts of task instances in their last state; success_rate succeeded over finished
-- leaves out: instances that were skipped, never ran for their upstream's failure, or are not finished; those without an end
SELECT
  environment,
  dag_id,
  task_id,
  CAST(ended_at AS DATE) AS day,
  count(*) AS finished,
  sum(CASE WHEN state = 'success' THEN 1 ELSE 0 END) AS succeeded,
  sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed,
  CAST(sum(CASE WHEN state = 'success' THEN 1 ELSE 0 END) AS DOUBLE) / count(*) AS success_rate
FROM tasks
WHERE state IN ('success', 'failed') AND ended_at IS NOT NULL
GROUP BY environment, dag_id, task_id, CAST(ended_at AS DATE)
