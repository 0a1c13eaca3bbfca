-- How did a DAG do in the last seven days of its environment, and in the seven before?
-- grain: one DAG of which a run ever started
-- key: environment, dag_id
-- units: runs, failed counts of finished runs by the day (UTC) on which they started; success_rate share from 0 to 1; mean_s mean seconds of successful runs; newest_day the last day on which any run of the environment started
-- leaves out: runs that never started, or more than a day after the newest snapshot, by some wrong clock; unfinished ones count for last_state and last_started_at alone
SELECT
  environment,
  dag_id,
  max(newest_day) AS newest_day,
  sum(CASE WHEN age_d < 7 AND finished = 1 THEN 1 ELSE 0 END) AS runs,
  sum(CASE WHEN age_d < 7 AND state = 'failed' THEN 1 ELSE 0 END) AS failed,
  avg(CASE WHEN age_d < 7 AND finished = 1 THEN succeeded END) AS success_rate,
  avg(CASE WHEN age_d < 7 AND state = 'success' THEN duration_s END) AS mean_s,
  sum(CASE WHEN age_d BETWEEN 7 AND 13 AND finished = 1 THEN 1 ELSE 0 END) AS runs_before,
  sum(CASE WHEN age_d BETWEEN 7 AND 13 AND state = 'failed' THEN 1 ELSE 0 END) AS failed_before,
  avg(CASE WHEN age_d BETWEEN 7 AND 13 AND finished = 1 THEN succeeded END) AS success_rate_before,
  avg(CASE WHEN age_d BETWEEN 7 AND 13 AND state = 'success' THEN duration_s END) AS mean_before_s,
  max(CASE WHEN newest = 1 THEN state END) AS last_state,
  max(started_at) AS last_started_at
FROM (
  SELECT
    environment,
    dag_id,
    state,
    started_at,
    duration_s,
    CASE WHEN state IN ('success', 'failed') THEN 1 ELSE 0 END AS finished,
    CAST(CASE WHEN state = 'success' THEN 1 ELSE 0 END AS DOUBLE) AS succeeded,
    CAST(max(started_at) OVER (PARTITION BY environment) AS DATE) AS newest_day,
    date_diff(
      'day', CAST(started_at AS DATE), CAST(max(started_at) OVER (PARTITION BY environment) AS DATE)
    ) AS age_d,
    row_number() OVER (
      PARTITION BY environment, dag_id ORDER BY started_at DESC, run_id DESC
    ) AS newest
  FROM (
    SELECT r.*
    FROM runs AS r
    INNER JOIN (
      SELECT environment, max(taken_at) AS last_taken_at FROM snapshots GROUP BY environment
    ) AS s
      ON s.environment = r.environment
    WHERE r.started_at <= s.last_taken_at + INTERVAL 1 DAY
  ) AS started
) AS dated
GROUP BY environment, dag_id
