-- Runs that a DAG's schedule made due, whether they came or not.
-- grain: one due time
-- key: environment, dag_id, due_at
-- units: times UTC; due_at as in runs: before Airflow 2.2 the start of the interval
-- leaves out: what schedule_spans leaves out; of DAGs that run at intervals the runs that came in time
-- made: due_times(environment text, dag_id text, due_at instant, number integer) from schedule_spans
SELECT DISTINCT
  m.environment,
  m.dag_id,
  m.due_at,
  s.schedule,
  s.timezone,
  s.interval_s,
  s.catchup
FROM made_due_times AS m
INNER JOIN schedules AS s
  ON s.environment = m.environment AND s.dag_id = m.dag_id AND s.number = m.number
