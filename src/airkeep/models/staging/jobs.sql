-- Processes of Airflow and tries that they ran, as the job table knows them, each in its last known state.
-- grain: one job
-- key: environment, job_id
-- units: times UTC
-- leaves out: rows without an id
-- input: job(id integer, job_type text, state text, dag_id text, hostname text, start_date instant, end_date instant, latest_heartbeat instant)
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
FROM (
  SELECT *, row_number() OVER (PARTITION BY environment, id ORDER BY snapshot DESC) AS newest
  FROM raw_job
  WHERE id IS NOT NULL
) AS j
WHERE newest = 1
