-- Snapshots of the lake, of every environment.
-- grain: one snapshot
-- key: environment, snapshot
-- units: times UTC
-- leaves out: nothing
-- made: snapshots(environment text, snapshot text, taken_at instant, airflow_version text, engine text, mode text, is_complete boolean) from manifests
SELECT environment, snapshot, taken_at, airflow_version, engine, mode, is_complete
FROM made_snapshots
