-- Variables, each version that a snapshot saw: their keys and when they changed, no value.
-- grain: one version of one variable
-- key: environment, variable_key, id, changed_at
-- units: times UTC, of snapshots: changed_at the first that had it so, gone_at the first that had it otherwise or no more, NULL while it is there
-- leaves out: variables without a name; changes between two snapshots but the last; of values those that were sealed or dropped, for these say nothing of a change
-- input: variable versions(id integer, key text)
SELECT
  environment,
  key AS variable_key,
  id,
  valid_from AS changed_at,
  valid_to AS gone_at,
  snapshot
FROM raw_variable_versions
WHERE key IS NOT NULL
