-- Processes of Airflow and tries that they ran, as the job table knows them, each in its last known state.
-- grain: one job; its id may be another's, of a database that was made anew
-- key: environment, job_id, started_at
-- units: times UTC
-- leaves out: rows without an id
-- input: job by id, start_date(id integer, job_type text, state text, dag_id text, hostname text, start_date instant, end_date instant, latest_heartbeat instant)
SELECT
  environment,
  id AS job_id,
  job_type,
  state,
  dag_id,
  hostname,
  start_date AS started_at,
  end_date AS ended_at,
  latest_heartbeat AS heartbeat_at,
  snapshot
FROM raw_job
WHERE id IS NOT NULL
