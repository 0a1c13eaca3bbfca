-- How long do runs of a DAG take, week by week?
-- grain: one DAG in one week (from Monday, UTC) in which a run of it began and succeeded
-- key: environment, dag_id, week
-- units: p50_s, p95_s, p99_s, longest_s seconds, percentiles by nearest rank; runs a count
-- leaves out: runs that failed or are not finished, and those without a start or an end
SELECT
  environment,
  dag_id,
  week,
  count(*) AS runs,
  min(CASE WHEN place >= 0.50 * many THEN duration_s END) AS p50_s,
  min(CASE WHEN place >= 0.95 * many THEN duration_s END) AS p95_s,
  min(CASE WHEN place >= 0.99 * many THEN duration_s END) AS p99_s,
  max(duration_s) AS longest_s
FROM (
  SELECT
    environment,
    dag_id,
    CAST(date_trunc('week', started_at) AS DATE) AS week,
    duration_s,
    row_number() OVER (
      PARTITION BY environment, dag_id, date_trunc('week', started_at) ORDER BY duration_s
    ) AS place,
    count(*) OVER (PARTITION BY environment, dag_id, date_trunc('week', started_at)) AS many
  FROM runs
  WHERE state = 'success' AND duration_s IS NOT NULL AND started_at IS NOT NULL
) AS ranked
GROUP BY environment, dag_id, week
