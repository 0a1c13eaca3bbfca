-- Which tasks became slower, when, by how much, and with which version?
-- grain: one task with a change for the worse: the one point that divides its runs best in two
-- key: environment, dag_id, task_id
-- units: changed_at the start of the first slower run, UTC; before_n, after_n runs; before_p50_s, after_p50_s medians in seconds by nearest rank, ratio after over before; effect_size the difference of the means of the logarithms in pooled standard deviations (Cohen's d), which are taken as 0.01 at least; score the same times sqrt(before_n * after_n / n), a t value; version_before, version_after the DAG's version (Airflow 3), else its code's, at the point
-- leaves out: tasks with fewer than 8 runs on a side; changes with a ratio below 1.2, of less than a second, an effect size below 0.5 or a score below 5: what chance and mere unevenness make; all but the newest 2,000 runs of a task; a second change; runs in which it did not succeed; of a mapped task each run counts once, by its longest instance
WITH longest AS (
  SELECT
    environment,
    dag_id,
    task_id,
    run_id,
    min(started_at) AS started_at,
    max(duration_s) AS duration_s,
    max(dag_version_id) AS dag_version_id
  FROM tasks
  WHERE state = 'success' AND duration_s IS NOT NULL AND started_at IS NOT NULL
  GROUP BY environment, dag_id, task_id, run_id
),
aged AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY environment, dag_id, task_id ORDER BY started_at DESC, run_id DESC
    ) AS age,
    count(*) OVER (PARTITION BY environment, dag_id, task_id) AS all_runs
  FROM longest
),
logs AS (
  SELECT *, ln(duration_s + 0.1) AS x
  FROM aged
  WHERE age <= 2000 AND all_runs >= 16
),
sums AS (
  SELECT
    environment,
    dag_id,
    task_id,
    age,
    count(*) OVER whole AS n,
    count(*) OVER later AS after_n,
    sum(x) OVER whole AS all_x,
    sum(x) OVER later AS after_x,
    sum(x * x) OVER whole AS all_xx
  FROM logs
  WINDOW
    whole AS (PARTITION BY environment, dag_id, task_id),
    later AS (
      PARTITION BY environment, dag_id, task_id ORDER BY age
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
splits AS (
  SELECT
    *,
    after_x / after_n - (all_x - after_x) / (n - after_n) AS change,
    all_xx
      - after_x * after_x / after_n
      - (all_x - after_x) * (all_x - after_x) / (n - after_n) AS within_xx
  FROM sums
  WHERE after_n >= 8 AND n - after_n >= 8
),
best AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY environment, dag_id, task_id ORDER BY within_xx, after_n
    ) AS place
  FROM splits
),
found AS (
  SELECT
    environment,
    dag_id,
    task_id,
    age AS changed_age,
    n,
    after_n,
    change / sqrt(CASE WHEN within_xx / (n - 2) > 0.0001 THEN within_xx / (n - 2) ELSE 0.0001 END)
      AS effect_size
  FROM best
  WHERE place = 1 AND change > 0
),
sides AS (
  SELECT
    f.environment,
    f.dag_id,
    f.task_id,
    f.changed_age,
    f.n,
    f.after_n,
    f.effect_size,
    l.run_id,
    l.age,
    l.started_at,
    l.duration_s,
    l.dag_version_id,
    l.age <= f.changed_age AS is_after,
    row_number() OVER (
      PARTITION BY l.environment, l.dag_id, l.task_id, l.age <= f.changed_age
      ORDER BY l.duration_s
    ) AS place
  FROM found AS f
  INNER JOIN logs AS l
    ON l.environment = f.environment AND l.dag_id = f.dag_id AND l.task_id = f.task_id
  WHERE
    f.effect_size >= 0.5
    AND f.effect_size * sqrt(CAST(f.after_n * (f.n - f.after_n) AS DOUBLE) / f.n) >= 5
),
named AS (
  SELECT s.*, coalesce(CAST(v.version AS VARCHAR), r.code_version) AS version
  FROM sides AS s
  LEFT JOIN runs AS r
    ON r.environment = s.environment
    AND r.dag_id = s.dag_id
    AND r.run_id = s.run_id
    AND s.age IN (s.changed_age, s.changed_age + 1)
  LEFT JOIN dag_versions AS v
    ON v.environment = s.environment
    AND v.dag_version_id = coalesce(s.dag_version_id, r.dag_version_id)
    AND s.age IN (s.changed_age, s.changed_age + 1)
),
told AS (
  SELECT
    environment,
    dag_id,
    task_id,
    max(CASE WHEN age = changed_age THEN started_at END) AS changed_at,
    max(n - after_n) AS before_n,
    max(after_n) AS after_n,
    min(CASE WHEN NOT is_after AND place * 2 >= n - after_n THEN duration_s END) AS before_p50_s,
    min(CASE WHEN is_after AND place * 2 >= after_n THEN duration_s END) AS after_p50_s,
    max(effect_size) AS effect_size,
    max(CASE WHEN age = changed_age + 1 THEN version END) AS version_before,
    max(CASE WHEN age = changed_age THEN version END) AS version_after
  FROM named
  GROUP BY environment, dag_id, task_id
)
SELECT
  environment,
  dag_id,
  task_id,
  changed_at,
  before_n,
  after_n,
  before_p50_s,
  after_p50_s,
  CASE WHEN before_p50_s > 0 THEN after_p50_s / before_p50_s END AS ratio,
  effect_size,
  effect_size * sqrt(CAST(after_n * before_n AS DOUBLE) / (after_n + before_n)) AS score,
  version_before,
  version_after
FROM told
WHERE after_p50_s - before_p50_s >= 1 AND after_p50_s >= 1.2 * before_p50_s
