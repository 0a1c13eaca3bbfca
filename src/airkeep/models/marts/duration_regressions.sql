-- Which tasks became slower, when, by how much, and with which version?
-- grain: one task with a change for the worse: the one point that divides its runs best in two
-- key: environment, dag_id, task_id
-- units: changed_at the start of the first slower run, UTC; before_n, after_n runs; before_p50_s, after_p50_s medians in seconds by nearest rank, ratio after over before; effect_size the difference of the means of the logarithms in pooled standard deviations (Cohen's d), which are taken as 0.01 at least; score the same times sqrt(before_n * after_n / n), a t value; version_before, version_after the DAG's version (Airflow 3), else its code's, at the point
-- leaves out: tasks with fewer than 8 runs on a side; changes with a ratio below 1.2, of less than a second, an effect size below 0.5 or a score below 5: what chance and mere unevenness make; all but the newest 2,000 runs of a task; a second change; runs in which it did not succeed; of a mapped task each run counts once, by its longest instance
WITH counted AS (
  SELECT
    environment,
    dag_id,
    task_id,
    row_number() OVER (ORDER BY environment, dag_id, task_id) AS task,
    max(map_index) >= 0 AS is_mapped
  FROM tasks
  WHERE state = 'success' AND duration_s IS NOT NULL AND started_at IS NOT NULL
  GROUP BY environment, dag_id, task_id
  HAVING count(*) >= 16
),
-- One row a run: only mapped tasks need to be grouped for that.
longest AS (
  SELECT c.task, t.started_at, t.duration_s
  FROM tasks AS t
  INNER JOIN counted AS c
    ON c.environment = t.environment AND c.dag_id = t.dag_id AND c.task_id = t.task_id
  WHERE t.state = 'success'
    AND t.duration_s IS NOT NULL
    AND t.started_at IS NOT NULL
    AND NOT c.is_mapped
  UNION ALL
  SELECT c.task, min(t.started_at) AS started_at, max(t.duration_s) AS duration_s
  FROM tasks AS t
  INNER JOIN counted AS c
    ON c.environment = t.environment AND c.dag_id = t.dag_id AND c.task_id = t.task_id
  WHERE t.state = 'success'
    AND t.duration_s IS NOT NULL
    AND t.started_at IS NOT NULL
    AND c.is_mapped
  GROUP BY c.task, t.run_id
),
aged AS (
  SELECT task, started_at, duration_s, x, age, after_x
  FROM (
    SELECT
      *,
      row_number() OVER (PARTITION BY task ORDER BY started_at DESC, duration_s DESC) AS age,
      sum(x) OVER (
        PARTITION BY task ORDER BY started_at DESC, duration_s DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS after_x
    FROM (SELECT *, ln(duration_s + 0.1) AS x FROM longest) AS logs
  ) AS numbered
  WHERE age <= 2000
),
totals AS (
  SELECT task, count(*) AS n, sum(x) AS all_x, sum(x * x) AS all_xx FROM aged GROUP BY task
),
splits AS (
  SELECT
    s.task,
    t.n,
    s.age AS after_n,
    s.after_x / s.age - (t.all_x - s.after_x) / nullif(t.n - s.age, 0) AS change,
    t.all_xx
      - s.after_x * s.after_x / s.age
      - (t.all_x - s.after_x) * (t.all_x - s.after_x) / nullif(t.n - s.age, 0) AS within_xx
  FROM aged AS s
  INNER JOIN totals AS t
    ON t.task = s.task
  WHERE s.age >= 8 AND t.n - s.age >= 8
),
best AS (
  SELECT s.task, min(s.after_n) AS after_n
  FROM splits AS s
  INNER JOIN (SELECT task, min(within_xx) AS within_xx FROM splits GROUP BY task) AS b
    ON b.task = s.task AND b.within_xx = s.within_xx
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
    f.task,
    f.n,
    f.after_n,
    f.effect_size,
    l.age,
    l.started_at,
    l.duration_s,
    l.age <= f.after_n AS is_after,
    row_number() OVER (PARTITION BY l.task, l.age <= f.after_n ORDER BY l.duration_s) AS place
  FROM found AS f
  INNER JOIN aged AS l
    ON l.task = f.task AND l.age <= f.n
  WHERE
    f.effect_size >= 0.5
    AND f.effect_size * sqrt(CAST(f.after_n * (f.n - f.after_n) AS DOUBLE) / f.n) >= 5
),
medians AS (
  SELECT
    task,
    max(n - after_n) AS before_n,
    max(after_n) AS after_n,
    min(CASE WHEN NOT is_after AND place * 2 >= n - after_n THEN duration_s END) AS before_p50_s,
    min(CASE WHEN is_after AND place * 2 >= after_n THEN duration_s END) AS after_p50_s,
    max(effect_size) AS effect_size
  FROM sides
  GROUP BY task
),
slower AS (
  SELECT c.environment, c.dag_id, c.task_id, m.*
  FROM medians AS m
  INNER JOIN counted AS c
    ON c.task = m.task
  WHERE m.after_p50_s - m.before_p50_s >= 1 AND m.after_p50_s >= 1.2 * m.before_p50_s
),
points AS (
  SELECT
    p.task,
    max(CASE WHEN p.is_after THEN p.started_at END) AS changed_at,
    max(CASE WHEN NOT p.is_after THEN coalesce(CAST(v.version AS VARCHAR), r.code_version) END)
      AS version_before,
    max(CASE WHEN p.is_after THEN coalesce(CAST(v.version AS VARCHAR), r.code_version) END)
      AS version_after
  FROM (SELECT * FROM sides WHERE age = after_n OR age = after_n + 1) AS p
  INNER JOIN (
    SELECT s.task, t.environment, t.dag_id, t.run_id, t.started_at, t.dag_version_id
    FROM tasks AS t
    INNER JOIN slower AS s
      ON s.environment = t.environment AND s.dag_id = t.dag_id AND s.task_id = t.task_id
    WHERE t.state = 'success'
  ) AS l
    ON l.task = p.task AND l.started_at = p.started_at
  LEFT JOIN runs AS r
    ON r.environment = l.environment AND r.dag_id = l.dag_id AND r.run_id = l.run_id
  LEFT JOIN dag_versions AS v
    ON v.environment = l.environment
    AND v.dag_version_id = coalesce(l.dag_version_id, r.dag_version_id)
  GROUP BY p.task
)
SELECT
  s.environment,
  s.dag_id,
  s.task_id,
  p.changed_at,
  s.before_n,
  s.after_n,
  s.before_p50_s,
  s.after_p50_s,
  CASE WHEN s.before_p50_s > 0 THEN s.after_p50_s / s.before_p50_s END AS ratio,
  s.effect_size,
  s.effect_size * sqrt(CAST(s.after_n * s.before_n AS DOUBLE) / (s.after_n + s.before_n))
    AS score,
  p.version_before,
  p.version_after
FROM slower AS s
INNER JOIN points AS p ON p.task = s.task
