-- How many write an asset, how many wait for it, and what does an update set off?
-- grain: one asset
-- key: environment, asset
-- units: counts: producers tasks, consumers DAGs, events, triggered_runs runs that its events started or fed; runs_per_event their ratio, NULL without an event
-- leaves out: assets that are gone; of producers tasks that no longer name it and left no event; of consumers DAGs that only read it as they run
WITH producers AS (
  SELECT environment, asset, dag_id, task_id
  FROM asset_references
  WHERE role = 'outlet' AND gone_at IS NULL
  UNION
  SELECT environment, asset, source_dag_id AS dag_id, source_task_id AS task_id
  FROM asset_events
  WHERE asset IS NOT NULL AND source_dag_id IS NOT NULL
)
SELECT
  a.environment,
  a.asset,
  coalesce(p.producers, 0) AS producers,
  coalesce(c.consumers, 0) AS consumers,
  coalesce(e.events, 0) AS events,
  coalesce(r.triggered_runs, 0) AS triggered_runs,
  CASE WHEN e.events > 0 THEN CAST(coalesce(r.triggered_runs, 0) AS DOUBLE) / e.events END AS runs_per_event
FROM assets AS a
LEFT JOIN (
  SELECT environment, asset, count(*) AS producers FROM producers GROUP BY environment, asset
) AS p
  ON p.environment = a.environment AND p.asset = a.asset
LEFT JOIN (
  SELECT environment, asset, count(DISTINCT dag_id) AS consumers
  FROM asset_references
  WHERE role IN ('schedule', 'inlet') AND gone_at IS NULL
  GROUP BY environment, asset
) AS c
  ON c.environment = a.environment AND c.asset = a.asset
LEFT JOIN (
  SELECT environment, asset, count(*) AS events
  FROM asset_events
  WHERE asset IS NOT NULL
  GROUP BY environment, asset
) AS e
  ON e.environment = a.environment AND e.asset = a.asset
LEFT JOIN (
  SELECT environment, asset, count(*) AS triggered_runs
  FROM (
    SELECT DISTINCT environment, asset, dag_id, run_id FROM asset_runs WHERE asset IS NOT NULL
  ) AS distinct_runs
  GROUP BY environment, asset
) AS r
  ON r.environment = a.environment AND r.asset = a.asset
WHERE a.gone_at IS NULL
