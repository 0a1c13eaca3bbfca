-- How often do connections and variables change, and when did they last?
-- grain: one connection or variable
-- key: environment, kind, config_key
-- units: changes a count of snapshots that had it otherwise than the one before, its removal and return too; times UTC, of snapshots; last_changed_at is NULL where it never changed
-- leaves out: values; changes between two snapshots but the last; values that were sealed or dropped, for these say nothing of a change. A new Fernet key changes all that it encrypts
WITH versions AS (
  SELECT environment, 'connection' AS kind, conn_id AS config_key, changed_at, gone_at
  FROM connections
  UNION ALL
  SELECT environment, 'variable' AS kind, variable_key AS config_key, changed_at, gone_at
  FROM variables
),
moments AS (
  SELECT environment, kind, config_key, changed_at AS moment_at FROM versions
  UNION
  SELECT environment, kind, config_key, gone_at AS moment_at FROM versions WHERE gone_at IS NOT NULL
)
SELECT
  m.environment,
  m.kind,
  m.config_key,
  m.moments - 1 AS changes,
  m.first_seen_at,
  CASE WHEN m.moments > 1 THEN m.last_changed_at END AS last_changed_at,
  v.open_versions > 0 AS is_there
FROM (
  SELECT
    environment,
    kind,
    config_key,
    count(*) AS moments,
    min(moment_at) AS first_seen_at,
    max(moment_at) AS last_changed_at
  FROM moments
  GROUP BY environment, kind, config_key
) AS m
INNER JOIN (
  SELECT
    environment,
    kind,
    config_key,
    sum(CASE WHEN gone_at IS NULL THEN 1 ELSE 0 END) AS open_versions
  FROM versions
  GROUP BY environment, kind, config_key
) AS v
  ON v.environment = m.environment AND v.kind = m.kind AND v.config_key = m.config_key
