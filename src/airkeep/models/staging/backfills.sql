-- Backfills as Airflow 3 keeps them, each as it was last seen.
-- grain: one backfill
-- key: environment, backfill_id, created_at
-- units: times UTC; runs, skipped_runs counts: of all that it meant to make, and those that it did not
-- leaves out: Airflow before 3, whose backfills are runs of the type `backfill`; what it was configured with
-- input: backfill by id, created_at(id integer, dag_id text, from_date instant, to_date instant, is_paused boolean, reprocess_behavior text, max_active_runs integer, created_at instant, completed_at instant, triggering_user_name text)
-- input: backfill_dag_run by id, backfill_id, dag_run_id(id integer, backfill_id integer, dag_run_id integer, exception_reason text)
-- An id may mean another backfill in a database that was made anew: see run_ids.
WITH known AS (
  SELECT
    environment,
    id,
    created_at,
    lag(base_snapshot) OVER same_id AS after_base,
    CASE WHEN lead(id) OVER same_id IS NOT NULL THEN base_snapshot END AS until_base
  FROM (
    SELECT b.*, s.base_snapshot
    FROM raw_backfill AS b
    INNER JOIN snapshots AS s ON s.environment = b.environment AND s.snapshot = b.snapshot
  ) AS based
  WINDOW same_id AS (PARTITION BY environment, id ORDER BY base_snapshot, snapshot)
),
counted AS (
  SELECT r.environment, r.backfill_id, k.created_at, r.exception_reason
  FROM raw_backfill_dag_run AS r
  INNER JOIN snapshots AS s ON s.environment = r.environment AND s.snapshot = r.snapshot
  INNER JOIN known AS k
    ON k.environment = r.environment
    AND k.id = r.backfill_id
    AND (k.after_base IS NULL OR s.base_snapshot > k.after_base)
    AND (k.until_base IS NULL OR s.base_snapshot <= k.until_base)
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
