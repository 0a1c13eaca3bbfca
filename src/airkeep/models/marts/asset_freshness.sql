-- Which assets are older than they usually get?
-- grain: one asset that some DAG still names
-- key: environment, asset
-- units: updates a count: all events of one run are one; last_event_at UTC; usual_gap_s, long_gap_s, age_s seconds: the 50th and 95th percentile (nearest rank) between two updates, and from the last one to the environment's newest run or event; is_stale when older than twice the usual gap and than the long one, NULL before the fourth update
-- leaves out: assets that are gone or that no DAG names; events without a time
WITH updates AS (
  SELECT
    environment,
    asset,
    max(happened_at) AS updated_at
  FROM asset_events
  WHERE asset IS NOT NULL AND happened_at IS NOT NULL
  GROUP BY
    environment,
    asset,
    source_dag_id,
    source_run_id,
    CASE WHEN source_run_id IS NULL THEN event_id END,
    CASE WHEN source_run_id IS NULL THEN happened_at END,
    CASE WHEN source_run_id IS NULL THEN kind END
),
gaps AS (
  SELECT environment, asset, gap_s, row_number() OVER (
      PARTITION BY environment, asset ORDER BY gap_s
    ) AS place, count(*) OVER (PARTITION BY environment, asset) AS many
  FROM (
    SELECT
      environment,
      asset,
      (CAST(epoch_us(updated_at) AS DOUBLE) - CAST(epoch_us(before_at) AS DOUBLE)) / 1000000.0
        AS gap_s
    FROM (
      SELECT
        environment,
        asset,
        updated_at,
        lag(updated_at) OVER (PARTITION BY environment, asset ORDER BY updated_at) AS before_at
      FROM updates
    ) AS pairs
    WHERE before_at IS NOT NULL
  ) AS measured
),
usual AS (
  SELECT
    environment,
    asset,
    max(many) AS gaps,
    min(CASE WHEN place >= 0.50 * many THEN gap_s END) AS usual_gap_s,
    min(CASE WHEN place >= 0.95 * many THEN gap_s END) AS long_gap_s
  FROM gaps
  GROUP BY environment, asset
),
dated AS (
  SELECT
    a.environment,
    a.asset,
    coalesce(u.updates, 0) AS updates,
    u.last_event_at,
    g.usual_gap_s,
    g.long_gap_s,
    CASE WHEN g.gaps >= 3 THEN TRUE ELSE FALSE END AS is_known,
    (CAST(epoch_us(n.newest_at) AS DOUBLE) - CAST(epoch_us(u.last_event_at) AS DOUBLE))
      / 1000000.0 AS age_s
  FROM assets AS a
  LEFT JOIN (
    SELECT environment, asset, count(*) AS updates, max(updated_at) AS last_event_at
    FROM updates
    GROUP BY environment, asset
  ) AS u
    ON u.environment = a.environment AND u.asset = a.asset
  LEFT JOIN usual AS g
    ON g.environment = a.environment AND g.asset = a.asset
  LEFT JOIN (
    SELECT environment, max(newest_at) AS newest_at
    FROM (
      SELECT environment, max(started_at) AS newest_at FROM runs GROUP BY environment
      UNION ALL
      SELECT environment, max(updated_at) AS newest_at FROM updates GROUP BY environment
    ) AS both_kinds
    GROUP BY environment
  ) AS n
    ON n.environment = a.environment
  WHERE a.gone_at IS NULL AND a.is_active
)
SELECT
  environment,
  asset,
  updates,
  last_event_at,
  usual_gap_s,
  long_gap_s,
  age_s,
  CASE WHEN is_known THEN age_s > 2 * usual_gap_s AND age_s > long_gap_s END AS is_stale
FROM dated
