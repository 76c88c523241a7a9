"use strict";
// Shows the forecasts that the page holds, at the selection of its controls.
// Text from files only ever becomes text nodes.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const last = (list) => list[list.length - 1];
const GI = 2 ** 30, MI = 2 ** 20;
const LIMITS = ["memory", "compute", "overhead", "communication", "storage"];
const BOUND = { m: "memory", c: "compute", o: "overhead", l: "communication", s: "storage" };
const COMPONENTS = ["weights", "experts", "cache", "activations"];
const PARTS = {
  attention: "attention matrices", ffn: "feed-forward", experts: "routed experts", shared: "shared experts",
  router: "router", head: "output head", cache: "attention over the cache",
  vectors: "norms and vectors", embedding: "embedding", step: "between steps",
};

// ---- numbers for a reader ----

function number(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 0.1 || value === 0 ? value.toFixed(2) : String(Number(value.toPrecision(3)));
}
const whole = (value) => value.toLocaleString("en-US");
const count = (value) => (Number.isInteger(value) ? whole(value) : number(value));
const percent = (share) => `${share > 0 && share < 0.01 ? "under 1" : Math.round(100 * share)}%`;

function scaled(value, sizes, least) {
  const found = sizes.find(([size]) => Math.abs(value) >= size);
  return found ? `${number(value / found[0])} ${found[1]}` : least(value);
}
const bytes = (value) =>
  scaled(value, [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]], (n) => `${n.toFixed(0)} B`);
const seconds = (value) => scaled(value, [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]], (n) => `${(n * 1e9).toFixed(0)} ns`);
const operations = (value) =>
  scaled(value, [[1e12, "Top/s"], [1e9, "Gop/s"], [1e6, "Mop/s"]], (n) => `${number(n)} op/s`);
function gib(value) {
  if (value >= 1000 * GI) return `${whole(Math.round(value / GI))} GiB`;
  return value >= 0.1 * GI ? `${(value / GI).toFixed(1)} GiB` : `${(value / MI).toFixed(1)} MiB`;
}
const tokens = (count) => (count >= 1024 && count % 1024 === 0 ? `${count / 1024}k` : whole(count));
const span = (rate) => (Number.isNaN(rate.low) ? "an upper bound" : `${number(rate.low)} to ${number(rate.high)}`);

// ---- forecasts ----

const decoded = [];

function at(place, batch, context = 0) {
  const [rows, columns, text] = data.pool[place];
  decoded[place] ??= new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  return decoded[place][(rows > 1 ? batch : 0) * columns + (columns > 1 ? context : 0)];
}

/** One model on one device in one format with one routing, where it is usually placed, or in another placement of its format. */
function forecast(model, device, format, routing, placement = "") {
  const pair = data.pairs.find((each) => each.model === model && each.device === device);
  const usual = pair.formats.find((each) => each.name === format) || pair.formats[pair.default];
  const inFormat = usual.placements.find((each) => each.placed === placement) || usual;
  const surface = inFormat.routings.find((each) => each.name === routing) || inFormat.routings[0];
  return { pair, usual, format: inFormat, surface, model: data.models[model], device: data.devices[device] };
}

function rate(shown, batch, context, surface = shown.surface) {
  const [total, low, high, ceiling] = surface.rates.map((place) => at(place, batch, context));
  const memory = shown.format.fixed + at(shown.format.held ?? shown.pair.held, batch, context);
  const bound = surface.bound[batch * data.contexts.length + context];
  return { total, low, high, ceiling, memory, limit: shown.pair.limit, bound: BOUND[bound], fits: bound !== "x" };
}

const misfit = (found) => `does not fit: needs ${gib(found.memory)}, ${gib(found.limit)} can be had`;

/** What measurements were made of this model on this device in this format. */
function measuredOf(shown) {
  return data.measured.filter(
    (row) =>
      row.model === shown.model.name && row.hardware === shown.device.name && row.weights === shown.format.name &&
      row.runtime === shown.pair.runtime && row.routing === shown.surface.name && !row.sparsity &&
      [null, shown.pair.threads].includes(row.threads),
  );
}

// ---- the selection ----

const chosen = {
  model: 0, device: 0, format: "", batch: 0, context: data.contexts.indexOf(data.context), routing: "", placement: "", users: 0,
};
const CONTROLS = ["model", "device", "format", "batch", "context", "routing", "placement", "users"];
const NAMED = ["format", "routing", "placement"];
const RATES = [0, 1, 2, 5, 10, 20, 30, 50, 100];
const current = () => forecast(chosen.model, chosen.device, chosen.format, chosen.routing, chosen.placement);

function choicesOf(control, shown) {
  if (control === "model" || control === "device") return data[`${control}s`].map((each) => each.title);
  if (control === "batch") return data.batches.map(whole);
  if (control === "context") return data.contexts.map(tokens);
  if (control === "users") return RATES.map((each) => (each ? `${each} tokens/s` : "any rate"));
  if (control === "placement") return [shown.usual, ...shown.usual.placements].map((each) => each.placed);
  return (control === "format" ? shown.pair.formats : shown.format.routings).map((each) => each.name);
}

function fillControls(shown) {
  for (const control of CONTROLS) {
    const select = find(control), choices = choicesOf(control, shown);
    select.replaceChildren(...choices.map((text, place) => new Option(text, String(place))));
    select.disabled = choices.length < 2;
    const named = { format: shown.format.name, routing: shown.surface.name, placement: shown.format.placed }[control];
    select.selectedIndex = named === undefined ? chosen[control] : choices.indexOf(named);
  }
}

function choose(control) {
  const select = find(control);
  chosen[control] = NAMED.includes(control) ? select.selectedOptions[0].text : select.selectedIndex;
  history.replaceState(null, "", `#${new URLSearchParams(asWords())}`);
  redraw();
}

function asWords() {
  return {
    model: data.models[chosen.model].argument, device: data.devices[chosen.device].argument, format: chosen.format,
    batch: data.batches[chosen.batch], context: data.contexts[chosen.context], routing: chosen.routing,
    placement: chosen.placement, users: RATES[chosen.users],
  };
}

function readHash() {
  const words = new URLSearchParams(location.hash.slice(1));
  const known = {
    model: data.models.map((each) => each.argument), device: data.devices.map((each) => each.argument),
    batch: data.batches.map(String), context: data.contexts.map(String), users: RATES.map(String),
  };
  for (const [control, choices] of Object.entries(known)) {
    const place = choices.indexOf(words.get(control));
    if (place >= 0) chosen[control] = place;
  }
  for (const control of NAMED) if (words.has(control)) chosen[control] = words.get(control);
}

// ---- elements ----

const SVG = document.querySelector("svg").namespaceURI;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(parent, tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, typeof value === "number" ? value.toFixed(2) : value);
  }
  element.textContent = text;
  parent.append(element);
  return element;
}

const ruler = document.createElement("canvas").getContext("2d");

function widthOf(text, size = 12) {
  ruler.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

function cut(text, room, size = 12) {
  if (widthOf(text, size) <= room) return text;
  let end = text.length;
  while (end > 1 && widthOf(`${text.slice(0, end)}…`, size) > room) end--;
  return `${text.slice(0, end)}…`;
}

function plus(u) {
  const [right, left, up, down] = [`h${2 * u}`, `h${-2 * u}`, `v${-2 * u}`, `v${2 * u}`];
  return `M${-3 * u} ${-u}${right}${up}${right}${down}${right}${down}${left}${down}${left}${up}${left}z`;
}

/** Shapes and fillings that can be told apart without colour. */
const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r * 0.88} ${-r * 0.88}h${r * 1.76}v${r * 1.76}h${-r * 1.76}z`,
  (r) => `M0 ${-r * 1.2}L${r * 1.15} ${r * 0.85}H${-r * 1.15}z`,
  (r) => `M0 ${-r * 1.25}L${r * 1.25} 0L0 ${r * 1.25}L${-r * 1.25} 0z`,
  (r) => `M0 ${r * 1.2}L${r * 1.15} ${-r * 0.85}H${-r * 1.15}z`,
  (r) => plus(r * 0.4),
];
const HATCHES = [
  "", "M0 8L8 0", "M0 0L8 8", "M0 4H8", "M4 0V8", "M0 4H8M4 0V8", "M0 0L8 8M0 8L8 0", "M2 2h3v3h-3z",
  "M0 0L8 8", "M4 0V8", "M0 4H8", "M0 8L8 0",
];

function dot(parent, x, y, place, radius = 4.5, style = "dot") {
  const d = SHAPES[place % SHAPES.length](radius), transform = `translate(${x.toFixed(1)} ${y.toFixed(1)})`;
  return draw(parent, "path", { d, transform, class: `${style} k${place % 8}` });
}

function definePatterns() {
  const defs = draw(find("patterns"), "defs");
  HATCHES.forEach((path, place) => {
    const attributes = { id: `p${place}`, class: `k${place % 8}`, patternUnits: "userSpaceOnUse", width: 8, height: 8 };
    const pattern = draw(defs, "pattern", attributes);
    draw(pattern, "rect", { width: 8, height: 8, style: "fill: var(--c)" });
    draw(pattern, "path", { d: path, style: "stroke: var(--paper); stroke-width: 1.4; opacity: .75; fill: none" });
  });
}

function canvas(plot, width, height, label) {
  const named = { role: "img", "aria-label": label, tabindex: "0" };
  return draw(plot, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, ...named });
}

/** Empties a figure and gives it a title; returns where its chart goes. */
function open(id, title, subtitle, legend) {
  const figure = find(id);
  const plot = make("div", { class: "plot" });
  figure.replaceChildren(make("figcaption", {}, title, make("span", {}, subtitle)));
  if (legend) figure.append(make("ul", { class: "legend" }, ...legend.map(legendEntry)));
  figure.append(plot);
  figure.hidden = false;
  return plot;
}

function legendEntry({ name, place = 0, kind = "line" }) {
  const item = make("li"), width = kind === "fill" ? 14 : 24;
  const sample = draw(item, "svg", { width, height: 14, "aria-hidden": "true" });
  if (kind === "fill") draw(sample, "rect", { width: 14, height: 14, rx: 2, fill: `url(#p${place})` });
  if (kind === "line") draw(sample, "path", { d: "M0 7H24", class: `curve k${place % 8}` });
  if (kind === "roof") draw(sample, "path", { d: "M0 7H24", class: "roof" });
  if (kind === "ceiling") draw(sample, "path", { d: "M1 7H24", class: "ceiling k6" });
  if (kind === "band") draw(sample, "rect", { width: 24, height: 14, class: "band k6" });
  if (kind === "line" || kind === "dot") dot(sample, 12, 7, place);
  if (kind === "measured") dot(sample, 12, 7, place, 4.5, "hollow");
  item.append(name);
  return item;
}

function say(id, text) {
  find(id).querySelector(".answer").textContent = text;
}

function refuse(plot, text) {
  plot.append(make("p", {}, text));
}

// ---- axes ----

function ticksOf(low, high, isLog, most) {
  if (!isLog) {
    const rough = (high - low) / most, size = 10 ** Math.floor(Math.log10(rough));
    const step = size * [1, 2, 5, 10].find((each) => each * size >= rough * 0.999);
    return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, n) => n * step).filter((each) => each >= low);
  }
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  }
  const inside = found.filter((each) => each >= low * 0.999 && each <= high * 1.001);
  if (inside.length <= most) return inside;
  const decades = inside.filter((each) => Math.abs(Math.log10(each) - Math.round(Math.log10(each))) < 1e-6);
  return decades.filter((_, place) => place % Math.ceil(decades.length / most) === 0);
}

function scaleOf({ low, high, isLog }, from, to) {
  const of = isLog ? (value) => Math.log(Math.max(value, low * 1e-3)) : (value) => value;
  return (value) => from + ((of(value) - of(low)) / (of(high) - of(low))) * (to - from);
}

/** An axis that has room for all values: logarithmic where they span decades. */
function axisFor(values, label, isLog = Math.max(...values) > 12 * Math.min(...values)) {
  const low = Math.min(...values), high = Math.max(...values);
  if (!isLog) return { low: 0, high: high * 1.08 || 1, label, isLog, show: brief };
  return { low: low / 1.25, high: high * 1.25, label, isLog, show: brief };
}
const brief = (value) => (value >= 1000 ? whole(Math.round(value)) : String(Number(value.toPrecision(3))));

/** A frame with both axes; returns the drawing, the scales and its edges. */
function frame(plot, x, y, { label, top = 8, height = 0 }) {
  const width = plot.clientWidth || 320, tall = (height || Math.min(340, Math.max(250, width * 0.62))) + top;
  const yTicks = y.ticks || ticksOf(y.low, y.high, y.isLog, 7);
  const left = Math.max(...yTicks.map((each) => widthOf(y.show(each)))) + 12;
  const edge = { left, right: width - 14, top: top + 22, bottom: tall - 40 };
  const svg = canvas(plot, width, tall, label);
  const px = scaleOf(x, edge.left, edge.right), py = scaleOf(y, edge.bottom, edge.top);
  for (const tick of yTicks) {
    draw(svg, "line", { x1: edge.left, x2: edge.right, y1: py(tick), y2: py(tick), class: "grid" });
    draw(svg, "text", { x: edge.left - 6, y: py(tick) + 4, "text-anchor": "end" }, y.show(tick));
  }
  draw(svg, "line", { x1: edge.left, x2: edge.right, y1: edge.bottom, y2: edge.bottom, class: "axis" });
  drawTicks(svg, x, px, edge);
  draw(svg, "text", { x: 0, y: 11 }, cut(y.label, width - 8));
  draw(svg, "text", { x: edge.right, y: tall - 6, "text-anchor": "end" }, cut(x.label, width - 8));
  return { svg, px, py, edge, width };
}

function drawTicks(svg, x, px, edge) {
  let taken = -Infinity;
  for (const tick of x.ticks || ticksOf(x.low, x.high, x.isLog, Math.floor((edge.right - edge.left) / 60))) {
    const text = x.show(tick), half = widthOf(text) / 2, place = px(tick);
    if (place < edge.left - 1 || place > edge.right + 1) continue;
    draw(svg, "line", { x1: place, x2: place, y1: edge.bottom, y2: edge.bottom + 4, class: "axis" });
    if (place - half < taken + 8) continue;
    const middle = Math.max(half, Math.min(place, edge.right + 14 - half));
    draw(svg, "text", { x: middle, y: edge.bottom + 17, "text-anchor": "middle" }, text);
    taken = place + half;
  }
}

// ---- values on hovering, tapping or by keys ----

/** Makes a drawing answer with the nearest of its stops: {x, y, title, lines}; `by` says along what nearness counts. */
function explain(svg, stops, by, edge) {
  if (!stops.length) return;
  let place = -1;
  const guide = draw(svg, "g", { visibility: "hidden" });
  const line = by === "x" ? draw(guide, "line", { y1: edge.top, y2: edge.bottom, class: "cursor" }) : null;
  const ring = by === "xy" ? draw(guide, "circle", { r: 9, class: "ring" }) : null;
  const show = (next, client) => {
    place = next;
    const stop = stops[place], box = svg.getBoundingClientRect();
    guide.setAttribute("visibility", "visible");
    for (const end of line ? ["x1", "x2"] : []) line.setAttribute(end, stop.x);
    ring?.setAttribute("transform", `translate(${stop.x} ${stop.y})`);
    showTip(stop, client || { x: box.left + stop.x, y: box.top + stop.y });
  };
  const hide = () => {
    guide.setAttribute("visibility", "hidden");
    find("tip").hidden = true;
  };
  const point = (event) => {
    const box = svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const far = (stop) => (by === "y" ? 0 : Math.abs(stop.x - x)) + (by === "x" ? 0 : Math.abs(stop.y - y));
    const nearest = stops.reduce((best, stop, n) => (far(stop) < far(stops[best]) ? n : best), 0);
    show(nearest, { x: event.clientX, y: event.clientY });
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("focus", () => svg.matches(":focus-visible") && show(Math.max(place, 0)));
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show((place + step + stops.length) % stops.length);
  });
}

function showTip(stop, client) {
  const tip = find("tip");
  tip.replaceChildren(make("b", {}, stop.title), ...stop.lines.map((line) => make("span", {}, line)));
  tip.hidden = false;
  const left = Math.min(Math.max(6, client.x + 14), innerWidth - tip.offsetWidth - 6);
  const under = client.y + 18, over = Math.max(6, client.y - tip.offsetHeight - 12);
  tip.style.transform = `translate(${left}px, ${under + tip.offsetHeight < innerHeight ? under : over}px)`;
}

// ---- charts ----

/** Lines {name, place, points: [{x, y, low, high, ceiling}]} with marks {x, text} and measured points over them. */
function lineChart(plot, { label, x, y, lines, marks = [], measured = [], beyond = Infinity }) {
  const drawn = lines.filter((line) => line.points.length);
  const view = frame(plot, x, y, { label, top: 15 * marks.length });
  const { svg, px, py, edge } = view;
  if (beyond < x.high) {
    const from = Math.max(edge.left, px(beyond)), height = edge.bottom - edge.top;
    draw(svg, "rect", { x: from, y: edge.top, width: edge.right - from, height, class: "beyond" });
  }
  drawMarks(view, marks);
  const path = (points, key) =>
    points.map((each, n) => `${n ? "L" : "M"}${px(each.x).toFixed(1)} ${py(each[key]).toFixed(1)}`).join("");
  for (const { points, place } of drawn) {
    const banded = points.filter((each) => each.low > 0);
    if (banded.length > 1) {
      const back = path([...banded].reverse(), "low").replace("M", "L");
      draw(svg, "path", { d: `${path(banded, "high")}${back}z`, class: `band k${place}` });
    }
    if (points[0].ceiling) draw(svg, "path", { d: path(points, "ceiling"), class: `ceiling k${place}` });
  }
  for (const { points, place } of drawn) {
    draw(svg, "path", { d: path(points, "y"), class: `curve k${place}` });
    for (const each of points) dot(svg, px(each.x), py(each.y), place);
  }
  for (const each of measured) errorDot(svg, px(each.x), py(each.y), py(each.low), py(each.high), each.place);
  explain(svg, stopsOf(drawn, measured, x, px, edge), "x", edge);
}

function stopsOf(lines, measured, x, px, edge) {
  const places = [...new Set([...lines.flatMap((line) => line.points), ...measured].map((each) => each.x))];
  return places.sort((a, b) => a - b).map((value) => {
    const here = (points) => points.filter((each) => each.x === value).map((each) => each.text);
    const told = lines.flatMap((line) => here(line.points).map((text) => `${line.name}: ${text}`));
    const also = here(measured);
    return { x: px(value), y: edge.top, title: x.tell(value), lines: [...told, ...also] };
  });
}

function errorDot(svg, x, y, low, high, place) {
  draw(svg, "path", { d: `M${x} ${low}V${high}M${x - 4} ${low}h8M${x - 4} ${high}h8`, class: `error k${place % 8}` });
  dot(svg, x, y, place, 4.5, "hollow");
}

function acrossDot(svg, low, high, y, place) {
  draw(svg, "path", { d: `M${low} ${y}H${high}M${low} ${y - 4}v8M${high} ${y - 4}v8`, class: `error k${place % 8}` });
}

/** Each mark has a line of text of its own, so that none lies on another. */
function drawMarks({ svg, px, edge, width }, marks) {
  marks.forEach(({ x, text }, n) => {
    const place = px(x), y = edge.top - 5 - 15 * (marks.length - 1 - n);
    const wide = widthOf(text), sides = [place + 5, place - 5 - wide, Math.max(0, width - wide - 2)];
    const start = sides.find((x) => x >= 0 && x + wide <= width);
    draw(svg, "line", { x1: place, x2: place, y1: y - 9, y2: edge.bottom, class: "mark" });
    draw(svg, "text", { x: start ?? 0, y, class: "halo" }, cut(text, width));
  });
}

/** Rows {name, detail, value, low, high, ceiling, note, chosen}, a bar each, or where there is no value the note. */
function barChart(plot, rows, label) {
  const width = plot.clientWidth || 320, axis = barScale(rows);
  const full = (row) => (row.detail ? `${row.name}, ${row.detail}` : row.name);
  const room = Math.max(...rows.map((row) => widthOf(full(row), 14))) + 22;
  const longest = Math.max(...rows.map((row) => (row.value ? 0 : widthOf(row.note, 13))));
  const isNarrow = room > width * 0.38 || room + longest > width;
  const left = isNarrow ? 2 : room, height = isNarrow ? 44 : 28, tall = rows.length * height + 44;
  const svg = canvas(plot, width, tall, label);
  const values = Math.max(0, ...rows.map((row) => (row.value ? widthOf(number(row.value), 13) * 1.1 : 0)));
  const edge = { left, right: width - values - 14, top: 2, bottom: tall - 40 };
  const px = axis && scaleOf(axis, left, edge.right);
  if (axis) barAxis(svg, axis, px, edge);
  const stops = rows.map((row, place) => {
    const top = place * height + 4, y = top + (isNarrow ? 25 : 10), name = isNarrow ? top + 10 : y + 5;
    const group = draw(svg, "g", { class: `k0${row.chosen ? " chosen" : ""}` });
    draw(group, "text", { x: 0, y: name, class: "name" }, cut(full(row), isNarrow ? width - 24 : width, 14));
    if (row.value) drawBar(group, row, px, y, { ...edge, isLog: axis.isLog });
    else draw(group, "text", { x: left, y: y + 5, class: "misfit" }, cut(row.note, width - left - 4, 12.5));
    const rates = [`${number(row.value)} tokens/s (${span(row)})`, `ceiling ${number(row.ceiling)} tokens/s`];
    return { x: left, y, title: full(row), lines: [...(row.value ? rates : []), row.note] };
  });
  explain(svg, stops, "y", edge);
}

function barScale(rows) {
  const known = rows.filter((row) => row.value);
  const values = known.flatMap((row) => [row.value, row.low || row.value, row.ceiling, ...row.measured]);
  return values.length ? axisFor(values, "tokens/s", Math.max(...values) > 30 * Math.min(...values)) : null;
}

function barAxis(svg, axis, px, edge) {
  const most = Math.min(8, Math.max(2, Math.floor((edge.right - edge.left) / 60)));
  const ticks = ticksOf(axis.low, axis.high, axis.isLog, most);
  for (const tick of ticks) {
    draw(svg, "line", { x1: px(tick), x2: px(tick), y1: edge.top, y2: edge.bottom, class: "grid" });
  }
  drawTicks(svg, { ticks, show: brief }, px, edge);
  const label = `tokens/s${axis.isLog ? ", logarithmic" : ""}`;
  draw(svg, "text", { x: edge.right, y: edge.bottom + 34, "text-anchor": "end" }, label);
}

/** A bar from zero, or on a logarithmic axis, where no length means anything, a dot alone; its value beyond the axis. */
function drawBar(group, row, px, y, { left, right, isLog }) {
  const end = px(row.value), [low, high, ceiling] = [px(row.low), px(row.high), px(row.ceiling)];
  if (isLog) draw(group, "line", { x1: left, x2: right, y1: y, y2: y, class: "grid" });
  else draw(group, "rect", { x: left, y: y - 6, width: Math.max(1, end - left), height: 12, rx: 2, class: "rod" });
  const whisker = `M${low} ${y}H${high}M${low} ${y - 4}v8M${high} ${y - 4}v8`;
  if (row.low > 0) draw(group, "path", { d: whisker, class: "error" });
  draw(group, "path", { d: `M${ceiling} ${y - 7}v14`, class: "ceiling" });
  dot(group, end, y, 0, isLog ? 5 : 4);
  for (const each of row.measured) dot(group, px(each), y, 1, 4.5, "hollow");
  draw(group, "text", { x: right + 8, y: y + 5, class: "value" }, number(row.value));
}

/** Columns {x, title, parts} of stacked bytes, a part for each name. */
function stackChart(plot, { label, x, columns, names }) {
  const totals = columns.map((column) => sum(column.parts)), most = Math.max(...totals);
  const [size, unit] = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"]].find(([each]) => most >= each) || [1e3, "kB"];
  const show = (value) => brief(value / size);
  const ticks = ticksOf(0, (most * 1.05) / size, false, 7).map((each) => each * size);
  const y = { low: 0, high: most * 1.05, isLog: false, ticks, show, label: `${unit} read and written in a step` };
  const { svg, px, py, edge } = frame(plot, x, y, { label });
  const width = Math.min(46, Math.max(6, ((edge.right - edge.left) / data.batches.length) * 0.66));
  const stops = columns.map((column, n) => {
    let top = 0;
    column.parts.forEach((value, place) => {
      top += value;
      const height = py(top - value) - py(top), fill = `url(#p${place})`;
      if (height > 0.3) draw(svg, "rect", { x: px(column.x) - width / 2, y: py(top), width, height, fill });
    });
    const tell = (value, place) => value && `${names[place]}: ${bytes(value)}, ${percent(value / totals[n])}`;
    const title = `${column.title}: ${bytes(totals[n])}`;
    return { x: px(column.x), y: edge.top, title, lines: column.parts.map(tell).filter(Boolean) };
  });
  explain(svg, stops, "x", edge);
}

/** One bar from 0 to 100 % for each row {title, parts: [{name, place, value}]}. */
function shareChart(plot, rows, label) {
  const width = plot.clientWidth || 320, height = 56, tall = rows.length * height + 2;
  const svg = canvas(plot, width, tall, label);
  const stops = rows.flatMap(({ title, parts }, row) => {
    const top = row * height, total = parts.reduce((sum, part) => sum + part.value, 0);
    draw(svg, "text", { x: 0, y: top + 13, class: "name" }, title);
    let before = 0;
    return parts.map((part) => {
      const x = (before / total) * width, wide = (part.value / total) * width;
      const fill = `url(#p${part.place})`, told = `${seconds(part.value)}, ${percent(part.value / total)}`;
      draw(svg, "rect", { x, y: top + 20, width: Math.max(0.5, wide - 1), height: 24, fill });
      before += part.value;
      return { x: x + wide / 2, y: top + 32, title: part.name, lines: [told] };
    });
  });
  explain(svg, stops, "xy", { top: 0, bottom: tall });
}

/** Dots {x, y, place, radius, title, lines} in a frame, with what is drawn behind them. */
function dotChart(plot, { label, x, y, dots, behind, height }) {
  const view = frame(plot, x, y, { label, height });
  behind(view);
  for (const each of dots) {
    const at = [view.px(each.x), view.py(each.y)];
    if (each.across) acrossDot(view.svg, ...each.across.map(view.px), at[1], each.place);
    if (each.low) errorDot(view.svg, ...at, view.py(each.low), view.py(each.high), each.place);
    else dot(view.svg, ...at, each.place, each.radius);
  }
  explain(view.svg, dots.map((each) => ({ ...each, x: view.px(each.x), y: view.py(each.y) })), "xy", view.edge);
}

// ---- what the sections share ----

/** Along a dimension of the grid, from its first value, or from *first* where that is 0, to a little beyond *room*. */
function gridAxis(ticks, room, first, edge) {
  const high = Math.max(Math.min(last(ticks), 2 * (room ?? Infinity)), 2 * first);
  return { low: first / edge, high: high * edge, isLog: true, ticks };
}

function batchAxis(room, edge = 1.15) {
  const told = { label: "sequences decoded at once (batch)", show: whole, tell: (batch) => `batch ${whole(batch)}` };
  return { ...gridAxis(data.batches, room, data.batches[0], edge), ...told };
}

/** Where a context stands on its logarithmic axis: 0 at a quarter of the next one. */
const placed = (context) => context || (data.contexts[1] || 4) / 4;

function contextAxis(room) {
  const ticks = data.contexts.map(placed), contextAt = (place) => data.contexts[ticks.indexOf(place)] ?? place;
  const told = { label: "tokens in the cache of each sequence (context)", show: (place) => tokens(contextAt(place)) };
  const axis = gridAxis(ticks, room, ticks[0], 1.15);
  return { ...axis, ...told, tell: (place) => `context ${whole(contextAt(place))}` };
}

const theBatch = () => data.batches[chosen.batch];
const theContext = () => data.contexts[chosen.context];
const atBatch = () => `batch ${whole(theBatch())}`;
const atContext = () => `context ${whole(theContext())}`;
const roomOf = (shown, context) => shown.surface.crossings[context][2];
const titled = (shown, ...more) => [shown.model.title, shown.device.title, shown.format.name, ...more].join(", ");
const upper = (text) => text[0].toUpperCase() + text.slice(1);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** The forecasts over the batches that fit at a context. */
function overBatches(shown, context, surface = shown.surface) {
  const found = data.batches.map((batch, place) => ({ batch, place, ...rate(shown, place, context, surface) }));
  return found.filter((each) => each.fits);
}

/** A forecast as a point of a line, or a share of it. */
function pointOf(x, { total, low, high, ceiling }, share = 1) {
  const own = { total: total * share, low: low * share, high: high * share, ceiling: ceiling * share };
  const text = `${number(own.total)} tokens/s (${span(own)}), ceiling ${number(own.ceiling)}`;
  return { x, y: own.total, low: own.low, high: own.high, ceiling: own.ceiling, text };
}

const extremes = (point) => [point.y, point.low || point.y, point.high || point.y, point.ceiling || point.y];

function rateAxis(lines, measured = []) {
  return axisFor([...lines.flatMap((line) => line.points), ...measured].flatMap(extremes), "tokens/s");
}

function isNear(row) {
  return Math.abs(row.context - theContext()) <= Math.max(128, theContext() / 4);
}

function measuredPoint(row, x) {
  return { x, y: row.rate, low: row.low, high: row.high, place: 2, text: `measured: ${number(row.rate)} tokens/s` };
}

function lineLegend(lines, measured) {
  const hasBand = lines.some((line) => line.points.some((each) => each.low > 0));
  const band = hasBand ? [{ name: "80 % interval", kind: "band" }] : [];
  const also = measured.length ? [{ name: "measured", place: 2, kind: "measured" }] : [];
  return [...lines, ...band, { name: "ceiling", kind: "ceiling" }, ...also];
}

// ---- the readout ----

function commandOf({ model, device, format, surface }) {
  const point = `--batch ${theBatch()} --context ${theContext()}`;
  const each = chosen.users ? ` --each ${RATES[chosen.users]}` : "";
  const options = `${format.option}${model.experts ? surface.option : ""}${data.options}${each}`;
  return `roofcast simulate ${model.argument} ${device.argument} ${point}${options}`;
}

function readOut(shown) {
  const found = rate(shown, chosen.batch, chosen.context);
  const rows = found.fits ? speedRows(found, shown.device.source) : [["Tokens per second", "does not fit", ""]];
  rows.push(["Memory", `${gib(found.memory)} needed`, `${gib(found.limit)} can be had`]);
  if (shown.model.experts) {
    const touched = `${count(at(shown.surface.distinct, chosen.batch))} of ${whole(shown.model.experts)}`;
    rows.push(["Experts that a step touches", touched, "in each layer, on average"]);
  }
  if (chosen.users) rows.push(["Users", usersAt(shown, RATES[chosen.users]), `at ${RATES[chosen.users]} tokens/s each`]);
  const told = ([term, value, detail]) => [make("dt", {}, term), make("dd", {}, value, make("small", {}, detail))];
  find("readout").firstElementChild.replaceChildren(...rows.map((row) => make("div", {}, ...told(row))));
  find("short").textContent = found.fits
    ? `${number(found.total)} tokens/s (${span(found)}), limited by ${found.bound}`
    : upper(misfit(found));
  find("command").textContent = commandOf(shown);
  find("remark").textContent = remarkOf(shown);
}

/** How many users get so many tokens per second each: the seconds of a step are in proportion between batches of the page. */
function usersAt(shown, each) {
  const { surface } = shown;
  const steps = data.batches.map((_, batch) => sum(surface.limits.map((place) => at(place, batch, chosen.context))));
  const room = surface.crossings[chosen.context][2] ?? Infinity;
  const place = steps.findLastIndex((step) => step <= 1 / each);
  if (place < 0 || !rate(shown, 0, chosen.context).fits) return "none";
  const [batch, next] = [data.batches[place], data.batches[place + 1]];
  if (batch >= room) return `${whole(room)}, as memory holds`;
  if (next === undefined) return `${whole(batch)} or more`;
  const share = (1 / each - steps[place]) / (steps[place + 1] - steps[place]);
  const found = Math.floor(batch + share * (next - batch));
  return found >= room ? `${whole(room)}, as memory holds` : `about ${whole(found)}`;
}

function speedRows(found, source) {
  const batch = theBatch();
  const each = batch > 1 ? `${number(found.total / batch)} for each of ${whole(batch)} sequences` : "one sequence";
  return [
    ["Tokens per second", number(found.total), each],
    ["80 % interval", span(found), "tokens/s"],
    ["Ceiling", number(found.ceiling), `tokens/s by ${source}`],
    ["Limited by", found.bound, ""],
  ];
}

function remarkOf({ pair, format, model }) {
  const isDefault = pair.formats[pair.default] === format;
  const isBeyond = model.deepest && theContext() > model.deepest;
  const beyond = isBeyond ? ` The model was made for ${whole(model.deepest)} tokens of context.` : "";
  return `${pair.software}. Weights ${(isDefault && pair.why) || format.name}.${beyond}`;
}

// ---- what holds it back ----

function heldBack(shown) {
  const found = rate(shown, chosen.batch, chosen.context), subtitle = titled(shown, atBatch(), atContext());
  for (const id of ["roofline", "step"]) find(id).hidden = !found.fits;
  if (!found.fits) return say("held", `Memory that is too small: it ${misfit(found)}.`);
  const parts = partsOf(shown.surface), total = sum(parts.map((part) => part.value));
  const limits = shown.surface.limits.map((place) => at(place, chosen.batch, chosen.context));
  const [memory, compute, overhead, links] = limits.map((value) => percent(value / total));
  const others = limits[3] > 0 ? `, ${links} for other devices` : "";
  const waits = `${memory} waits for memory, ${compute} for compute${others} and ${overhead} is overhead`;
  const longest = `The largest part is ${parts[0].name}, ${percent(parts[0].value / total)} of it.`;
  say("held", `A step takes ${seconds(total)}: ${waits}. ${longest}`);
  drawRoofline(shown, parts, total, subtitle);
  const legend = parts.map(({ name, place, value }) => ({
    name: `${name}: ${seconds(value)}, ${percent(value / total)}`, place, kind: "fill",
  }));
  const limited = limits.map((value, n) => ({ name: LIMITS[n], place: [0, 1, 6, 3][n], value }));
  const rows = [
    { title: "by part", parts },
    { title: `by what limits: ${LIMITS.join(", ")}`, parts: limited },
  ];
  shareChart(open("step", `Where the ${seconds(total)} of a step go`, subtitle, legend), rows, `Of a step ${waits}`);
}

/** The parts of the step, the longest first. */
function partsOf(surface) {
  const order = Object.keys(PARTS);
  const parts = Object.entries(surface.parts).map(([part, places]) => {
    const [value, done, moved] = places.map((place) => at(place, chosen.batch, chosen.context));
    return { name: PARTS[part] || part, place: Math.max(0, order.indexOf(part)), value, done, moved };
  });
  return parts.filter((part) => part.value > 0).sort((a, b) => b.value - a.value);
}

function drawRoofline({ device }, parts, total, subtitle) {
  const dots = parts.filter((part) => part.done > 0 && part.moved > 0).map((part) => roofDot(part, total));
  const legend = [
    ...dots.map((each) => ({ name: each.title, place: each.place, kind: "dot" })),
    { name: `${device.memory}, ${number(device.bandwidth / 1e9)} GB/s`, kind: "roof" },
    { name: `${number(device.ceiling / 1e9)} GB/s by ${device.source}`, kind: "ceiling" },
  ];
  const plot = open("roofline", "Roofline: larger dots take longer", subtitle, legend);
  const most = Math.max(...device.peaks.map((peak) => peak.rate), ...dots.map((each) => each.y));
  const x = roofAxis(device, dots.map((each) => each.x), most / device.bandwidth, (plot.clientWidth || 320) - 60);
  const low = Math.min(...dots.map((each) => each.y), x.low * device.bandwidth);
  const prefixed = (value) => scaled(value, [[1e12, "T"], [1e9, "G"], [1e6, "M"]], brief).replace(/\.0+ /, " ");
  const y = { low: low / 1.5, high: most * 2.2, isLog: true, label: "operations per second", show: prefixed };
  const behind = (view) => drawRoofs(view, device, x, most);
  dotChart(plot, { label: `Roofline of ${device.title}`, x, y, dots, behind });
}

/** So far beyond the last corner that the names of the peaks stand beside the roofs, on an axis of so many pixels. */
function roofAxis(device, places, corner, width) {
  const low = Math.min(...places, corner) / 3, names = device.peaks.map((peak) => widthOf(peakName(peak, width - 100)));
  const share = Math.min(0.6, (Math.max(0, ...names) + 12) / width);
  const high = Math.max(4 * Math.max(...places, corner), corner * (corner / low) ** (share / (1 - share)));
  return { low, high, isLog: true, show: brief, label: "operations for each byte from memory" };
}

const peakName = ({ formats, rate }, room) => `${cut(formats, room)} ${operations(rate)}`;

function roofDot({ name, place, value, done, moved }, total) {
  const share = value / total;
  const lines = [
    `${number(done / moved)} operations a byte`, operations(done / value),
    `${bytes(moved)} in ${seconds(value)}, ${percent(share)} of the step`,
  ];
  return { x: done / moved, y: done / value, place, radius: 4 + 6 * Math.sqrt(share), title: name, lines };
}

function drawRoofs({ svg, px, py, edge }, device, x, most) {
  const slope = (rate, name) => {
    const top = Math.min(most / rate, x.high);
    draw(svg, "path", { d: `M${px(x.low)} ${py(x.low * rate)}L${px(top)} ${py(top * rate)}`, class: name });
  };
  slope(device.ceiling, "ceiling k7");
  slope(device.bandwidth, "roof");
  const peaks = [...device.peaks].sort((a, b) => b.rate - a.rate);
  for (const { rate } of peaks) {
    draw(svg, "path", { d: `M${px(Math.max(x.low, rate / device.ceiling))} ${py(rate)}H${edge.right}`, class: "roof" });
  }
  let taken = -Infinity;
  for (const peak of peaks) {
    taken = Math.max(py(peak.rate) + 4, taken + 15);
    const text = peakName(peak, edge.right - edge.left - 100), wide = widthOf(text) + 6;
    draw(svg, "rect", { x: edge.right - wide, y: taken - 11, width: wide, height: 14, class: "plate" });
    draw(svg, "text", { x: edge.right - 3, y: taken, "text-anchor": "end" }, text);
  }
}

// ---- over batches and contexts ----

function batches(shown) {
  const found = overBatches(shown, chosen.context), crossed = shown.surface.crossings[chosen.context];
  drawExperts(shown);
  find("throughput").hidden = !found.length;
  if (!found.length) return say("batches", `Nothing: at ${atContext()} not even one sequence fits.`);
  say("batches", batchAnswer(found, crossed));
  const lines = [{ name: "all together", place: 0, points: found.map((each) => pointOf(each.batch, each)) }];
  if (data.batches.length > 1) {
    const points = found.map((each) => pointOf(each.batch, each, 1 / each.batch));
    lines.push({ name: "each sequence", place: 1, points });
  }
  const measured = measuredOf(shown).filter(isNear).map((row) => measuredPoint(row, row.batch));
  const label = "Tokens per second against the batch";
  const plot = open("throughput", label, titled(shown, atContext()), lineLegend(lines, measured));
  const x = batchAxis(crossed[2]), y = rateAxis(lines, measured), beyond = crossed[2] ?? Infinity;
  lineChart(plot, { label, x, y, lines, measured, marks: batchMarks(crossed), beyond });
}

function batchMarks([computes, cached, room, brought]) {
  const marks = [
    { x: computes, text: `compute takes over at ${computes}` },
    { x: cached, text: `cache outweighs weights at ${cached}` },
    { x: brought, text: `GPU fetches weights from RAM at ${brought}` },
    { x: room, text: `fits up to ${room}` },
  ];
  return marks.filter((mark) => mark.x);
}

function batchAnswer(found, [computes, cached, room, brought]) {
  const [first, best] = [found[0], last(found)];
  const when = (batch) => (batch > 1 ? `at batch ${whole(batch)}` : "from the start");
  const turns = [
    computes && `compute takes over ${when(computes)}`, cached && `the cache outweighs the weights ${when(cached)}`,
    brought && `the GPU fetches weights from RAM ${when(brought)}`, room && `memory is full at ${whole(room)}`,
  ].filter(Boolean);
  const also = turns.length ? ` ${upper(turns.join(", "))}.` : "";
  if (found.length < 2) return `Batch ${whole(first.batch)} gives ${number(first.total)} tokens/s.${also}`;
  const grows = `the total grows ${number(best.total / first.total)} times, to ${number(best.total)} tokens/s`;
  const each = `each sequence gets ${number(best.total / best.batch)} instead of ${number(first.total / first.batch)}`;
  return `From batch ${whole(first.batch)} to ${whole(best.batch)} ${grows}; ${each}.${also}`;
}

function drawExperts({ model, format }) {
  find("experts").hidden = !model.experts;
  if (!model.experts) return;
  const lines = format.routings.map((surface, place) => {
    const touched = data.batches.map((batch, n) => [batch, at(surface.distinct, n)]);
    const points = touched.map(([x, y]) => ({ x, y, text: `${count(y)} of ${whole(model.experts)}` }));
    return { name: surface.name, place, points };
  });
  const label = "Distinct experts that a step touches";
  const y = { low: 0, high: model.experts * 1.04, isLog: false, label: "experts of a layer", show: brief };
  const plot = open("experts", label, `${model.title}, of ${whole(model.experts)} in each layer`, lines);
  lineChart(plot, { label, x: batchAxis(), y, lines });
}

function contexts(shown) {
  const { batch } = chosen, room = shown.format.deepest[batch], { deepest } = shown.model;
  const all = data.contexts.map((context, place) => ({ context, ...rate(shown, batch, place) }));
  const found = all.filter((each) => each.fits);
  find("depth").hidden = !found.length;
  if (!found.length) return say("contexts", `Nothing of the kind fits at ${atBatch()}.`);
  say("contexts", contextAnswer(found, room));
  const lines = [{ name: "forecast", place: 0, points: found.map((each) => pointOf(placed(each.context), each)) }];
  const rows = measuredOf(shown).filter((row) => row.batch === theBatch());
  const measured = rows.map((row) => measuredPoint(row, placed(row.context)));
  const x = contextAxis(room), label = "Tokens per second against context";
  const marks = [
    { x: room, text: `fits up to ${whole(room ?? 0)}` }, { x: deepest, text: `made for up to ${whole(deepest ?? 0)}` },
  ].filter((mark) => mark.x && mark.x > x.low && mark.x < x.high);
  const plot = open("depth", label, titled(shown, atBatch()), lineLegend(lines, measured));
  lineChart(plot, { label, x, y: rateAxis(lines, measured), lines, marks, measured, beyond: room ?? Infinity });
}

function contextAnswer(found, room) {
  const [first, deep] = [found[0], last(found)], each = theBatch() > 1 ? " of each sequence" : "";
  const limit = room === null ? "Memory does not grow with it." : `There is memory for ${whole(room)} tokens${each}.`;
  if (found.length < 2) return `Context ${whole(first.context)} leaves ${number(first.total)} tokens/s. ${limit}`;
  const leaves = `leave ${percent(deep.total / first.total)} of the speed at ${whole(first.context)}`;
  const rates = `${number(deep.total)} instead of ${number(first.total)} tokens/s`;
  return `At ${atBatch()}, ${whole(deep.context)} tokens of context ${leaves}: ${rates}. ${limit}`;
}

function traffic(shown) {
  const { context } = chosen, read = (batch) => shown.surface.bytes.map((place) => at(place, batch, context));
  const now = read(chosen.batch), total = sum(now);
  const order = COMPONENTS.map((name, n) => [now[n], name]).filter(([value]) => value > 0).sort(([a], [b]) => b - a);
  const told = order.map(([value, name]) => `${percent(value / total)} ${name}`).join(", ");
  say("bytes", `At ${atBatch()} a step moves ${bytes(total)}: ${told}.`);
  const columns = overBatches(shown, context).map(({ batch, place }) => ({
    x: batch, title: `batch ${whole(batch)}`, parts: read(place),
  }));
  const legend = COMPONENTS.map((name, place) => ({ name, place, kind: "fill" })).filter((_, n) => now[n] > 0);
  const label = "Bytes of a step by what they are";
  const plot = open("traffic", label, titled(shown, atContext()), columns.length && legend);
  const x = batchAxis(roomOf(shown, context), 1.45);
  if (columns.length) stackChart(plot, { label, x, columns, names: COMPONENTS });
  else refuse(plot, "No batch fits in memory.");
}

// ---- beside others ----

function rowOf(shown, name, detail, isChosen) {
  const found = rate(shown, chosen.batch, chosen.context);
  const measured = measuredOf(shown).filter((row) => row.batch === theBatch() && isNear(row)).map((row) => row.rate);
  const need = `${gib(found.memory)} of ${gib(found.limit)}`;
  const note = found.fits ? `limited by ${found.bound}, ${need}` : misfit(found);
  return { ...found, name, detail, chosen: isChosen, value: found.fits ? found.total : 0, measured, note };
}

const fastest = (rows) => rows.filter((row) => row.value).sort((a, b) => b.value - a.value);

function drawBars(id, title, on, rows) {
  const legend = [
    { name: "forecast with 80 % interval", place: 0, kind: "dot" }, { name: "ceiling", kind: "ceiling" },
    ...(rows.some((row) => row.measured.length) ? [{ name: "measured", place: 1, kind: "measured" }] : []),
  ];
  const plot = open(id, title, `${on}, ${atBatch()}, ${atContext()}`, rows.some((row) => row.value) && legend);
  barChart(plot, rows, title);
}

function formats(shown) {
  const rows = shown.pair.formats.map((format) => {
    const surface = format.routings.find((each) => each.name === shown.surface.name) || format.routings[0];
    const other = { ...shown, format, surface }, { memory } = rate(other, chosen.batch, chosen.context);
    return rowOf(other, format.name, gib(memory), format === shown.format);
  });
  say("formats", formatAnswer(rows));
  const title = "Tokens per second by format, with the memory needed";
  drawBars("by-format", title, `${shown.model.title}, ${shown.device.title}`, rows);
}

function formatAnswer(rows) {
  const [best, ...less] = fastest(rows), out = rows.filter((row) => !row.value).map((row) => row.name);
  if (!best) return `None fits: ${rows[0].name}, the smallest, ${rows[0].note.replace(/^.*: /, "")}.`;
  const slowest = less.length ? `; ${last(less).name}, the slowest that fits, has ${number(last(less).value)}` : "";
  const does = out.length > 1 ? "do" : "does", limit = gib(rows[0].limit);
  const left = out.length ? ` ${out.join(", ")} ${does} not fit in the ${limit} that can be had.` : "";
  const first = `${best.name} is the fastest${out.length ? " that fits" : ""}`;
  return `${first} at ${number(best.value)} tokens/s${slowest}.${left}`;
}

function others(shown) {
  const across = (list, of) => list.map((each, place) => {
    const other = of(place);
    return rowOf(other, each.title, other.format.name, other.pair === shown.pair);
  });
  const models = across(data.models, (place) => forecast(place, chosen.device, chosen.format, chosen.routing));
  const devices = across(data.devices, (place) => forecast(chosen.model, place, chosen.format, chosen.routing));
  const same = chosen.format ? `In ${chosen.format} where that is offered, else` : "Each in";
  const answers = [compareAll(models, `On ${shown.device.title}`), compareAll(devices, `For ${shown.model.title}`)];
  say("others", `${answers.join("")}${same} the format that fits.`);
  find("others").hidden = models.length + devices.length < 3;
  for (const [id, rows, title, on] of [
    ["by-model", models, "Models: tokens per second", shown.device.title],
    ["by-device", devices, "Devices: tokens per second", shown.model.title],
  ]) {
    find(id).hidden = rows.length < 2;
    if (rows.length > 1) drawBars(id, title, on, rows);
  }
}

function compareAll(rows, on) {
  const [best, ...less] = fastest(rows), slowest = last(less);
  if (rows.length < 2) return "";
  if (!best) return `${on}, none fits. `;
  const times = slowest
    ? `${number(best.value / slowest.value)} times as fast as ${slowest.name}`
    : "the only one that fits";
  return `${on}, ${best.name} is the fastest at ${number(best.value)} tokens/s, ${times}. `;
}

// ---- what if ----

function whatIf(shown) {
  const format = shown.pair.formats[shown.pair.default], context = data.contexts.indexOf(data.context);
  const base = { ...shown, format, surface: format.routings[0] }, found = overBatches(base, context);
  say("what-if", `${sparseAnswer(shown, found)} ${skewAnswer(shown)}`.trim());
  const zeros = data.zeros.map((share, place) => ({
    name: share ? `${percent(share)} zeros` : "none", place,
    points: found.map((each) => ({ x: each.batch, y: at(shown.pair.sparse[place], each.place) })),
  }));
  const caveat = "a what-if: no published model reaches any share, and Q-Sparse reports none above 80%";
  const subtitle = `${titled(base, `context ${whole(data.context)}`)}; ${caveat}`;
  compareLines("zeros", "Zero inputs whose weights are not read", subtitle, zeros, roomOf(base, context));
  const { routings } = shown.format;
  find("skew").hidden = routings.length < 2;
  if (routings.length < 2) return;
  const skews = routings.map((surface, place) => ({
    name: surface.name, place,
    points: overBatches(shown, chosen.context, surface).map((each) => ({ x: each.batch, y: each.total })),
  }));
  const room = roomOf(shown, chosen.context);
  compareLines("skew", "Routings: which experts a batch shares", titled(shown, atContext()), skews, room);
}

function compareLines(id, title, subtitle, lines, room) {
  const isEmpty = !lines[0].points.length, plot = open(id, title, subtitle, !isEmpty && lines);
  for (const point of lines.flatMap((line) => line.points)) point.text = `${number(point.y)} tokens/s`;
  if (isEmpty) refuse(plot, "No batch fits in memory.");
  else lineChart(plot, { label: title, x: batchAxis(room), y: rateAxis(lines), lines });
}

function sparseAnswer({ pair }, found) {
  const half = data.zeros.indexOf(0.5);
  if (!found.length || half < 0) return "";
  const gain = (each) => at(pair.sparse[half], each.place) / at(pair.sparse[0], each.place);
  const [first, final] = [found[0], last(found)], isLess = gain(final) < gain(first);
  const why = isLess ? "since different tokens need different weights" : "since compute is saved as well";
  const later = found.length > 1 ? `, ${number(gain(final))} at batch ${whole(final.batch)}, ${why}` : "";
  const now = `batch ${whole(first.batch)} decodes ${number(gain(first))} times as many tokens`;
  return `With half of the inputs zero, ${now}${later}.`;
}

function skewAnswer(shown) {
  const { routings } = shown.format;
  const total = (surface) => number(rate(shown, chosen.batch, chosen.context, surface).total);
  if (routings.length < 2 || !rate(shown, chosen.batch, chosen.context).fits) return "";
  if (theBatch() === 1) return "Routing matters only in a batch: one token touches the same number of experts anyway.";
  const told = routings.map((surface) => `${total(surface)} tokens/s if routing is ${surface.name}`);
  return `At ${atBatch()} it is ${told.join(", ")}.`;
}

// ---- measured ----

const BARS = "bars: 80 % interval, spread of the measurement";

function drawMeasured() {
  if (!find("scatter")) return;
  const devices = [...new Set(data.measured.map((row) => row.hardware))];
  const dots = data.measured.map((row) => ({
    x: row.rate, y: row.forecast, low: row.forecast_low, high: row.forecast_high, across: [row.low, row.high], place: devices.indexOf(row.hardware), title: row.id,
    lines: [
      `${row.model} on ${row.hardware}, ${row.weights}`, `batch ${whole(row.batch)}, context ${whole(row.context)}`,
      `measured ${number(row.rate)} tokens/s`,
      `forecast ${number(row.forecast)} (${number(row.forecast_low)} to ${number(row.forecast_high)})`,
    ],
  }));
  const ends = dots.flatMap((each) => [each.x, each.y, each.low, each.high, ...each.across]);
  const low = Math.min(...ends) / 1.3, high = Math.max(...ends) * 1.3, axis = { low, high, isLog: true, show: brief };
  const legend = devices.slice(0, 12).map((name, place) => ({ name, place, kind: "measured" }));
  const plot = open("scatter", "Forecast against measured", `on the line both agree; ${BARS}`, legend);
  const behind = ({ svg, px, py }) =>
    draw(svg, "path", { d: `M${px(low)} ${py(low)}L${px(high)} ${py(high)}`, class: "mark" });
  const x = { ...axis, label: "measured, tokens/s" }, y = { ...axis, label: "forecast, tokens/s" };
  const label = "Forecast tokens per second against measured", height = Math.min(420, plot.clientWidth);
  dotChart(plot, { label, x, y, dots, behind, height });
}

// ---- all of it ----

const SECTIONS = [readOut, heldBack, batches, contexts, traffic, formats, others, whatIf];

function redraw() {
  const shown = current();
  fillControls(shown);
  find("tip").hidden = true;
  for (const section of SECTIONS) section(shown);
}

async function copy() {
  const text = find("command").textContent, button = find("copy");
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(find("command"));
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Select it";
  setTimeout(() => (button.textContent = "Copy"), 1600);
}

function whenWidthChanges(act) {
  let width = innerWidth, waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(act);
  });
}

function start() {
  find("explorer").hidden = false;
  definePatterns();
  readHash();
  for (const control of CONTROLS) find(control).addEventListener("change", () => choose(control));
  find("copy").addEventListener("click", copy);
  const all = () => {
    redraw();
    drawMeasured();
  };
  addEventListener("hashchange", () => {
    readHash();
    redraw();
  });
  whenWidthChanges(all);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
  all();
}

start();
