-- Deadlines of runs, of Airflow 3.
-- grain: one deadline of a run
-- key: environment, deadline_id
-- units: times UTC
-- leaves out: whom it calls and with what; deadlines of runs that no snapshot has. Airflow deletes those that were met: they are there if a snapshot saw them before
-- input: deadline by id(id text, dagrun_id integer, deadline instant, deadline_time instant, missed boolean, callback_state text)
-- input: dag_run as run_ids by id, dag_id, run_id(id integer, dag_id text, run_id text)
-- An id may mean another run in a database that was made anew: the first that was seen no earlier
-- than the deadline is meant.
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
      PARTITION BY d.environment, d.id
      ORDER BY
        r.snapshot < d.snapshot,
        CASE WHEN r.snapshot >= d.snapshot THEN r.snapshot END,
        r.snapshot DESC
    ) AS place
  FROM raw_deadline AS d
  INNER JOIN raw_run_ids AS r
    ON r.environment = d.environment AND r.id = d.dagrun_id
) AS d
WHERE place = 1
