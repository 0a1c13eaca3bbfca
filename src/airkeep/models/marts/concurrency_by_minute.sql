-- How much runs at once, minute by minute, and how near is it to what the pools allow?
-- grain: one minute in which a try began or ended, or that begins an hour in which one runs on
-- key: environment, minute
-- units: minute UTC; peak_running tries; peak_slots, end_slots (at the minute's end), slot_limit (the slots of all pools that are there, each as it was last seen and not as it was in that minute; NULL where one has no limit) pool slots; limit_share from 0 to 1
-- leaves out: minutes in which nothing began or ended: they are as the one before ended; tries without an end; parallelism and other limits that the database does not know
-- slot_use is cut at full hours, so each hour's sums begin at nothing: many short sorts, and of
-- numbers, which cost half of what texts do.
WITH numbered AS (
  SELECT environment, CAST(row_number() OVER (ORDER BY environment) AS BIGINT) AS number
  FROM (SELECT DISTINCT environment FROM slot_use) AS e
),
-- One number says which hour of which environment (from long before the year 1), one the time, at which an end comes before a
-- beginning: sorts by numbers, and by few, cost least.
used AS (
  SELECT
    n.number * 100000000 + 20000000
      + CAST(floor(CAST(epoch_us(u.began_at) AS DOUBLE) / 3600000000.0) AS BIGINT) AS hour_number,
    epoch_us(u.began_at) * 2 + 1 AS begun,
    epoch_us(u.ended_at) * 2 AS ended,
    u.pool_slots
  FROM slot_use AS u
  INNER JOIN numbered AS n ON n.environment = u.environment
),
moved AS (
  SELECT hour_number, begun AS moved, 1 AS tries, pool_slots AS slots FROM used
  UNION ALL
  SELECT hour_number, ended AS moved, -1 AS tries, -pool_slots AS slots FROM used
),
-- Each running sum costs what the sort does, so one is made of both: slots, and tries times 2^32. As
-- a double, for DuckDB takes twice as long for whole numbers; up to 2 million tries it is exact.
packed AS (
  SELECT
    CAST(
      floor(CAST(hour_number AS DOUBLE) / 100000000.0) * 10000000000.0 + 2000000000.0
      + floor(CAST(moved AS DOUBLE) / 120000000.0)
      AS BIGINT
    ) AS minute_number,
    moved,
    tries,
    slots,
    sum(CAST(tries AS DOUBLE) * 4294967296 + slots) OVER so_far AS sums
  FROM moved
  WINDOW so_far AS (
    PARTITION BY hour_number ORDER BY moved ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
counted AS (
  SELECT
    minute_number,
    moved,
    tries,
    slots,
    floor(sums / 4294967296) AS running,
    sums - floor(sums / 4294967296) * 4294967296 AS held
  FROM packed
),
summed AS (
  SELECT
    minute_number,
    max(CASE WHEN tries > 0 THEN running ELSE 0 END) AS begun_running,
    max(CASE WHEN tries > 0 THEN held ELSE 0 END) AS begun_slots,
    -- What ends at the minute's very beginning is none of it.
    sum(CASE WHEN moved % 120000000 = 0 THEN 0 ELSE tries END) AS after_running,
    sum(CASE WHEN moved % 120000000 = 0 THEN 0 ELSE slots END) AS after_slots,
    sum(tries) AS more_running,
    sum(slots) AS more_slots
  FROM counted
  GROUP BY minute_number
),
minutes AS (
  SELECT
    number,
    -- Days and minutes: an interval takes no more of one than 32 bits hold.
    TIMESTAMP '1970-01-01 00:00:00' + day_number * INTERVAL '1' DAY
      + (minute_number - number * 10000000000 - 2000000000 - day_number * 1440)
      * INTERVAL '1' MINUTE
      AS minute,
    begun_running,
    begun_slots,
    after_running,
    after_slots,
    sum(more_running) OVER so_far AS end_running,
    sum(more_slots) OVER so_far AS end_slots
  FROM (
    SELECT
      *,
      CAST(
        floor((CAST(minute_number - number * 10000000000 AS DOUBLE) - 2000000000) / 1440.0) AS BIGINT
      ) AS day_number
    FROM (
      SELECT *, CAST(floor(CAST(minute_number AS DOUBLE) / 10000000000.0) AS BIGINT) AS number
      FROM summed
    ) AS n
  ) AS m
  WINDOW so_far AS (PARTITION BY number ORDER BY minute_number)
),
-- What runs on from the minute before, and did not end at this one's very beginning.
peaks AS (
  SELECT
    number,
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
  WHERE gone_at IS NULL
  GROUP BY environment
)
SELECT
  n.environment,
  p.minute,
  CAST(p.running AS BIGINT) AS peak_running,
  CAST(p.slots AS BIGINT) AS peak_slots,
  p.end_slots,
  l.slot_limit,
  CASE WHEN l.slot_limit > 0 THEN CAST(p.slots AS DOUBLE) / l.slot_limit END AS limit_share
FROM peaks AS p
INNER JOIN numbered AS n ON n.number = p.number
LEFT JOIN limits AS l ON l.environment = n.environment
