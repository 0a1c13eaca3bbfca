-- Connections, each version that a snapshot saw: their keys and when they changed, no value.
-- grain: one version of one connection
-- key: environment, conn_id, id, changed_at
-- units: times UTC, of snapshots: changed_at the first that had it so, gone_at the first that had it otherwise or no more, NULL while it is there
-- leaves out: connections without a name; changes between two snapshots but the last; of passwords and extras those that were sealed or dropped, for these say nothing of a change
-- input: connection versions(id integer, conn_id text, conn_type text)
SELECT
  environment,
  conn_id,
  id,
  conn_type,
  valid_from AS changed_at,
  valid_to AS gone_at,
  snapshot
FROM raw_connection_versions
WHERE conn_id IS NOT NULL
