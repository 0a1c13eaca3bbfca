-- Which tasks succeed at the first try, and which need their retries?
-- grain: one task
-- key: environment, dag_id, task_id
-- units: finished, succeeded, first_try counts of task instances; first_try_rate share from 0 to 1
-- leaves out: task instances that neither succeeded nor failed; what a cleared one did before: it counts once, by its newest try, and its tries are numbered on, so that a success after a clear is none at the first try
SELECT
  environment,
  dag_id,
  task_id,
  count(*) AS finished,
  sum(CASE WHEN state = 'success' THEN 1 ELSE 0 END) AS succeeded,
  sum(CASE WHEN state = 'success' AND try_number <= 1 THEN 1 ELSE 0 END) AS first_try,
  CAST(sum(CASE WHEN state = 'success' AND try_number <= 1 THEN 1 ELSE 0 END) AS DOUBLE)
    / count(*) AS first_try_rate
FROM tasks
WHERE state IN ('success', 'failed')
GROUP BY environment, dag_id, task_id
