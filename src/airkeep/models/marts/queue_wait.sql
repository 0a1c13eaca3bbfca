-- How long do tasks wait between being queued and starting, pool by pool?
-- grain: one pool on one day (UTC)
-- key: environment, pool, day
-- units: tasks a count; p50_s, p95_s, worst_s seconds, percentiles by nearest rank
-- leaves out: tasks that were not queued, or began before they were (clocks differ)
SELECT
  environment,
  pool,
  day,
  count(*) AS tasks,
  min(CASE WHEN place >= 0.50 * many THEN queued_s END) AS p50_s,
  min(CASE WHEN place >= 0.95 * many THEN queued_s END) AS p95_s,
  max(queued_s) AS worst_s
FROM (
  SELECT
    environment,
    pool,
    CAST(started_at AS DATE) AS day,
    queued_s,
    row_number() OVER (
      PARTITION BY environment, pool, CAST(started_at AS DATE) ORDER BY queued_s
    ) AS place,
    count(*) OVER (PARTITION BY environment, pool, CAST(started_at AS DATE)) AS many
  FROM tasks
  WHERE queued_s IS NOT NULL
) AS ranked
GROUP BY environment, pool, day
