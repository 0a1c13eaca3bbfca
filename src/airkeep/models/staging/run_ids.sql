-- Which run an id of Airflow's means: another one in a database that was made anew.
-- grain: one run that an id meant
-- key: environment, id, dag_id, run_id
-- units: after_base, until_base base snapshots (see snapshots): it is what rows mean that were last seen in a snapshot of a later base than the one, and of no later base than the other; NULL where there is no bound
-- leaves out: runs without a dag_id or run_id
-- input: dag_run as dag_run_ids by id, dag_id, run_id(id integer, dag_id text, run_id text)
SELECT
  environment,
  id,
  dag_id,
  run_id,
  lag(base_snapshot) OVER same_id AS after_base,
  CASE WHEN lead(id) OVER same_id IS NOT NULL THEN base_snapshot END AS until_base
FROM (
  SELECT r.*, s.base_snapshot
  FROM raw_dag_run_ids AS r
  INNER JOIN snapshots AS s ON s.environment = r.environment AND s.snapshot = r.snapshot
  WHERE r.id IS NOT NULL AND r.dag_id IS NOT NULL AND r.run_id IS NOT NULL
) AS known
WINDOW same_id AS (PARTITION BY environment, id ORDER BY base_snapshot, snapshot)
