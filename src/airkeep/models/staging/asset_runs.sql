-- Which runs an asset's events started or fed.
-- grain: one event of one run
-- key: environment, kind, event_id, dag_id, run_id
-- units: none
-- leaves out: runs and events that no snapshot had
-- input: dagrun_dataset_event(dag_run_id integer, event_id integer)
-- input: dagrun_asset_event(dag_run_id integer, event_id integer)
-- input: dag_run(id integer, dag_id text, run_id text)
SELECT DISTINCT
  e.environment,
  e.kind,
  e.event_id,
  e.asset,
  r.dag_id,
  r.run_id
FROM (
  SELECT environment, 'dataset' AS kind, event_id, dag_run_id FROM raw_dagrun_dataset_event
  UNION ALL
  SELECT environment, 'asset' AS kind, event_id, dag_run_id FROM raw_dagrun_asset_event
) AS fed
INNER JOIN asset_events AS e
  ON e.environment = fed.environment AND e.kind = fed.kind AND e.event_id = fed.event_id
INNER JOIN raw_dag_run AS r
  ON r.environment = fed.environment AND r.id = fed.dag_run_id
WHERE r.dag_id IS NOT NULL AND r.run_id IS NOT NULL
