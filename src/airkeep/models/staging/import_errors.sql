-- Files that Airflow could not read, each time that it said so: from all snapshots, for it forgets.
-- grain: one error of a file, as Airflow raised it
-- key: environment, bundle, file, error_id, raised_at
-- units: times UTC; first_seen_at, gone_at of snapshots: the first that had it, the first that had it no more, NULL while it is there
-- leaves out: what the error says, which may quote a file's literals; errors that came and went between two snapshots
-- input: import_error versions(id integer, timestamp instant, filename text, bundle_name text)
SELECT
  environment,
  bundle,
  file,
  error_id,
  raised_at,
  min(valid_from) AS first_seen_at,
  CASE WHEN count(*) = count(valid_to) THEN max(valid_to) END AS gone_at,
  max(snapshot) AS snapshot
FROM (
  SELECT
    environment,
    coalesce(bundle_name, '') AS bundle,
    coalesce(filename, '') AS file,
    id AS error_id,
    coalesce(timestamp, valid_from) AS raised_at,
    valid_from,
    valid_to,
    snapshot
  FROM raw_import_error_versions
) AS e
GROUP BY environment, bundle, file, error_id, raised_at
