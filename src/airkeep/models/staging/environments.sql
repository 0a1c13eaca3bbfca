-- Environments, and until when each one is known to have lived.
-- grain: one environment
-- key: environment
-- units: snapshots a count; times UTC; alive_at is the newest thing that its Airflow did before the newest snapshot
-- leaves out: of alive_at times of more than a day after the newest snapshot, which some clock had wrong; alive_at is the snapshot's time where Airflow never did anything
WITH taken AS (
  SELECT
    environment,
    count(*) AS snapshots,
    min(taken_at) AS first_taken_at,
    max(taken_at) AS last_taken_at
  FROM snapshots
  GROUP BY environment
)
SELECT
  s.environment,
  s.snapshots,
  s.first_taken_at,
  s.last_taken_at,
  CASE WHEN a.alive_at < s.last_taken_at THEN a.alive_at ELSE s.last_taken_at END AS alive_at
FROM taken AS s
LEFT JOIN (
  SELECT d.environment, max(d.done_at) AS alive_at
  FROM (
    SELECT environment, started_at AS done_at FROM runs
    UNION ALL
    SELECT environment, ended_at AS done_at FROM runs
    UNION ALL
    SELECT environment, heartbeat_at AS done_at FROM jobs
    UNION ALL
    SELECT environment, happened_at AS done_at FROM events
    UNION ALL
    SELECT environment, parsed_at AS done_at FROM dags
  ) AS d
  INNER JOIN taken AS t
    ON t.environment = d.environment
  WHERE d.done_at <= t.last_taken_at + INTERVAL 1 DAY
  GROUP BY d.environment
) AS a
  ON a.environment = s.environment
