-- Backfills as Airflow 3 keeps them, each as it was last seen.
-- grain: one backfill
-- key: environment, backfill_id, created_at
-- units: times UTC; runs, skipped_runs counts: of all that it meant to make, and those that it did not
-- leaves out: Airflow before 3, whose backfills are runs of the type `backfill`; what it was configured with
-- input: backfill by id, created_at(id integer, dag_id text, from_date instant, to_date instant, is_paused boolean, reprocess_behavior text, max_active_runs integer, created_at instant, completed_at instant, triggering_user_name text)
-- input: backfill_dag_run by id, backfill_id, dag_run_id(id integer, backfill_id integer, dag_run_id integer, exception_reason text)
-- An id may mean another backfill in a database that was made anew: the first that was seen no
-- earlier than the run is meant.
WITH counted AS (
  SELECT *
  FROM (
    SELECT
      r.environment,
      r.backfill_id,
      r.exception_reason,
      b.created_at,
      row_number() OVER (
        PARTITION BY r.environment, r.id, r.backfill_id, r.dag_run_id
        ORDER BY
          b.snapshot < r.snapshot,
          CASE WHEN b.snapshot >= r.snapshot THEN b.snapshot END,
          b.snapshot DESC
      ) AS place
    FROM raw_backfill_dag_run AS r
    INNER JOIN raw_backfill AS b
      ON b.environment = r.environment AND b.id = r.backfill_id
  ) AS meant
  WHERE place = 1
)
SELECT
  b.environment,
  b.id AS backfill_id,
  b.dag_id,
  b.from_date AS from_at,
  b.to_date AS to_at,
  coalesce(b.is_paused, FALSE) AS is_paused,
  b.reprocess_behavior,
  b.max_active_runs,
  b.created_at,
  b.completed_at,
  b.triggering_user_name AS triggered_by_user,
  coalesce(r.runs, 0) AS runs,
  coalesce(r.skipped_runs, 0) AS skipped_runs,
  b.snapshot
FROM raw_backfill AS b
LEFT JOIN (
  SELECT
    environment,
    backfill_id,
    created_at,
    count(*) AS runs,
    sum(CASE WHEN exception_reason IS NOT NULL THEN 1 ELSE 0 END) AS skipped_runs
  FROM counted
  GROUP BY environment, backfill_id, created_at
) AS r
  ON r.environment = b.environment
  AND r.backfill_id = b.id
  AND r.created_at IS NOT DISTINCT FROM b.created_at
