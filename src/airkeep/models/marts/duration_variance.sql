-- Which tasks take now long, now short, for no reason that Airflow knows?
-- grain: one task that succeeded at least twice
-- key: environment, dag_id, task_id
-- units: tasks a count; mean_s, deviation_s (of the sample) seconds; spread is deviation over mean
-- leaves out: tasks that failed or were skipped, and those without a start or an end
SELECT
  environment,
  dag_id,
  task_id,
  count(*) AS tasks,
  avg(duration_s) AS mean_s,
  stddev_samp(duration_s) AS deviation_s,
  CASE WHEN avg(duration_s) > 0 THEN stddev_samp(duration_s) / avg(duration_s) END AS spread
FROM tasks
WHERE state = 'success' AND duration_s IS NOT NULL
GROUP BY environment, dag_id, task_id
HAVING count(*) >= 2
