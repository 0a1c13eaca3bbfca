-- Tries of task instances, each once: those that Airflow keeps, and those that it forgot since a snapshot.
-- grain: one try that began
-- key: environment, dag_id, task_id, run_id, map_index, started_at, try_number
-- units: times UTC; duration_s, queued_s seconds
-- leaves out: tries that never began, and those of sensors that wait to be called again, which Airflow before 2.10 numbers as the try before; of a failure that only task_fail remembers the number and the pool are not known
SELECT
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  try_number,
  state,
  started_at,
  ended_at,
  CASE WHEN ended_at >= started_at THEN
    (CAST(epoch_us(ended_at) AS DOUBLE) - CAST(epoch_us(started_at) AS DOUBLE)) / 1000000.0
  END AS duration_s,
  CASE WHEN started_at >= queued_at THEN
    (CAST(epoch_us(started_at) AS DOUBLE) - CAST(epoch_us(queued_at) AS DOUBLE)) / 1000000.0
  END AS queued_s,
  pool,
  pool_slots,
  operator,
  hostname,
  source,
  snapshot
FROM task_states
WHERE is_try
