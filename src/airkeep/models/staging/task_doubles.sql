-- States of task instances that others stand for: an older word on a task instance, or on a try.
-- grain: one state of a task instance, or one row of its history, that counts for less than another
-- key: environment, source, snapshot, dag_id, task_id, run_id, map_index, try_number
-- units: is_newest whether no other state of its task instance is newer, not so of history; is_try whether it is what is believed of its try: history before the task instance, the newest snapshot before older ones
-- leaves out: states that count for all that they say: nearly all of them
-- input: task_instance_history by dag_id, task_id, run_id, map_index, try_number(dag_id text, task_id text, run_id text, map_index integer, try_number integer, start_date instant)
-- input: task_instance by dag_id, task_id, run_id, execution_date, map_index, try_number(id text, dag_id text, task_id text, run_id text, execution_date instant, map_index integer, state text, try_number integer, start_date instant)
-- Most rows are of one snapshot, and within one none is told of twice.
WITH bulks AS (
  SELECT environment, max(snapshot) AS snapshot
  FROM snapshots
  WHERE mode = 'full'
  GROUP BY environment
),
beside AS (
  SELECT
    t.environment,
    t.dag_id,
    t.task_id,
    coalesce(t.run_id, r.run_id) AS run_id
  FROM raw_task_instance AS t
  LEFT JOIN bulks AS b
    ON b.environment = t.environment AND b.snapshot = t.snapshot
  LEFT JOIN run_dates AS r
    ON r.environment = t.environment
    AND r.dag_id = t.dag_id
    AND r.execution_date = t.execution_date
  WHERE b.environment IS NULL
  UNION
  SELECT environment, dag_id, task_id, run_id FROM raw_task_instance_history
),
told AS (
  SELECT
    t.environment,
    'task_instance' AS source,
    t.snapshot,
    t.id,
    t.dag_id,
    t.task_id,
    b.run_id,
    coalesce(t.map_index, -1) AS map_index,
    t.try_number,
    CASE
      WHEN t.start_date IS NOT NULL AND coalesce(t.state <> 'up_for_reschedule', TRUE)
        THEN concat('1', t.snapshot)
    END AS believed
  FROM raw_task_instance AS t
  LEFT JOIN run_dates AS r
    ON r.environment = t.environment
    AND r.dag_id = t.dag_id
    AND r.execution_date = t.execution_date
  INNER JOIN beside AS b
    ON b.environment = t.environment
    AND b.dag_id = t.dag_id
    AND b.task_id = t.task_id
    AND b.run_id = coalesce(t.run_id, r.run_id)
  UNION ALL
  SELECT
    environment,
    'task_instance_history' AS source,
    snapshot,
    CAST(NULL AS VARCHAR) AS id,
    dag_id,
    task_id,
    run_id,
    coalesce(map_index, -1) AS map_index,
    try_number,
    CASE WHEN start_date IS NOT NULL THEN concat('2', snapshot) END AS believed
  FROM raw_task_instance_history
),
-- Few are told of twice: to find these costs a tenth of ranking all.
ids AS (
  SELECT environment, id, max(snapshot) AS snapshot
  FROM told
  WHERE id IS NOT NULL
  GROUP BY environment, id
  HAVING count(*) > 1
),
alive AS (
  SELECT t.*, i.snapshot IS NULL OR i.snapshot = t.snapshot AS is_last_of_id
  FROM told AS t
  LEFT JOIN ids AS i
    ON i.environment = t.environment AND i.id = t.id
),
instances AS (
  SELECT
    environment,
    dag_id,
    task_id,
    run_id,
    map_index,
    max(CASE WHEN is_last_of_id THEN snapshot END) AS snapshot
  FROM alive
  WHERE source = 'task_instance'
  GROUP BY environment, dag_id, task_id, run_id, map_index
  HAVING count(*) > 1
),
tries AS (
  SELECT
    environment, dag_id, task_id, run_id, map_index, try_number, max(believed) AS believed
  FROM told
  WHERE believed IS NOT NULL
  GROUP BY environment, dag_id, task_id, run_id, map_index, try_number
  HAVING count(*) > 1
)
SELECT DISTINCT
  environment,
  source,
  snapshot,
  dag_id,
  task_id,
  run_id,
  map_index,
  try_number,
  is_newest,
  is_try
FROM (
  SELECT
    a.*,
    a.source = 'task_instance'
    AND a.is_last_of_id
    AND (n.environment IS NULL OR n.snapshot = a.snapshot) AS is_newest,
    a.believed IS NULL OR t.believed IS NULL OR t.believed = a.believed AS is_try
  FROM alive AS a
  LEFT JOIN instances AS n
    ON n.environment = a.environment
    AND n.dag_id = a.dag_id
    AND n.task_id = a.task_id
    AND n.run_id = a.run_id
    AND n.map_index = a.map_index
  LEFT JOIN tries AS t
    ON t.environment = a.environment
    AND t.dag_id = a.dag_id
    AND t.task_id = a.task_id
    AND t.run_id = a.run_id
    AND t.map_index = a.map_index
    AND t.try_number IS NOT DISTINCT FROM a.try_number
) AS judged
WHERE NOT is_try OR (NOT is_newest AND source = 'task_instance')
