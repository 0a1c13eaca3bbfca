-- How each DAG was scheduled, and since when.
-- grain: one schedule of a DAG, until the next one
-- key: environment, dag_id, number
-- units: number counts a DAG's schedules from 1; kind is cron, delta, once, continuous, asset, none, other; schedule is the expression, the interval (`every 3600 s`), else the kind; interval_s seconds; since_at and until_at UTC, NULL without a bound
-- leaves out: schedules that no snapshot saw (before Airflow 3 the database keeps the newest only); the time zone of DAGs that were never serialized, UTC is taken
-- input: serialized_dag by dag_id, dag_version_id, dag_hash(dag_id text, dag_version_id text, dag_hash text, created_at instant, last_updated instant, data text, data_compressed bytes)
-- input: dag by dag_id(dag_id text, schedule_interval text)
-- made: schedules(environment text, dag_id text, dag_version_id text, dag_hash text, since_at instant, kind text, expression text, timezone text, interval_s float, catchup boolean, end_at instant) from raw_serialized_dag, raw_dag
WITH ordered AS (
  SELECT
    environment,
    dag_id,
    since_at,
    kind,
    expression,
    timezone,
    interval_s,
    catchup,
    end_at,
    row_number() OVER (
      PARTITION BY environment, dag_id ORDER BY since_at, coalesce(dag_version_id, dag_hash)
    ) AS place,
    concat(
      kind,
      '|',
      coalesce(expression, ''),
      '|',
      coalesce(timezone, ''),
      '|',
      coalesce(CAST(CAST(interval_s AS BIGINT) AS VARCHAR), '')
    ) AS said
  FROM made_schedules
),
changes AS (
  SELECT *, lag(said) OVER (PARTITION BY environment, dag_id ORDER BY place) AS said_before
  FROM ordered
),
numbered AS (
  SELECT
    *,
    CAST(
      sum(CASE WHEN said = said_before THEN 0 ELSE 1 END) OVER (
        PARTITION BY environment, dag_id ORDER BY place
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS BIGINT
    ) AS number
  FROM changes
),
newest AS (
  SELECT
    *,
    min(since_at) OVER (PARTITION BY environment, dag_id, number) AS first_since_at,
    row_number() OVER (PARTITION BY environment, dag_id, number ORDER BY place DESC) AS age
  FROM numbered
)
SELECT
  environment,
  dag_id,
  number,
  kind,
  coalesce(
    expression,
    CASE
      WHEN kind = 'delta' THEN concat('every ', CAST(CAST(interval_s AS BIGINT) AS VARCHAR), ' s')
    END,
    kind
  ) AS schedule,
  expression,
  timezone,
  interval_s,
  catchup,
  first_since_at AS since_at,
  lead(first_since_at) OVER (PARTITION BY environment, dag_id ORDER BY number) AS until_at,
  end_at
FROM newest
WHERE age = 1
