-- What is known of task instances and of their tries: tasks and attempts are made of it.
-- grain: one state in which a snapshot saw a task instance, for each of its tries the last one; one try of the history; one failure that only task_fail remembers
-- key: environment, source, snapshot, dag_id, task_id, run_id, map_index, try_number, started_at
-- units: times UTC; noted_s seconds that Airflow noted of a task instance without an end; is_newest whether it is the last state of its task instance; is_try whether it is what is believed of a try that began
-- leaves out: rows that name no run: of Airflow 1.10 to 2.1 those whose run is gone
-- input: task_instance_history by dag_id, task_id, run_id, map_index, try_number(dag_id text, task_id text, run_id text, map_index integer, try_number integer, state text, start_date instant, end_date instant, queued_dttm instant, pool text, pool_slots integer, operator text, custom_operator_name text, hostname text)
-- input: task_instance by dag_id, task_id, run_id, execution_date, map_index, try_number(id text, dag_id text, task_id text, run_id text, execution_date instant, map_index integer, state text, try_number integer, max_tries integer, start_date instant, end_date instant, duration float, queued_dttm instant, scheduled_dttm instant, pool text, pool_slots integer, queue text, operator text, custom_operator_name text, hostname text, priority_weight integer, dag_version_id text, next_method text, job_id integer, last_heartbeat_at instant)
-- input: task_fail by dag_id, task_id, start_date, end_date(dag_id text, task_id text, run_id text, execution_date instant, map_index integer, start_date instant, end_date instant)
WITH failed AS (
  SELECT DISTINCT
    f.environment,
    f.dag_id,
    f.task_id,
    coalesce(f.run_id, r.run_id) AS run_id,
    coalesce(f.map_index, -1) AS map_index,
    f.start_date,
    f.end_date,
    f.snapshot
  FROM raw_task_fail AS f
  LEFT JOIN run_dates AS r
    ON r.environment = f.environment
    AND r.dag_id = f.dag_id
    AND r.execution_date = f.execution_date
  WHERE f.start_date IS NOT NULL
),
forgotten AS (
  SELECT f.*
  FROM failed AS f
  LEFT JOIN (
    SELECT
      environment,
      dag_id,
      task_id,
      run_id,
      coalesce(map_index, -1) AS map_index,
      start_date
    FROM raw_task_instance_history
    WHERE start_date IS NOT NULL
    UNION ALL
    SELECT
      t.environment,
      t.dag_id,
      t.task_id,
      coalesce(t.run_id, r.run_id) AS run_id,
      coalesce(t.map_index, -1) AS map_index,
      t.start_date
    FROM raw_task_instance AS t
    LEFT JOIN run_dates AS r
      ON r.environment = t.environment
      AND r.dag_id = t.dag_id
      AND r.execution_date = t.execution_date
    WHERE t.start_date IS NOT NULL
  ) AS k
    ON k.environment = f.environment
    AND k.dag_id = f.dag_id
    AND k.task_id = f.task_id
    AND k.run_id = f.run_id
    AND k.map_index = f.map_index
    AND k.start_date = f.start_date
  WHERE k.environment IS NULL AND f.run_id IS NOT NULL
)
SELECT
  t.environment,
  'task_instance' AS source,
  t.snapshot,
  t.dag_id,
  t.task_id,
  coalesce(t.run_id, r.run_id) AS run_id,
  coalesce(t.map_index, -1) AS map_index,
  t.state,
  t.try_number,
  t.max_tries,
  t.start_date AS started_at,
  t.end_date AS ended_at,
  CASE WHEN t.end_date IS NULL AND t.duration >= 0 THEN t.duration END AS noted_s,
  t.queued_dttm AS queued_at,
  t.scheduled_dttm AS scheduled_at,
  coalesce(t.pool, 'default_pool') AS pool,
  coalesce(t.pool_slots, 1) AS pool_slots,
  t.queue,
  coalesce(t.custom_operator_name, t.operator) AS operator,
  t.hostname,
  t.priority_weight,
  t.dag_version_id,
  t.next_method IS NOT NULL AS was_deferred,
  t.job_id,
  t.last_heartbeat_at,
  coalesce(d.is_newest, TRUE) AS is_newest,
  t.start_date IS NOT NULL
  AND coalesce(t.state <> 'up_for_reschedule', TRUE)
  AND coalesce(d.is_try, TRUE) AS is_try
FROM raw_task_instance AS t
LEFT JOIN run_dates AS r
  ON r.environment = t.environment
  AND r.dag_id = t.dag_id
  AND r.execution_date = t.execution_date
LEFT JOIN (SELECT * FROM task_doubles WHERE source = 'task_instance') AS d
  ON d.environment = t.environment
  AND d.snapshot = t.snapshot
  AND d.dag_id = t.dag_id
  AND d.task_id = t.task_id
  AND d.run_id = coalesce(t.run_id, r.run_id)
  AND d.map_index = coalesce(t.map_index, -1)
  AND d.try_number IS NOT DISTINCT FROM t.try_number
WHERE coalesce(t.run_id, r.run_id) IS NOT NULL
UNION ALL
SELECT
  h.environment,
  'task_instance_history' AS source,
  h.snapshot,
  h.dag_id,
  h.task_id,
  h.run_id,
  coalesce(h.map_index, -1) AS map_index,
  h.state,
  h.try_number,
  CAST(NULL AS BIGINT) AS max_tries,
  h.start_date AS started_at,
  h.end_date AS ended_at,
  CAST(NULL AS DOUBLE) AS noted_s,
  h.queued_dttm AS queued_at,
  CAST(NULL AS TIMESTAMP) AS scheduled_at,
  coalesce(h.pool, 'default_pool') AS pool,
  coalesce(h.pool_slots, 1) AS pool_slots,
  CAST(NULL AS VARCHAR) AS queue,
  coalesce(h.custom_operator_name, h.operator) AS operator,
  h.hostname,
  CAST(NULL AS BIGINT) AS priority_weight,
  CAST(NULL AS VARCHAR) AS dag_version_id,
  FALSE AS was_deferred,
  CAST(NULL AS BIGINT) AS job_id,
  CAST(NULL AS TIMESTAMP) AS last_heartbeat_at,
  FALSE AS is_newest,
  coalesce(d.is_try, TRUE) AS is_try
FROM raw_task_instance_history AS h
LEFT JOIN (SELECT * FROM task_doubles WHERE source = 'task_instance_history') AS d
  ON d.environment = h.environment
  AND d.snapshot = h.snapshot
  AND d.dag_id = h.dag_id
  AND d.task_id = h.task_id
  AND d.run_id = h.run_id
  AND d.map_index = coalesce(h.map_index, -1)
  AND d.try_number IS NOT DISTINCT FROM h.try_number
WHERE h.run_id IS NOT NULL AND h.start_date IS NOT NULL
UNION ALL
SELECT
  environment,
  'task_fail' AS source,
  snapshot,
  dag_id,
  task_id,
  run_id,
  map_index,
  'failed' AS state,
  CAST(NULL AS BIGINT) AS try_number,
  CAST(NULL AS BIGINT) AS max_tries,
  start_date AS started_at,
  end_date AS ended_at,
  CAST(NULL AS DOUBLE) AS noted_s,
  CAST(NULL AS TIMESTAMP) AS queued_at,
  CAST(NULL AS TIMESTAMP) AS scheduled_at,
  CAST(NULL AS VARCHAR) AS pool,
  1 AS pool_slots,
  CAST(NULL AS VARCHAR) AS queue,
  CAST(NULL AS VARCHAR) AS operator,
  CAST(NULL AS VARCHAR) AS hostname,
  CAST(NULL AS BIGINT) AS priority_weight,
  CAST(NULL AS VARCHAR) AS dag_version_id,
  FALSE AS was_deferred,
  CAST(NULL AS BIGINT) AS job_id,
  CAST(NULL AS TIMESTAMP) AS last_heartbeat_at,
  FALSE AS is_newest,
  TRUE AS is_try
FROM forgotten
