-- Which tasks lose the most time to tries that failed?
-- grain: one task that ever failed
-- key: environment, dag_id, task_id
-- units: failed_tries a count; lost_h hours that failed tries ran; last_failed_at UTC
-- leaves out: failed tries without a start or an end count as tries and lose no time
SELECT
  environment,
  dag_id,
  task_id,
  count(*) AS failed_tries,
  coalesce(sum(duration_s), 0) / 3600.0 AS lost_h,
  max(ended_at) AS last_failed_at
FROM attempts
WHERE state IN ('failed', 'up_for_retry')
GROUP BY environment, dag_id, task_id
