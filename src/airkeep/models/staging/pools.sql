-- Pools, each as it was last seen.
-- grain: one pool
-- key: environment, pool
-- units: slots a count, NULL where a pool has no limit; gone_at UTC, of the first snapshot that had it no more, NULL while it is there
-- leaves out: Airflow's own limits (parallelism, max_active_tasks), which its database does not know
-- input: slot_pool versions(pool text, slots integer, include_deferred boolean)
SELECT
  environment,
  pool,
  CASE WHEN slots >= 0 THEN slots END AS slots,
  coalesce(include_deferred, FALSE) AS counts_deferred,
  valid_to AS gone_at,
  snapshot
FROM (
  SELECT *, row_number() OVER (PARTITION BY environment, pool ORDER BY snapshot DESC) AS newest
  FROM raw_slot_pool_versions
  WHERE pool IS NOT NULL
) AS p
WHERE newest = 1
