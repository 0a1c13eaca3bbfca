-- When do DAGs lag behind their schedule, and how far?
-- grain: one DAG on one UTC day on which a scheduled run of it was due
-- key: environment, dag_id, day
-- units: runs, late_runs (began more than 5 minutes after they were due, or not yet) counts; worst_late_s seconds from due to start, of a run without a start to the environment's last sign of life; peak_backlog the most runs at one time that were due and had not begun
-- leaves out: runs that never began and are deleted or finished; runs that were not made yet, as missed_runs has them; cleared runs, whose first start is not known (before Airflow 2.8 nothing tells them: they wait until the start that they have); runs of @once; a run of a time before its DAG was there counts as waiting since then; before Airflow 2.2 each DAG's newest run
WITH waits AS (
  SELECT
    r.environment,
    r.dag_id,
    r.due_at,
    coalesce(r.started_at, e.alive_at) AS until_at,
    (
      CAST(epoch_us(coalesce(r.started_at, e.alive_at)) AS DOUBLE)
      - CAST(epoch_us(r.due_at) AS DOUBLE)
    ) / 1000000.0 AS late_s
  FROM scheduled_runs AS r
  INNER JOIN environments AS e
    ON e.environment = r.environment
  LEFT JOIN unfinished_runs AS u
    ON u.environment = r.environment AND u.dag_id = r.dag_id AND u.run_id = r.run_id
  WHERE r.clears = 0 AND (r.started_at IS NOT NULL OR u.environment IS NOT NULL)
),
moves AS (
  SELECT environment, dag_id, due_at AS moved_at, 1 AS step FROM waits
  UNION ALL
  SELECT
    environment,
    dag_id,
    CASE WHEN late_s > 0 THEN until_at ELSE due_at END AS moved_at,
    -1 AS step
  FROM waits
),
steps AS (
  SELECT environment, dag_id, moved_at, sum(step) AS step
  FROM moves
  GROUP BY environment, dag_id, moved_at
),
levels AS (
  SELECT
    environment,
    dag_id,
    CAST(moved_at AS DATE) AS day,
    step,
    sum(step) OVER (
      PARTITION BY environment, dag_id ORDER BY moved_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS waiting
  FROM steps
),
peaks AS (
  SELECT
    environment,
    dag_id,
    day,
    max(CASE WHEN step < 0 THEN waiting - step ELSE waiting END) AS peak_backlog
  FROM levels
  GROUP BY environment, dag_id, day
)
SELECT
  w.environment,
  w.dag_id,
  w.day,
  w.runs,
  w.late_runs,
  w.worst_late_s,
  p.peak_backlog
FROM (
  SELECT
    environment,
    dag_id,
    CAST(due_at AS DATE) AS day,
    count(*) AS runs,
    sum(CASE WHEN late_s > 300 THEN 1 ELSE 0 END) AS late_runs,
    max(late_s) AS worst_late_s
  FROM waits
  GROUP BY environment, dag_id, CAST(due_at AS DATE)
) AS w
INNER JOIN peaks AS p
  ON p.environment = w.environment AND p.dag_id = w.dag_id AND p.day = w.day
