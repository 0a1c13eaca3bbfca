-- How long until a failed DAG works again?
-- grain: one DAG that ever failed
-- key: environment, dag_id
-- units: streaks of failed runs, recovered (a later success ended), open_streaks (none is known) counts; p50_s, p90_s, worst_s seconds from the first failure's end to the next success's end, by nearest rank, NULL where none recovered
-- leaves out: as failure_streaks; streaks that recovered at times that are not known count as recovered and take no part in the times
WITH ranked AS (
  SELECT
    environment,
    dag_id,
    recovery_s,
    row_number() OVER (PARTITION BY environment, dag_id ORDER BY recovery_s) AS place,
    count(*) OVER (PARTITION BY environment, dag_id) AS several
  FROM failure_streaks
  WHERE recovery_s IS NOT NULL
),
times AS (
  SELECT
    environment,
    dag_id,
    min(CASE WHEN place * 100 >= several * 50 THEN recovery_s END) AS p50_s,
    min(CASE WHEN place * 100 >= several * 90 THEN recovery_s END) AS p90_s,
    max(recovery_s) AS worst_s
  FROM ranked
  GROUP BY environment, dag_id
)
SELECT
  f.environment,
  f.dag_id,
  f.streaks,
  f.streaks - f.open_streaks AS recovered,
  f.open_streaks,
  t.p50_s,
  t.p90_s,
  t.worst_s
FROM (
  SELECT
    environment,
    dag_id,
    count(*) AS streaks,
    sum(CASE WHEN recovered_at IS NULL THEN 1 ELSE 0 END) AS open_streaks
  FROM failure_streaks
  GROUP BY environment, dag_id
) AS f
LEFT JOIN times AS t
  ON t.environment = f.environment AND t.dag_id = f.dag_id
