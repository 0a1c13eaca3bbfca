-- Which pools are full, when, and which are larger than what they are used for?
-- grain: one pool on one day (UTC) on which a try held a slot of it
-- key: environment, pool, day
-- units: slots as last seen, also of a pool that is gone since, NULL without a limit or for a pool that no snapshot saw; peak_slots slots; slot_h slots times hours; utilisation share of the day's slots from 0 to 1, above 1 where the pool has shrunk; saturated_s seconds with no slot free
-- leaves out: tries without an end, and those of which only task_fail remembers, whose pool is not known
-- slot_use is cut at full hours, so each day's sums begin at nothing: many short sorts, and of
-- numbers, which cost half of what texts do.
WITH numbered AS (
  SELECT
    u.environment,
    u.pool,
    p.slots,
    row_number() OVER (ORDER BY u.environment, u.pool) AS number
  FROM (SELECT DISTINCT environment, pool FROM slot_use WHERE pool IS NOT NULL) AS u
  LEFT JOIN pools AS p ON p.environment = u.environment AND p.pool = u.pool
),
used AS (
  SELECT n.number, CAST(u.began_at AS DATE) AS day, u.began_at, u.ended_at, u.pool_slots
  FROM slot_use AS u
  INNER JOIN numbered AS n ON n.environment = u.environment AND n.pool = u.pool
),
moved AS (
  SELECT number, day, began_at AS moved_at, pool_slots AS slots FROM used
  UNION ALL
  SELECT number, day, ended_at AS moved_at, -pool_slots AS slots FROM used
),
counted AS (
  SELECT
    number,
    day,
    moved_at,
    lead(moved_at) OVER (PARTITION BY number, day ORDER BY moved_at, slots) AS next_at,
    sum(CAST(slots AS DOUBLE)) OVER (
      PARTITION BY number, day ORDER BY moved_at, slots
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS held
  FROM moved
),
lasting AS (
  SELECT
    number,
    day,
    held,
    (CAST(epoch_us(next_at) AS DOUBLE) - CAST(epoch_us(moved_at) AS DOUBLE)) / 1000000.0 AS held_s
  FROM counted
  WHERE held > 0 AND next_at > moved_at
),
days AS (
  SELECT
    l.number,
    l.day,
    CAST(max(l.held) AS BIGINT) AS peak_slots,
    sum(l.held * l.held_s) / 3600.0 AS slot_h,
    sum(CASE WHEN l.held >= n.slots THEN l.held_s ELSE 0 END) AS saturated_s
  FROM lasting AS l
  INNER JOIN numbered AS n ON n.number = l.number
  GROUP BY l.number, l.day
)
SELECT
  n.environment,
  n.pool,
  d.day,
  n.slots,
  d.peak_slots,
  d.slot_h,
  CASE WHEN n.slots > 0 THEN d.slot_h / (n.slots * 24.0) END AS utilisation,
  CASE WHEN n.slots IS NOT NULL THEN d.saturated_s END AS saturated_s
FROM days AS d
INNER JOIN numbered AS n ON n.number = d.number
