-- Who did what, day by day?
-- grain: one kind of event of one owner on one day (UTC), per DAG
-- key: environment, day, owner, event, dag_id
-- units: events a count; first_at, last_at UTC
-- leaves out: entries without a time; an entry without an owner or a DAG counts under the empty text
SELECT
  environment,
  CAST(happened_at AS DATE) AS day,
  coalesce(owner, '') AS owner,
  coalesce(event, '') AS event,
  coalesce(dag_id, '') AS dag_id,
  count(*) AS events,
  min(happened_at) AS first_at,
  max(happened_at) AS last_at
FROM events
WHERE happened_at IS NOT NULL
GROUP BY
  environment,
  CAST(happened_at AS DATE),
  coalesce(owner, ''),
  coalesce(event, ''),
  coalesce(dag_id, '')
