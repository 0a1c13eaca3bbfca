-- When tries held their pool slots, cut at full hours: what every question of capacity counts.
-- grain: one stretch of a try within one hour
-- key: environment, dag_id, task_id, run_id, map_index, try_number, began_at, rescheduled
-- units: times UTC; held_s seconds; tries is 1 on the first stretch of a try, or of its last poke, else 0; rescheduled says that it is of an earlier poke
-- leaves out: what has no end or took no time; waits between the pokes of a rescheduled sensor, which hold no slot; what a single poke holds beyond 1,000 hours. How long a task was deferred is not recorded: that time counts
WITH last_pokes AS (
  SELECT environment, dag_id, task_id, run_id, map_index, try_number, max(next_poke_at) AS next_at
  FROM reschedules
  GROUP BY environment, dag_id, task_id, run_id, map_index, try_number
),
held AS (
  SELECT
    a.environment,
    a.dag_id,
    a.task_id,
    a.run_id,
    a.map_index,
    a.try_number,
    a.operator,
    a.pool,
    a.pool_slots,
    CASE WHEN l.next_at > a.started_at THEN l.next_at ELSE a.started_at END AS began_at,
    a.ended_at,
    1 AS tries,
    FALSE AS rescheduled
  FROM attempts AS a
  LEFT JOIN last_pokes AS l
    ON l.environment = a.environment
    AND l.dag_id = a.dag_id
    AND l.task_id = a.task_id
    AND l.run_id = a.run_id
    AND l.map_index = a.map_index
    AND l.try_number = a.try_number
    AND l.next_at < a.ended_at
  WHERE a.state IS NULL OR a.state <> 'up_for_reschedule'
  UNION ALL
  SELECT
    r.environment,
    r.dag_id,
    r.task_id,
    r.run_id,
    r.map_index,
    r.try_number,
    t.operator,
    t.pool,
    coalesce(t.pool_slots, 1) AS pool_slots,
    r.started_at AS began_at,
    r.ended_at,
    0 AS tries,
    TRUE AS rescheduled
  FROM reschedules AS r
  LEFT JOIN tasks AS t
    ON t.environment = r.environment
    AND t.dag_id = r.dag_id
    AND t.task_id = r.task_id
    AND t.run_id = r.run_id
    AND t.map_index = r.map_index
),
spanning AS (
  SELECT
    *,
    date_trunc('hour', began_at) AS hour_at,
    CAST(
      floor((CAST(epoch_us(ended_at) AS DOUBLE) - 1) / 3600000000.0)
      - floor(CAST(epoch_us(began_at) AS DOUBLE) / 3600000000.0)
      AS BIGINT
    ) AS span
  FROM held
  WHERE ended_at > began_at
),
digits AS (
  SELECT n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS d (n)
),
hours AS (
  SELECT a.n + 10 * b.n + 100 * c.n AS n
  FROM digits AS a CROSS JOIN digits AS b CROSS JOIN digits AS c
),
cuts AS (
  SELECT CAST(s.n AS BIGINT) AS span, h.n FROM hours AS s JOIN hours AS h ON h.n <= s.n
),
cut AS (
  SELECT
    s.environment,
    s.dag_id,
    s.task_id,
    s.run_id,
    s.map_index,
    s.try_number,
    s.operator,
    s.pool,
    s.pool_slots,
    CASE WHEN c.n = 0 THEN s.began_at ELSE s.hour_at + c.n * INTERVAL '1' HOUR END AS began_at,
    CASE WHEN c.n = s.span THEN s.ended_at ELSE s.hour_at + (c.n + 1) * INTERVAL '1' HOUR END
      AS ended_at,
    CASE WHEN c.n = 0 THEN s.tries ELSE 0 END AS tries,
    s.rescheduled
  FROM spanning AS s
  JOIN cuts AS c ON c.span = CASE WHEN s.span > 999 THEN 999 ELSE s.span END
)
SELECT
  environment,
  dag_id,
  task_id,
  run_id,
  map_index,
  try_number,
  operator,
  pool,
  pool_slots,
  began_at,
  ended_at,
  (CAST(epoch_us(ended_at) AS DOUBLE) - CAST(epoch_us(began_at) AS DOUBLE)) / 1000000.0 AS held_s,
  tries,
  rescheduled
FROM cut
