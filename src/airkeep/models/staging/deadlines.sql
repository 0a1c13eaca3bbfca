-- Deadlines of runs, of Airflow 3.
-- grain: one deadline of a run
-- key: environment, deadline_id
-- units: times UTC
-- leaves out: whom it calls and with what; deadlines of runs that no snapshot has. Airflow deletes those that were met: they are there if a snapshot saw them before
-- input: deadline(id text, dagrun_id integer, deadline instant, deadline_time instant, missed boolean, callback_state text)
-- input: dag_run(id integer, dag_id text, run_id text)
SELECT environment, deadline_id, dag_id, run_id, due_at, was_missed, snapshot
FROM (
  SELECT
    d.environment,
    d.id AS deadline_id,
    r.dag_id,
    r.run_id,
    coalesce(d.deadline_time, d.deadline) AS due_at,
    coalesce(d.missed, d.callback_state IS NOT NULL) AS was_missed,
    d.snapshot,
    row_number() OVER (
      PARTITION BY d.environment, d.id ORDER BY d.snapshot DESC, r.snapshot DESC
    ) AS newest
  FROM raw_deadline AS d
  INNER JOIN raw_dag_run AS r
    ON r.environment = d.environment AND r.id = d.dagrun_id
) AS d
WHERE newest = 1
