-- Updates of assets (datasets before Airflow 3), each once: those that Airflow deleted since, too.
-- grain: one event
-- key: environment, kind, event_id, happened_at
-- units: times UTC
-- leaves out: what an event says in `extra`. asset is NULL where no snapshot had it; a dataset's event that Airflow 3 took over is an asset's
-- input: dataset_event by id, timestamp(id integer, dataset_id integer, source_dag_id text, source_task_id text, source_run_id text, source_map_index integer, timestamp instant)
-- input: asset_event by id, timestamp(id integer, asset_id integer, source_dag_id text, source_task_id text, source_run_id text, source_map_index integer, timestamp instant, partition_key text)
WITH known AS (
  SELECT
    e.environment,
    'dataset' AS kind,
    e.id AS event_id,
    e.dataset_id AS asset_id,
    e.timestamp AS happened_at,
    e.source_dag_id,
    e.source_task_id,
    e.source_run_id,
    e.source_map_index,
    CAST(NULL AS VARCHAR) AS partition_key,
    e.snapshot
  FROM raw_dataset_event AS e
  LEFT JOIN raw_asset_event AS taken_over
    ON taken_over.environment = e.environment
    AND taken_over.id = e.id
    AND taken_over.timestamp = e.timestamp
  WHERE taken_over.id IS NULL
  UNION ALL
  SELECT
    environment,
    'asset' AS kind,
    id AS event_id,
    asset_id,
    timestamp AS happened_at,
    source_dag_id,
    source_task_id,
    source_run_id,
    source_map_index,
    partition_key,
    snapshot
  FROM raw_asset_event
)
-- What its id meant when the event was last seen, or else what it first meant after that.
SELECT
  environment,
  kind,
  event_id,
  asset,
  happened_at,
  source_dag_id,
  source_task_id,
  source_run_id,
  coalesce(source_map_index, -1) AS source_map_index,
  partition_key,
  snapshot
FROM (
  SELECT
    k.*,
    n.asset,
    row_number() OVER (
      PARTITION BY k.environment, k.kind, k.event_id, k.happened_at
      ORDER BY
        n.since_snapshot > k.snapshot,
        CASE WHEN n.since_snapshot <= k.snapshot THEN n.since_snapshot END DESC,
        n.since_snapshot
    ) AS place
  FROM known AS k
  LEFT JOIN asset_names AS n
    ON n.environment = k.environment AND n.kind = k.kind AND n.asset_id = k.asset_id
) AS named
WHERE place = 1
