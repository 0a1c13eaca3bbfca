-- At which hours of the week is there work, and at which is there none?
-- grain: one hour of the week (UTC) in which a try ever held a slot
-- key: environment, weekday, hour
-- units: weekday 1 (Monday) to 7, hour 0 to 23; tries that began, a count; slot_h slots times hours; share of the environment's slot hours from 0 to 1
-- leaves out: tries without an end
SELECT
  environment,
  weekday,
  hour,
  sum(tries) AS tries,
  sum(slot_s) / 3600.0 AS slot_h,
  CASE WHEN sum(sum(slot_s)) OVER (PARTITION BY environment) > 0 THEN
    sum(slot_s) / sum(sum(slot_s)) OVER (PARTITION BY environment)
  END AS share
FROM (
  SELECT
    environment,
    (CAST(floor(CAST(epoch_us(hour_at) AS DOUBLE) / 86400000000.0) AS BIGINT) + 3) % 7 + 1
      AS weekday,
    extract(HOUR FROM hour_at) AS hour,
    tries,
    slot_s
  FROM (
    SELECT
      environment,
      date_trunc('hour', began_at) AS hour_at,
      sum(tries) AS tries,
      sum(held_s * pool_slots) AS slot_s
    FROM slot_use
    GROUP BY environment, date_trunc('hour', began_at)
  ) AS by_hour
) AS named
GROUP BY environment, weekday, hour
