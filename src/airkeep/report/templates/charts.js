// Rows drawn by Apache ECharts, in the colours of the page, when they come into view.

const drawn = new Map();
const MOST_LINES = 6;
const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3], [2, 6], [12, 4]];
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "pin", "arrow"];
// An environment looks the same in every chart.
const PLACES = new Map(report.overview.environments.map((one, n) => [one.name, n]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) render(entry.target);
}, { rootMargin: "200px" });

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function render(place) {
  const one = drawn.get(place);
  if (!one || one.made || !place.isConnected) return;
  one.made = echarts.init(place, null, { renderer: "svg" });
  one.made.setOption(one.option());
}

// Charts of pages that are gone are let go; those in view are drawn in the theme of now.
function redraw() {
  for (const [place, one] of drawn) {
    const was = Boolean(one.made);
    if (was) one.made.dispose();
    one.made = null;
    if (!place.isConnected) drawn.delete(place);
    else if (was) render(place);
  }
}

function canvas(title, said, option, tall) {
  const place = h("div", { class: tall ? "chart tall" : "chart", role: "img", "aria-label": `${title}. ${said}` });
  drawn.set(place, { made: null, option });
  seen.observe(place);
  return place;
}

function base() {
  const ink = colour("soft");
  const axis = { axisLine: { lineStyle: { color: colour("line") } }, axisLabel: { color: ink, hideOverlap: true }, splitLine: { lineStyle: { color: colour("line"), type: "dashed" } } };
  return {
    axis,
    option: {
      animation: false,
      textStyle: { fontFamily: "inherit", color: ink },
      grid: { left: 8, right: 12, top: 34, bottom: 4, containLabel: true },
      legend: { top: 0, left: 0, type: "plain", itemGap: 18, textStyle: { color: colour("ink") }, itemWidth: 22, itemHeight: 9 },
    },
  };
}

function tooltip(kind, format) {
  return {
    trigger: "axis", confine: true, backgroundColor: colour("page"), borderColor: colour("line"), textStyle: { color: colour("ink"), fontSize: 12 },
    formatter: (points) => format(Array.isArray(points) ? points : [points], kind),
  };
}

// An element, so that ECharts makes no HTML of names.
function lines(points, [kind, divisor]) {
  const at = points.length ? points[0].axisValueLabel || points[0].name : "";
  return h("div", null, h("strong", null, at), points.filter((p) => p.value[1] !== null && p.value[1] !== undefined)
    .map((p) => h("div", null, `${p.seriesName}: ${text(p.value[1] * divisor, kind)}`)));
}

// Where colours begin anew, other dashes tell lines apart.
function dash(look) {
  return DASHES[(look + Math.floor(look / 6)) % 6];
}

// Days with their months, for most ticks begin neither; hours only where points have them, and whole.
function timely(axis, days) {
  return { type: "time", minInterval: days ? 86400000 : 3600000, ...axis, splitLine: { show: false }, axisLabel: { ...axis.axisLabel, formatter: { year: "{yyyy}", month: "{MMM}", day: "{MMM} {d}", hour: "{HH}:{mm}" } } };
}

function upward(axis, unit) {
  return { type: "value", min: 0, ...axis, axisLabel: { ...axis.axisLabel, formatter: (v) => `${v.toLocaleString("en-US")} ${unit}`.trim() } };
}

function moment(value) {
  return typeof value === "number" ? value * 1000 : Date.parse(`${value}T00:00:00Z`);
}

function summary(kind, pairs) {
  const known = pairs.filter(([, value]) => value !== null);
  if (!known.length) return "No values.";
  const top = known.reduce((a, b) => (b[1] > a[1] ? b : a));
  const newest = known.reduce((a, b) => (moment(b[0]) > moment(a[0]) ? b : a));
  const when = (x) => (typeof x === "number" ? time(x) : x);
  return `${known.length} points, the highest ${text(top[1], kind)} on ${when(top[0])}, the newest ${text(newest[1], kind)} on ${when(newest[0])}.`;
}

function chart(found, rows) {
  const index = (name) => found.columns.findIndex((column) => column.name === name);
  const { kind: shape, x, y, by } = found.chart;
  const kind = found.columns[index(y[0])].kind;
  if (shape === "grid") return grid(found, rows, index(x), index(by), index(y[0]), kind);
  const series = new Map();
  const whose = new Map();
  const perEnvironment = y.length === 1 && (!by || by === "environment");
  const many = new Set(rows.map((row) => row[0])).size > 1;
  for (const row of rows) {
    for (const name of y) {
      const label = found.columns[index(name)].label;
      const parts = [];
      if (by && by !== "environment") parts.push(row[index(by)]);
      if (by === "environment" || (shape === "lines" && many)) parts.unshift(row[0]);
      if (!parts.length || y.length > 1) parts.push(label);
      const key = parts.join(" · ");
      if (!series.has(key)) series.set(key, new Map());
      whose.set(key, row[0]);
      const points = series.get(key);
      const at = row[index(x)];
      const value = row[index(name)];
      if (value !== null) points.set(at, shape === "stacked" ? (points.get(at) || 0) + value : value);
    }
  }
  const size = (points) => [...points.values()].reduce((a, b) => a + b, 0);
  const all = [...series].sort((a, b) => (y.length > 1 ? 0 : size(b[1]) - size(a[1])));
  const kept = all.slice(0, MOST_LINES);
  if (shape === "stacked") together(kept);
  const limits = limitsOf(found, rows);
  const highest = Math.max(...kept.flatMap(([, points]) => [...points.values()]), 0);
  const near = limits.filter(([limit]) => limit <= highest * 2);
  const [divisor, unit] = scale(kind, highest);
  const said = [...kept.map(([name, points]) => `${name}: ${summary(kind, [...points])}`), ...limits.map(([limit, names]) => `The limit of ${names} is ${text(limit, "count")}.`)].join(" ");
  return canvas(found.title, said, () => {
    const { axis, option } = base();
    return {
      ...option,
      tooltip: tooltip([kind, divisor], lines),
      xAxis: timely(axis, found.columns[index(x)].kind === "day"),
      yAxis: near.length ? { ...upward(axis, unit), max: Math.max(highest, ...near.map(([limit]) => limit)) } : upward(axis, unit),
      useUTC: true,
      series: kept.map(([name, points], n) => ({ name, points, n, look: perEnvironment ? PLACES.get(whose.get(name)) : n })).map(({ name, points, n, look }) => ({
        name,
        type: shape === "stacked" ? "bar" : "line",
        stack: shape === "stacked" ? "all" : null,
        data: [...points].map(([at, value]) => [moment(at), value / divisor]).sort((a, b) => a[0] - b[0]),
        color: y.length > 1 ? colour(["good", "bad"][n] || `c${n + 1}`) : colour(`c${(look % 6) + 1}`),
        itemStyle: shape === "stacked" && n ? { decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 3], rotation: -Math.PI / 4, color: colour("page") } } : {},
        lineStyle: { width: 1.5, type: dash(look) }, symbol: SYMBOLS[look % 6], symbolSize: points.size === 1 ? 10 : 4, showSymbol: points.size < 60, barMaxWidth: 14,
        markLine: n ? null : limitLines(near),
      })),
    };
  });
}

// Stacked columns stand on each other by their place in the list: each has every day.
function together(kept) {
  const every = [...new Set(kept.flatMap(([, points]) => [...points.keys()]))];
  for (const [, points] of kept) for (const at of every) if (!points.has(at)) points.set(at, 0);
}

// The newest limits of the lines, each once: one far above would press the lines flat, and is not drawn.
function limitsOf(found, rows) {
  if (!found.chart.limit) return [];
  const at = found.columns.findIndex((column) => column.name === found.chart.limit);
  const newest = new Map();
  for (const row of rows) if (row[at] !== null && !newest.has(row[0])) newest.set(row[0], row[at]);
  const whose = new Map();
  for (const [name, limit] of newest) whose.set(limit, [...(whose.get(limit) || []), name]);
  return [...whose].map(([limit, names]) => [limit, names.join(", ")]);
}

function limitLines(limits) {
  if (!limits.length) return null;
  return {
    symbol: "none", silent: true, lineStyle: { color: colour("soft"), type: "solid", width: 1 },
    data: limits.map(([limit, names]) => ({ yAxis: limit, label: { formatter: `limit of ${names.slice(0, 40)}: ${number(limit, 0)}`, position: "insideStartTop", color: colour("ink"), fontSize: 11 } })),
  };
}

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

function grid(found, rows, x, by, y, kind) {
  const cells = new Map();
  for (const row of rows) {
    const key = `${row[x]} ${row[by]}`;
    cells.set(key, (cells.get(key) || 0) + (row[y] || 0));
  }
  const data = [...cells].map(([key, value]) => [...key.split(" ").map(Number), value]);
  const first = Math.min(...data.map((one) => one[1]));
  const top = Math.max(...data.map((one) => one[2]), 0);
  const busiest = data.find((one) => one[2] === top);
  const day = (n) => WEEKDAYS[n - (data.some((one) => one[1] === 7) ? 1 : first > 0 ? 1 : 0)] || String(n);
  const days = [...new Set(data.map((one) => one[1]))].sort((a, b) => b - a);
  const said = busiest ? `The busiest hour is ${day(busiest[1])} ${busiest[0]}:00 UTC with ${text(top, kind)}.` : "";
  return canvas(found.title, said, () => {
    const { axis, option } = base();
    return {
      ...option,
      legend: null,
      grid: { left: 8, right: 12, top: 8, bottom: 44, containLabel: true },
      tooltip: { ...tooltip(kind, null), trigger: "item", formatter: (p) => h("div", null, `${day(days[p.value[1]])} ${p.value[0]}:00 UTC: ${text(p.value[2], kind)}`) },
      xAxis: { type: "category", data: [...Array(24).keys()].map(String), ...axis, splitLine: { show: false } },
      yAxis: { type: "category", data: days.map(day), ...axis, splitLine: { show: false } },
      visualMap: { min: 0, max: top || 1, orient: "horizontal", left: "center", bottom: 0, itemHeight: 120, itemWidth: 10, text: [text(top, kind), text(0, kind)], textStyle: { color: colour("ink") }, inRange: { color: [colour("panel"), colour("c1")] } },
      series: [{ type: "heatmap", data: data.map(([hour, n, value]) => [hour, days.indexOf(n), value]), itemStyle: { borderColor: colour("page"), borderWidth: 1 } }],
    };
  }, true);
}
