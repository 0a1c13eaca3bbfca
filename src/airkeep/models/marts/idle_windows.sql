-- When did nothing run, and for how long: when could the environment have slept?
-- grain: one time of a quarter of an hour or more between two tries in which no try ran
-- key: environment, began_at
-- units: began_at, ended_at UTC; idle_s seconds
-- leaves out: shorter times; tries without an end; the times before the first and after the last try
SELECT
  environment,
  idle_from AS began_at,
  next_at AS ended_at,
  (CAST(epoch_us(next_at) AS DOUBLE) - CAST(epoch_us(idle_from) AS DOUBLE)) / 1000000.0 AS idle_s
FROM (
  SELECT
    environment,
    next_at,
    max(last_at) OVER (
      PARTITION BY environment ORDER BY next_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS idle_from
  FROM (
    SELECT environment, min(began_at) AS next_at, max(ended_at) AS last_at
    FROM slot_use
    GROUP BY environment, date_trunc('minute', began_at)
  ) AS minutes
) AS known
WHERE CAST(epoch_us(next_at) AS DOUBLE) - CAST(epoch_us(idle_from) AS DOUBLE) >= 900000000.0
