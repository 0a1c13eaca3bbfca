-- Which task waits directly for which, as each known version of a DAG says.
-- grain: one task of a version, and one task that waits for it
-- key: environment, dag_id, version, task_id, downstream_task_id
-- units: since_at, when the version was written, UTC; downstream_task_id is NULL once for a task for which none waits
-- leaves out: versions that no snapshot saw (before Airflow 3 the database keeps the newest only), DAGs that were never serialized
-- input: serialized_dag by dag_id, dag_version_id, dag_hash(dag_id text, dag_version_id text, dag_hash text, created_at instant, last_updated instant, data text, data_compressed bytes)
-- made: task_edges(environment text, dag_id text, dag_version_id text, dag_hash text, since_at instant, task_id text, downstream_task_id text) from raw_serialized_dag
SELECT
  environment,
  dag_id,
  coalesce(dag_version_id, dag_hash, '') AS version,
  max(since_at) AS since_at,
  task_id,
  downstream_task_id
FROM made_task_edges
GROUP BY
  environment, dag_id, coalesce(dag_version_id, dag_hash, ''), task_id, downstream_task_id
