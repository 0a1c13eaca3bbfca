-- Snapshots of the lake, of every environment.
-- grain: one snapshot
-- key: environment, snapshot
-- units: times UTC; base_snapshot the newest full and complete snapshot at or before it, empty where there is none: a database that was made anew begins with one
-- leaves out: nothing
-- made: snapshots(environment text, snapshot text, taken_at instant, airflow_version text, engine text, mode text, is_complete boolean) from manifests
SELECT
  environment,
  snapshot,
  taken_at,
  airflow_version,
  engine,
  mode,
  is_complete,
  coalesce(
    max(CASE WHEN mode = 'full' AND is_complete THEN snapshot END) OVER (
      PARTITION BY environment ORDER BY snapshot
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ),
    ''
  ) AS base_snapshot
FROM made_snapshots
