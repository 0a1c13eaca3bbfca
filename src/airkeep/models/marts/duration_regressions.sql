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
counted AS (
  SELECT
    environment,
    dag_id,
    task_id,
    row_number() OVER (ORDER BY environment, dag_id, task_id) AS task
  FROM longest
  GROUP BY environment, dag_id, task_id
  HAVING count(*) >= 16
),
aged AS (
  SELECT
    c.task,
    l.run_id,
    l.started_at,
    l.duration_s,
    l.dag_version_id,
    row_number() OVER (PARTITION BY c.task ORDER BY l.started_at DESC, l.run_id DESC) AS age
  FROM longest AS l
  INNER JOIN counted AS c
    ON c.environment = l.environment AND c.dag_id = l.dag_id AND c.task_id = l.task_id
),
logs AS (
  SELECT task, age, ln(duration_s + 0.1) AS x FROM aged WHERE age <= 2000
),
totals AS (
  SELECT task, count(*) AS n, sum(x) AS all_x, sum(x * x) AS all_xx FROM logs GROUP BY task
),
sums AS (
  SELECT
    task,
    age AS after_n,
    sum(x) OVER (
      PARTITION BY task ORDER BY age ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS after_x
  FROM logs
),
splits AS (
  SELECT
    s.task,
    t.n,
    s.after_n,
    s.after_x / s.after_n - (t.all_x - s.after_x) / nullif(t.n - s.after_n, 0) AS change,
    t.all_xx
      - s.after_x * s.after_x / s.after_n
      - (t.all_x - s.after_x) * (t.all_x - s.after_x) / nullif(t.n - s.after_n, 0) AS within_xx
  FROM sums AS s
  INNER JOIN totals AS t
    ON t.task = s.task
  WHERE s.after_n >= 8 AND t.n - s.after_n >= 8
),
least AS (
  SELECT task, min(within_xx) AS within_xx FROM splits GROUP BY task
),
best AS (
  SELECT s.task, min(s.after_n) AS after_n
  FROM splits AS s
  INNER JOIN least AS l
    ON l.task = s.task AND l.within_xx = s.within_xx
  GROUP BY s.task
),
found AS (
  SELECT
    s.task,
    s.n,
    s.after_n,
    s.change
      / sqrt(CASE WHEN s.within_xx / (s.n - 2) > 0.0001 THEN s.within_xx / (s.n - 2) ELSE 0.0001 END)
      AS effect_size
  FROM splits AS s
  INNER JOIN best AS b
    ON b.task = s.task AND b.after_n = s.after_n
  WHERE s.change > 0
),
sides AS (
  SELECT
    c.environment,
    c.dag_id,
    c.task_id,
    f.n,
    f.after_n,
    f.effect_size,
    l.run_id,
    l.age,
    l.started_at,
    l.duration_s,
    l.dag_version_id,
    l.age <= f.after_n AS is_after,
    row_number() OVER (PARTITION BY l.task, l.age <= f.after_n ORDER BY l.duration_s) AS place
  FROM found AS f
  INNER JOIN counted AS c
    ON c.task = f.task
  INNER JOIN aged AS l
    ON l.task = f.task AND l.age <= f.n
  WHERE
    f.effect_size >= 0.5
    AND f.effect_size * sqrt(CAST(f.after_n * (f.n - f.after_n) AS DOUBLE) / f.n) >= 5
),
medians AS (
  SELECT
    environment,
    dag_id,
    task_id,
    max(n - after_n) AS before_n,
    max(after_n) AS after_n,
    min(CASE WHEN NOT is_after AND place * 2 >= n - after_n THEN duration_s END) AS before_p50_s,
    min(CASE WHEN is_after AND place * 2 >= after_n THEN duration_s END) AS after_p50_s,
    max(effect_size) AS effect_size
  FROM sides
  GROUP BY environment, dag_id, task_id
),
points AS (
  SELECT
    s.environment,
    s.dag_id,
    s.task_id,
    max(CASE WHEN s.is_after THEN s.started_at END) AS changed_at,
    max(CASE WHEN NOT s.is_after THEN coalesce(CAST(v.version AS VARCHAR), r.code_version) END)
      AS version_before,
    max(CASE WHEN s.is_after THEN coalesce(CAST(v.version AS VARCHAR), r.code_version) END)
      AS version_after
  FROM (SELECT * FROM sides WHERE age = after_n OR age = after_n + 1) AS s
  LEFT JOIN runs AS r
    ON r.environment = s.environment AND r.dag_id = s.dag_id AND r.run_id = s.run_id
  LEFT JOIN dag_versions AS v
    ON v.environment = s.environment
    AND v.dag_version_id = coalesce(s.dag_version_id, r.dag_version_id)
  GROUP BY s.environment, s.dag_id, s.task_id
)
SELECT
  m.environment,
  m.dag_id,
  m.task_id,
  p.changed_at,
  m.before_n,
  m.after_n,
  m.before_p50_s,
  m.after_p50_s,
  CASE WHEN m.before_p50_s > 0 THEN m.after_p50_s / m.before_p50_s END AS ratio,
  m.effect_size,
  m.effect_size * sqrt(CAST(m.after_n * m.before_n AS DOUBLE) / (m.after_n + m.before_n))
    AS score,
  p.version_before,
  p.version_after
FROM medians AS m
INNER JOIN points AS p
  ON p.environment = m.environment AND p.dag_id = m.dag_id AND p.task_id = m.task_id
WHERE m.after_p50_s - m.before_p50_s >= 1 AND m.after_p50_s >= 1.2 * m.before_p50_s
