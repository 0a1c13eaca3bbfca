-- Times over which a DAG was to run by its schedule.
-- grain: one span: of cron as long as the schedule held, of an interval from one run to the next where that took too long
-- key: environment, dag_id, after_at
-- units: times UTC; interval_s seconds; skipped counts due times at the beginning that are not expected; ends_with_run: until_at is when the next run was due; names_interval_start: due times are those of Airflow before 2.2, one interval early
-- leaves out: what is before a DAG's first run, after the last one of a paused DAG, after the last parsing of a DAG that is gone, and the five minutes before the environment's last sign of life; schedules that are neither cron nor an interval; what was before the oldest schedule that is known; DAGs that never ran
WITH seen AS (
  SELECT
    r.environment,
    r.dag_id,
    min(r.due_at) AS first_due_at,
    max(r.due_at) AS last_due_at,
    max(CASE WHEN r.interval_end_at IS NULL AND r.due_at = r.logical_at THEN 1 ELSE 0 END) = 1
      AS names_interval_start
  FROM runs AS r
  WHERE r.run_type = 'scheduled' AND r.due_at IS NOT NULL
  GROUP BY r.environment, r.dag_id
),
lives AS (
  SELECT
    s.environment,
    s.dag_id,
    s.first_due_at,
    s.names_interval_start,
    CASE
      WHEN d.is_paused THEN s.last_due_at
      WHEN NOT d.is_active AND d.parsed_at < e.alive_at THEN d.parsed_at
      ELSE e.alive_at - INTERVAL 5 MINUTE
    END AS last_at
  FROM seen AS s
  INNER JOIN environments AS e
    ON e.environment = s.environment
  INNER JOIN dags AS d
    ON d.environment = s.environment AND d.dag_id = s.dag_id
  WHERE NOT d.is_subdag
),
held AS (
  SELECT
    c.environment,
    c.dag_id,
    c.number,
    c.kind,
    c.expression,
    c.timezone,
    c.interval_s,
    l.names_interval_start,
    CASE WHEN c.since_at > l.first_due_at THEN c.since_at ELSE l.first_due_at END AS after_at,
    CASE
      WHEN c.end_at < l.last_at AND (c.until_at IS NULL OR c.end_at < c.until_at) THEN c.end_at
      WHEN c.until_at < l.last_at THEN c.until_at
      ELSE l.last_at
    END AS until_at,
    CASE WHEN c.number > 1 AND c.since_at > l.first_due_at THEN 1 ELSE 0 END AS skipped
  FROM schedules AS c
  INNER JOIN lives AS l
    ON l.environment = c.environment AND l.dag_id = c.dag_id
  WHERE c.kind IN ('cron', 'delta')
),
gaps AS (
  SELECT
    h.environment,
    h.dag_id,
    h.number,
    h.interval_s,
    h.names_interval_start,
    h.until_at,
    r.due_at AS after_at,
    lead(r.due_at) OVER (
      PARTITION BY h.environment, h.dag_id, h.number ORDER BY r.due_at
    ) AS following_at
  FROM held AS h
  INNER JOIN (
    SELECT DISTINCT environment, dag_id, due_at
    FROM runs
    WHERE run_type = 'scheduled' AND due_at IS NOT NULL
  ) AS r
    ON r.environment = h.environment
    AND r.dag_id = h.dag_id
    AND r.due_at >= h.after_at
    AND r.due_at <= h.until_at
  WHERE h.kind = 'delta'
)
SELECT
  environment,
  dag_id,
  expression,
  timezone,
  CAST(NULL AS DOUBLE) AS interval_s,
  after_at,
  until_at,
  skipped,
  FALSE AS ends_with_run,
  names_interval_start,
  number
FROM held
WHERE kind = 'cron' AND after_at < until_at
UNION ALL
SELECT
  environment,
  dag_id,
  CAST(NULL AS VARCHAR) AS expression,
  CAST(NULL AS VARCHAR) AS timezone,
  interval_s,
  after_at,
  coalesce(following_at, until_at) AS until_at,
  0 AS skipped,
  following_at IS NOT NULL AS ends_with_run,
  names_interval_start,
  number
FROM gaps
WHERE
  CAST(epoch_us(coalesce(following_at, until_at)) AS DOUBLE) - CAST(epoch_us(after_at) AS DOUBLE)
  > interval_s * CASE WHEN following_at IS NULL THEN 1000000.0 ELSE 1500000.0 END
