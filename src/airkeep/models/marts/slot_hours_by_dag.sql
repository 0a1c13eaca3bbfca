-- Whose work takes the slots?
-- grain: one DAG on one day (UTC)
-- key: environment, dag_id, day
-- units: tries a count; slot_h hours times pool slots; owners as Airflow has them
-- leaves out: tries without an end; a try counts on the day on which it began
SELECT
  a.environment,
  a.dag_id,
  CAST(a.started_at AS DATE) AS day,
  max(d.owners) AS owners,
  count(*) AS tries,
  sum(a.duration_s * a.pool_slots) / 3600.0 AS slot_h
FROM attempts AS a
LEFT JOIN dags AS d ON d.environment = a.environment AND d.dag_id = a.dag_id
WHERE a.duration_s IS NOT NULL
GROUP BY a.environment, a.dag_id, CAST(a.started_at AS DATE)
