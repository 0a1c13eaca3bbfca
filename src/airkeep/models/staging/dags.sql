-- DAGs of every Airflow, each as it was last seen.
-- grain: one DAG
-- key: environment, dag_id
-- units: times UTC; gone_at of the first snapshot that had it no more, NULL while it is there; is_active whether Airflow still found it when it was last seen; schedule in Airflow's words (a cron expression, `Dataset`, ...), NULL where there is none; of Airflow 2 an interval is JSON; is_paused of every DAG in a snapshot that `airkeep down` took, which pauses them first: the journal has who was active
-- leaves out: nothing
-- input: dag versions(dag_id text, is_paused boolean, is_active boolean, is_stale boolean, is_subdag boolean, fileloc text, bundle_name text, owners text, description text, schedule_interval text, timetable_summary text, max_active_runs integer, max_active_tasks integer, concurrency integer, last_parsed_time instant, last_scheduler_run instant, next_dagrun_create_after instant)
SELECT
  environment,
  dag_id,
  coalesce(is_paused, FALSE) AS is_paused,
  coalesce(is_active, NOT is_stale, TRUE) AS is_active,
  coalesce(is_subdag, FALSE) AS is_subdag,
  fileloc AS file,
  bundle_name AS bundle,
  owners,
  description,
  CASE
    WHEN timetable_summary IS NOT NULL THEN nullif(timetable_summary, 'None')
    WHEN schedule_interval LIKE '"%"' THEN
      substr(schedule_interval, 2, length(schedule_interval) - 2)
    ELSE nullif(schedule_interval, 'null')
  END AS schedule,
  max_active_runs,
  coalesce(max_active_tasks, concurrency) AS max_active_tasks,
  coalesce(last_parsed_time, last_scheduler_run) AS parsed_at,
  next_dagrun_create_after AS next_run_at,
  valid_to AS gone_at,
  snapshot
FROM (
  SELECT *, row_number() OVER (PARTITION BY environment, dag_id ORDER BY snapshot DESC) AS newest
  FROM raw_dag_versions
  WHERE dag_id IS NOT NULL
) AS d
WHERE newest = 1
