// The first screen: how each environment is, which DAGs need a look, the year day by day.

const SIGNALS = {
  failing: ["bad", "failing", "its last finished run failed"],
  stuck: ["bad", "stuck", "a run of it does not end"],
  zombies: ["bad", "silent tasks", "task instances run of which nothing is heard"],
  missed: ["bad", "missed runs", "runs were due in the last week and never came"],
  worse: ["warn", "worse", "its success rate fell by more than 5 points"],
  flaky: ["warn", "flaky", "a run failed in the last week, the last one did not"],
  slower: ["warn", "slower", "it takes longer than in the week before"],
  silent: ["plain", "silent", "it is active and scheduled, and nothing ran in the last week"],
};

function badges(signals) {
  if (!signals.length) return h("span", { class: "badge good" }, "ok");
  return signals.map((one) => h("span", { class: `badge ${SIGNALS[one][0]}`, title: SIGNALS[one][2] }, SIGNALS[one][1]));
}

function delta(metric) {
  if (metric.before === null || metric.value === null) return [NOTHING, "same"];
  const change = metric.value - metric.before;
  if (!change) return ["=", "same"];
  const points = metric.kind === "share";
  const amount = points ? `${number(Math.abs(change * 100), 1)} points` : text(Math.abs(change), metric.kind);
  const direction = change > 0 ? "up" : "down";
  const judged = metric.worse === "neither" ? "same" : metric.worse === direction ? "worse" : "better";
  const words = judged === "same" ? "" : `, ${judged}`;
  return [h("span", { class: judged }, `${change > 0 ? "▲" : "▼"} ${amount}`, h("span", { class: "quiet" }, `${direction}${words}`)), judged];
}

function metricLink(one) {
  return h("a", { href: `#sql-${one.mart}`, title: `from ${one.mart}` }, one.label);
}

function listed(links) {
  return links.flatMap((one, n) => [n ? ", " : "", one]);
}

function quietFor(environment) {
  const ends = environment.week_ends;
  return ends ? (environment.at - Date.parse(`${ends}T23:59:59Z`) / 1000) / 86400 : 0;
}

function card(environment) {
  const metrics = report.overview.metrics.filter((one) => one.environment === environment.name);
  const weekly = metrics.filter((one) => one.weekly);
  const now = metrics.filter((one) => !one.weekly);
  const silent = environment.silent_since;
  const some = now.filter((one) => one.value);
  // Of a silence that is everyone's, "none" would not be true of the scheduler.
  const none = now.filter((one) => !one.value && !(silent !== null && one.mart === "heartbeat_gaps"));
  const ends = environment.week_ends;
  const before = weekly.some((one) => one.before);
  const standing = (one, more = null) => h("tr", null, h("th", { scope: "row" }, metricLink(one)), h("td", { class: "n" }, text(one.value, one.kind)), more);
  const row = (one) => standing(one, before ? [h("td", { class: "n" }, text(one.before, one.kind)), h("td", { class: "n" }, delta(one)[0])] : null);
  const old = quietFor(environment);
  return h("article", { class: "card" },
    h("h2", null, environment.name),
    h("p", { class: "why", title: `${environment.snapshot}, ${environment.mode}` }, `Airflow ${environment.airflow_version} · ${number(environment.snapshots, 0)} ${environment.snapshots === 1 ? "snapshot" : "snapshots"}, the newest of `, h("span", { class: "whole" }, time(environment.at)), ` (${number(environment.rows, 0)} rows)`),
    ends ? null : h("p", { class: "none" }, "No run is recorded."),
    silent === null ? null : h("p", { class: "fact" }, "All of Airflow silent since ", h("span", { class: "whole" }, time(silent)), `, ${duration(environment.at - silent)} before the newest snapshot.`),
    old > 7 ? h("p", null, h("span", { class: "badge warn" }, `quiet for ${number(old, 0)} d`), `no run started after ${ends}`) : null,
    !ends ? null : h("div", { class: "numbers" }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "7 days to ", h("span", { class: "whole" }, ends)), h("th", { scope: "col", class: "n" }, "week"),
        before ? [h("th", { scope: "col", class: "n" }, "before"), h("th", { scope: "col", class: "n" }, "change")] : null)),
      h("tbody", null, weekly.map(row))),
      h("div", null, some.length ? h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col" }, "As of the snapshot"), h("th", { scope: "col", class: "n" }, "now"))), h("tbody", null, some.map((one) => standing(one)))) : null,
        before ? null : h("p", { class: "none" }, "Nothing ran in the week before."), none.length ? h("p", { class: "none" }, "None: ", listed(none.map(metricLink)), ".") : null)),
    !ends && none.length ? h("p", { class: "none" }, "None: ", listed(none.map(metricLink)), ".") : null);
}

// What a person should look at, the worst first: a badge, the environment, the names.
function problems() {
  const found = [];
  const NAMES = 3;
  const environments = report.overview.environments.filter((one) => inChosen(one.name));
  for (const [rank, [signal, [level, words, why]]] of Object.entries(Object.entries(SIGNALS))) {
    if (level !== "bad") continue;
    for (const { name } of environments) {
      const dags = report.dags.filter((dag) => dag.environment === name && dag.signals.includes(signal));
      if (!dags.length) continue;
      const links = dags.slice(0, NAMES).map((dag) => h("a", { href: dagLink(name, dag.dag_id) }, broken(dag.dag_id)));
      const more = dags.length > NAMES ? [" and ", h("a", { href: "#dags" }, `${number(dags.length - NAMES, 0)} more`)] : [];
      found.push([Number(rank), -dags.length, h("li", null, h("span", { class: `badge ${level}`, title: why }, words), h("span", { class: "where" }, `${name}: `), listed(links), more)]);
    }
  }
  for (const one of report.overview.metrics) {
    if (!inChosen(one.environment) || !one.value || !BROKEN.has(one.mart)) continue;
    const place = report.parts.flatMap((part) => part.figures).find((figure) => figure.mart === one.mart);
    const [rank, level] = BROKEN.get(one.mart);
    found.push([rank, -one.value, h("li", null, h("span", { class: `badge ${level}` }, one.label), h("span", { class: "where" }, `${one.environment}: `), h("a", { href: `#${place ? place.key : `sql-${one.mart}`}` }, text(one.value, one.kind)))]);
  }
  for (const one of environments) {
    const old = quietFor(one);
    if (old > 7) found.push([60, -old, h("li", null, h("span", { class: "badge warn" }, "quiet"), h("span", { class: "where" }, `${one.name}: `), `no run started in the ${number(old, 0)} d before its newest snapshot`)]);
  }
  return found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((one) => one[2]);
}

// Marts whose number is a count of broken things that no DAG's signal tells.
const BROKEN = new Map([["heartbeat_gaps", [-1, "bad"]], ["import_errors_by_day", [50, "warn"]], ["asset_freshness", [50, "warn"]]]);
const TOP = 8;

function attention() {
  const wrong = problems();
  const rest = wrong.length - TOP;
  const moved = report.changes.filter((one) => inChosen(one.environment));
  const change = (one) => h("li", null, h("span", { class: `badge ${WORSE.has(one.what) ? "bad" : "good"}` }, one.what), h("span", { class: "where" }, `${one.environment}: `), h("a", { href: dagLink(one.environment, one.dag_id) }, broken(one.dag_id)), ", ", h("span", { class: "whole" }, `${text(one.before, one.kind)} → ${text(one.now, one.kind)}`));
  return h("div", { class: "attention" },
    h("div", { class: "side" }, h("h2", null, "Wrong now"),
      wrong.length ? h("ul", null, wrong.slice(0, TOP)) : h("p", { class: "none" }, "Nothing: no DAG is failing, stuck, silent or late, no scheduler fell silent before the rest, and every file imports."),
      rest > 0 ? h("details", null, h("summary", null, `${number(rest, 0)} more`), h("ul", null, wrong.slice(TOP))) : null,
      source("dag_week", listed(["stuck_runs", "zombies", "missed_runs", ...BROKEN.keys()].filter((mart) => mart in report.sources).map((mart) => h("a", { href: `#sql-${mart}` }, `${mart} (SQL)`))).flatMap((one, n) => (n ? [one] : [", ", one])))),
    h("div", { class: "side" }, h("h2", null, "Otherwise than the week before"),
      moved.length ? h("ul", null, moved.slice(0, TOP - 2).map(change)) : h("p", { class: "none" }, "Nothing of size changed."),
      moved.length > TOP - 2 ? h("p", { class: "none" }, h("a", { href: "#changes" }, `all ${number(moved.length, 0)}`)) : null,
      source("dag_week")));
}

const WORSE = new Set(["fails more", "slower", "ran no more"]);

function mini(dag) {
  const last = dag.strip.slice(-20);
  const failed = last.filter((run) => run[0] === "failed").length;
  return h("span", { class: "mini", role: "img", "aria-label": `${failed} of the last ${last.length} runs failed` },
    last.map((run) => h("i", { class: run[0] === "failed" ? "failed" : run[0] === "success" ? "success" : "open" })));
}

function dagTable() {
  const wanted = report.dags.filter((dag) => inChosen(dag.environment));
  const columns = [
    { name: "environment", label: "environment", kind: "text" },
    { name: "dag_id", label: "DAG", kind: "text" },
    { name: "signals", label: "signals", kind: "text", class: "signals", draw: badges, sort: (s) => (s.length ? Object.keys(SIGNALS).indexOf(s[0]) : 99), words: (s) => (s.length ? s.map((one) => SIGNALS[one][1]).join(" ") : "ok") },
    { name: "strip", label: "last 20 runs", kind: "text", draw: (_, row) => mini(dagNamed(row[0], row[1])), sort: (_, row) => -dagNamed(row[0], row[1]).strip.slice(-20).filter((run) => run[0] === "failed").length, words: () => "" },
    { name: "runs", label: "runs", kind: "count" },
    { name: "failed", label: "failed", kind: "count" },
    { name: "success_rate", label: "succeeded", kind: "share" },
    { name: "success_rate_before", label: "week before", kind: "share" },
    { name: "mean_s", label: "mean duration", kind: "s" },
    { name: "mean_before_s", label: "week before", kind: "s" },
    { name: "slot_h", label: "slot hours", kind: "h" },
    { name: "last_started_at", label: "last start", kind: "at" },
  ];
  const rows = wanted.map((dag) => columns.map((column) => (column.name === "strip" ? null : dag[column.name])));
  const made = h("section", { id: "dags" }, h("h2", null, "DAGs"), h("p", { class: "lead" }, "Every DAG, those that need a look first; the numbers are of the last seven days. Press / to search."));
  if (!rows.length) made.append(h("p", { class: "none" }, "No DAG is recorded."));
  else made.append(...table("DAGs", columns, rows, { first: 12 }).filter(Boolean));
  made.append(h("div", { class: "key" }, h("span", null, "Runs: tall and red failed, short and green succeeded, an outline is not finished.")),
    source("dag_week", ", ", h("a", { href: "#sql-runs" }, "runs (SQL)"), report.since === null ? "" : ` since ${time(report.since)}`, ", ", h("a", { href: "#sql-slot_hours_by_dag" }, "slot_hours_by_dag (SQL)")));
  return made;
}

function changes() {
  const columns = [
    { name: "environment", label: "environment", kind: "text" }, { name: "dag_id", label: "DAG", kind: "text" }, { name: "what", label: "what", kind: "text" },
    { name: "before", label: "week before", kind: "count", draw: (v, row) => text(v, row[5]), class: "n" }, { name: "now", label: "last week", kind: "count", draw: (v, row) => text(v, row[5]), class: "n" },
  ];
  const rows = report.changes.filter((one) => inChosen(one.environment)).map((one) => [one.environment, one.dag_id, one.what, one.before, one.now, one.kind]);
  const made = h("section", { id: "changes" }, h("h2", null, "What changed since last week"), h("p", { class: "lead" }, "Success rates that moved by two points or more, mean durations by a quarter or more."));
  if (!rows.length) made.append(h("p", { class: "none" }, "Nothing of that size changed."));
  else made.append(...table("What changed", columns, rows, { first: 12 }).filter(Boolean));
  made.append(source("dag_week"));
  return made;
}

function calendar() {
  const days = new Map();
  for (const [environment, day, runs, failed] of report.overview.calendar) {
    if (!inChosen(environment)) continue;
    const one = days.get(day) || [0, 0];
    days.set(day, [one[0] + runs, one[1] + failed]);
  }
  const made = h("section", { id: "calendar" }, h("h2", null, "Failed runs, day by day"), h("p", { class: "lead" }, "The number is the failed runs of the day (UTC) on which they were due; the colour is their share."));
  if (!days.size) return made.append(h("p", { class: "none" }, "No finished run is recorded.")), made.append(source("success_by_dag_day")), made;
  const DAY = 86400000;
  const last = Date.parse([...days.keys()].sort().at(-1));
  const monday = (at) => at - ((new Date(at).getUTCDay() + 6) % 7) * DAY;
  const began = Math.max(monday(Date.parse([...days.keys()].sort()[0])), monday(last) - 52 * 7 * DAY);
  const weeks = [];
  for (let at = began; at <= last; at += 7 * DAY) weeks.push(at);
  const month = (at) => new Date(at).toLocaleString("en-US", { month: "short", timeZone: "UTC" });
  const heads = weeks.map((at, n) => h("th", { scope: "col" }, n === 0 || month(at) !== month(weeks[n - 1]) ? month(at) : "", h("span", { class: "quiet" }, `week of ${new Date(at).toISOString().slice(0, 10)}`)));
  const body = WEEKDAYS.map((name, n) => h("tr", null, h("th", { scope: "row" }, name), weeks.map((week) => {
    const at = new Date(week + n * DAY).toISOString().slice(0, 10);
    const one = days.get(at);
    if (!one) return h("td", null);
    const [runs, failed] = one;
    const part = failed / runs;
    const level = failed === 0 ? 0 : part < 0.05 ? 1 : part < 0.2 ? 2 : 3;
    return h("td", { class: `h${level}`, title: `${at}: ${number(failed, 0)} of ${number(runs, 0)} runs failed` }, failed ? (failed > 99 ? "99+" : String(failed)) : h("span", { class: "quiet" }, "0"));
  })));
  const wide = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Failed runs, day by day" },
    h("table", { class: "calendar" }, h("thead", null, h("tr", null, h("td", null), heads)), h("tbody", null, body)));
  requestAnimationFrame(() => { wide.scrollLeft = wide.scrollWidth; });
  const swatch = (level, words) => { const i = h("i"); i.style.background = `var(--heat-${level})`; return h("span", null, i, words); };
  made.append(wide, h("div", { class: "key" }, swatch(0, "none failed"), swatch(1, "under 5 %"), swatch(2, "5 to 20 %"), swatch(3, "20 % or more"), h("span", null, "blank: no finished run")), source("success_by_dag_day"));
  return made;
}

// The same numbers of two environments, side by side.
function headlines(one, other) {
  const of = (name) => report.overview.metrics.filter((metric) => metric.environment === name);
  const side = (metric) => [h("td", { class: "n" }, text(metric.value, metric.kind)), h("td", { class: "n" }, metric.weekly ? text(metric.before, metric.kind) : "")];
  const apart = (a, b) => (a.value === null || b.value === null ? NOTHING : a.kind === "share" ? points(b.value - a.value) : a.value === b.value ? "=" : `${b.value > a.value ? "+" : "−"}${text(Math.abs(b.value - a.value), a.kind)}`);
  const head = (words, many) => h("th", { scope: many ? "colgroup" : "col", class: "n", colspan: many || null }, words);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Headline numbers side by side" }, h("table", { class: "data" },
    h("thead", null, h("tr", null, h("td"), head(one, 2), head(other, 2), h("td")),
      h("tr", null, h("th", { scope: "col" }, "number"), ...[1, 2].flatMap(() => [head("week, or now"), head("week before")]), head("difference"))),
    h("tbody", null, of(one).map((metric, n) => h("tr", null, h("th", { scope: "row" }, metricLink(metric)), side(metric), side(of(other)[n]), h("td", { class: "n" }, apart(metric, of(other)[n])))))));
}

function comparison() {
  const { compare, compared } = report.overview;
  if (!compare.length) return null;
  const [one, other] = compare;
  const columns = [{ name: "dag_id", label: "DAG", kind: "text" },
    ...["runs", "succeeded", "p50"].flatMap((what, n) => [one, other].map((side) => ({ name: `${what} ${side}`, label: `${what}, ${side}`, kind: ["count", "share", "s"][n] }))),
    { name: "points", label: "difference in success", kind: "points" }, { name: "ratio", label: "p50 ratio", kind: "ratio" }];
  const rows = compared.map(([dag, runsA, rateA, p50A, runsB, rateB, p50B]) => [dag, runsA, runsB, rateA, rateB, p50A, p50B, rateA === null || rateB === null ? null : rateB - rateA, p50A && p50B !== null ? p50B / p50A : null]);
  rows.sort((a, b) => (a[7] === null) - (b[7] === null) || Math.abs(b[7]) - Math.abs(a[7]));
  const made = h("section", { id: "compare" }, h("h2", null, `Side by side: ${one} and ${other}`), h("p", { class: "lead" }, `Each one's own last week, and what stands now. Differences are ${other} less ${one}, ratios ${other} over ${one}.`),
    headlines(one, other), h("h3", { class: "apart" }, "DAGs that both have"), h("p", { class: "why" }, "All their finished runs; those that differ most first."));
  if (!rows.length) made.append(h("p", { class: "none" }, "They have no DAG in common with finished runs."));
  else made.append(...table("Environments compared", columns, rows).filter(Boolean));
  made.append(source("environments_compared"));
  return made;
}

// The environments that need a look most come first.
function byNeed(a, b) {
  const bad = (one) => report.dags.filter((dag) => dag.environment === one.name && dag.signals.some((signal) => SIGNALS[signal][0] === "bad")).length;
  return bad(b) - bad(a) || a.name.localeCompare(b.name);
}

function overview() {
  const made = h("section", { id: "overview" }, h("h1", null, "Overview"));
  const shown = report.overview.environments.filter((one) => inChosen(one.name)).sort(byNeed);
  if (!shown.length) made.append(h("p", { class: "none" }, "This lake has no snapshot yet: airkeep export makes one."));
  else made.append(h("p", { class: "lead" }, "What stands now is as of each environment's newest snapshot. How long it has lasted counts to the last sign of life before that, the newest thing that its Airflow did (for idle DAGs its newest run, for assets its newest run or asset event). A week is its last seven days with runs. All times are UTC; nothing here depends on when the page is read."), narrowed(), attention(), h("div", { class: "cards" }, shown.map(card)));
  return made;
}

function narrowed() {
  if (report.since === null) return "";
  const since = time(report.since);
  return h("p", { class: "lead" }, h("strong", null, `Only since ${since} UTC: `), `what is about a period holds no ${report.narrows.join(", ")} that began or happened before; “since ${since}” stands beneath it. What is about now, about ever or about a week beside the one before is of the whole lake, and says so: the numbers of this screen, signals, assets' freshness, DAGs that do not run.`);
}
