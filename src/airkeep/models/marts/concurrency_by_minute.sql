-- How much runs at once, minute by minute, and how near is it to what the pools allow?
-- grain: one minute in which a try began or ended, or that begins an hour in which one runs on
-- key: environment, minute
-- units: minute UTC; peak_running tries; peak_slots, end_slots (at the minute's end), slot_limit (all pools together, as last seen; NULL where one has no limit) pool slots; limit_share from 0 to 1
-- leaves out: minutes in which nothing began or ended: within an hour they are as the one before ended; tries without an end; parallelism and other limits that the database does not know
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
counted AS (
  SELECT
    environment,
    hour_at,
    moved_at,
    tries,
    slots,
    sum(tries) OVER so_far AS running,
    sum(slots) OVER so_far AS held
  FROM moved
  WINDOW so_far AS (PARTITION BY environment, hour_at ORDER BY moved_at)
),
minutes AS (
  SELECT
    environment,
    hour_at,
    date_trunc('minute', moved_at) AS minute,
    min(moved_at) AS first_at,
    max(running) AS running,
    max(held) AS held,
    sum(sum(tries)) OVER so_far AS end_running,
    sum(sum(slots)) OVER so_far AS end_slots
  FROM counted
  GROUP BY environment, hour_at, date_trunc('minute', moved_at)
  WINDOW so_far AS (
    PARTITION BY environment, hour_at ORDER BY date_trunc('minute', moved_at)
  )
),
carried AS (
  SELECT
    environment,
    hour_at,
    minute,
    running,
    held,
    end_slots,
    CASE WHEN first_at > minute THEN coalesce(lag(end_running) OVER earlier, 0) ELSE 0 END
      AS running_before,
    CASE WHEN first_at > minute THEN coalesce(lag(end_slots) OVER earlier, 0) ELSE 0 END
      AS held_before
  FROM minutes
  WINDOW earlier AS (PARTITION BY environment, hour_at ORDER BY minute)
),
limits AS (
  SELECT
    environment,
    CASE WHEN count(slots) = count(*) THEN sum(slots) END AS slot_limit
  FROM pools
  GROUP BY environment
)
SELECT
  c.environment,
  c.minute,
  CASE WHEN c.running > c.running_before THEN c.running ELSE c.running_before END AS peak_running,
  CASE WHEN c.held > c.held_before THEN c.held ELSE c.held_before END AS peak_slots,
  c.end_slots,
  l.slot_limit,
  CASE WHEN l.slot_limit > 0 THEN
    CAST(CASE WHEN c.held > c.held_before THEN c.held ELSE c.held_before END AS DOUBLE)
      / l.slot_limit
  END AS limit_share
FROM carried AS c
LEFT JOIN limits AS l ON l.environment = c.environment
WHERE date_trunc('hour', c.minute) = c.hour_at
