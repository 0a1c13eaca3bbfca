-- Runs of every Airflow, each in the last state that any snapshot saw.
-- grain: one DAG run
-- key: environment, dag_id, run_id
-- units: times UTC; duration_s seconds
-- leaves out: rows without a dag_id or run_id; runs that a restore added for the time that an environment slept
-- input: dag_run by dag_id, run_id(id integer, dag_id text, run_id text, run_type text, external_trigger boolean, state text, execution_date instant, logical_date instant, run_after instant, queued_at instant, start_date instant, end_date instant, data_interval_start instant, data_interval_end instant, creating_job_id integer, clear_number integer, backfill_id integer, created_dag_version_id text, bundle_version text, dag_hash text, triggered_by text, triggering_user_name text)
SELECT
  environment,
  dag_id,
  run_id,
  coalesce(
    run_type,
    CASE
      WHEN run_id LIKE 'scheduled\_\_%' ESCAPE '\' THEN 'scheduled'
      WHEN run_id LIKE 'backfill\_%' ESCAPE '\' THEN 'backfill'
      ELSE 'manual'
    END
  ) AS run_type,
  state,
  coalesce(logical_date, execution_date) AS logical_at,
  coalesce(run_after, data_interval_end, logical_date, execution_date) AS due_at,
  queued_at,
  start_date AS started_at,
  end_date AS ended_at,
  CASE WHEN end_date >= start_date THEN
    (CAST(epoch_us(end_date) AS DOUBLE) - CAST(epoch_us(start_date) AS DOUBLE)) / 1000000.0
  END AS duration_s,
  data_interval_start AS interval_start_at,
  data_interval_end AS interval_end_at,
  coalesce(clear_number, 0) AS clears,
  backfill_id,
  created_dag_version_id AS dag_version_id,
  coalesce(bundle_version, dag_hash) AS code_version,
  triggered_by,
  triggering_user_name AS triggered_by_user,
  snapshot
FROM (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY environment, dag_id, run_id ORDER BY snapshot DESC, id DESC
    ) AS newest
  FROM raw_dag_run
  WHERE dag_id IS NOT NULL AND run_id IS NOT NULL
  AND substr(run_id, 1, 32) <> 'scheduled__airkeep_asleep_until_'
) AS r
WHERE newest = 1
