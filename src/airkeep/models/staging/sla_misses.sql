-- What Airflow before 3 noted of tasks that were late by their SLA.
-- grain: one task and execution date
-- key: environment, dag_id, task_id, logical_at
-- units: times UTC
-- leaves out: what the note says, which quotes the DAG's author
-- input: sla_miss by dag_id, task_id, execution_date(task_id text, dag_id text, execution_date instant, timestamp instant, notification_sent boolean)
SELECT environment, dag_id, task_id, execution_date AS logical_at, noted_at, was_notified, snapshot
FROM (
  SELECT
    environment,
    dag_id,
    task_id,
    execution_date,
    "timestamp" AS noted_at,
    coalesce(notification_sent, FALSE) AS was_notified,
    snapshot,
    row_number() OVER (
      PARTITION BY environment, dag_id, task_id, execution_date ORDER BY snapshot DESC
    ) AS newest
  FROM raw_sla_miss
) AS s
WHERE newest = 1
