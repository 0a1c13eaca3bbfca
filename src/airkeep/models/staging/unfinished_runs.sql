-- Runs that are there and not finished: those of an environment's newest state.
-- grain: one DAG run
-- key: environment, dag_id, run_id
-- units: none
-- leaves out: runs that were deleted while they went on. Where windows alone were saved of dag_run, nothing tells that a run was deleted
-- input: dag_run newest(dag_id text, run_id text, state text)
SELECT DISTINCT environment, dag_id, run_id
FROM raw_dag_run_newest
WHERE state IN ('running', 'queued') AND dag_id IS NOT NULL AND run_id IS NOT NULL
