// What is shown, by the address: #overview and the sections, #dag/ENVIRONMENT/DAG, #sql-MART.

const main = document.getElementById("main");
const MOST_WARNINGS = 5;

function sources() {
  return h("section", { id: "sources" }, h("h2", null, "Sources"),
    h("p", { class: "lead" }, "Every number comes from one of these, whose SQL runs on DuckDB, Spark and Athena alike."),
    Object.entries(report.sources).map(([name, one]) => h("details", { class: "sql", id: `sql-${name}` },
      h("summary", null, `${name}: ${one.answers}`),
      h("p", { class: "shown" }, h("a", { href: "#", class: "return", onclick: goBack }, "↩ Back to the number"), shownIn(name)),
      h("dl", { class: "facts" }, [["grain", one.grain], ["key", one.key], ["units", one.units], ["leaves out", one.leaves_out]].map(([what, said]) => [h("dt", null, what), h("dd", null, said)])),
      h("pre", { tabindex: "0" }, h("code", null, one.sql)))));
}

function shownIn(mart) {
  const figures = report.parts.flatMap((one) => one.figures).filter((one) => one.mart === mart && rowsOf(one).length);
  return figures.length ? [" · shown in ", figures.map((one, n) => [n ? ", " : "", h("a", { href: `#${one.key}` }, one.title)]).flat()].flat() : [];
}

// What has nothing to show is one line at the end.
function part(found) {
  const empty = found.figures.filter((one) => !rowsOf(one).length);
  return h("section", { id: found.key }, h("h2", null, found.title), h("p", { class: "lead" }, found.lead), found.figures.filter((one) => rowsOf(one).length).map(figure),
    empty.length ? h("p", { class: "none" }, "Nothing recorded: ", empty.flatMap((one, n) => [n ? ", " : "", h("a", { href: `#sql-${one.mart}` }, one.title)]), ".") : null);
}

// An address that an older report, or another lake's, was right about.
function noDag(environment, dag) {
  return h("section", { id: "dag" }, h("p", { class: "back" }, h("a", { href: "#dags" }, "← All DAGs")), h("h1", null, "No such DAG"),
    h("p", null, `This report has no DAG ${dag || ""} of ${environment || "any environment"}: it was renamed or deleted, never ran, or is of another lake.`));
}

let page = null;
let came = null;
let inSql = false;

// To the link that led to the SQL, wherever on the page that was.
function goBack(event) {
  event.preventDefault();
  if (came && came.link.isConnected) {
    history.replaceState(null, "", came.hash || "#overview");
    inSql = false;
    toLink();
  } else location.hash = "#overview";
}

function show() {
  const [where, environment, dag] = decodeParts(location.hash.slice(1));
  // A DAG's own page has the SQL, too.
  if (page && where.startsWith("sql-") && document.getElementById(where)) return openSql(document.getElementById(where));
  const isDag = where === "dag";
  const wanted = isDag ? dagNamed(environment, dag) : null;
  const name = isDag ? location.hash : `all ${chosen.environment}`;
  if (page !== name) {
    page = name;
    main.replaceChildren(...(isDag ? [wanted ? dagPage(wanted) : noDag(environment, dag), sources()] : [overview(), comparison(), dagTable(), changes(), calendar(), ...report.parts.map(part), sources()].filter(Boolean)));
    document.title = isDag ? `${wanted ? dag : "No such DAG"} · Airflow report` : "Airflow report";
    redraw();
    menu(isDag);
    if (isDag) { scrollTo(0, 0); main.focus({ preventScroll: true }); tell(wanted ? `DAG ${dag}` : "No such DAG"); }
  }
  const target = isDag ? null : document.getElementById(location.hash.slice(1));
  const returned = inSql && came && came.hash === location.hash && came.link.isConnected;
  inSql = false;
  if (returned) toLink();
  else if (target && target.tagName === "DETAILS") openSql(target);
  else if (target) target.scrollIntoView();
}

function toLink() {
  came.link.scrollIntoView({ block: "center" });
  came.link.focus({ preventScroll: true });
}

function openSql(target) {
  inSql = true;
  target.open = true;
  target.querySelector("summary").focus({ preventScroll: true });
  target.scrollIntoView();
}

function decodeParts(hash) {
  try { return hash.split("/").map(decodeURIComponent); } catch { return [hash]; }
}

function menu(isDag) {
  const named = [["overview", "Overview"]];
  if (report.overview.compare.length) named.push(["compare", "Side by side"]);
  named.push(["dags", "DAGs"], ["changes", "What changed"], ["calendar", "Calendar"]);
  named.push(...report.parts.map((one) => [one.key, one.title]), ["sources", "Sources"]);
  const links = named.map(([key, title]) => h("a", { href: `#${key}` }, title));
  document.getElementById("sections").replaceChildren(h("ul", null, links.map((link) => h("li", null, link))));
  if (isDag) return;
  const mark = () => {
    const at = named.findLastIndex(([key]) => { const place = document.getElementById(key); return place && place.getBoundingClientRect().top < 120; });
    links.forEach((link, n) => (n === Math.max(at, 0) ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  };
  onscroll = mark;
  mark();
}

const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = "";

function paint() {
  document.documentElement.dataset.theme = theme || (dark.matches ? "dark" : "light");
  redraw();
}

function controls() {
  const { environments } = report.overview;
  const made = document.getElementById("controls");
  if (environments.length > 1) {
    const select = h("select", { id: "environment", onchange: () => { chosen.environment = select.value; page = null; show(); tell(`Showing ${select.value || "all environments"}`); } },
      h("option", { value: "" }, "all"), environments.map((one) => h("option", { value: one.name }, one.name)));
    made.append(h("span", { class: "whole" }, h("label", { for: "environment" }, "Environment"), " ", select));
  }
  const select = h("select", { id: "theme", onchange: () => { theme = select.value; paint(); } }, [["", "as the system"], ["light", "light"], ["dark", "dark"]].map(([value, words]) => h("option", { value }, words)));
  made.append(h("span", { class: "whole" }, h("label", { for: "theme" }, "Theme"), " ", select));
}

function about() {
  const { environments } = report.overview;
  const words = report.at === null ? `${report.lake}: no snapshot` : `${report.lake}, as of ${time(report.at)} UTC (newest snapshot of ${environments.length} ${environments.length === 1 ? "environment" : "environments"})`;
  const since = report.since === null ? "" : `, since ${time(report.since)} UTC`;
  document.getElementById("about").textContent = `${words}${since} · ${report.made_by}`;
}

// What makes the figures doubtful goes where the page goes.
function warnings() {
  const place = document.getElementById("warnings");
  const item = (one) => h("li", null, broken(one));
  const [first, rest] = [report.warnings.slice(0, MOST_WARNINGS), report.warnings.slice(MOST_WARNINGS)];
  place.hidden = !first.length;
  place.append(h("p", null, h("strong", null, "What was wrong in the lake when this page was made:")), h("ul", null, first.map(item)));
  if (rest.length) place.append(h("details", null, h("summary", null, `${number(rest.length, 0)} more`), h("ul", null, rest.map(item))));
}

about();
warnings();
controls();
paint();
show();
dark.addEventListener("change", paint);
addEventListener("hashchange", show);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#sql-']");
  if (link) came = { link, hash: location.hash };
});
let waiting = 0;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => { for (const one of drawn.values()) if (one.made) one.made.resize(); }, 100); });
addEventListener("beforeprint", () => {
  document.documentElement.dataset.theme = "light";
  redraw();
  for (const place of drawn.keys()) render(place);
});
addEventListener("afterprint", paint);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
  const search = document.querySelector("#dags input[type=search]");
  if (search) { event.preventDefault(); search.focus(); }
});
