-- How long do tasks take, week by week?
-- grain: one task in one week (from Monday, UTC) in which it ran to success
-- key: environment, dag_id, task_id, week
-- units: p50_s, p95_s, p99_s, longest_s seconds, percentiles by nearest rank; tasks a count
-- leaves out: tasks that failed or were skipped, and those without a start or an end
-- Sorted by numbers, which costs half of what texts do.
WITH numbered AS (
  SELECT
    environment,
    dag_id,
    task_id,
    row_number() OVER (ORDER BY environment, dag_id, task_id) AS number
  FROM (SELECT DISTINCT environment, dag_id, task_id FROM tasks WHERE state = 'success') AS t
),
took AS (
  SELECT n.number, CAST(date_trunc('week', t.started_at) AS DATE) AS week, t.duration_s
  FROM tasks AS t
  INNER JOIN numbered AS n
    ON n.environment = t.environment AND n.dag_id = t.dag_id AND n.task_id = t.task_id
  WHERE t.state = 'success' AND t.duration_s IS NOT NULL AND t.started_at IS NOT NULL
),
ranked AS (
  SELECT
    number,
    week,
    duration_s,
    row_number() OVER (PARTITION BY number, week ORDER BY duration_s) AS place,
    count(*) OVER (PARTITION BY number, week) AS many
  FROM took
),
weeks AS (
  SELECT
    number,
    week,
    count(*) AS tasks,
    min(CASE WHEN place >= 0.50 * many THEN duration_s END) AS p50_s,
    min(CASE WHEN place >= 0.95 * many THEN duration_s END) AS p95_s,
    min(CASE WHEN place >= 0.99 * many THEN duration_s END) AS p99_s,
    max(duration_s) AS longest_s
  FROM ranked
  GROUP BY number, week
)
SELECT
  n.environment,
  n.dag_id,
  n.task_id,
  w.week,
  w.tasks,
  w.p50_s,
  w.p95_s,
  w.p99_s,
  w.longest_s
FROM weeks AS w
INNER JOIN numbered AS n ON n.number = w.number
