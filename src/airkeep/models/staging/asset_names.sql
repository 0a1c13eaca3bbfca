-- Which asset an id of Airflow's means: a dataset's before Airflow 3, an asset's since.
-- grain: one asset that an id of one kind meant
-- key: environment, kind, asset_id, asset
-- units: times UTC; gone_at of the first snapshot that had it no more, NULL while it is there; since_snapshot the first that had it
-- leaves out: nothing; an id means another asset where the database was made anew
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
  since_snapshot,
  snapshot
FROM (
  SELECT
    *,
    min(valid_from) OVER (PARTITION BY environment, kind, asset_id, asset) AS first_seen_at,
    min(snapshot) OVER (PARTITION BY environment, kind, asset_id, asset) AS since_snapshot,
    row_number() OVER (
      PARTITION BY environment, kind, asset_id, asset ORDER BY valid_from DESC
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
