-- Which runs go on for much longer than usual, and what do they wait for?
-- grain: one run that is not finished
-- key: environment, dag_id, run_id
-- units: running_s seconds from its start (of a queued one, from when it was queued or due) to the environment's last sign of life; usual_p95_s seconds, of the DAG's successful runs by nearest rank, NULL with fewer than 5; unfinished_tasks a count of task instances; why: the most advanced state among these, 'no task left' where all are finished, 'no task yet' where there is none
-- leaves out: runs within twice their usual time or, without a usual one, within a day; runs that are there no more, of the others' tasks unfinished ones that are there no more; runs of paused DAGs are there, is_paused says so (of all where `airkeep down` took the newest snapshot)
WITH usual AS (
  SELECT
    environment,
    dag_id,
    min(CASE WHEN place * 100 >= several * 95 THEN duration_s END) AS p95_s
  FROM (
    SELECT
      environment,
      dag_id,
      duration_s,
      row_number() OVER (PARTITION BY environment, dag_id ORDER BY duration_s) AS place,
      count(*) OVER (PARTITION BY environment, dag_id) AS several
    FROM runs
    WHERE state = 'success' AND duration_s IS NOT NULL
  ) AS ranked
  WHERE several >= 5
  GROUP BY environment, dag_id
),
going AS (
  SELECT
    r.environment,
    r.dag_id,
    r.run_id,
    r.state,
    r.started_at,
    u.p95_s AS usual_p95_s,
    (
      CAST(epoch_us(e.alive_at) AS DOUBLE)
      - CAST(epoch_us(coalesce(r.started_at, r.queued_at, r.due_at)) AS DOUBLE)
    ) / 1000000.0 AS running_s
  FROM runs AS r
  INNER JOIN unfinished_runs AS f
    ON f.environment = r.environment AND f.dag_id = r.dag_id AND f.run_id = r.run_id
  INNER JOIN environments AS e
    ON e.environment = r.environment
  LEFT JOIN usual AS u
    ON u.environment = r.environment AND u.dag_id = r.dag_id
  WHERE r.state IN ('running', 'queued')
),
stuck AS (
  SELECT *
  FROM going
  WHERE running_s > coalesce(2 * usual_p95_s, 86400)
),
waiting AS (
  SELECT
    s.environment,
    s.dag_id,
    s.run_id,
    count(*) AS task_instances,
    count(u.environment) AS unfinished_tasks,
    min(
      CASE
        WHEN u.environment IS NULL THEN NULL
        WHEN t.state = 'running' THEN '1running'
        WHEN t.state = 'deferred' THEN '2deferred'
        WHEN t.state = 'up_for_reschedule' THEN '3up_for_reschedule'
        WHEN t.state = 'queued' THEN '4queued'
        WHEN t.state = 'scheduled' THEN '5scheduled'
        WHEN t.state = 'up_for_retry' THEN '6up_for_retry'
        WHEN t.state IS NULL THEN '8not scheduled'
        ELSE concat('7', t.state)
      END
    ) AS furthest
  FROM stuck AS s
  INNER JOIN tasks AS t
    ON t.environment = s.environment AND t.dag_id = s.dag_id AND t.run_id = s.run_id
  LEFT JOIN unfinished_tasks AS u
    ON u.environment = t.environment
    AND u.dag_id = t.dag_id
    AND u.task_id = t.task_id
    AND u.run_id = t.run_id
    AND u.map_index = t.map_index
  GROUP BY s.environment, s.dag_id, s.run_id
)
SELECT
  s.environment,
  s.dag_id,
  s.run_id,
  s.state,
  coalesce(d.is_paused, FALSE) AS is_paused,
  s.started_at,
  s.running_s,
  s.usual_p95_s,
  coalesce(w.unfinished_tasks, 0) AS unfinished_tasks,
  CASE
    WHEN w.task_instances IS NULL THEN 'no task yet'
    WHEN w.unfinished_tasks = 0 THEN 'no task left'
    ELSE substr(w.furthest, 2)
  END AS why
FROM stuck AS s
LEFT JOIN waiting AS w
  ON w.environment = s.environment AND w.dag_id = s.dag_id AND w.run_id = s.run_id
LEFT JOIN dags AS d
  ON d.environment = s.environment AND d.dag_id = s.dag_id
