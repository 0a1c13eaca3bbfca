-- Of the time that a task held its slots, how much was done again, lost or waited?
-- grain: one task on one day (UTC) on which a try of it held a slot
-- key: environment, dag_id, task_id, day
-- units: seconds times pool slots; slot_s in all, and of it, each counted once: again_s in tries that were not the last of their task instance, failed_s in last ones that failed, waited_s in others of sensors and in earlier pokes
-- leaves out: tries without an end; waits between pokes, which hold no slot. A failure that only task_fail remembers counts as done again where its task instance is known to have had a second try, and with one slot
SELECT
  u.environment,
  u.dag_id,
  u.task_id,
  CAST(u.began_at AS DATE) AS day,
  sum(u.slot_s) AS slot_s,
  sum(CASE WHEN u.fate = 'again' THEN u.slot_s ELSE CAST(0 AS DOUBLE) END) AS again_s,
  sum(CASE WHEN u.fate = 'failed' THEN u.slot_s ELSE CAST(0 AS DOUBLE) END) AS failed_s,
  sum(CASE WHEN u.fate = 'waited' THEN u.slot_s ELSE CAST(0 AS DOUBLE) END) AS waited_s
FROM (
  SELECT
    s.environment,
    s.dag_id,
    s.task_id,
    s.began_at,
    s.held_s * coalesce(s.pool_slots, 1) AS slot_s,
    CASE
      WHEN coalesce(s.try_number, 0) < l.last_try THEN 'again'
      WHEN s.state IN ('failed', 'up_for_retry') THEN 'failed'
      WHEN lower(s.operator) LIKE '%sensor%' OR s.rescheduled THEN 'waited'
      ELSE 'worked'
    END AS fate
  FROM slot_use AS s
  LEFT JOIN (
    SELECT environment, dag_id, task_id, run_id, map_index, max(try_number) AS last_try
    FROM slot_use
    GROUP BY environment, dag_id, task_id, run_id, map_index
    HAVING max(try_number) > 1
  ) AS l
    ON l.environment = s.environment
    AND l.dag_id = s.dag_id
    AND l.task_id = s.task_id
    AND l.run_id = s.run_id
    AND l.map_index = s.map_index
) AS u
GROUP BY u.environment, u.dag_id, u.task_id, CAST(u.began_at AS DATE)
