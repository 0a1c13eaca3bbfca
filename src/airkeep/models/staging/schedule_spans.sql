-- Times over which a DAG was to run by its schedule.
-- grain: one span: of cron as long as the schedule held, of an interval from one run to the next where that took too long
-- key: environment, dag_id, after_at
-- units: times UTC; interval_s seconds; ends_with_run: until_at is when the next run was due; names_interval_start: due times are those of Airflow before 2.2, one interval early
-- leaves out: what was due before the first run that was made under a schedule, after the last one of a paused DAG, after the last parsing of a DAG that is gone (the first snapshot without it, where that is not known), and the five minutes before the environment's last sign of life; schedules that are neither cron nor an interval; DAGs that never ran
WITH scheduled AS (
  SELECT
    environment,
    dag_id,
    due_at,
    coalesce(queued_at, started_at, due_at) AS made_at,
    clears,
    CASE WHEN interval_end_at IS NULL AND due_at = logical_at THEN 1 ELSE 0 END AS is_early
  FROM runs
  WHERE run_type = 'scheduled' AND due_at IS NOT NULL
),
lives AS (
  SELECT
    s.environment,
    s.dag_id,
    s.names_interval_start,
    CASE
      WHEN d.is_paused THEN s.last_due_at
      WHEN (NOT d.is_active OR d.gone_at IS NOT NULL) AND d.parsed_at < e.alive_at THEN d.parsed_at
      WHEN d.gone_at < e.alive_at THEN d.gone_at
      ELSE e.alive_at - INTERVAL 5 MINUTE
    END AS last_at
  FROM (
    SELECT
      environment,
      dag_id,
      max(due_at) AS last_due_at,
      max(is_early) = 1 AS names_interval_start
    FROM scheduled
    GROUP BY environment, dag_id
  ) AS s
  INNER JOIN environments AS e
    ON e.environment = s.environment
  INNER JOIN dags AS d
    ON d.environment = s.environment AND d.dag_id = s.dag_id
  WHERE NOT d.is_subdag
),
firsts AS (
  SELECT c.environment, c.dag_id, c.number, min(r.due_at) AS first_due_at
  FROM schedules AS c
  INNER JOIN scheduled AS r
    ON r.environment = c.environment
    AND r.dag_id = c.dag_id
    AND (c.since_at IS NULL OR r.made_at >= c.since_at)
    AND (c.until_at IS NULL OR r.made_at < c.until_at)
  WHERE r.clears = 0
  GROUP BY c.environment, c.dag_id, c.number
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
    CASE
      WHEN c.number > 1 AND c.since_at > f.first_due_at THEN c.since_at
      ELSE f.first_due_at
    END AS after_at,
    CASE
      WHEN c.end_at < l.last_at AND (c.until_at IS NULL OR c.end_at < c.until_at) THEN c.end_at
      WHEN c.until_at < l.last_at THEN c.until_at
      ELSE l.last_at
    END AS until_at
  FROM schedules AS c
  INNER JOIN lives AS l
    ON l.environment = c.environment AND l.dag_id = c.dag_id
  INNER JOIN firsts AS f
    ON f.environment = c.environment AND f.dag_id = c.dag_id AND f.number = c.number
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
    SELECT DISTINCT environment, dag_id, due_at FROM scheduled
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
  following_at IS NOT NULL AS ends_with_run,
  names_interval_start,
  number
FROM gaps
WHERE
  CAST(epoch_us(coalesce(following_at, until_at)) AS DOUBLE) - CAST(epoch_us(after_at) AS DOUBLE)
  > interval_s * CASE WHEN following_at IS NULL THEN 1000000.0 ELSE 1500000.0 END
