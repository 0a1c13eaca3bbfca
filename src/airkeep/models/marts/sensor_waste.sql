-- How many slot hours go into waiting for something?
-- grain: one task that is a sensor by its operator's name, or that was ever rescheduled
-- key: environment, dag_id, task_id
-- units: tries, reschedules counts; slot_h slots times hours in which it held them; share of the environment's slot hours from 0 to 1
-- leaves out: tries without an end; waits between pokes, which hold no slot; how long a sensor was deferred is not recorded and counts as held
SELECT
  u.environment,
  u.dag_id,
  u.task_id,
  u.operator,
  u.tries,
  coalesce(r.reschedules, 0) AS reschedules,
  u.slot_s / 3600.0 AS slot_h,
  CASE WHEN u.all_slot_s > 0 THEN u.slot_s / u.all_slot_s END AS share
FROM (
  SELECT
    environment,
    dag_id,
    task_id,
    max(operator) AS operator,
    sum(tries) AS tries,
    sum(held_s * pool_slots) AS slot_s,
    sum(sum(held_s * pool_slots)) OVER (PARTITION BY environment) AS all_slot_s
  FROM slot_use
  GROUP BY environment, dag_id, task_id
) AS u
LEFT JOIN (
  SELECT environment, dag_id, task_id, count(*) AS reschedules
  FROM reschedules
  GROUP BY environment, dag_id, task_id
) AS r
  ON r.environment = u.environment AND r.dag_id = u.dag_id AND r.task_id = u.task_id
WHERE lower(u.operator) LIKE '%sensor%' OR r.reschedules > 0
