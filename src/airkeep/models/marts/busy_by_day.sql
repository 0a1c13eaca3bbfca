-- For how long did anything run, day by day?
-- grain: one day (UTC) on which a try held a slot
-- key: environment, day
-- units: busy_s seconds in which one try or more held a slot; what is left of the day nothing ran
-- leaves out: tries without an end; waits between the pokes of a rescheduled sensor, which hold no slot
SELECT
  environment,
  CAST(began_at AS DATE) AS day,
  sum(
    CASE
      WHEN held_until IS NULL OR held_until <= began_at THEN
        (CAST(epoch_us(ended_at) AS DOUBLE) - CAST(epoch_us(began_at) AS DOUBLE)) / 1000000.0
      WHEN ended_at > held_until THEN
        (CAST(epoch_us(ended_at) AS DOUBLE) - CAST(epoch_us(held_until) AS DOUBLE)) / 1000000.0
      ELSE CAST(0 AS DOUBLE)
    END
  ) AS busy_s
FROM (
  -- Cut at full hours as they are, stretches of two hours do not overlap.
  SELECT
    environment,
    began_at,
    ended_at,
    max(ended_at) OVER (
      PARTITION BY environment, date_trunc('hour', began_at) ORDER BY began_at, ended_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS held_until
  FROM slot_use
) AS stretches
GROUP BY environment, CAST(began_at AS DATE)
