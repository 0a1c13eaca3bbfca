-- Tries of task instances, each once: those that Airflow keeps, and those that it forgot since a snapshot.
-- grain: one try that began
-- key: environment, dag_id, task_id, run_id, map_index, started_at, try_number
-- units: times UTC; duration_s, queued_s seconds
-- leaves out: tries that never began; of a failure that only task_fail remembers the number and the pool are not known
-- input: task_instance_history(dag_id text, task_id text, run_id text, map_index integer, try_number integer, state text, start_date instant, end_date instant, queued_dttm instant, pool text, pool_slots integer, operator text, custom_operator_name text, hostname text)
-- input: task_instance per try_number(dag_id text, task_id text, run_id text, execution_date instant, map_index integer, try_number integer, state text, start_date instant, end_date instant, queued_dttm instant, pool text, pool_slots integer, operator text, custom_operator_name text, hostname text)
-- input: task_fail(dag_id text, task_id text, run_id text, execution_date instant, map_index integer, start_date instant, end_date instant)
WITH numbered AS (
  SELECT
    environment,
    dag_id,
    task_id,
    run_id,
    coalesce(map_index, -1) AS map_index,
    try_number,
    state,
    start_date,
    end_date,
    queued_dttm,
    coalesce(pool, 'default_pool') AS pool,
    coalesce(pool_slots, 1) AS pool_slots,
    coalesce(custom_operator_name, operator) AS operator,
    hostname,
    'task_instance_history' AS source,
    concat('2', snapshot) AS believed,
    snapshot
  FROM raw_task_instance_history
  UNION ALL
  SELECT
    t.environment,
    t.dag_id,
    t.task_id,
    coalesce(t.run_id, r.run_id) AS run_id,
    coalesce(t.map_index, -1) AS map_index,
    t.try_number,
    t.state,
    t.start_date,
    t.end_date,
    t.queued_dttm,
    coalesce(t.pool, 'default_pool') AS pool,
    coalesce(t.pool_slots, 1) AS pool_slots,
    coalesce(t.custom_operator_name, t.operator) AS operator,
    t.hostname,
    'task_instance' AS source,
    concat('1', t.snapshot) AS believed,
    t.snapshot
  FROM raw_task_instance_per_try_number AS t
  LEFT JOIN run_dates AS r
    ON r.environment = t.environment
    AND r.dag_id = t.dag_id
    AND r.execution_date = t.execution_date
),
-- Few tries are told of twice: to find these costs a tenth of ranking all.
twice AS (
  SELECT
    environment, dag_id, task_id, run_id, map_index, try_number, max(believed) AS believed
  FROM (
    SELECT
      environment,
      dag_id,
      task_id,
      run_id,
      coalesce(map_index, -1) AS map_index,
      try_number,
      concat('2', snapshot) AS believed
    FROM raw_task_instance_history
    WHERE start_date IS NOT NULL
    UNION ALL
    SELECT
      t.environment,
      t.dag_id,
      t.task_id,
      coalesce(t.run_id, r.run_id) AS run_id,
      coalesce(t.map_index, -1) AS map_index,
      t.try_number,
      concat('1', t.snapshot) AS believed
    FROM raw_task_instance_per_try_number AS t
    LEFT JOIN run_dates AS r
      ON r.environment = t.environment
      AND r.dag_id = t.dag_id
      AND r.execution_date = t.execution_date
    WHERE t.start_date IS NOT NULL
  ) AS told
  GROUP BY environment, dag_id, task_id, run_id, map_index, try_number
  HAVING count(*) > 1
),
known AS (
  SELECT n.*
  FROM numbered AS n
  LEFT JOIN twice AS t
    ON t.environment = n.environment
    AND t.dag_id = n.dag_id
    AND t.task_id = n.task_id
    AND t.run_id = n.run_id
    AND t.map_index = n.map_index
    AND t.try_number IS NOT DISTINCT FROM n.try_number
  WHERE n.start_date IS NOT NULL
    AND n.run_id IS NOT NULL
    AND (t.believed IS NULL OR t.believed = n.believed)
),
failed AS (
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
    FROM raw_task_instance_per_try_number AS t
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
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  try_number,
  state,
  start_date AS started_at,
  end_date AS ended_at,
  CASE WHEN end_date >= start_date THEN
    (CAST(epoch_us(end_date) AS DOUBLE) - CAST(epoch_us(start_date) AS DOUBLE)) / 1000000.0
  END AS duration_s,
  CASE WHEN start_date >= queued_dttm THEN
    (CAST(epoch_us(start_date) AS DOUBLE) - CAST(epoch_us(queued_dttm) AS DOUBLE)) / 1000000.0
  END AS queued_s,
  pool,
  pool_slots,
  operator,
  hostname,
  source,
  snapshot
FROM known
UNION ALL
SELECT
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  CAST(NULL AS BIGINT) AS try_number,
  'failed' AS state,
  start_date AS started_at,
  end_date AS ended_at,
  CASE WHEN end_date >= start_date THEN
    (CAST(epoch_us(end_date) AS DOUBLE) - CAST(epoch_us(start_date) AS DOUBLE)) / 1000000.0
  END AS duration_s,
  CAST(NULL AS DOUBLE) AS queued_s,
  CAST(NULL AS VARCHAR) AS pool,
  1 AS pool_slots,
  CAST(NULL AS VARCHAR) AS operator,
  CAST(NULL AS VARCHAR) AS hostname,
  'task_fail' AS source,
  snapshot
FROM forgotten
