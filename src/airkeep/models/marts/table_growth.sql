-- Which tables grow, and how large will they be in a month?
-- grain: one table that was saved whole, by an environment's newest complete snapshot or later
-- key: environment, table_name
-- units: rows at last_snapshot_at, the newest snapshot that says how many; bytes of its Parquet files (compressed) when a snapshot last saved it whole; times UTC; rows_per_day by least squares over the snapshots, NULL where all are of one time; rows_in_30d a month after last_snapshot_at, never below 0
-- leaves out: snapshots in which a window took some of a table's rows, and so tables of which there are no others; tables that the newest complete snapshot has no more. A purge between two snapshots bends the line
WITH sized AS (
  SELECT
    environment,
    table_name,
    taken_at,
    rows,
    bytes,
    max(taken_at) OVER (PARTITION BY environment, table_name) AS newest_at,
    (
      CAST(epoch_us(taken_at) AS DOUBLE)
      - CAST(epoch_us(min(taken_at) OVER (PARTITION BY environment, table_name)) AS DOUBLE)
    ) / 86400000000.0 AS after_d,
    row_number() OVER (
      PARTITION BY environment, table_name
      ORDER BY CASE WHEN bytes IS NULL THEN 1 ELSE 0 END, taken_at DESC
    ) AS newest_whole
  FROM table_sizes
),
centred AS (
  SELECT
    *,
    after_d - avg(after_d) OVER (PARTITION BY environment, table_name) AS x,
    CAST(rows AS DOUBLE) - avg(CAST(rows AS DOUBLE)) OVER (PARTITION BY environment, table_name)
      AS y
  FROM sized
),
fitted AS (
  SELECT
    environment,
    table_name,
    max(CASE WHEN taken_at = newest_at THEN rows END) AS rows,
    max(CASE WHEN newest_whole = 1 THEN bytes END) AS bytes,
    count(*) AS snapshots,
    min(taken_at) AS first_snapshot_at,
    max(taken_at) AS last_snapshot_at,
    CASE WHEN sum(x * x) > 0 THEN sum(x * y) / sum(x * x) END AS rows_per_day
  FROM centred
  GROUP BY environment, table_name
)
SELECT
  f.environment,
  f.table_name,
  f.rows,
  f.bytes,
  f.snapshots,
  f.first_snapshot_at,
  f.last_snapshot_at,
  f.rows_per_day,
  CASE
    WHEN f.rows + 30 * f.rows_per_day < 0 THEN 0.0
    ELSE f.rows + 30 * f.rows_per_day
  END AS rows_in_30d
FROM fitted AS f
LEFT JOIN (
  SELECT environment, max(taken_at) AS complete_at
  FROM snapshots
  WHERE is_complete
  GROUP BY environment
) AS c
  ON c.environment = f.environment
WHERE c.complete_at IS NULL OR f.last_snapshot_at >= c.complete_at
