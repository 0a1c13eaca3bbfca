-- Tags of DAGs that any snapshot saw.
-- grain: one tag of a DAG
-- key: environment, dag_id, tag
-- units: none
-- leaves out: Airflow before 1.10.8, which has no tags
-- input: dag_tag by dag_id, name(dag_id text, name text)
SELECT environment, dag_id, name AS tag, max(snapshot) AS snapshot
FROM raw_dag_tag
WHERE dag_id IS NOT NULL AND name IS NOT NULL
GROUP BY environment, dag_id, name
