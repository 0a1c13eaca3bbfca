-- How long after its run is due a task may end, where its DAG says so: Airflow before 3.
-- grain: one task with an SLA, as the newest known version of its DAG has it
-- key: environment, dag_id, task_id
-- units: sla_s seconds
-- leaves out: DAGs that were never serialized
-- input: serialized_dag by dag_id, dag_version_id, dag_hash(dag_id text, dag_version_id text, dag_hash text, created_at instant, last_updated instant, data text, data_compressed bytes)
-- made: task_slas(environment text, dag_id text, dag_version_id text, dag_hash text, since_at instant, task_id text, sla_s float) from raw_serialized_dag
SELECT environment, dag_id, task_id, sla_s
FROM (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY environment, dag_id, task_id ORDER BY since_at DESC, dag_hash
    ) AS newest
  FROM made_task_slas
) AS s
WHERE newest = 1 AND sla_s IS NOT NULL
