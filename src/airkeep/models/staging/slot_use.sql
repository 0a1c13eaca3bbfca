-- When tries held their pool slots, cut at full hours: what every question of capacity counts.
-- grain: one stretch of a try within one hour
-- key: environment, dag_id, task_id, run_id, map_index, try_number, began_at, rescheduled
-- units: times UTC; held_s seconds; tries is 1 on the first stretch of a try, or of its last poke, else 0; rescheduled says that it is of an earlier poke; state of the try, NULL of a poke whose try is not known
-- leaves out: what has no end or took no time; waits between the pokes of a rescheduled sensor, which hold no slot; what a single poke holds beyond 1,000 hours. How long a task was deferred is not recorded: that time counts
WITH last_pokes AS (
  SELECT
    environment,
    dag_id,
    task_id,
    run_id,
    map_index,
    try_number,
    min(started_at) AS first_at,
    max(next_poke_at) AS next_at
  FROM reschedules
  GROUP BY environment, dag_id, task_id, run_id, map_index, try_number
),
-- What only task_fail remembers has no number: its pokes are those between its start and its end.
told AS (
  SELECT
    l.environment,
    l.dag_id,
    l.task_id,
    l.run_id,
    l.map_index,
    l.try_number,
    max(l.next_at) AS next_at,
    max(
      CASE
        WHEN t.is_try AND t.try_number IS NULL AND l.first_at >= t.started_at
          AND l.first_at < t.ended_at
          THEN t.started_at
      END
    ) AS forgotten_at,
    max(CASE WHEN t.is_newest THEN t.operator END) AS operator,
    max(CASE WHEN t.is_newest THEN t.pool END) AS pool,
    max(CASE WHEN t.is_newest THEN t.pool_slots END) AS pool_slots,
    max(CASE WHEN t.is_try AND t.try_number = l.try_number THEN t.state END) AS state,
    max(CASE WHEN t.is_try AND t.try_number = l.try_number THEN t.ended_at END) AS ended_at
  FROM last_pokes AS l
  INNER JOIN task_states AS t
    ON t.environment = l.environment
    AND t.dag_id = l.dag_id
    AND t.task_id = l.task_id
    AND t.run_id = l.run_id
    AND t.map_index = l.map_index
  GROUP BY l.environment, l.dag_id, l.task_id, l.run_id, l.map_index, l.try_number
),
poked AS (
  SELECT
    environment,
    dag_id,
    task_id,
    run_id,
    map_index,
    try_number,
    CASE WHEN forgotten_at IS NULL THEN try_number END AS number,
    forgotten_at,
    next_at,
    operator,
    pool,
    pool_slots,
    CASE WHEN forgotten_at IS NULL THEN state ELSE 'failed' END AS state,
    ended_at
  FROM told
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
    a.state,
    CASE WHEN l.next_at > a.started_at THEN l.next_at ELSE a.started_at END AS began_at,
    a.ended_at,
    1 AS tries,
    FALSE AS rescheduled
  FROM attempts AS a
  LEFT JOIN poked AS l
    ON l.environment = a.environment
    AND l.dag_id = a.dag_id
    AND l.task_id = a.task_id
    AND l.run_id = a.run_id
    AND l.map_index = a.map_index
    AND l.number IS NOT DISTINCT FROM a.try_number
    AND l.forgotten_at IS NOT DISTINCT FROM CASE WHEN a.try_number IS NULL THEN a.started_at END
  UNION ALL
  SELECT
    r.environment,
    r.dag_id,
    r.task_id,
    r.run_id,
    r.map_index,
    r.try_number,
    p.operator,
    p.pool,
    coalesce(p.pool_slots, 1) AS pool_slots,
    p.state,
    r.started_at AS began_at,
    r.ended_at,
    -- A try that ended while it waited holds nothing after its last poke.
    CASE WHEN r.next_poke_at = p.next_at AND p.next_at >= p.ended_at THEN 1 ELSE 0 END AS tries,
    TRUE AS rescheduled
  FROM reschedules AS r
  LEFT JOIN poked AS p
    ON p.environment = r.environment
    AND p.dag_id = r.dag_id
    AND p.task_id = r.task_id
    AND p.run_id = r.run_id
    AND p.map_index = r.map_index
    AND p.try_number IS NOT DISTINCT FROM r.try_number
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
    s.state,
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
  state,
  began_at,
  ended_at,
  (CAST(epoch_us(ended_at) AS DOUBLE) - CAST(epoch_us(began_at) AS DOUBLE)) / 1000000.0 AS held_s,
  tries,
  rescheduled
FROM cut
