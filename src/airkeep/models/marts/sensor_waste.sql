-- How many slot hours go into waiting for something?
-- grain: one task that is a sensor by its operator's name, or that was ever rescheduled
-- key: environment, dag_id, task_id
-- units: tries, reschedules counts; slot_h slots times hours in which it held them; share of the environment's slot hours from 0 to 1
-- leaves out: tries without an end; waits between pokes, which hold no slot; how long a sensor was deferred is not recorded and counts as held
SELECT
  environment,
  dag_id,
  task_id,
  operator,
  tries,
  reschedules,
  slot_s / 3600.0 AS slot_h,
  CASE WHEN all_slot_s > 0 THEN slot_s / all_slot_s END AS share
FROM (
  SELECT
    environment,
    dag_id,
    task_id,
    max(operator) AS operator,
    sum(tries) AS tries,
    sum(reschedules) AS reschedules,
    sum(held_s * pool_slots) AS slot_s,
    sum(sum(held_s * pool_slots)) OVER (PARTITION BY environment) AS all_slot_s
  FROM slot_use
  GROUP BY environment, dag_id, task_id
) AS tasks_of
WHERE lower(operator) LIKE '%sensor%' OR reschedules > 0
