-- Which tasks does Airflow hold for running or queued though nothing works on them?
-- grain: one task instance
-- key: environment, dag_id, task_id, run_id, map_index
-- units: times UTC; silent_s seconds from the last sign of it (heartbeat, start, queueing) to the environment's last sign of life; why: job ended, silent (no heartbeat for 5 minutes), queued (for 10 minutes)
-- leaves out: deferred tasks, which need no process; task instances that are there no more; tasks whose run is gone or finished count, for Airflow holds their slots
SELECT
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  state,
  started_at,
  queued_at,
  heartbeat_at,
  silent_s,
  hostname,
  why
FROM (
  SELECT
    s.*,
    CASE
      WHEN s.state = 'running' AND s.job_state <> 'running' THEN 'job ended'
      WHEN s.state = 'running' AND s.silent_s > 300 THEN 'silent'
      WHEN s.state = 'queued' AND s.silent_s > 600 THEN 'queued'
    END AS why
  FROM (
    SELECT
      t.environment,
      t.dag_id,
      t.task_id,
      t.run_id,
      t.map_index,
      t.state,
      t.started_at,
      t.queued_at,
      t.hostname,
      j.state AS job_state,
      CASE WHEN t.state = 'running' THEN coalesce(t.last_heartbeat_at, j.heartbeat_at) END
        AS heartbeat_at,
      (
        CAST(epoch_us(e.alive_at) AS DOUBLE)
        - CAST(
          epoch_us(
            CASE
              WHEN t.state = 'queued' THEN t.queued_at
              ELSE coalesce(t.last_heartbeat_at, j.heartbeat_at, t.started_at)
            END
          ) AS DOUBLE
        )
      ) / 1000000.0 AS silent_s
    FROM tasks AS t
    INNER JOIN unfinished_tasks AS u
      ON u.environment = t.environment
      AND u.dag_id = t.dag_id
      AND u.task_id = t.task_id
      AND u.run_id = t.run_id
      AND u.map_index = t.map_index
    INNER JOIN environments AS e
      ON e.environment = t.environment
    LEFT JOIN (
      SELECT
        *,
        row_number() OVER (PARTITION BY environment, job_id ORDER BY snapshot DESC) AS newest
      FROM jobs
      WHERE job_type = 'LocalTaskJob'
    ) AS j
      ON j.environment = t.environment
      AND j.job_id = t.job_id
      AND j.newest = 1
    WHERE t.state IN ('running', 'queued')
  ) AS s
) AS z
WHERE why IS NOT NULL
