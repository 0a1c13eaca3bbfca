-- Pokes of sensors that gave their slot back and asked to be called again.
-- grain: one poke that ended in a reschedule
-- key: environment, id, next_poke_at
-- units: times UTC; started_at is the time that the poke before asked for where Airflow 3 recorded the end for the start, and NULL for the first
-- leaves out: the last poke of a try, which is the try's end; pokes of task instances that no snapshot has
-- input: task_reschedule by id, reschedule_date(id integer, ti_id text, dag_id text, task_id text, run_id text, execution_date instant, map_index integer, try_number integer, start_date instant, end_date instant, reschedule_date instant)
-- input: task_instance by dag_id, task_id, run_id, execution_date, map_index, try_number(id text, dag_id text, task_id text, run_id text, execution_date instant, map_index integer, try_number integer)
-- input: task_instance_history by dag_id, task_id, run_id, map_index, try_number(task_instance_id text, dag_id text, task_id text, run_id text, map_index integer, try_number integer)
WITH instances AS (
  SELECT environment, ti_id, dag_id, task_id, run_id, map_index, try_number
  FROM (
    SELECT
      *,
      row_number() OVER (PARTITION BY environment, ti_id ORDER BY try_number DESC) AS newest
    FROM (
      SELECT t.environment, t.id AS ti_id, t.dag_id, t.task_id, t.run_id, t.map_index, t.try_number
      FROM raw_task_instance AS t
      JOIN (SELECT DISTINCT environment, ti_id FROM raw_task_reschedule WHERE ti_id IS NOT NULL) AS p
        ON p.environment = t.environment AND p.ti_id = t.id
      UNION ALL
      SELECT
        h.environment, h.task_instance_id, h.dag_id, h.task_id, h.run_id, h.map_index, h.try_number
      FROM raw_task_instance_history AS h
      JOIN (SELECT DISTINCT environment, ti_id FROM raw_task_reschedule WHERE ti_id IS NOT NULL) AS p
        ON p.environment = h.environment AND p.ti_id = h.task_instance_id
    ) AS known
  ) AS ranked
  WHERE newest = 1
),
named AS (
  SELECT
    p.environment,
    p.id,
    coalesce(p.dag_id, i.dag_id) AS dag_id,
    coalesce(p.task_id, i.task_id) AS task_id,
    coalesce(p.run_id, r.run_id, i.run_id) AS run_id,
    coalesce(p.map_index, i.map_index, -1) AS map_index,
    coalesce(p.try_number, i.try_number) AS try_number,
    p.start_date AS started_at,
    p.end_date AS ended_at,
    p.reschedule_date AS next_poke_at,
    p.snapshot
  FROM raw_task_reschedule AS p
  LEFT JOIN instances AS i ON i.environment = p.environment AND i.ti_id = p.ti_id
  LEFT JOIN run_dates AS r
    ON p.run_id IS NULL
    AND r.environment = p.environment
    AND r.dag_id = p.dag_id
    AND r.execution_date = p.execution_date
  WHERE coalesce(p.dag_id, i.dag_id) IS NOT NULL
    AND coalesce(p.run_id, r.run_id, i.run_id) IS NOT NULL
)
SELECT
  environment,
  id,
  dag_id,
  task_id,
  run_id,
  map_index,
  try_number,
  CASE
    WHEN ended_at > started_at THEN started_at
    WHEN ended_at > earlier_asked_at THEN earlier_asked_at
  END AS started_at,
  ended_at,
  next_poke_at,
  snapshot
FROM (
  SELECT
    *,
    lag(next_poke_at) OVER (
      PARTITION BY environment, dag_id, task_id, run_id, map_index, try_number ORDER BY id
    ) AS earlier_asked_at
  FROM named
) AS pokes_in_order
