-- When did many DAGs fail together, as for one cause?
-- grain: one cluster: failed tries of an environment, each at most 5 minutes after the one before, of at least 3 DAGs
-- key: environment, began_at
-- units: began_at, ended_at the first and the last failure, UTC; failures, dags, tasks, hosts, pools (those that are known) counts; hostname, pool and operator the one of all its failures, NULL where there are others or one of them is not known, as of what only task_fail remembers; times_usual failures over what a stretch as long (and 5 minutes) has on the average of the environment
-- leaves out: tries without an end; where failures never pause for 5 minutes one cluster goes on, and times_usual near 1 tells it
WITH failed AS (
  SELECT
    environment,
    dag_id,
    task_id,
    hostname,
    pool,
    operator,
    ended_at,
    lag(ended_at) OVER (PARTITION BY environment ORDER BY ended_at) AS before_at
  FROM attempts
  WHERE state IN ('failed', 'up_for_retry') AND ended_at IS NOT NULL
),
numbered AS (
  SELECT
    *,
    sum(CASE WHEN ended_at <= before_at + INTERVAL 5 MINUTE THEN 0 ELSE 1 END) OVER (
      PARTITION BY environment ORDER BY ended_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS number
  FROM failed
),
usual AS (
  SELECT
    environment,
    count(*) AS failures,
    (CAST(epoch_us(max(ended_at)) AS DOUBLE) - CAST(epoch_us(min(ended_at)) AS DOUBLE)) / 1000000.0
      + 300 AS long_s
  FROM failed
  GROUP BY environment
),
clusters AS (
  SELECT
    environment,
    min(ended_at) AS began_at,
    max(ended_at) AS ended_at,
    count(*) AS failures,
    count(DISTINCT dag_id) AS dags,
    count(DISTINCT concat(dag_id, chr(10), task_id)) AS tasks,
    count(DISTINCT hostname) AS hosts,
    count(DISTINCT pool) AS pools,
    CASE WHEN count(DISTINCT hostname) = 1 AND count(hostname) = count(*) THEN max(hostname) END AS hostname,
    CASE WHEN count(DISTINCT pool) = 1 AND count(pool) = count(*) THEN max(pool) END AS pool,
    CASE WHEN count(DISTINCT operator) = 1 AND count(operator) = count(*) THEN max(operator) END AS operator
  FROM numbered
  GROUP BY environment, number
)
SELECT
  c.environment,
  c.began_at,
  c.ended_at,
  c.failures,
  c.dags,
  c.tasks,
  c.hosts,
  c.pools,
  c.hostname,
  c.pool,
  c.operator,
  c.failures
    / (
      u.failures
      * (
        (CAST(epoch_us(c.ended_at) AS DOUBLE) - CAST(epoch_us(c.began_at) AS DOUBLE)) / 1000000.0
        + 300
      )
      / u.long_s
    ) AS times_usual
FROM clusters AS c
INNER JOIN usual AS u
  ON u.environment = c.environment
WHERE c.dags >= 3
