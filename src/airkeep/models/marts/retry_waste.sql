-- How many slot hours go into tries that were not the last, and into tries that failed?
-- grain: one DAG of which a try ended or held a slot
-- key: environment, dag_id
-- units: all_slot_h, failed_slot_h hours in which tries held their slots times slots; waste share from 0 to 1; retries a count of tries beyond the first of their task instance, after a clear too
-- leaves out: tries without an end; waits between the pokes of a rescheduled sensor, which hold no slot. Tries that only task_fail remembers have no number: the first of a task instance is taken for its first try where no snapshot has that one
WITH forgotten AS (
  SELECT environment, dag_id, task_id, run_id, map_index, count(*) AS tries
  FROM attempts
  WHERE try_number IS NULL AND duration_s IS NOT NULL
  GROUP BY environment, dag_id, task_id, run_id, map_index
),
begun AS (
  SELECT DISTINCT f.environment, f.dag_id, f.task_id, f.run_id, f.map_index
  FROM forgotten AS f
  INNER JOIN attempts AS a
    ON a.environment = f.environment
    AND a.dag_id = f.dag_id
    AND a.task_id = f.task_id
    AND a.run_id = f.run_id
    AND a.map_index = f.map_index
  WHERE a.try_number <= 1
),
parts AS (
  SELECT
    environment,
    dag_id,
    sum(CASE WHEN try_number > 1 THEN 1 ELSE 0 END) AS retries,
    CAST(0 AS DOUBLE) AS slot_s,
    CAST(0 AS DOUBLE) AS failed_slot_s
  FROM attempts
  WHERE duration_s IS NOT NULL
  GROUP BY environment, dag_id
  UNION ALL
  SELECT
    f.environment,
    f.dag_id,
    sum(CASE WHEN b.environment IS NULL THEN f.tries - 1 ELSE f.tries END) AS retries,
    CAST(0 AS DOUBLE) AS slot_s,
    CAST(0 AS DOUBLE) AS failed_slot_s
  FROM forgotten AS f
  LEFT JOIN begun AS b
    ON b.environment = f.environment
    AND b.dag_id = f.dag_id
    AND b.task_id = f.task_id
    AND b.run_id = f.run_id
    AND b.map_index = f.map_index
  GROUP BY f.environment, f.dag_id
  UNION ALL
  SELECT
    environment,
    dag_id,
    0 AS retries,
    sum(held_s * pool_slots) AS slot_s,
    sum(CASE WHEN state IN ('failed', 'up_for_retry') THEN held_s * pool_slots ELSE 0 END)
      AS failed_slot_s
  FROM slot_use
  GROUP BY environment, dag_id
)
SELECT
  environment,
  dag_id,
  sum(retries) AS retries,
  sum(slot_s) / 3600.0 AS all_slot_h,
  sum(failed_slot_s) / 3600.0 AS failed_slot_h,
  CASE WHEN sum(slot_s) > 0 THEN sum(failed_slot_s) / sum(slot_s) END AS waste
FROM parts
GROUP BY environment, dag_id
