-- Pools, each as it was last seen.
-- grain: one pool
-- key: environment, pool
-- units: slots a count, NULL where a pool has no limit
-- leaves out: Airflow's own limits (parallelism, max_active_tasks), which its database does not know
-- input: slot_pool by pool(pool text, slots integer, include_deferred boolean)
SELECT
  environment,
  pool,
  CASE WHEN slots >= 0 THEN slots END AS slots,
  coalesce(include_deferred, FALSE) AS counts_deferred,
  snapshot
FROM (
  SELECT *, row_number() OVER (PARTITION BY environment, pool ORDER BY snapshot DESC) AS newest
  FROM raw_slot_pool
  WHERE pool IS NOT NULL
) AS p
WHERE newest = 1
