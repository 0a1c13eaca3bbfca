-- Which assets could go, or wait for somebody to use them?
-- grain: one asset that is of no use as things are
-- key: environment, asset
-- units: why in words, the first that holds of: no DAG names it; nobody consumes it; only paused DAGs consume it; nobody produces it; never updated. last_event_at UTC
-- leaves out: assets that are gone already; DAGs that are gone, or whose file is, count as nobody; events from outside (an API, a watcher) count as a producer; which DAGs `airkeep down` paused before it took the newest snapshot: all are paused then
WITH uses AS (
  SELECT
    r.environment,
    r.asset,
    sum(CASE WHEN r.role = 'outlet' THEN 1 ELSE 0 END) AS producers,
    sum(CASE WHEN r.role <> 'outlet' THEN 1 ELSE 0 END) AS consumers,
    sum(CASE WHEN r.role <> 'outlet' AND NOT d.is_paused THEN 1 ELSE 0 END) AS awake
  FROM asset_references AS r
  INNER JOIN dags AS d
    ON d.environment = r.environment AND d.dag_id = r.dag_id
  WHERE r.gone_at IS NULL AND d.is_active AND d.gone_at IS NULL
  GROUP BY r.environment, r.asset
),
seen AS (
  SELECT environment, asset, max(happened_at) AS last_event_at, count(*) AS events
  FROM asset_events
  WHERE asset IS NOT NULL
  GROUP BY environment, asset
),
judged AS (
  SELECT
    a.environment,
    a.asset,
    CASE
      WHEN coalesce(u.producers, 0) = 0 AND coalesce(u.consumers, 0) = 0 THEN 'no DAG names it'
      WHEN u.consumers = 0 THEN 'nobody consumes it'
      WHEN u.awake = 0 THEN 'only paused DAGs consume it'
      WHEN coalesce(s.events, 0) > 0 THEN CAST(NULL AS VARCHAR)
      WHEN u.producers = 0 THEN 'nobody produces it'
      ELSE 'never updated'
    END AS why,
    s.last_event_at
  FROM assets AS a
  LEFT JOIN uses AS u
    ON u.environment = a.environment AND u.asset = a.asset
  LEFT JOIN seen AS s
    ON s.environment = a.environment AND s.asset = a.asset
  WHERE a.gone_at IS NULL
)
SELECT environment, asset, why, last_event_at
FROM judged
WHERE why IS NOT NULL
