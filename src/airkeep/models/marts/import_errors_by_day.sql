-- Which files could Airflow not read, day by day, and which can it still not?
-- grain: one file on one day (UTC) on which Airflow said that it cannot read it
-- key: environment, day, bundle, file
-- units: errors a count of times that a snapshot saw it said; times UTC: first_raised_at, last_raised_at of the day, first_seen_at the first of all days; is_open whether the newest snapshot has an error of the file
-- leaves out: errors that came and went between two snapshots; days on which a known error was not said anew
SELECT
  e.environment,
  CAST(e.raised_at AS DATE) AS day,
  e.bundle,
  e.file,
  count(*) AS errors,
  min(e.raised_at) AS first_raised_at,
  max(e.raised_at) AS last_raised_at,
  f.first_seen_at,
  f.open_errors > 0 AS is_open
FROM import_errors AS e
INNER JOIN (
  SELECT
    environment,
    bundle,
    file,
    min(raised_at) AS first_seen_at,
    sum(CASE WHEN gone_at IS NULL THEN 1 ELSE 0 END) AS open_errors
  FROM import_errors
  GROUP BY environment, bundle, file
) AS f
  ON f.environment = e.environment AND f.bundle = e.bundle AND f.file = e.file
GROUP BY
  e.environment, CAST(e.raised_at AS DATE), e.bundle, e.file, f.first_seen_at, f.open_errors
