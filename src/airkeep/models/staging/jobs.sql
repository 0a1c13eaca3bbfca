-- Processes of Airflow, each as it was last seen: schedulers, triggerers, and before 3 one per try.
-- grain: one job
-- key: environment, id
-- units: times UTC
-- leaves out: nothing
-- input: job(id integer, dag_id text, state text, job_type text, start_date instant, end_date instant, latest_heartbeat instant, hostname text, executor_class text)
SELECT
  environment,
  id,
  dag_id,
  job_type,
  state,
  start_date AS started_at,
  end_date AS ended_at,
  latest_heartbeat AS heartbeat_at,
  hostname,
  executor_class AS executor,
  snapshot
FROM (
  SELECT *, row_number() OVER (PARTITION BY environment, id ORDER BY snapshot DESC) AS newest
  FROM raw_job
  WHERE id IS NOT NULL
) AS j
WHERE newest = 1
