-- Whose work takes the slots?
-- grain: one DAG on one day (UTC)
-- key: environment, dag_id, day
-- units: tries that began, a count; slot_h hours times pool slots; owners as Airflow has them
-- leaves out: tries without an end; waits between the pokes of a rescheduled sensor, which hold no slot
SELECT
  u.environment,
  u.dag_id,
  u.day,
  d.owners,
  u.tries,
  u.slot_h
FROM (
  SELECT
    environment,
    dag_id,
    CAST(began_at AS DATE) AS day,
    sum(tries) AS tries,
    sum(held_s * pool_slots) / 3600.0 AS slot_h
  FROM slot_use
  GROUP BY environment, dag_id, CAST(began_at AS DATE)
) AS u
LEFT JOIN dags AS d ON d.environment = u.environment AND d.dag_id = u.dag_id
