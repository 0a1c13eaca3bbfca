-- Which DAGs get a new version again and again?
-- grain: one DAG that has versions
-- key: environment, dag_id
-- units: versions a count; span_d days from the first to the last; versions_per_day over that span, NULL for one version
-- leaves out: Airflow before 3
SELECT
  environment,
  dag_id,
  count(*) AS versions,
  min(created_at) AS first_at,
  max(created_at) AS last_at,
  (CAST(epoch_us(max(created_at)) AS DOUBLE) - CAST(epoch_us(min(created_at)) AS DOUBLE))
    / 86400000000.0 AS span_d,
  CASE WHEN max(created_at) > min(created_at) THEN
    (count(*) - 1) * 86400000000.0
      / (CAST(epoch_us(max(created_at)) AS DOUBLE) - CAST(epoch_us(min(created_at)) AS DOUBLE))
  END AS versions_per_day
FROM dag_versions
GROUP BY environment, dag_id
