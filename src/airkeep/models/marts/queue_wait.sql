-- How long do tasks wait between being queued and starting, pool by pool?
-- grain: one pool on one day (UTC)
-- key: environment, pool, day
-- units: tasks a count; p50_s, p95_s, worst_s seconds, percentiles by nearest rank
-- leaves out: tasks that were not queued, or began before they were (clocks differ)
-- Sorted by numbers, which costs half of what texts do.
WITH numbered AS (
  SELECT environment, pool, row_number() OVER (ORDER BY environment, pool) AS number
  FROM (SELECT DISTINCT environment, pool FROM tasks WHERE pool IS NOT NULL) AS t
),
waited AS (
  SELECT n.number, CAST(t.started_at AS DATE) AS day, t.queued_s
  FROM tasks AS t
  INNER JOIN numbered AS n ON n.environment = t.environment AND n.pool = t.pool
  WHERE t.queued_s IS NOT NULL
),
ranked AS (
  SELECT
    number,
    day,
    queued_s,
    row_number() OVER (PARTITION BY number, day ORDER BY queued_s) AS place,
    count(*) OVER (PARTITION BY number, day) AS many
  FROM waited
),
days AS (
  SELECT
    number,
    day,
    count(*) AS tasks,
    min(CASE WHEN place >= 0.50 * many THEN queued_s END) AS p50_s,
    min(CASE WHEN place >= 0.95 * many THEN queued_s END) AS p95_s,
    max(queued_s) AS worst_s
  FROM ranked
  GROUP BY number, day
)
SELECT n.environment, n.pool, d.day, d.tasks, d.p50_s, d.p95_s, d.worst_s
FROM days AS d
INNER JOIN numbered AS n ON n.number = d.number
