-- How often does a task succeed, day by day, and is it getting better or worse?
-- grain: one task on one UTC day on which an instance of it ended
-- key: environment, dag_id, task_id, day
-- units: finished, succeeded, failed counts of task instances in their last state; success_rate succeeded over finished, success_rate_7d the same over the seven days up to this one
-- leaves out: instances that were skipped, never ran for their upstream's failure, or are not finished; those without an end
SELECT
  environment,
  dag_id,
  task_id,
  day,
  finished,
  succeeded,
  failed,
  CAST(succeeded AS DOUBLE) / finished AS success_rate,
  CAST(sum(succeeded) OVER last_7 AS DOUBLE) / sum(finished) OVER last_7 AS success_rate_7d
FROM (
  SELECT
    environment,
    dag_id,
    task_id,
    CAST(ended_at AS DATE) AS day,
    count(*) AS finished,
    sum(CASE WHEN state = 'success' THEN 1 ELSE 0 END) AS succeeded,
    sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed
  FROM tasks
  WHERE state IN ('success', 'failed') AND ended_at IS NOT NULL
  GROUP BY environment, dag_id, task_id, CAST(ended_at AS DATE)
) AS days
WINDOW last_7 AS (
  PARTITION BY environment, dag_id, task_id ORDER BY date_diff('day', DATE '1970-01-01', day)
  RANGE BETWEEN 6 PRECEDING AND CURRENT ROW
)
