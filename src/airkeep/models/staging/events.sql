-- What people and Airflow did, from the audit log.
-- grain: one entry of the log
-- key: environment, id, happened_at
-- units: times UTC
-- leaves out: what an entry says in `extra`, which may hold values of variables and connections
-- input: log by dttm, event, dag_id, task_id(id integer, dttm instant, dag_id text, task_id text, run_id text, map_index integer, event text, owner text)
SELECT
  environment,
  id,
  dttm AS happened_at,
  dag_id,
  task_id,
  run_id,
  map_index,
  event,
  owner,
  snapshot
FROM raw_log
