-- Assets of Airflow 3 and datasets of Airflow 2.4 to 2.11, by name: a dataset's name is its URI.
-- grain: one asset
-- key: environment, asset
-- units: times UTC; gone_at of the first snapshot that had it no more, NULL while it is there
-- leaves out: of assets with one name and several URIs all but the active or newest one
-- input: asset_active versions(name text, uri text)
SELECT environment, asset, uri, asset_group, is_active, created_at, updated_at, gone_at, snapshot
FROM (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY environment, asset
      ORDER BY
        CASE WHEN gone_at IS NULL THEN 0 ELSE 1 END,
        CASE WHEN is_active THEN 0 ELSE 1 END,
        first_seen_at DESC,
        kind,
        asset_id DESC
    ) AS best
  FROM (
    SELECT
      n.environment,
      n.kind,
      n.asset_id,
      n.asset,
      n.uri,
      n.asset_group,
      CASE WHEN n.kind = 'dataset' THEN NOT n.is_orphaned ELSE a.name IS NOT NULL END AS is_active,
      n.created_at,
      n.updated_at,
      n.first_seen_at,
      n.gone_at,
      n.snapshot
    FROM asset_names AS n
    LEFT JOIN (
      SELECT DISTINCT environment, name, uri FROM raw_asset_active_versions WHERE valid_to IS NULL
    ) AS a
      ON a.environment = n.environment AND a.name = n.asset AND a.uri = n.uri
  ) AS named
) AS ranked
WHERE best = 1
