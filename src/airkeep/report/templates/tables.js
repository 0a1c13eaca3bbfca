// Tables that sort and search, ten rows at first.

const FIRST = 10;
const LONGEST = 40;

function cell(value, column, row, environmentAt) {
  if (column.draw) return h("td", { class: column.class || null }, column.draw(value, row));
  const shown = text(value, column.kind);
  if (NUMERIC.has(column.kind)) return h("td", { class: "n" }, shown);
  if (column.kind === "at" || column.kind === "day") return h("td", { class: "time" }, shown);
  if (column.name === "dag_id" && environmentAt >= 0 && dagNamed(row[environmentAt], value)) {
    return h("td", { class: "t id" }, h("a", { href: dagLink(row[environmentAt], value) }, broken(shown)));
  }
  if (column.name === "schedule" && value) return h("td", { class: "t" }, broken(schedule(value)));
  if (column.name.startsWith("version_") && value !== null) return h("td", { class: "t", title: value }, version(value));
  return h("td", { class: column.name.endsWith("_id") ? "t id" : "t" }, broken(shown));
}

// A long name breaks after its separators, and inside of a piece only where that is endless.
function broken(words) {
  return words.split(/(?<=[_./-])/).flatMap((piece) => chunks(piece)).flatMap((piece, n) => (n ? [h("wbr"), piece] : [piece]));
}

function chunks(piece) {
  const letters = [...piece];
  if (letters.length <= LONGEST) return [piece];
  const found = [];
  for (let at = 0; at < letters.length; at += LONGEST) found.push(letters.slice(at, at + LONGEST).join(""));
  return found;
}

function compared(a, b) {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}

// columns: {name, label, kind, draw?, sort?}; rows: arrays in their order.
function table(title, columns, rows, { first = FIRST, search = true } = {}) {
  const environmentAt = columns.findIndex((column) => column.name === "environment");
  const one = new Set(rows.map((row) => row[environmentAt])).size <= 1;
  const visible = columns.map((column, at) => ({ ...column, at }))
    .filter((column) => !(column.name === "environment" && (chosen.environment || (one && report.overview.environments.length === 1))));
  const state = { by: null, down: false, words: "", all: rows.length <= first + 3 };
  const body = h("tbody");
  const count = h("span", { class: "same" });
  const more = h("button", { type: "button", onclick: () => { state.all = !state.all; draw(); } });
  const heads = visible.map((column) => h("th", { scope: "col", class: NUMERIC.has(column.kind) ? "n" : null },
    h("button", { type: "button", onclick: () => sortBy(column) }, column.label)));

  function found() {
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = !words.length ? rows.slice() : rows.filter((row) => {
      const all = visible.map((column) => (column.words ? column.words(row[column.at], row) : text(row[column.at], column.kind))).join(" ").toLowerCase();
      return words.every((word) => all.includes(word));
    });
    if (state.by) {
      const value = (row) => (state.by.sort ? state.by.sort(row[state.by.at], row) : row[state.by.at]);
      kept.sort((a, b) => {
        const [left, right] = [value(a), value(b)];
        const order = compared(left, right);
        const unknown = left === null || left === undefined || right === null || right === undefined;
        return state.down && !unknown ? -order : order;
      });
    }
    return kept;
  }

  function draw() {
    const kept = found();
    const shown = state.all ? kept : kept.slice(0, first);
    body.replaceChildren(...shown.map((row) => h("tr", null, visible.map((column) => cell(row[column.at], column, row, environmentAt)))));
    if (!kept.length) body.append(h("tr", null, h("td", { colspan: visible.length }, "No row has these words.")));
    count.textContent = `${number(shown.length, 0)} of ${number(kept.length, 0)} rows`;
    more.textContent = state.all ? `Show the first ${first}` : `Show all ${number(kept.length, 0)}`;
    more.hidden = kept.length <= first || rows.length <= first + 3;
  }

  function sortBy(column) {
    state.down = state.by === column ? !state.down : NUMERIC.has(column.kind);
    state.by = column;
    heads.forEach((head, n) => {
      if (visible[n] === column) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    draw();
    tell(`${title}: sorted by ${column.label}, ${state.down ? "largest" : "smallest"} first`);
  }

  const input = h("input", { type: "search", "aria-label": `Search in ${title}`, placeholder: "Search", oninput: () => { state.words = input.value; draw(); tell(count.textContent); } });
  draw();
  const wide = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
    h("table", { class: "data" }, h("thead", null, h("tr", null, heads)), body));
  const bar = rows.length > 5 && search ? h("div", { class: "bar" }, input, count, more) : null;
  return [bar, wide];
}

// What the lists leave out, said per environment.
function cut(figure) {
  const short = figure.shown.filter((one) => one.rows < one.of && inChosen(one.environment));
  if (!short.length) return [];
  const each = short.slice(0, 4).map((one) => `${number(one.rows, 0)} of ${number(one.of, 0)} in ${one.environment}`);
  const rest = short.length > 4 ? ` and ${short.length - 4} more environments` : "";
  return [` · the first ${each.join(", ")}${rest}; the rest: `, h("code", null, `airkeep models LAKE ${figure.mart}`)];
}

function rowsOf(found) {
  const at = found.columns.findIndex((column) => column.name === "environment");
  return found.rows.filter((row) => at < 0 || inChosen(row[at]));
}

function figure(found) {
  const rows = rowsOf(found);
  const made = h("article", { class: "figure", id: found.key },
    h("div", { class: "heading" }, h("h3", null, found.title), h("p", { class: "why" }, found.why)));
  if (found.chart) made.append(chart(found, rows), h("details", null, h("summary", null, "As a table"), table(found.title, found.columns, rows)));
  else made.append(...table(found.title, found.columns, rows).filter(Boolean));
  made.append(sourceOf(found.mart, found.narrowed, ...cut(found)));
  return made;
}
