-- Whose work takes the slots, by tag?
-- grain: one tag on one day (UTC); DAGs without a tag count under the empty text
-- key: environment, tag, day
-- units: dags, tries counts; slot_h slots times hours
-- leaves out: tags that were taken from a DAG; those of a DAG that is gone count as it last had them; tries without an end; a DAG with several tags counts under each, so tags do not add up to the whole
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
LEFT JOIN (
  SELECT t.environment, t.dag_id, t.tag
  FROM dag_tags AS t
  LEFT JOIN dags AS d ON d.environment = t.environment AND d.dag_id = t.dag_id
  WHERE t.gone_at IS NULL OR t.gone_at = d.gone_at
) AS t ON t.environment = u.environment AND t.dag_id = u.dag_id
GROUP BY u.environment, coalesce(t.tag, ''), u.day
