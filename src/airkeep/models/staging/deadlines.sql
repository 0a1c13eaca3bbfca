-- Deadlines of runs, of Airflow 3.
-- grain: one deadline of a run
-- key: environment, deadline_id
-- units: times UTC
-- leaves out: whom it calls and with what; deadlines of runs that no snapshot has. Airflow deletes those that were met: they are there if a snapshot saw them before
-- input: deadline by id(id text, dagrun_id integer, deadline instant, deadline_time instant, missed boolean, callback_state text)
-- An id may mean another run in a database that was made anew: see run_ids.
SELECT
  d.environment,
  d.id AS deadline_id,
  r.dag_id,
  r.run_id,
  coalesce(d.deadline_time, d.deadline) AS due_at,
  coalesce(d.missed, d.callback_state IS NOT NULL) AS was_missed,
  d.snapshot
FROM raw_deadline AS d
INNER JOIN snapshots AS s ON s.environment = d.environment AND s.snapshot = d.snapshot
INNER JOIN run_ids AS r
  ON r.environment = d.environment
  AND r.id = d.dagrun_id
  AND (r.after_base IS NULL OR s.base_snapshot > r.after_base)
  AND (r.until_base IS NULL OR s.base_snapshot <= r.until_base)
