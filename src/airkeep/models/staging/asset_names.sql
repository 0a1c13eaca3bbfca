-- Which asset an id of Airflow's means: a dataset's before Airflow 3, an asset's since.
-- grain: one id of one kind
-- key: environment, kind, asset_id
-- units: times UTC; gone_at of the first snapshot that had it no more, NULL while it is there
-- leaves out: of an id that meant several assets in turn all but the last
-- input: dataset versions(id integer, uri text, is_orphaned boolean, created_at instant, updated_at instant)
-- input: asset versions(id integer, name text, uri text, group text, created_at instant, updated_at instant)
SELECT
  environment,
  kind,
  asset_id,
  asset,
  uri,
  asset_group,
  is_orphaned,
  created_at,
  updated_at,
  first_seen_at,
  gone_at,
  snapshot
FROM (
  SELECT
    *,
    min(valid_from) OVER (PARTITION BY environment, kind, asset_id, asset) AS first_seen_at,
    row_number() OVER (
      PARTITION BY environment, kind, asset_id ORDER BY valid_from DESC, asset
    ) AS newest
  FROM (
    SELECT
      environment,
      'dataset' AS kind,
      id AS asset_id,
      uri AS asset,
      uri,
      CAST(NULL AS VARCHAR) AS asset_group,
      coalesce(is_orphaned, FALSE) AS is_orphaned,
      created_at,
      updated_at,
      valid_from,
      valid_to AS gone_at,
      snapshot
    FROM raw_dataset_versions
    UNION ALL
    SELECT
      environment,
      'asset' AS kind,
      id AS asset_id,
      name AS asset,
      uri,
      "group" AS asset_group,
      FALSE AS is_orphaned,
      created_at,
      updated_at,
      valid_from,
      valid_to AS gone_at,
      snapshot
    FROM raw_asset_versions
  ) AS known
) AS numbered
WHERE newest = 1 AND asset IS NOT NULL
