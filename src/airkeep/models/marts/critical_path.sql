-- Which tasks does a run wait for, and how much later could the others have ended?
-- grain: one task instance that ran, in one of its DAG's 20 newest finished runs
-- key: environment, dag_id, run_id, task_id, map_index
-- units: duration_s seconds of its newest try; wait_s seconds from the moment when all that it waited for had ended (of a first task, when the run began) to the start of that try: queue and failed tries; slack_s seconds by which its end could have been later without a later end of the run's last task; is_critical: none
-- leaves out: runs of DAGs that no snapshot has in serialized form; tasks without a start or an end; is_own_version is false where the run's own version is not known and the one nearest in time lent its edges; instances of a mapped task are taken to be waited for all together
-- made: slack(environment text, dag_id text, run_id text, task_id text, map_index integer, ready_at instant, slack_s float, is_own_version boolean) from task_edges, recent_tasks
SELECT
  t.environment,
  t.dag_id,
  t.run_id,
  t.task_id,
  t.map_index,
  t.state,
  t.started_at,
  t.ended_at,
  (CAST(epoch_us(t.ended_at) AS DOUBLE) - CAST(epoch_us(t.started_at) AS DOUBLE)) / 1000000.0
    AS duration_s,
  CASE WHEN t.started_at >= s.ready_at THEN
    (CAST(epoch_us(t.started_at) AS DOUBLE) - CAST(epoch_us(s.ready_at) AS DOUBLE)) / 1000000.0
  END AS wait_s,
  s.slack_s,
  s.slack_s = 0 AS is_critical,
  s.is_own_version
FROM made_slack AS s
INNER JOIN recent_tasks AS t
  ON t.environment = s.environment
  AND t.dag_id = s.dag_id
  AND t.run_id = s.run_id
  AND t.task_id = s.task_id
  AND t.map_index = s.map_index
