-- Which run an execution date means: Airflow before 2.2 knew task instances by it.
-- grain: one execution date of a DAG
-- key: environment, dag_id, execution_date
-- units: times UTC
-- leaves out: runs of Airflow 3, which name their runs
-- input: dag_run by dag_id, run_id(dag_id text, run_id text, execution_date instant)
SELECT
  environment,
  dag_id,
  execution_date,
  max(run_id) AS run_id
FROM raw_dag_run
WHERE execution_date IS NOT NULL AND dag_id IS NOT NULL AND run_id IS NOT NULL
GROUP BY environment, dag_id, execution_date
