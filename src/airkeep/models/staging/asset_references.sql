-- Which DAGs name which assets: scheduled on one, or with a task that writes or reads it.
-- grain: one way in which a DAG, or a task of it, names an asset
-- key: environment, asset, role, dag_id, task_id
-- units: first_seen_at, gone_at UTC, of the first snapshots that had it and had it no more; gone_at is NULL while it is there
-- leaves out: aliases that stand for no asset yet; inlets before Airflow 3.1 and assets that a task names as it runs, which no table has. task_id is NULL where the whole DAG is scheduled on it
-- input: dag_schedule_dataset_reference versions(dataset_id integer, dag_id text)
-- input: task_outlet_dataset_reference versions(dataset_id integer, dag_id text, task_id text)
-- input: dag_schedule_dataset_alias_reference versions(alias_id integer, dag_id text)
-- input: dataset_alias_dataset versions(alias_id integer, dataset_id integer)
-- input: dag_schedule_asset_reference versions(asset_id integer, dag_id text)
-- input: task_outlet_asset_reference versions(asset_id integer, dag_id text, task_id text)
-- input: task_inlet_asset_reference versions(asset_id integer, dag_id text, task_id text)
-- input: dag_schedule_asset_alias_reference versions(alias_id integer, dag_id text)
-- input: asset_alias_asset versions(alias_id integer, asset_id integer)
-- input: dag_schedule_asset_name_reference versions(name text, dag_id text)
-- input: dag_schedule_asset_uri_reference versions(uri text, dag_id text)
WITH by_id AS (
  SELECT environment, 'dataset' AS kind, dataset_id AS asset_id, 'schedule' AS role, dag_id,
    CAST(NULL AS VARCHAR) AS task_id, valid_from, valid_to
  FROM raw_dag_schedule_dataset_reference_versions
  UNION ALL
  SELECT environment, 'dataset' AS kind, dataset_id AS asset_id, 'outlet' AS role, dag_id,
    task_id, valid_from, valid_to
  FROM raw_task_outlet_dataset_reference_versions
  UNION ALL
  SELECT environment, 'asset' AS kind, asset_id, 'schedule' AS role, dag_id,
    CAST(NULL AS VARCHAR) AS task_id, valid_from, valid_to
  FROM raw_dag_schedule_asset_reference_versions
  UNION ALL
  SELECT environment, 'asset' AS kind, asset_id, 'outlet' AS role, dag_id,
    task_id, valid_from, valid_to
  FROM raw_task_outlet_asset_reference_versions
  UNION ALL
  SELECT environment, 'asset' AS kind, asset_id, 'inlet' AS role, dag_id,
    task_id, valid_from, valid_to
  FROM raw_task_inlet_asset_reference_versions
  UNION ALL
  SELECT d.environment, 'dataset' AS kind, a.dataset_id AS asset_id, 'schedule' AS role, d.dag_id,
    CAST(NULL AS VARCHAR) AS task_id,
    CASE WHEN a.valid_from > d.valid_from THEN a.valid_from ELSE d.valid_from END AS valid_from,
    CASE WHEN a.valid_to < d.valid_to OR d.valid_to IS NULL THEN a.valid_to ELSE d.valid_to END
      AS valid_to
  FROM raw_dag_schedule_dataset_alias_reference_versions AS d
  INNER JOIN raw_dataset_alias_dataset_versions AS a
    ON a.environment = d.environment
    AND a.alias_id = d.alias_id
    AND (a.valid_to IS NULL OR a.valid_to > d.valid_from)
    AND (d.valid_to IS NULL OR d.valid_to > a.valid_from)
  UNION ALL
  SELECT d.environment, 'asset' AS kind, a.asset_id, 'schedule' AS role, d.dag_id,
    CAST(NULL AS VARCHAR) AS task_id,
    CASE WHEN a.valid_from > d.valid_from THEN a.valid_from ELSE d.valid_from END AS valid_from,
    CASE WHEN a.valid_to < d.valid_to OR d.valid_to IS NULL THEN a.valid_to ELSE d.valid_to END
      AS valid_to
  FROM raw_dag_schedule_asset_alias_reference_versions AS d
  INNER JOIN raw_asset_alias_asset_versions AS a
    ON a.environment = d.environment
    AND a.alias_id = d.alias_id
    AND (a.valid_to IS NULL OR a.valid_to > d.valid_from)
    AND (d.valid_to IS NULL OR d.valid_to > a.valid_from)
),
named AS (
  SELECT b.environment, n.asset, b.role, b.dag_id, b.task_id, b.valid_from, b.valid_to
  FROM by_id AS b
  INNER JOIN asset_names AS n
    ON n.environment = b.environment
    AND n.kind = b.kind
    AND n.asset_id = b.asset_id
    AND (n.gone_at IS NULL OR n.gone_at > b.valid_from)
    AND (b.valid_to IS NULL OR b.valid_to > n.first_seen_at)
  UNION ALL
  SELECT r.environment, a.asset, 'schedule' AS role, r.dag_id,
    CAST(NULL AS VARCHAR) AS task_id, r.valid_from, r.valid_to
  FROM raw_dag_schedule_asset_name_reference_versions AS r
  INNER JOIN assets AS a
    ON a.environment = r.environment AND a.asset = r.name
  UNION ALL
  SELECT r.environment, a.asset, 'schedule' AS role, r.dag_id,
    CAST(NULL AS VARCHAR) AS task_id, r.valid_from, r.valid_to
  FROM raw_dag_schedule_asset_uri_reference_versions AS r
  INNER JOIN assets AS a
    ON a.environment = r.environment AND a.uri = r.uri
)
SELECT
  environment,
  asset,
  role,
  dag_id,
  task_id,
  min(valid_from) AS first_seen_at,
  CASE WHEN count(*) = count(valid_to) THEN max(valid_to) END AS gone_at
FROM named
WHERE dag_id IS NOT NULL
GROUP BY environment, asset, role, dag_id, task_id
