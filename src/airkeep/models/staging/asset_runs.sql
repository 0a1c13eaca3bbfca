-- Which runs an asset's events started or fed.
-- grain: one event of one run
-- key: environment, kind, event_id, happened_at, dag_id, run_id
-- units: none
-- leaves out: runs and events that no snapshot had; of two pairs of equal ids, seen in a database and in the one that was made anew after it, the older
-- input: dagrun_dataset_event by dag_run_id, event_id(dag_run_id integer, event_id integer)
-- input: dagrun_asset_event by dag_run_id, event_id(dag_run_id integer, event_id integer)
-- input: dag_run as run_ids by id, dag_id, run_id(id integer, dag_id text, run_id text)
-- An id may mean another row in a database that was made anew: the first that was seen no earlier
-- than what names it is meant.
SELECT DISTINCT environment, kind, event_id, happened_at, asset, dag_id, run_id
FROM (
  SELECT
    fed.environment,
    fed.kind,
    fed.event_id,
    e.happened_at,
    e.asset,
    r.dag_id,
    r.run_id,
    row_number() OVER (
      PARTITION BY fed.environment, fed.kind, fed.event_id, fed.dag_run_id
      ORDER BY
        e.snapshot < fed.snapshot,
        CASE WHEN e.snapshot >= fed.snapshot THEN e.snapshot END,
        e.snapshot DESC,
        r.snapshot < fed.snapshot,
        CASE WHEN r.snapshot >= fed.snapshot THEN r.snapshot END,
        r.snapshot DESC
    ) AS place
  FROM (
    SELECT environment, snapshot, 'dataset' AS kind, event_id, dag_run_id
    FROM raw_dagrun_dataset_event
    UNION ALL
    SELECT environment, snapshot, 'asset' AS kind, event_id, dag_run_id
    FROM raw_dagrun_asset_event
  ) AS fed
  INNER JOIN asset_events AS e
    ON e.environment = fed.environment AND e.kind = fed.kind AND e.event_id = fed.event_id
  INNER JOIN raw_run_ids AS r
    ON r.environment = fed.environment AND r.id = fed.dag_run_id
  WHERE r.dag_id IS NOT NULL AND r.run_id IS NOT NULL
) AS named
WHERE place = 1
