-- Whose work takes the slots, by owner?
-- grain: one text of owners on one day (UTC); DAGs without one, or that no snapshot saw, count under the empty text
-- key: environment, owners, day
-- units: owners as Airflow joins those of a DAG's tasks, 'a, b': such a DAG counts under both together; dags, tries counts; slot_h slots times hours
-- leaves out: tries without an end; owners that a DAG had before: all of its work counts under those that it was last seen with
SELECT
  u.environment,
  coalesce(d.owners, '') AS owners,
  u.day,
  count(*) AS dags,
  sum(u.tries) AS tries,
  sum(u.slot_s) / 3600.0 AS slot_h
FROM (
  SELECT
    environment,
    dag_id,
    CAST(began_at AS DATE) AS day,
    sum(tries) AS tries,
    sum(held_s * pool_slots) AS slot_s
  FROM slot_use
  GROUP BY environment, dag_id, CAST(began_at AS DATE)
) AS u
LEFT JOIN dags AS d ON d.environment = u.environment AND d.dag_id = u.dag_id
GROUP BY u.environment, coalesce(d.owners, ''), u.day
