-- How many slot hours go into tries that were not the last, and into tries that failed?
-- grain: one DAG
-- key: environment, dag_id
-- units: all_slot_h, failed_slot_h hours times pool slots; waste share from 0 to 1; retries a count
-- leaves out: tries without an end
SELECT
  environment,
  dag_id,
  sum(CASE WHEN try_number > 1 THEN 1 ELSE 0 END) AS retries,
  sum(duration_s * pool_slots) / 3600.0 AS all_slot_h,
  sum(CASE WHEN state IN ('failed', 'up_for_retry') THEN duration_s * pool_slots ELSE 0 END)
    / 3600.0 AS failed_slot_h,
  CASE WHEN sum(duration_s * pool_slots) > 0 THEN
    sum(CASE WHEN state IN ('failed', 'up_for_retry') THEN duration_s * pool_slots ELSE 0 END)
      / sum(duration_s * pool_slots)
  END AS waste
FROM attempts
WHERE duration_s IS NOT NULL
GROUP BY environment, dag_id
