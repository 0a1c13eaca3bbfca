-- How many runs of a DAG succeeded each day, and is it getting better or worse?
-- grain: one DAG on one day (UTC) on which runs of it were due
-- key: environment, dag_id, day
-- units: runs, succeeded, failed counts; success_rate, success_rate_7d (of the seven days up to this one, with runs or without) shares from 0 to 1
-- leaves out: runs that are not finished, which have not succeeded or failed yet
SELECT
  environment,
  dag_id,
  day,
  runs,
  succeeded,
  failed,
  CAST(succeeded AS DOUBLE) / runs AS success_rate,
  CAST(sum(succeeded) OVER last_7 AS DOUBLE) / sum(runs) OVER last_7 AS success_rate_7d
FROM (
  SELECT
    environment,
    dag_id,
    CAST(coalesce(due_at, started_at) AS DATE) AS day,
    count(*) AS runs,
    sum(CASE WHEN state = 'success' THEN 1 ELSE 0 END) AS succeeded,
    sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed
  FROM runs
  WHERE state IN ('success', 'failed') AND coalesce(due_at, started_at) IS NOT NULL
  GROUP BY environment, dag_id, CAST(coalesce(due_at, started_at) AS DATE)
) AS days
WINDOW last_7 AS (
  PARTITION BY environment, dag_id ORDER BY date_diff('day', DATE '1970-01-01', day)
  RANGE BETWEEN 6 PRECEDING AND CURRENT ROW
)
