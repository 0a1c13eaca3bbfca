-- How much runs at once, minute by minute, and how near is it to what the pools allow?
-- grain: one minute in which a try began or ended, or that begins an hour in which one runs on
-- key: environment, minute
-- units: minute UTC; peak_running tries; peak_slots, end_slots (at the minute's end), slot_limit (all pools together, as last seen; NULL where one has no limit) pool slots; limit_share from 0 to 1
-- leaves out: minutes in which nothing began or ended: they are as the one before ended; tries without an end; parallelism and other limits that the database does not know
-- slot_use is cut at full hours, so each hour's sums begin at nothing: many short sorts.
WITH moved AS (
  SELECT
    environment,
    date_trunc('hour', began_at) AS hour_at,
    began_at AS moved_at,
    1 AS tries,
    pool_slots AS slots
  FROM slot_use
  UNION ALL
  SELECT
    environment,
    date_trunc('hour', began_at) AS hour_at,
    ended_at AS moved_at,
    -1 AS tries,
    -pool_slots AS slots
  FROM slot_use
),
-- Sums of doubles: DuckDB takes twice as long for those of whole numbers, and these are exact.
counted AS (
  SELECT
    environment,
    moved_at,
    date_trunc('minute', moved_at) AS minute,
    tries,
    slots,
    sum(CAST(tries AS DOUBLE)) OVER so_far AS running,
    sum(CAST(slots AS DOUBLE)) OVER so_far AS held
  FROM moved
  WINDOW so_far AS (
    PARTITION BY environment, hour_at ORDER BY moved_at, tries
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
minutes AS (
  SELECT
    environment,
    minute,
    max(CASE WHEN tries > 0 THEN running ELSE 0 END) AS begun_running,
    max(CASE WHEN tries > 0 THEN held ELSE 0 END) AS begun_slots,
    sum(CASE WHEN tries < 0 AND moved_at = minute THEN 0 ELSE tries END) AS after_running,
    sum(CASE WHEN tries < 0 AND moved_at = minute THEN 0 ELSE slots END) AS after_slots,
    sum(sum(tries)) OVER so_far AS end_running,
    sum(sum(slots)) OVER so_far AS end_slots
  FROM counted
  GROUP BY environment, minute
  WINDOW so_far AS (PARTITION BY environment ORDER BY minute)
),
-- What runs on from the minute before, and did not end at this one's very beginning.
peaks AS (
  SELECT
    environment,
    minute,
    CASE
      WHEN begun_running > end_running - after_running THEN begun_running
      ELSE end_running - after_running
    END AS running,
    CASE
      WHEN begun_slots > end_slots - after_slots THEN begun_slots
      ELSE end_slots - after_slots
    END AS slots,
    end_slots
  FROM minutes
),
limits AS (
  SELECT
    environment,
    CASE WHEN count(slots) = count(*) THEN sum(slots) END AS slot_limit
  FROM pools
  GROUP BY environment
)
SELECT
  p.environment,
  p.minute,
  CAST(p.running AS BIGINT) AS peak_running,
  CAST(p.slots AS BIGINT) AS peak_slots,
  p.end_slots,
  l.slot_limit,
  CASE WHEN l.slot_limit > 0 THEN CAST(p.slots AS DOUBLE) / l.slot_limit END AS limit_share
FROM peaks AS p
LEFT JOIN limits AS l ON l.environment = p.environment
