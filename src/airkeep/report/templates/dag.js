// One DAG's own page.

const GLYPHS = { success: "✓", failed: "✗" };

function strip(dag) {
  const longest = Math.max(...dag.strip.map((run) => run[3] || 0), 1e-9);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The newest runs, the oldest first" },
    h("ol", { class: "strip" }, dag.strip.map(([state, type, at, took]) => {
      const shape = state === "failed" || state === "success" ? state : "open";
      const bar = h("i", { "aria-hidden": "true" });
      bar.style.height = `${Math.max(3, Math.round(56 * (took || 0) / longest))}px`;
      const words = `${at === null ? "not started" : time(at)}, ${type || "run"}: ${state || "no state"}, ${text(took, "s")}`;
      return h("li", { class: shape, title: words }, bar, h("span", { "aria-hidden": "true" }, GLYPHS[shape] || "·"), h("span", { class: "quiet" }, words));
    })));
}

function versions(before, after) {
  if (!after) return "";
  return before === after ? `, still version ${version(after)}` : `, version ${version(before || "?")} → ${version(after)}`;
}

function bands(dag) {
  const said = summary("s", dag.weeks.map((week) => [week[0], week[3]]));
  return canvas(`Duration of successful runs of ${dag.dag_id} by week, p50 and p95`, said, () => {
    const { axis, option } = base();
    const [divisor, unit] = scale("s", Math.max(...dag.weeks.map((week) => week[3] || 0)));
    const points = (n) => dag.weeks.map((week) => [moment(week[0]), week[n] === null ? null : week[n] / divisor]);
    const marks = dag.changes.map(([task, at, ratio, before, after], n) => ({
      xAxis: at * 1000,
      label: { formatter: `${text(ratio, "ratio")}× ${task.slice(0, 24)}${versions(before, after)}`, color: colour("ink"), fontSize: 11, padding: [0, 0, 0, 5], rotate: 0, position: "end", align: "left", distance: [4, -13 - 13 * (n % 2)] },
      name: task,
    }));
    return {
      ...option,
      useUTC: true,
      tooltip: tooltip(["s", divisor], lines),
      xAxis: timely(axis, true),
      yAxis: upward(axis, unit),
      series: [
        { name: "p95", type: "line", data: points(3), color: colour("c2"), lineStyle: { width: 1.5, type: "dashed" }, symbol: "rect", symbolSize: 5, areaStyle: { color: colour("c2"), opacity: 0.08 } },
        { name: "p50", type: "line", data: points(2), color: colour("c1"), lineStyle: { width: 2 }, symbol: "circle", symbolSize: 5, areaStyle: { color: colour("page"), opacity: 1 },
          markLine: marks.length ? { symbol: "none", silent: true, lineStyle: { color: colour("bad"), type: "solid" }, data: marks } : null },
      ],
    };
  });
}

function gantt(dag) {
  const starts = dag.path.map((step) => step[1]).filter((at) => at !== null);
  const began = Math.min(...starts);
  const whole = Math.max(...dag.path.map((step) => (step[1] === null ? 0 : step[1] - began + (step[2] || 0))), 1);
  const rows = dag.path.map(([task, at, took, slack, critical, waited, index]) => {
    const bar = h("i", { class: critical ? "critical" : null });
    const wait = h("i", { class: "wait" });
    const waits = at === null ? 0 : Math.min(waited || 0, at - began);
    wait.style.left = `${at === null ? 0 : 100 * (at - began - waits) / whole}%`;
    wait.style.width = `${100 * waits / whole}%`;
    bar.style.left = `${at === null ? 0 : 100 * (at - began) / whole}%`;
    bar.style.width = `${Math.min(100, 100 * (took || 0) / whole)}%`;
    return h("tr", null, h("td", null, broken(task), index >= 0 ? ` [${index}]` : "", critical ? h("strong", null, " · critical") : ""), h("td", { class: "lane", "aria-hidden": "true" }, wait, bar),
      h("td", { class: "n began" }, at === null ? NOTHING : `+${text(at - began, "s")}`), h("td", { class: "n waited" }, text(waited, "s")), h("td", { class: "n" }, text(took, "s")), h("td", { class: "n slack" }, text(slack, "s")));
  });
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Critical path" }, h("table", { class: "gantt" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "task"), h("th", { scope: "col", class: "lane" }, `${time(began)} UTC`), h("th", { scope: "col", class: "n began" }, "begins"), h("th", { scope: "col", class: "n waited" }, "waited"), h("th", { scope: "col", class: "n" }, "takes"), h("th", { scope: "col", class: "n slack" }, "slack"))),
    h("tbody", null, rows)));
}

function block(title, why, filled, ...content) {
  return h("article", { class: "figure" }, h("div", { class: "heading" }, h("h2", null, title), h("p", { class: "why" }, why)),
    ...(filled ? content.flat().filter(Boolean) : [h("p", { class: "none" }, "Nothing recorded."), ...content.flat().filter((one) => one && one.className === "source")]));
}

function dagPage(dag) {
  const fact = (name, value) => [h("dt", null, name), h("dd", null, value === null || value === "" ? NOTHING : value)];
  const columns = (names) => names.map(([name, label, kind]) => ({ name, label, kind }));
  const weeks = columns([["week", "week from", "day"], ["runs", "runs", "count"], ["p50_s", "p50", "s"], ["p95_s", "p95", "s"]]);
  const has = (mart) => mart in report.sources;
  return h("section", { id: "dag" },
    h("p", { class: "back" }, h("a", { href: "#dags" }, "← All DAGs")),
    h("h1", null, dag.dag_id),
    h("p", null, badges(dag.signals), dag.signals.length ? h("span", { class: "same" }, dag.signals.map((one) => SIGNALS[one][2]).join("; ")) : ""),
    h("dl", { class: "facts" }, fact("environment", dag.environment), fact("owners", dag.owners), fact("schedule", dag.schedule && schedule(dag.schedule)), fact("file", dag.file),
      fact("state", `${dag.is_active ? "active" : "not parsed any more"}${dag.is_paused ? ", paused" : ""}`),
      fact("last 7 days", `${text(dag.runs, "count")} finished runs, ${text(dag.failed, "count")} failed, ${text(dag.success_rate, "share")} succeeded; mean ${text(dag.mean_s, "s")}; ${text(dag.slot_h, "h")} of slots`),
      fact("week before", dag.success_rate_before === null ? "no finished run" : `${text(dag.success_rate_before, "share")} succeeded; mean ${text(dag.mean_before_s, "s")}`)),
    source("dags", ", ", h("a", { href: "#sql-dag_week" }, "dag_week (SQL)"), ", ", h("a", { href: "#sql-slot_hours_by_dag" }, "slot_hours_by_dag (SQL)")),
    block("Runs", `The newest ${dag.strip.length}, the oldest first. Height is duration; ✓ succeeded, ✗ failed, · neither yet.`, dag.strip.length, strip(dag), source("runs")),
    block("Duration", `Successful runs by week: the median, and the 95th percentile above it.${dag.changes.length ? " A red line marks where a task became slower, and with which version." : ""}`, dag.weeks.length, dag.weeks.length ? bands(dag) : null,
      h("details", null, h("summary", null, "As a table"), table("Weeks", weeks, dag.weeks)), source("run_duration_by_week")),
    has("duration_regressions") ? block("Tasks that became slower", "The newest eight; the ratio is of the medians after and before.", dag.changes.length,
      table("Tasks that became slower", columns([["task_id", "task", "text"], ["changed_at", "changed (UTC)", "at"], ["ratio", "ratio", "ratio"], ["version_before", "version before", "text"], ["version_after", "version after", "text"]]), dag.changes), sourceOf("duration_regressions", report.since !== null)) : null,
    has("critical_path") ? block("Critical path", "The newest run that has one: a filled bar is on the path, a line before it the wait for a slot; slack is how much later a task could have ended.", dag.path.length, dag.path.length ? gantt(dag) : null, source("critical_path")) : null,
    block("Tasks", "Those that lose the most time first.", dag.tasks.length,
      table("Tasks", columns([["task_id", "task", "text"], ["finished", "finished", "count"], ["first_try_rate", "first try", "share"], ["mean_s", "mean", "s"], ["p95_s", "p95, newest week", "s"], ["lost_h", "lost to failures", "h"]]), dag.tasks),
      source("first_try_success", ", ", h("a", { href: "#sql-duration_variance" }, "duration_variance (SQL)"), ", ", h("a", { href: "#sql-task_duration_by_week" }, "task_duration_by_week (SQL)"), ", ", h("a", { href: "#sql-lost_hours" }, "lost_hours (SQL)"))));
}
