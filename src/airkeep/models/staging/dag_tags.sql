-- Tags of DAGs that any snapshot saw.
-- grain: one tag of a DAG
-- key: environment, dag_id, tag
-- units: gone_at UTC, of the first snapshot that had it no more, NULL while it is there
-- leaves out: Airflow before 1.10.8, which has no tags
-- input: dag_tag versions(dag_id text, name text)
SELECT
  environment,
  dag_id,
  name AS tag,
  CASE WHEN count(*) = count(valid_to) THEN max(valid_to) END AS gone_at,
  max(snapshot) AS snapshot
FROM raw_dag_tag_versions
WHERE dag_id IS NOT NULL AND name IS NOT NULL
GROUP BY environment, dag_id, name
