-- Which pools are full, when, and which are larger than what they are used for?
-- grain: one pool on one day (UTC) on which a try held a slot of it
-- key: environment, pool, day
-- units: slots as last seen, NULL without a limit or for a pool that is gone; peak_slots slots; slot_h slots times hours; utilisation share of the day's slots from 0 to 1, above 1 where the pool has shrunk; saturated_s seconds with no slot free
-- leaves out: tries without an end, and those of which only task_fail remembers, whose pool is not known
WITH moved AS (
  SELECT
    environment,
    pool,
    date_trunc('hour', began_at) AS hour_at,
    began_at AS moved_at,
    pool_slots AS slots
  FROM slot_use
  WHERE pool IS NOT NULL
  UNION ALL
  SELECT
    environment,
    pool,
    date_trunc('hour', began_at) AS hour_at,
    ended_at AS moved_at,
    -pool_slots AS slots
  FROM slot_use
  WHERE pool IS NOT NULL
),
counted AS (
  SELECT
    environment,
    pool,
    hour_at,
    sum(slots) OVER so_far AS held,
    (CAST(epoch_us(lead(moved_at) OVER so_far) AS DOUBLE) - CAST(epoch_us(moved_at) AS DOUBLE))
      / 1000000.0 AS held_s
  FROM moved
  WINDOW so_far AS (PARTITION BY environment, pool, hour_at ORDER BY moved_at)
),
days AS (
  SELECT
    c.environment,
    c.pool,
    CAST(c.hour_at AS DATE) AS day,
    max(c.held) AS peak_slots,
    sum(c.held * c.held_s) / 3600.0 AS slot_h,
    sum(CASE WHEN c.held > 0 AND c.held >= p.slots THEN c.held_s ELSE 0 END) AS saturated_s
  FROM counted AS c
  LEFT JOIN pools AS p ON p.environment = c.environment AND p.pool = c.pool
  GROUP BY c.environment, c.pool, CAST(c.hour_at AS DATE)
)
SELECT
  d.environment,
  d.pool,
  d.day,
  p.slots,
  d.peak_slots,
  d.slot_h,
  CASE WHEN p.slots > 0 THEN d.slot_h / (p.slots * 24.0) END AS utilisation,
  CASE WHEN p.slots IS NOT NULL THEN d.saturated_s END AS saturated_s
FROM days AS d
LEFT JOIN pools AS p ON p.environment = d.environment AND p.pool = d.pool
