-- Task instances of every Airflow, each in the last state that any snapshot saw.
-- grain: one task instance (its newest try)
-- key: environment, dag_id, task_id, run_id, map_index
-- units: times UTC; duration_s, queued_s seconds
-- leaves out: rows that name no run: of Airflow 1.10 to 2.1 those whose run is gone
SELECT
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  state,
  try_number,
  max_tries,
  started_at,
  ended_at,
  CASE
    WHEN ended_at >= started_at THEN
      (CAST(epoch_us(ended_at) AS DOUBLE) - CAST(epoch_us(started_at) AS DOUBLE)) / 1000000.0
    ELSE noted_s
  END AS duration_s,
  queued_at,
  scheduled_at,
  CASE WHEN started_at >= queued_at THEN
    (CAST(epoch_us(started_at) AS DOUBLE) - CAST(epoch_us(queued_at) AS DOUBLE)) / 1000000.0
  END AS queued_s,
  pool,
  pool_slots,
  queue,
  operator,
  hostname,
  priority_weight,
  dag_version_id,
  was_deferred,
  job_id,
  last_heartbeat_at,
  snapshot
FROM task_states
WHERE is_newest
