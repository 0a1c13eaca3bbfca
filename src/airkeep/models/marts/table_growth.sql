-- Which tables grow, and how large will they be in a month?
-- grain: one table of an environment's newest snapshot
-- key: environment, table_name
-- units: rows at the newest snapshot; bytes of its Parquet files (compressed) when a snapshot last saved it whole; times UTC; rows_per_day by least squares over the snapshots, NULL where all are of one time; rows_in_30d from the newest, never below 0
-- leaves out: tables of which a window took some rows; tables that the newest snapshot has no more. A purge between two snapshots bends the line
WITH sized AS (
  SELECT
    environment,
    table_name,
    taken_at,
    rows,
    bytes,
    max(taken_at) OVER (PARTITION BY environment) AS newest_at,
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
  environment,
  table_name,
  rows,
  bytes,
  snapshots,
  first_snapshot_at,
  last_snapshot_at,
  rows_per_day,
  CASE
    WHEN rows + 30 * rows_per_day < 0 THEN 0.0
    ELSE rows + 30 * rows_per_day
  END AS rows_in_30d
FROM fitted
WHERE rows IS NOT NULL
