-- How long after it was due does a DAG's run land, and does it keep its SLA or deadline?
-- grain: one DAG with a scheduled run that succeeded
-- key: environment, dag_id
-- units: runs (scheduled, that succeeded) a count; p50_s, p90_s (nearest rank), worst_s seconds from the end of a run's interval to the end of the run; sla_s the longest SLA of its tasks in seconds; sla_late task instances of scheduled runs that ended later than their own SLA, counted again by us; sla_misses what Airflow noted of them; deadlines, deadline_misses (Airflow's word), deadline_late (by the run's own end, or the environment's last sign of life) counts of deadlines
-- leaves out: runs that failed or are not finished: they have not landed; cleared runs, whose first end is not known, also in sla_late and deadline_late (before Airflow 2.8 nothing tells them: they count by the end that they have); runs of @once, and before Airflow 2.2 each DAG's newest run; Airflow deletes deadlines that were kept, so deadlines counts those that a snapshot saw
WITH landed AS (
  SELECT
    environment,
    dag_id,
    (CAST(epoch_us(ended_at) AS DOUBLE) - CAST(epoch_us(due_at) AS DOUBLE)) / 1000000.0 AS took_s
  FROM scheduled_runs
  WHERE clears = 0 AND state = 'success' AND ended_at >= due_at
),
ranked AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY environment, dag_id ORDER BY took_s) AS place,
    count(*) OVER (PARTITION BY environment, dag_id) AS several
  FROM landed
),
times AS (
  SELECT
    environment,
    dag_id,
    count(*) AS runs,
    min(CASE WHEN place * 100 >= several * 50 THEN took_s END) AS p50_s,
    min(CASE WHEN place * 100 >= several * 90 THEN took_s END) AS p90_s,
    max(took_s) AS worst_s
  FROM ranked
  GROUP BY environment, dag_id
),
promised AS (
  SELECT environment, dag_id, max(sla_s) AS sla_s FROM task_slas GROUP BY environment, dag_id
),
late AS (
  SELECT r.environment, r.dag_id, count(*) AS sla_late
  FROM task_slas AS s
  INNER JOIN tasks AS t
    ON t.environment = s.environment AND t.dag_id = s.dag_id AND t.task_id = s.task_id
  INNER JOIN scheduled_runs AS r
    ON r.environment = t.environment AND r.dag_id = t.dag_id AND r.run_id = t.run_id
  WHERE
    r.clears = 0
    AND (CAST(epoch_us(t.ended_at) AS DOUBLE) - CAST(epoch_us(r.due_at) AS DOUBLE)) / 1000000.0
    > s.sla_s
  GROUP BY r.environment, r.dag_id
),
noted AS (
  SELECT environment, dag_id, count(*) AS sla_misses FROM sla_misses GROUP BY environment, dag_id
),
kept AS (
  SELECT
    d.environment,
    d.dag_id,
    count(*) AS deadlines,
    sum(CASE WHEN d.was_missed THEN 1 ELSE 0 END) AS deadline_misses,
    sum(
      CASE
        WHEN r.clears > 0 THEN 0
        WHEN coalesce(r.ended_at, e.alive_at) > d.due_at THEN 1
        ELSE 0
      END
    ) AS deadline_late
  FROM deadlines AS d
  INNER JOIN environments AS e
    ON e.environment = d.environment
  LEFT JOIN runs AS r
    ON r.environment = d.environment AND r.dag_id = d.dag_id AND r.run_id = d.run_id
  GROUP BY d.environment, d.dag_id
)
SELECT
  t.environment,
  t.dag_id,
  t.runs,
  t.p50_s,
  t.p90_s,
  t.worst_s,
  p.sla_s,
  coalesce(l.sla_late, 0) AS sla_late,
  coalesce(n.sla_misses, 0) AS sla_misses,
  coalesce(k.deadlines, 0) AS deadlines,
  coalesce(k.deadline_misses, 0) AS deadline_misses,
  coalesce(k.deadline_late, 0) AS deadline_late
FROM times AS t
LEFT JOIN promised AS p
  ON p.environment = t.environment AND p.dag_id = t.dag_id
LEFT JOIN late AS l
  ON l.environment = t.environment AND l.dag_id = t.dag_id
LEFT JOIN noted AS n
  ON n.environment = t.environment AND n.dag_id = t.dag_id
LEFT JOIN kept AS k
  ON k.environment = t.environment AND k.dag_id = t.dag_id
