-- Which runs were due and never came?
-- grain: one time at which a DAG's schedule made a run due and none is known
-- key: environment, dag_id, due_at
-- units: times UTC; due_at as in runs: before Airflow 2.2 the start of the interval; run_before_at, run_after_at when the runs around it were due, NULL where none is; why: catching up (the DAG catches up, and none of its later runs is there yet), no scheduler (none had a heartbeat then), earlier run (one of the DAG's runs was still going), unknown
-- leaves out: what was due before the first run that was made under a schedule; the five minutes before the environment's last sign of life; DAGs that are paused, from their last run on, which in a snapshot that `airkeep down` took are all, and those that are gone, from their last parsing on; gaps in which somebody switched a pause; DAGs most of whose scheduled runs were due at other times: what is known of their schedule is not what made them; schedules by assets, @once, @continuous and timetables of one's own, which make nothing due
WITH known AS (
  SELECT
    environment,
    dag_id,
    due_at,
    max(CASE WHEN run_type = 'scheduled' THEN 1 ELSE 0 END) AS is_scheduled
  FROM runs
  WHERE due_at IS NOT NULL
  GROUP BY environment, dag_id, due_at
),
slots AS (
  SELECT e.*, k.due_at IS NOT NULL AS came
  FROM expected_runs AS e
  LEFT JOIN known AS k
    ON k.environment = e.environment AND k.dag_id = e.dag_id AND k.due_at = e.due_at
),
kept AS (
  SELECT
    environment,
    dag_id,
    min(due_at) AS first_at,
    max(due_at) AS last_at,
    sum(CASE WHEN came THEN 1 ELSE 0 END) AS came
  FROM slots
  WHERE interval_s IS NULL
  GROUP BY environment, dag_id
),
beside AS (
  SELECT s.environment, s.dag_id
  FROM kept AS s
  INNER JOIN known AS k
    ON k.environment = s.environment
    AND k.dag_id = s.dag_id
    AND k.due_at > s.first_at
    AND k.due_at < s.last_at
    AND k.is_scheduled = 1
  LEFT JOIN expected_runs AS e
    ON e.environment = k.environment AND e.dag_id = k.dag_id AND e.due_at = k.due_at
  WHERE e.environment IS NULL
  GROUP BY s.environment, s.dag_id
  HAVING count(*) > max(s.came)
),
absent AS (
  SELECT s.*
  FROM slots AS s
  LEFT JOIN beside AS b
    ON b.environment = s.environment AND b.dag_id = s.dag_id AND s.interval_s IS NULL
  WHERE NOT s.came AND b.environment IS NULL
),
-- DAGs by a number: to sort by texts costs twice as much.
numbered AS (
  SELECT environment, dag_id, row_number() OVER (ORDER BY environment, dag_id) AS dag
  FROM (SELECT DISTINCT environment, dag_id FROM absent) AS d
),
marks AS (
  SELECT
    n.dag,
    k.due_at AS happened_at,
    0 AS is_absent,
    k.due_at AS run_due_at,
    CAST(NULL AS TIMESTAMP) AS busy_until_at
  FROM known AS k
  INNER JOIN numbered AS n
    ON n.environment = k.environment AND n.dag_id = k.dag_id
  UNION ALL
  SELECT
    n.dag,
    r.started_at AS happened_at,
    0 AS is_absent,
    CAST(NULL AS TIMESTAMP) AS run_due_at,
    CASE
      WHEN r.ended_at IS NOT NULL THEN r.ended_at
      WHEN u.environment IS NOT NULL THEN e.alive_at
    END AS busy_until_at
  FROM runs AS r
  INNER JOIN numbered AS n
    ON n.environment = r.environment AND n.dag_id = r.dag_id
  INNER JOIN environments AS e
    ON e.environment = r.environment
  LEFT JOIN unfinished_runs AS u
    ON u.environment = r.environment AND u.dag_id = r.dag_id AND u.run_id = r.run_id
  WHERE r.started_at IS NOT NULL
  UNION ALL
  SELECT
    n.dag,
    a.due_at AS happened_at,
    1 AS is_absent,
    CAST(NULL AS TIMESTAMP) AS run_due_at,
    CAST(NULL AS TIMESTAMP) AS busy_until_at
  FROM absent AS a
  INNER JOIN numbered AS n
    ON n.environment = a.environment AND n.dag_id = a.dag_id
),
around AS (
  SELECT
    *,
    max(run_due_at) OVER (
      PARTITION BY dag ORDER BY happened_at, is_absent
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS run_before_at,
    min(run_due_at) OVER (
      PARTITION BY dag ORDER BY happened_at, is_absent
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS run_after_at,
    max(busy_until_at) OVER (
      PARTITION BY dag ORDER BY happened_at, is_absent
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS dag_busy_until_at
  FROM marks
),
lives AS (
  SELECT
    environment,
    CAST(NULL AS VARCHAR) AS dag_id,
    started_at AS happened_at,
    0 AS is_absent,
    heartbeat_at AS scheduler_until_at,
    CAST(NULL AS TIMESTAMP) AS run_before_at,
    CAST(NULL AS TIMESTAMP) AS run_after_at,
    CAST(NULL AS TIMESTAMP) AS dag_busy_until_at,
    CAST(NULL AS VARCHAR) AS schedule,
    CAST(NULL AS VARCHAR) AS timezone,
    FALSE AS catchup
  FROM jobs
  WHERE job_type = 'SchedulerJob' AND started_at IS NOT NULL
  UNION ALL
  SELECT
    s.environment,
    s.dag_id,
    a.happened_at,
    a.is_absent,
    CAST(NULL AS TIMESTAMP) AS scheduler_until_at,
    a.run_before_at,
    a.run_after_at,
    a.dag_busy_until_at,
    s.schedule,
    s.timezone,
    s.catchup
  FROM around AS a
  INNER JOIN numbered AS n
    ON n.dag = a.dag
  INNER JOIN absent AS s
    ON s.environment = n.environment AND s.dag_id = n.dag_id AND s.due_at = a.happened_at
  WHERE a.is_absent = 1
),
told AS (
  SELECT
    *,
    max(scheduler_until_at) OVER (
      PARTITION BY environment ORDER BY happened_at, is_absent
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS scheduled_until_at,
    max(scheduler_until_at) OVER (PARTITION BY environment) AS any_scheduler_at
  FROM lives
),
switched AS (
  SELECT DISTINCT t.environment, t.dag_id, t.run_before_at
  FROM (
    SELECT DISTINCT environment, dag_id, run_before_at, run_after_at FROM told WHERE is_absent = 1
  ) AS t
  INNER JOIN events AS e
    ON e.environment = t.environment
    AND e.dag_id = t.dag_id
    AND e.happened_at >= t.run_before_at
    AND (t.run_after_at IS NULL OR e.happened_at <= t.run_after_at)
  WHERE
    e.event IN (
      'paused', 'api.patch_dag', 'patch_dag', 'cli_dag_pause', 'cli_dag_unpause', 'cli_pause',
      'cli_unpause'
    )
)
SELECT
  t.environment,
  t.dag_id,
  t.happened_at AS due_at,
  t.schedule,
  t.timezone,
  t.catchup,
  t.run_before_at,
  t.run_after_at,
  CASE
    WHEN t.catchup AND t.run_after_at IS NULL THEN 'catching up'
    WHEN
      t.any_scheduler_at IS NOT NULL
      AND (t.scheduled_until_at IS NULL OR t.scheduled_until_at < t.happened_at)
      THEN 'no scheduler'
    WHEN t.dag_busy_until_at > t.happened_at THEN 'earlier run'
    ELSE 'unknown'
  END AS why
FROM told AS t
LEFT JOIN switched AS s
  ON s.environment = t.environment
  AND s.dag_id = t.dag_id
  AND s.run_before_at = t.run_before_at
WHERE t.is_absent = 1 AND s.environment IS NULL
