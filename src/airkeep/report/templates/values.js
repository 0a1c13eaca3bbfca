// Elements and values as text. Nothing here or elsewhere makes HTML of a value.

const report = JSON.parse(document.getElementById("report").textContent);
for (const part of report.parts) for (const one of part.figures) one.rows = rowsIn(one.rows);
for (const dag of report.dags) for (const list of ["strip", "weeks", "changes", "tasks", "path"]) dag[list] = rowsIn(dag[list]);

// Rows of columns: texts by their places in the page's list of them, places and times as steps.
function rowsIn(columns) {
  const summed = (steps) => { let at = 0; return steps.map((step) => (at += step)); };
  const values = columns.map((column) => {
    if (column.texts) return summed(column.texts).map((place) => report.texts[place]);
    return column.steps ? summed(column.steps) : column;
  });
  return values.length ? values[0].map((_, n) => values.map((column) => column[n])) : [];
}

function h(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const NUMERIC = new Set(["count", "s", "h", "d", "share", "points", "ratio", "bytes", "money"]);
const NOTHING = "–";

function number(value, digits) {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// As many digits as one compares by: 0.13, 3.1, 42, 1,234.
function significant(value) {
  const size = Math.abs(value);
  return number(value, size >= 9.95 || value === 0 ? 0 : size >= 0.995 ? 1 : 2);
}

// Of a ratio the second digit counts: 0.97 is not 1.03.
function ratio(value) {
  const size = Math.abs(value);
  return number(value, size >= 99.5 ? 0 : size >= 9.95 ? 1 : 2);
}

// A difference of shares.
function points(value) {
  const shown = number(value * 100, 1);
  return `${shown === "-0.0" ? "0.0" : shown.replace("-", "−")} points`;
}

function duration(seconds) {
  const size = Math.abs(seconds);
  if (size > 0 && size < 0.005) return "< 0.01 s";
  if (size < 120) return `${significant(seconds)} s`;
  if (size < 2 * 3600) return `${significant(seconds / 60)} min`;
  if (size < 2 * 86400) return `${significant(seconds / 3600)} h`;
  return `${significant(seconds / 86400)} d`;
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  for (; Math.abs(value) >= 1000 && step < units.length - 1; step++) value /= 1000;
  return `${step ? significant(value) : number(value, 0)} ${units[step]}`;
}

// What an axis up to this value counts in: a divisor and the unit's name.
function scale(kind, top) {
  if (kind === "s") return top < 120 ? [1, "s"] : top < 7200 ? [60, "min"] : top < 172800 ? [3600, "h"] : [86400, "d"];
  return [1, { h: "h", d: "d" }[kind] || ""];
}

function time(seconds) {
  return new Date(seconds * 1000).toISOString().replace("T", " ").slice(0, 16);
}

function share(value) {
  const percent = value * 100;
  // 99.96 % is not all of them, 0.04 % is not none.
  if (value < 1 && percent >= 99.95) return "> 99.9 %";
  if (value > 0 && percent < 0.05) return "< 0.1 %";
  return `${number(percent, percent === 100 || percent === 0 ? 0 : 1)} %`;
}

function text(value, kind) {
  if (value === null || value === undefined || value === "") return NOTHING;
  switch (kind) {
    case "count": return typeof value === "number" ? number(value, Number.isInteger(value) ? 0 : 1) : String(value);
    case "s": return duration(value);
    case "h": return value > 0 && value < 0.005 ? "< 0.01 h" : `${significant(value)} h`;
    case "d": return `${significant(value)} d`;
    case "share": return share(value);
    case "ratio": return ratio(value);
    case "points": return points(value);
    case "bytes": return bytes(value);
    case "money": return number(value, 2);
    case "at": return time(value);
    case "flag": return value ? "yes" : "no";
    default: return String(value);
  }
}

// An interval in words, whether a model says its seconds or Airflow 2 its timedelta.
function schedule(value) {
  const every = /^every ([0-9.]+) s$/.exec(value);
  if (every) return `every ${duration(Number(every[1]))}`;
  if (!value.startsWith("{")) return value;
  try {
    const { type, attrs } = JSON.parse(value);
    const seconds = (attrs.days || 0) * 86400 + (attrs.seconds || 0);
    return type === "timedelta" && seconds > 0 ? `every ${duration(seconds)}` : value;
  } catch { return value; }
}

// Of a hash its beginning says enough.
function version(value) {
  return /^[0-9a-f-]{16,}$/.test(value) ? `${value.slice(0, 8)}…` : value;
}

function dagLink(environment, dag) {
  return `#dag/${encodeURIComponent(environment)}/${encodeURIComponent(dag)}`;
}

const dags = new Map(report.dags.map((dag) => [`${dag.environment}\n${dag.dag_id}`, dag]));

function dagNamed(environment, dag) {
  return dags.get(`${environment}\n${dag}`);
}

function tell(words) {
  document.getElementById("told").textContent = words;
}

// Where a figure comes from, of what time where not of all, and how to see the rest of it.
function source(mart, ...more) {
  return sourceOf(mart, report.narrowed.includes(mart), ...more);
}

function sourceOf(mart, narrowed, ...more) {
  const when = report.since === null ? null : narrowed ? ` · since ${time(report.since)}` : " · of the whole lake";
  return h("p", { class: "source" }, "From ", h("a", { href: `#sql-${mart}` }, `${mart} (SQL)`), ...more, when);
}

const chosen = { environment: "" };

function inChosen(environment) {
  return chosen.environment === "" || chosen.environment === environment;
}
