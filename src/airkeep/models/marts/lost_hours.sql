-- Which tasks lose the most time to tries that failed?
-- grain: one task that ever failed
-- key: environment, dag_id, task_id
-- units: failed_tries a count; lost_h hours in which failed tries held a slot, however many they held; last_failed_at UTC
-- leaves out: failed tries without a start or an end count as tries and lose no time, nor do waits between the pokes of a rescheduled sensor
SELECT
  f.environment,
  f.dag_id,
  f.task_id,
  f.failed_tries,
  coalesce(u.held_s, 0) / 3600.0 AS lost_h,
  f.last_failed_at
FROM (
  SELECT
    environment,
    dag_id,
    task_id,
    count(*) AS failed_tries,
    max(ended_at) AS last_failed_at
  FROM attempts
  WHERE state IN ('failed', 'up_for_retry')
  GROUP BY environment, dag_id, task_id
) AS f
LEFT JOIN (
  SELECT environment, dag_id, task_id, sum(held_s) AS held_s
  FROM slot_use
  WHERE state IN ('failed', 'up_for_retry')
  GROUP BY environment, dag_id, task_id
) AS u
  ON u.environment = f.environment AND u.dag_id = f.dag_id AND u.task_id = f.task_id
