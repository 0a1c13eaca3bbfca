-- Which pools are full, when, and which are larger than what they are used for?
-- grain: one pool on one day (UTC) on which a try held a slot of it
-- key: environment, pool, day
-- units: slots as last seen, also of a pool that is gone since, NULL without a limit or for a pool that no snapshot saw; peak_slots slots; slot_h slots times hours; utilisation share of the day's slots from 0 to 1, above 1 where the pool has shrunk; saturated_s seconds with no slot free
-- leaves out: tries without an end, and those of which only task_fail remembers, whose pool is not known
-- slot_use is cut at full hours, so each hour's sums begin at nothing: many short sorts. One number
-- says which hour of which pool (hours from long before the year 1, none is negative), one the time,
-- at which an end comes before a beginning: sorts by numbers, and by few, cost least.
WITH numbered AS (
  SELECT
    u.environment,
    u.pool,
    p.slots,
    CAST(row_number() OVER (ORDER BY u.environment, u.pool) AS BIGINT) AS number
  FROM (SELECT DISTINCT environment, pool FROM slot_use WHERE pool IS NOT NULL) AS u
  LEFT JOIN pools AS p ON p.environment = u.environment AND p.pool = u.pool
),
used AS (
  SELECT
    n.number * 100000000 + 20000000
      + CAST(floor(CAST(epoch_us(u.began_at) AS DOUBLE) / 3600000000.0) AS BIGINT) AS hour_number,
    epoch_us(u.began_at) * 2 + 1 AS begun,
    epoch_us(u.ended_at) * 2 AS ended,
    u.pool_slots
  FROM slot_use AS u
  INNER JOIN numbered AS n ON n.environment = u.environment AND n.pool = u.pool
),
moved AS (
  SELECT hour_number, begun AS moved, pool_slots AS slots FROM used
  UNION ALL
  SELECT hour_number, ended AS moved, -pool_slots AS slots FROM used
),
-- Sums of doubles: DuckDB takes twice as long for those of whole numbers, and these are exact.
counted AS (
  SELECT
    hour_number,
    moved,
    lead(moved) OVER (PARTITION BY hour_number ORDER BY moved) AS next_moved,
    sum(CAST(slots AS DOUBLE)) OVER (
      PARTITION BY hour_number ORDER BY moved ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS held
  FROM moved
),
lasting AS (
  SELECT
    floor(CAST(hour_number AS DOUBLE) / 100000000.0) AS number,
    floor(CAST(hour_number % 100000000 - 20000000 AS DOUBLE) / 24.0) AS day_number,
    held,
    (floor(CAST(next_moved AS DOUBLE) / 2.0) - floor(CAST(moved AS DOUBLE) / 2.0)) / 1000000
      AS held_s
  FROM counted
  WHERE held > 0
),
days AS (
  SELECT
    l.number,
    l.day_number,
    max(l.held) AS peak_slots,
    sum(l.held * l.held_s) / 3600.0 AS slot_h,
    sum(CASE WHEN l.held >= n.slots THEN l.held_s ELSE 0 END) AS saturated_s
  FROM lasting AS l
  INNER JOIN numbered AS n ON n.number = l.number
  WHERE l.held_s > 0
  GROUP BY l.number, l.day_number
)
SELECT
  n.environment,
  n.pool,
  CAST(
    TIMESTAMP '1970-01-01 00:00:00' + CAST(d.day_number AS BIGINT) * INTERVAL '1' DAY AS DATE
  ) AS day,
  n.slots,
  CAST(d.peak_slots AS BIGINT) AS peak_slots,
  d.slot_h,
  CASE WHEN n.slots > 0 THEN d.slot_h / (n.slots * 24.0) END AS utilisation,
  CASE WHEN n.slots IS NOT NULL THEN d.saturated_s END AS saturated_s
FROM days AS d
INNER JOIN numbered AS n ON n.number = d.number
