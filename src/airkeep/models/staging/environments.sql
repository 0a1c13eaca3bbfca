-- Environments, and until when each one is known to have lived.
-- grain: one environment
-- key: environment
-- units: snapshots a count; times UTC; alive_at is the newest thing that its Airflow did before the newest snapshot
-- leaves out: nothing; alive_at is the snapshot's time where Airflow never did anything
SELECT
  s.environment,
  s.snapshots,
  s.first_taken_at,
  s.last_taken_at,
  CASE WHEN a.alive_at < s.last_taken_at THEN a.alive_at ELSE s.last_taken_at END AS alive_at
FROM (
  SELECT
    environment,
    count(*) AS snapshots,
    min(taken_at) AS first_taken_at,
    max(taken_at) AS last_taken_at
  FROM snapshots
  GROUP BY environment
) AS s
LEFT JOIN (
  SELECT environment, max(done_at) AS alive_at
  FROM (
    SELECT environment, max(started_at) AS done_at FROM runs GROUP BY environment
    UNION ALL
    SELECT environment, max(ended_at) AS done_at FROM runs GROUP BY environment
    UNION ALL
    SELECT environment, max(heartbeat_at) AS done_at FROM jobs GROUP BY environment
    UNION ALL
    SELECT environment, max(happened_at) AS done_at FROM events GROUP BY environment
    UNION ALL
    SELECT environment, max(parsed_at) AS done_at FROM dags GROUP BY environment
  ) AS d
  GROUP BY environment
) AS a
  ON a.environment = s.environment
