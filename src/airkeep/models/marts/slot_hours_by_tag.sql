-- Whose work takes the slots, by tag?
-- grain: one tag on one day (UTC); DAGs without a tag count under the empty text
-- key: environment, tag, day
-- units: dags, tries counts; slot_h slots times hours
-- leaves out: tries without an end; a DAG with several tags counts under each, so tags do not add up to the whole
SELECT
  u.environment,
  coalesce(t.tag, '') AS tag,
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
LEFT JOIN dag_tags AS t ON t.environment = u.environment AND t.dag_id = u.dag_id
GROUP BY u.environment, coalesce(t.tag, ''), u.day
