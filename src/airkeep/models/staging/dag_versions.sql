-- Versions of DAGs, as Airflow 3 numbers them.
-- grain: one version of a DAG
-- key: environment, dag_id, version
-- units: times UTC
-- leaves out: Airflow before 3, which keeps the newest code only
-- input: dag_version by id(id text, dag_id text, version_number integer, bundle_name text, bundle_version text, created_at instant)
SELECT
  environment,
  dag_id,
  version_number AS version,
  id AS dag_version_id,
  bundle_name AS bundle,
  bundle_version,
  created_at,
  snapshot
FROM (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY environment, dag_id, version_number ORDER BY snapshot DESC, created_at DESC
    ) AS newest
  FROM raw_dag_version
) AS v
WHERE newest = 1
