-- Task instances of every Airflow, each in the last state that any snapshot saw.
-- grain: one task instance (its newest try)
-- key: environment, dag_id, task_id, run_id, map_index
-- units: times UTC; duration_s, queued_s seconds
-- leaves out: rows that name no run: of Airflow 1.10 to 2.1 those whose run is gone
-- input: task_instance(id text, dag_id text, task_id text, run_id text, execution_date instant, map_index integer, state text, try_number integer, max_tries integer, start_date instant, end_date instant, duration float, queued_dttm instant, scheduled_dttm instant, pool text, pool_slots integer, queue text, operator text, custom_operator_name text, hostname text, priority_weight integer, dag_version_id text, rendered_map_index text, next_method text, job_id integer, last_heartbeat_at instant)
SELECT
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  state,
  try_number,
  max_tries,
  start_date AS started_at,
  end_date AS ended_at,
  CASE
    WHEN end_date >= start_date THEN
      (CAST(epoch_us(end_date) AS DOUBLE) - CAST(epoch_us(start_date) AS DOUBLE)) / 1000000.0
    WHEN end_date IS NULL AND duration >= 0 THEN duration
  END AS duration_s,
  queued_dttm AS queued_at,
  scheduled_dttm AS scheduled_at,
  CASE WHEN start_date >= queued_dttm THEN
    (CAST(epoch_us(start_date) AS DOUBLE) - CAST(epoch_us(queued_dttm) AS DOUBLE)) / 1000000.0
  END AS queued_s,
  coalesce(pool, 'default_pool') AS pool,
  coalesce(pool_slots, 1) AS pool_slots,
  queue,
  coalesce(custom_operator_name, operator) AS operator,
  hostname,
  priority_weight,
  dag_version_id,
  next_method IS NOT NULL AS was_deferred,
  job_id,
  last_heartbeat_at,
  snapshot
FROM (
  SELECT
    t.environment,
    t.snapshot,
    t.dag_id,
    t.task_id,
    coalesce(t.run_id, r.run_id) AS run_id,
    coalesce(t.map_index, -1) AS map_index,
    t.state,
    t.try_number,
    t.max_tries,
    t.start_date,
    t.end_date,
    t.duration,
    t.queued_dttm,
    t.scheduled_dttm,
    t.pool,
    t.pool_slots,
    t.queue,
    t.operator,
    t.custom_operator_name,
    t.hostname,
    t.priority_weight,
    t.dag_version_id,
    t.next_method,
    t.job_id,
    t.last_heartbeat_at
  FROM raw_task_instance AS t
  LEFT JOIN run_dates AS r
    ON r.environment = t.environment
    AND r.dag_id = t.dag_id
    AND r.execution_date = t.execution_date
) AS known
-- Few are there twice, after a retry or a migration: to find these costs a tenth of ranking all.
LEFT JOIN (
  SELECT
    t.environment AS in_environment,
    t.dag_id AS of_dag_id,
    t.task_id AS of_task_id,
    coalesce(t.run_id, r.run_id) AS of_run_id,
    coalesce(t.map_index, -1) AS of_map_index,
    max(t.snapshot) AS newest
  FROM raw_task_instance AS t
  LEFT JOIN run_dates AS r
    ON r.environment = t.environment
    AND r.dag_id = t.dag_id
    AND r.execution_date = t.execution_date
  GROUP BY
    t.environment, t.dag_id, t.task_id, coalesce(t.run_id, r.run_id), coalesce(t.map_index, -1)
  HAVING count(*) > 1
) AS twice
  ON in_environment = environment
  AND of_dag_id = dag_id
  AND of_task_id = task_id
  AND of_run_id = run_id
  AND of_map_index = map_index
WHERE run_id IS NOT NULL AND (newest IS NULL OR newest = snapshot)
