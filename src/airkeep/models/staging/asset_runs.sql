-- Which runs an asset's events started or fed.
-- grain: one event of one run
-- key: environment, kind, event_id, happened_at, dag_id, run_id
-- units: none
-- leaves out: runs and events that no snapshot had; of two pairs of equal ids, seen in a database and in the one that was made anew after it, the older
-- input: dagrun_dataset_event by dag_run_id, event_id(dag_run_id integer, event_id integer)
-- input: dagrun_asset_event by dag_run_id, event_id(dag_run_id integer, event_id integer)
-- An id may mean another row in a database that was made anew: see run_ids.
WITH fed AS (
  SELECT f.*, s.base_snapshot
  FROM (
    SELECT environment, snapshot, 'dataset' AS kind, event_id, dag_run_id
    FROM raw_dagrun_dataset_event
    UNION ALL
    SELECT environment, snapshot, 'asset' AS kind, event_id, dag_run_id
    FROM raw_dagrun_asset_event
  ) AS f
  INNER JOIN snapshots AS s ON s.environment = f.environment AND s.snapshot = f.snapshot
),
events AS (
  SELECT
    environment,
    kind,
    event_id,
    happened_at,
    asset,
    lag(base_snapshot) OVER same_id AS after_base,
    CASE WHEN lead(event_id) OVER same_id IS NOT NULL THEN base_snapshot END AS until_base
  FROM (
    SELECT e.*, s.base_snapshot
    FROM asset_events AS e
    INNER JOIN snapshots AS s ON s.environment = e.environment AND s.snapshot = e.snapshot
  ) AS known
  WINDOW same_id AS (PARTITION BY environment, kind, event_id ORDER BY base_snapshot, snapshot)
)
SELECT DISTINCT
  f.environment,
  f.kind,
  f.event_id,
  e.happened_at,
  e.asset,
  r.dag_id,
  r.run_id
FROM fed AS f
INNER JOIN events AS e
  ON e.environment = f.environment
  AND e.kind = f.kind
  AND e.event_id = f.event_id
  AND (e.after_base IS NULL OR f.base_snapshot > e.after_base)
  AND (e.until_base IS NULL OR f.base_snapshot <= e.until_base)
INNER JOIN run_ids AS r
  ON r.environment = f.environment
  AND r.id = f.dag_run_id
  AND (r.after_base IS NULL OR f.base_snapshot > r.after_base)
  AND (r.until_base IS NULL OR f.base_snapshot <= r.until_base)
