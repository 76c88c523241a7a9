"use strict";
// Shows the forecasts that the page holds at the selection of its controls. Text from files only ever becomes text nodes.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const last = (list) => list[list.length - 1];
const GI = 2 ** 30, MI = 2 ** 20;
const LIMITS = ["memory", "arithmetic", "overhead"];
const BOUND = { m: "memory", c: "arithmetic", o: "overhead" };
const COMPONENTS = ["weights", "experts", "cache", "activations"];
const PARTS = {
  attention: "attention matrices", ffn: "feed-forward", experts: "routed experts", shared: "shared experts", router: "router",
  head: "output head", cache: "attention over the cache", recurrent: "recurrent state", vectors: "norms and vectors",
  embedding: "embedding", step: "between steps",
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
const operations = (value) => scaled(value, [[1e12, "Top/s"], [1e9, "Gop/s"], [1e6, "Mop/s"]], (n) => `${number(n)} op/s`);
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

/** One model on one device in one format with one routing. */
function forecast(model, device, format, routing) {
  const pair = data.pairs.find((each) => each.model === model && each.device === device);
  const inFormat = pair.formats.find((each) => each.name === format) || pair.formats[pair.default];
  const surface = inFormat.routings.find((each) => each.name === routing) || inFormat.routings[0];
  return { pair, format: inFormat, surface, model: data.models[model], device: data.devices[device] };
}

function rate(shown, batch, context, surface = shown.surface) {
  const [total, low, high, ceiling] = surface.rates.map((place) => at(place, batch, context));
  const memory = shown.format.fixed + at(shown.pair.held, batch, context);
  const bound = surface.bound[batch * data.contexts.length + context];
  return { total, low, high, ceiling, memory, limit: shown.pair.limit, bound: BOUND[bound], fits: bound !== "x" };
}

const misfit = (found) => `does not fit: needs ${gib(found.memory)}, ${gib(found.limit)} can be had`;

function stepSeconds(surface, batch, context) {
  return surface.limits.map((place) => at(place, batch, context));
}

/** What measurements were made of this model on this device in this format. */
function measuredOf(shown) {
  return data.measured.filter(
    (row) =>
      row.model === shown.model.name && row.hardware === shown.device.name && row.weights === shown.format.name &&
      row.runtime === shown.pair.runtime && row.routing === shown.surface.name && !row.sparsity && [null, shown.pair.threads].includes(row.threads),
  );
}

// ---- the selection ----

const chosen = { model: 0, device: 0, format: "", batch: 0, context: data.contexts.indexOf(data.context), routing: "" };
const CONTROLS = ["model", "device", "format", "batch", "context", "routing"];
const current = () => forecast(chosen.model, chosen.device, chosen.format, chosen.routing);

function choicesOf(control, shown) {
  if (control === "model" || control === "device") return data[`${control}s`].map((each) => each.title);
  if (control === "batch") return data.batches.map(whole);
  if (control === "context") return data.contexts.map(tokens);
  return (control === "format" ? shown.pair.formats : shown.format.routings).map((each) => each.name);
}

function fillControls(shown) {
  for (const control of CONTROLS) {
    const select = find(control), choices = choicesOf(control, shown);
    select.replaceChildren(...choices.map((text, place) => new Option(text, String(place))));
    select.disabled = choices.length < 2;
    const named = { format: shown.format.name, routing: shown.surface.name }[control];
    select.selectedIndex = named === undefined ? chosen[control] : choices.indexOf(named);
  }
}

function choose(control) {
  const select = find(control);
  chosen[control] = control === "format" || control === "routing" ? select.selectedOptions[0].text : select.selectedIndex;
  history.replaceState(null, "", `#${new URLSearchParams(asWords())}`);
  redraw();
}

function asWords() {
  return {
    model: data.models[chosen.model].argument, device: data.devices[chosen.device].argument, format: chosen.format,
    batch: data.batches[chosen.batch], context: data.contexts[chosen.context], routing: chosen.routing,
  };
}

function readHash() {
  const words = new URLSearchParams(location.hash.slice(1));
  const known = {
    model: data.models.map((each) => each.argument), device: data.devices.map((each) => each.argument),
    batch: data.batches.map(String), context: data.contexts.map(String),
  };
  for (const [control, choices] of Object.entries(known)) {
    const place = choices.indexOf(words.get(control));
    if (place >= 0) chosen[control] = place;
  }
  for (const control of ["format", "routing"]) if (words.has(control)) chosen[control] = words.get(control);
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

/** Shapes and fillings that can be told apart without colour. */
const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r * 0.88} ${-r * 0.88}h${r * 1.76}v${r * 1.76}h${-r * 1.76}z`,
  (r) => `M0 ${-r * 1.2}L${r * 1.15} ${r * 0.85}H${-r * 1.15}z`,
  (r) => `M0 ${-r * 1.25}L${r * 1.25} 0L0 ${r * 1.25}L${-r * 1.25} 0z`,
  (r) => `M0 ${r * 1.2}L${r * 1.15} ${-r * 0.85}H${-r * 1.15}z`,
  (r) => `M${-r * 1.2} ${-r * 0.45}h${r * 0.75}v${-r * 0.75}h${r * 0.9}v${r * 0.75}h${r * 0.75}v${r * 0.9}h${-r * 0.75}v${r * 0.75}h${-r * 0.9}v${-r * 0.75}h${-r * 0.75}z`,
];
const HATCHES = ["", "M0 8L8 0", "M0 0L8 8", "M0 4H8", "M4 0V8", "M0 4H8M4 0V8", "M0 0L8 8M0 8L8 0", "M2 2h2v2h-2z"];

function dot(parent, x, y, place, radius = 4.5, style = "dot") {
  const path = SHAPES[place % SHAPES.length](radius);
  return draw(parent, "path", { d: path, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: `${style} k${place % 8}` });
}

function definePatterns() {
  const defs = draw(find("patterns"), "defs");
  HATCHES.forEach((path, place) => {
    const pattern = draw(defs, "pattern", { id: `p${place}`, width: 8, height: 8, patternUnits: "userSpaceOnUse", class: `k${place}` });
    draw(pattern, "rect", { width: 8, height: 8, style: "fill: var(--c)" });
    draw(pattern, "path", { d: path, style: "stroke: var(--paper); stroke-width: 1.4; opacity: .75; fill: none" });
  });
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
  const item = make("li"), sample = draw(item, "svg", { width: kind === "fill" ? 14 : 24, height: 14, "aria-hidden": "true" });
  if (kind === "fill") draw(sample, "rect", { width: 14, height: 14, rx: 2, fill: `url(#p${place % 8})` });
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
  const svg = draw(plot, "svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": label, tabindex: "0" });
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
    draw(svg, "text", { x: Math.min(place, edge.right + 14 - half), y: edge.bottom + 17, "text-anchor": "middle" }, text);
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
  const under = client.y + 18 + tip.offsetHeight < innerHeight;
  tip.style.transform = `translate(${left}px, ${under ? client.y + 18 : Math.max(6, client.y - tip.offsetHeight - 12)}px)`;
}

// ---- charts ----

/** Lines {name, place, points: [{x, y, low, high, ceiling}]} with marks {x, text} and measured points over them. */
function lineChart(plot, { label, x, y, lines, marks = [], measured = [], beyond = Infinity }) {
  const drawn = lines.filter((line) => line.points.length);
  const view = frame(plot, x, y, { label, top: 15 * marks.length });
  const { svg, px, py, edge } = view;
  if (beyond < x.high) {
    const from = Math.max(edge.left, px(beyond));
    draw(svg, "rect", { x: from, y: edge.top, width: edge.right - from, height: edge.bottom - edge.top, class: "beyond" });
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
    const told = lines.flatMap((line) => line.points.filter((each) => each.x === value).map((each) => `${line.name}: ${each.text}`));
    const also = measured.filter((each) => each.x === value).map((each) => each.text);
    return { x: px(value), y: edge.top, title: x.tell(value), lines: [...told, ...also] };
  });
}

function errorDot(svg, x, y, low, high, place) {
  draw(svg, "path", { d: `M${x} ${low}V${high}M${x - 4} ${low}h8M${x - 4} ${high}h8`, class: `error k${place % 8}` });
  dot(svg, x, y, place, 4.5, "hollow");
}

/** Each mark has a line of text of its own, so that none lies on another. */
function drawMarks({ svg, px, edge, width }, marks) {
  marks.forEach(({ x, text }, n) => {
    const place = px(x), y = edge.top - 5 - 15 * (marks.length - 1 - n);
    const isLeft = place + widthOf(text) + 8 > width;
    draw(svg, "line", { x1: place, x2: place, y1: y - 9, y2: edge.bottom, class: "mark" });
    draw(svg, "text", { x: isLeft ? place - 5 : place + 5, y, "text-anchor": isLeft ? "end" : "start", class: "halo" }, text);
  });
}

/** Rows {name, detail, value, low, high, ceiling, note, chosen}, one bar each; where there is no value the note is read. */
function barChart(plot, rows, label) {
  const width = plot.clientWidth || 320;
  const shown = rows.filter((row) => row.value);
  const values = shown.flatMap((row) => [row.value, row.low || row.value, row.high, row.ceiling]);
  const axis = axisFor(values.length ? values : [1], "tokens/s", values.length > 0 && Math.max(...values) > 30 * Math.min(...values));
  const full = (row) => (row.detail ? `${row.name}, ${row.detail}` : row.name);
  const room = Math.max(...rows.map((row) => widthOf(full(row), 14))) + 22, isNarrow = room > width * 0.38;
  const left = isNarrow ? 2 : room, height = isNarrow ? 44 : 28, right = width - 56;
  const tall = rows.length * height + 44;
  const svg = draw(plot, "svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": label, tabindex: "0" });
  const edge = { left, right, top: 2, bottom: tall - 40 }, px = scaleOf(axis, left, right);
  if (values.length) barAxis(svg, axis, px, edge);
  const stops = rows.map((row, place) => {
    const top = place * height + 4, y = top + (isNarrow ? 25 : 10);
    const group = draw(svg, "g", { class: `k0${row.chosen ? " chosen" : ""}` });
    const room = isNarrow ? width - 4 : left - 10;
    draw(group, "text", { x: 0, y: isNarrow ? top + 10 : y + 5, class: "name", ...(row.chosen && { "font-weight": 650 }) }, cut(full(row), room, row.chosen ? 14 : 13));
    if (row.value) drawBar(group, row, px, y, left, width);
    else draw(group, "text", { x: left, y: y + 5, class: "misfit" }, cut(row.note, width - left - 4, 12.5));
    return { x: left, y, title: full(row), lines: row.value ? [`${number(row.value)} tokens/s (${span(row)})`, `ceiling ${number(row.ceiling)} tokens/s`, row.note] : [row.note] };
  });
  explain(svg, stops, "y", edge);
}

function barAxis(svg, axis, px, edge) {
  const ticks = ticksOf(axis.low, axis.high, axis.isLog, Math.min(8, Math.max(2, Math.floor((edge.right - edge.left) / 60))));
  for (const tick of ticks) draw(svg, "line", { x1: px(tick), x2: px(tick), y1: edge.top, y2: edge.bottom, class: "grid" });
  drawTicks(svg, { ticks, show: brief }, px, edge);
  draw(svg, "text", { x: edge.right, y: edge.bottom + 34, "text-anchor": "end" }, `tokens/s${axis.isLog ? ", logarithmic" : ""}`);
}

function drawBar(group, row, px, y, left, width) {
  const end = px(row.value);
  draw(group, "rect", { x: left, y: y - 6, width: Math.max(1, end - left), height: 12, rx: 2, class: "rod" });
  if (row.low > 0) draw(group, "path", { d: `M${px(row.low)} ${y}H${px(row.high)}M${px(row.low)} ${y - 4}v8M${px(row.high)} ${y - 4}v8`, class: "error" });
  draw(group, "path", { d: `M${px(row.ceiling)} ${y - 7}v14`, class: "ceiling" });
  dot(group, end, y, 0, 4);
  for (const each of row.measured || []) dot(group, px(each.tokens_per_s), y, 1, 4.5, "hollow");
  draw(group, "text", { x: width - 2, y: y + 5, "text-anchor": "end", class: "value" }, number(row.value));
}

/** Columns {x, title, parts: [{name, value}]} of stacked bytes. */
function stackChart(plot, { label, x, columns, names, unit }) {
  const totals = columns.map((column) => column.parts.reduce((sum, value) => sum + value, 0));
  const y = { low: 0, high: Math.max(...totals) * 1.05, isLog: false, label: unit.label, show: (value) => brief(value) };
  const view = frame(plot, x, y, { label });
  const { svg, px, py, edge } = view;
  const wide = Math.min(46, Math.max(6, ((edge.right - edge.left) / data.batches.length) * 0.66));
  const stops = columns.map((column, n) => {
    let below = 0;
    column.parts.forEach((value, place) => {
      const height = py(below) - py(below + value);
      if (height > 0.3) draw(svg, "rect", { x: px(column.x) - wide / 2, y: py(below + value), width: wide, height, fill: `url(#p${place})` });
      below += value;
    });
    const told = names.map((name, place) => `${name}: ${unit.tell(column.parts[place])}, ${percent(column.parts[place] / totals[n])}`);
    return { x: px(column.x), y: edge.top, title: `${column.title}: ${unit.tell(totals[n])}`, lines: told.filter((_, place) => column.parts[place]) };
  });
  explain(svg, stops, "x", edge);
}

/** One bar from 0 to 100 % for each row {title, parts: [{name, place, value}]}. */
function shareChart(plot, rows, label) {
  const width = plot.clientWidth || 320, height = 56, tall = rows.length * height + 2;
  const svg = draw(plot, "svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": label, tabindex: "0" });
  const stops = rows.flatMap(({ title, parts }, row) => {
    const top = row * height, total = parts.reduce((sum, part) => sum + part.value, 0);
    draw(svg, "text", { x: 0, y: top + 13, class: "name" }, title);
    let before = 0;
    return parts.map((part) => {
      const x = (before / total) * width, wide = (part.value / total) * width;
      draw(svg, "rect", { x, y: top + 20, width: Math.max(0.5, wide - 1), height: 24, fill: `url(#p${part.place % 8})` });
      before += part.value;
      return { x: x + wide / 2, y: top + 32, title: part.name, lines: [`${seconds(part.value)}, ${percent(part.value / total)}`] };
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
    if (each.low) errorDot(view.svg, ...at, view.py(each.low), view.py(each.high), each.place);
    else dot(view.svg, ...at, each.place, each.radius);
  }
  explain(view.svg, dots.map((each) => ({ ...each, x: view.px(each.x), y: view.py(each.y) })), "xy", view.edge);
}

// ---- axes of the page ----

/** Along a dimension of the grid, from its first value, or from *first* where that is 0, to a little beyond *room*. */
function gridAxis(ticks, room, first, edge) {
  const high = Math.max(Math.min(last(ticks), 2 * (room ?? Infinity)), 2 * first);
  return { low: first / edge, high: high * edge, isLog: true, ticks };
}

function batchAxis(room, edge = 1.15) {
  const told = { label: "sequences decoded at once (batch)", show: whole, tell: (batch) => `batch ${whole(batch)}` };
  return { ...gridAxis(data.batches, room, data.batches[0], edge), ...told };
}

const lowestContext = () => data.contexts[0] || (data.contexts[1] || 4) / 4;

function contextAxis(room) {
  const told = { label: "tokens in the cache of each sequence (context)", show: tokens };
  return { ...gridAxis(data.contexts, room, lowestContext(), 1.15), ...told, tell: (context) => `context ${whole(context)}` };
}

const titled = (shown, ...more) => [shown.model.title, shown.device.title, shown.format.name, ...more].join(", ");
const atContext = () => `context ${whole(data.contexts[chosen.context])}`;
const atBatch = () => `batch ${whole(data.batches[chosen.batch])}`;

// ---- the readout ----

function commandOf(shown) {
  const at = `--batch ${data.batches[chosen.batch]} --context ${data.contexts[chosen.context]}`;
  const routing = shown.model.experts ? shown.surface.option : "";
  return `roofcast simulate ${shown.model.argument} ${shown.device.argument} ${at}${shown.format.option}${routing}${data.options}`;
}

function readOut(shown) {
  const batch = data.batches[chosen.batch], found = rate(shown, chosen.batch, chosen.context);
  const rows = found.fits ? speedRows(found, batch) : [["Tokens per second", "does not fit", ""]];
  rows.push(["Memory", `${gib(found.memory)} needed`, `${gib(found.limit)} can be had`]);
  if (shown.model.experts) {
    const distinct = at(shown.surface.distinct, chosen.batch);
    rows.push(["Experts that a step touches", `${count(distinct)} of ${whole(shown.model.experts)}`, "in each layer, on average"]);
  }
  find("readout").firstElementChild.replaceChildren(
    ...rows.map(([term, value, detail]) => make("div", {}, make("dt", {}, term), make("dd", {}, value, make("small", {}, detail)))),
  );
  find("short").textContent = found.fits
    ? `${number(found.total)} tokens/s (${span(found)}), limited by ${found.bound}`
    : misfit(found)[0].toUpperCase() + misfit(found).slice(1);
  find("command").textContent = commandOf(shown);
  find("remark").textContent = remarkOf(shown);
}

function speedRows(found, batch) {
  const each = batch > 1 ? `${number(found.total / batch)} for each of ${whole(batch)} sequences` : "one sequence";
  return [
    ["Tokens per second", number(found.total), each],
    ["80 % interval", span(found), "tokens/s"],
    ["Ceiling", number(found.ceiling), "tokens/s by the datasheet"],
    ["Limited by", found.bound, ""],
  ];
}

function remarkOf(shown) {
  const deepest = shown.model.deepest, context = data.contexts[chosen.context];
  const beyond = deepest && context > deepest ? ` The model was made for ${whole(deepest)} tokens of context.` : "";
  return `${shown.pair.software}. Weights ${shown.pair.formats[shown.pair.default] === shown.format && shown.pair.why ? shown.pair.why : shown.format.name}.${beyond}`;
}

// ---- the sections ----

function heldBack(shown) {
  const { surface } = shown, { batch, context } = chosen, found = rate(shown, batch, context);
  const subtitle = titled(shown, atBatch(), atContext());
  if (!found.fits) {
    say("held", `Memory that is too small: it ${misfit(found)}.`);
    for (const id of ["roofline", "step"]) find(id).hidden = true;
    return;
  }
  const order = Object.keys(PARTS);
  const parts = Object.entries(surface.parts).map(([name, places]) => {
    const [taken, operationsDone, moved] = places.map((each) => at(each, batch, context));
    return { name: PARTS[name] || name, place: Math.max(0, order.indexOf(name)), value: taken, operations: operationsDone, moved };
  });
  const timed = parts.filter((part) => part.value > 0), limits = stepSeconds(surface, batch, context);
  const total = timed.reduce((sum, part) => sum + part.value, 0);
  const longest = timed.reduce((best, part) => (part.value > best.value ? part : best));
  const waits = limits.map((value, place) => `${percent(value / total)} ${["waits for memory", "for arithmetic", "is overhead"][place]}`);
  say("held", `A step takes ${seconds(total)}: ${waits[0]}, ${waits[1]} and ${waits[2]}. The largest part is ${longest.name}, ${percent(longest.value / total)} of it.`);
  drawRoofline(shown, timed, total, subtitle);
  const told = [...timed].sort((a, b) => b.value - a.value);
  const legend = told.map((part) => ({ name: `${part.name}: ${seconds(part.value)}, ${percent(part.value / total)}`, place: part.place, kind: "fill" }));
  const rows = [
    { title: "by part", parts: timed },
    { title: "by what limits: memory, arithmetic, overhead", parts: limits.map((value, place) => ({ name: LIMITS[place], place: [0, 1, 6][place], value })) },
  ];
  shareChart(open("step", `Where the ${seconds(total)} of a step go`, subtitle, legend), rows, `Seconds of a step: ${waits.join(", ")}`);
}

function drawRoofline(shown, parts, total, subtitle) {
  const { device } = shown, peaks = device.peaks;
  const dots = parts.filter((part) => part.operations > 0 && part.moved > 0).sort((a, b) => b.value - a.value).map((part) => ({
    x: part.operations / part.moved, y: part.operations / part.value, place: part.place, radius: 4 + 6 * Math.sqrt(part.value / total),
    title: part.name, lines: [
      `${number(part.operations / part.moved)} operations a byte`, operations(part.operations / part.value),
      `${bytes(part.moved)} in ${seconds(part.value)}, ${percent(part.value / total)} of the step`,
    ],
  }));
  const most = Math.max(...peaks.map((peak) => peak.rate), ...dots.map((each) => each.y)), across = dots.map((each) => each.x);
  const ridge = most / device.bandwidth;
  const x = { low: Math.min(...across, ridge) / 3, high: Math.max(...across, ridge) * 4, isLog: true, label: "operations for each byte from memory", show: brief };
  const low = Math.min(...dots.map((each) => each.y), x.low * device.bandwidth);
  const y = { low: low / 1.5, high: most * 2.2, isLog: true, label: "operations per second", show: (value) => scaled(value, [[1e12, "T"], [1e9, "G"], [1e6, "M"]], brief).replace(/\.0+ /, " ") };
  const legend = [
    ...dots.map((each) => ({ name: each.title, place: each.place, kind: "dot" })),
    { name: `${device.memory}, ${number(device.bandwidth / 1e9)} GB/s`, kind: "roof" },
    { name: `${number(device.ceiling / 1e9)} GB/s by the datasheet`, kind: "ceiling" },
  ];
  const plot = open("roofline", "Roofline: larger dots take longer", subtitle, legend);
  const behind = (view) => drawRoofs(view, device, x, most);
  dotChart(plot, { label: `Roofline of ${device.title}`, x, y, dots, behind });
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
  for (const { rate, formats } of peaks) {
    taken = Math.max(py(rate) + 4, taken + 15);
    const text = `${cut(formats, edge.right - edge.left - 100)} ${operations(rate)}`, wide = widthOf(text) + 6;
    draw(svg, "rect", { x: edge.right - wide, y: taken - 11, width: wide, height: 14, class: "plate" });
    draw(svg, "text", { x: edge.right - 3, y: taken, "text-anchor": "end" }, text);
  }
}

function batches(shown) {
  const { context } = chosen, found = data.batches.map((batch, place) => ({ batch, ...rate(shown, place, context) }));
  const fitting = found.filter((each) => each.fits), crossed = shown.surface.crossings[context];
  drawExperts(shown);
  if (!fitting.length) {
    say("batches", `Nothing: at ${atContext()} not even one sequence fits.`);
    find("throughput").hidden = true;
    return;
  }
  say("batches", batchAnswer(fitting, crossed));
  const line = (name, place, share) => ({
    name, place, points: fitting.map((each) => {
      const part = share(each.batch), own = { total: each.total * part, low: each.low * part, high: each.high * part };
      return { x: each.batch, y: own.total, low: own.low, high: own.high, ceiling: each.ceiling * part, text: `${number(own.total)} tokens/s (${span(own)}), ceiling ${number(each.ceiling * part)}` };
    }),
  });
  const lines = [line("all together", 0, () => 1), ...(data.batches.length > 1 ? [line("each sequence", 1, (batch) => 1 / batch)] : [])];
  const near = Math.max(128, data.contexts[context] / 4);
  const measured = measuredOf(shown).filter((row) => Math.abs(row.context - data.contexts[context]) <= near).map((row) => measuredPoint(row, row.batch));
  const legend = [...lines, ...notes(lines), ...(measured.length ? [{ name: "measured", place: 2, kind: "measured" }] : [])];
  const plot = open("throughput", "Tokens per second against the batch", titled(shown, atContext()), legend);
  const y = axisFor([...lines.flatMap((each) => each.points.flatMap(extremes)), ...measured.flatMap(extremes)], "tokens/s");
  lineChart(plot, {
    label: "Tokens per second against the batch", x: batchAxis(crossed[2]), y, lines, measured, marks: batchMarks(crossed),
    beyond: crossed[2] ?? Infinity,
  });
}

const extremes = (point) => [point.y, point.low || point.y, point.high || point.y, point.ceiling || point.y];
const notes = (lines) => [
  ...(lines.some((line) => line.points.some((each) => each.low > 0)) ? [{ name: "80 % interval", kind: "band" }] : []),
  { name: "ceiling", kind: "ceiling" },
];

function measuredPoint(row, x) {
  return { x, y: row.rate, low: row.low, high: row.high, place: 2, text: `measured: ${number(row.rate)} tokens/s` };
}

function batchMarks([computes, cached, room]) {
  const marks = [
    { x: computes, text: `arithmetic takes over at ${computes}` }, { x: cached, text: `cache outweighs weights at ${cached}` },
    { x: room, text: `fits up to ${room}` },
  ];
  return marks.filter((mark) => mark.x);
}

function batchAnswer(fitting, [computes, cached, room]) {
  const first = fitting[0], best = last(fitting);
  const grows = fitting.length > 1
    ? `From batch ${whole(first.batch)} to ${whole(best.batch)} the total grows ${number(best.total / first.total)} times, to ${number(best.total)} tokens/s; each sequence gets ${number(best.total / best.batch)} instead of ${number(first.total / first.batch)}.`
    : `Batch ${whole(first.batch)} gives ${number(first.total)} tokens/s.`;
  const turns = [
    computes && (computes > 1 ? `arithmetic takes over at batch ${whole(computes)}` : "arithmetic limits from the start"),
    cached && (cached > 1 ? `the cache outweighs the weights at ${whole(cached)}` : "the cache outweighs the weights from the start"),
    room && `memory is full at ${whole(room)}`,
  ].filter(Boolean);
  const told = turns.join(", ");
  return turns.length ? `${grows} ${told[0].toUpperCase()}${told.slice(1)}.` : grows;
}

function drawExperts(shown) {
  const { experts } = shown.model;
  find("experts").hidden = !experts;
  if (!experts) return;
  const lines = shown.format.routings.map((surface, place) => ({
    name: surface.name, place, points: data.batches.map((batch, n) => {
      const y = at(surface.distinct, n);
      return { x: batch, y, text: `${number(y)} of ${whole(experts)}` };
    }),
  }));
  const plot = open("experts", "Distinct experts that a step touches", `${shown.model.title}, of ${whole(experts)} in each layer`, lines);
  const y = { low: 0, high: experts * 1.04, isLog: false, label: "experts of a layer", show: brief };
  lineChart(plot, { label: "Distinct experts against the batch", x: batchAxis(), y, lines });
}

function contexts(shown) {
  const { batch } = chosen, room = shown.format.deepest[batch], floor = lowestContext();
  const found = data.contexts.map((context, place) => ({ context, ...rate(shown, batch, place) })).filter((each) => each.fits);
  if (!found.length) {
    say("contexts", `Nothing of the kind fits at ${atBatch()}.`);
    find("depth").hidden = true;
    return;
  }
  const first = found[0], deep = last(found);
  const cost = found.length > 1
    ? `At ${atBatch()}, ${whole(deep.context)} tokens of context leave ${percent(deep.total / first.total)} of the speed at ${whole(first.context)}: ${number(deep.total)} instead of ${number(first.total)} tokens/s.`
    : `At ${atBatch()} and context ${whole(first.context)} it decodes ${number(first.total)} tokens/s.`;
  const limit = room === null ? "Memory does not grow with the context." : `There is memory for ${whole(room)} tokens${data.batches[batch] > 1 ? " of each sequence" : ""}.`;
  say("contexts", `${cost} ${limit}`);
  const points = found.map((each) => ({
    x: each.context || floor, y: each.total, low: each.low, high: each.high, ceiling: each.ceiling,
    text: `${number(each.total)} tokens/s (${span(each)}), ceiling ${number(each.ceiling)}`,
  }));
  const lines = [{ name: "forecast", place: 0, points }];
  const measured = measuredOf(shown).filter((row) => row.batch === data.batches[batch]).map((row) => measuredPoint(row, row.context || floor));
  const x = contextAxis(room), y = axisFor([...points, ...measured].flatMap(extremes), "tokens/s");
  const marks = [
    { x: room, text: `fits up to ${whole(room ?? 0)}` }, { x: shown.model.deepest, text: `made for up to ${whole(shown.model.deepest ?? 0)}` },
  ].filter((mark) => mark.x && mark.x > x.low && mark.x < x.high);
  const legend = [...lines, ...notes(lines), ...(measured.length ? [{ name: "measured", place: 2, kind: "measured" }] : [])];
  const plot = open("depth", "Tokens per second against context", titled(shown, atBatch()), legend);
  lineChart(plot, { label: "Tokens per second against context", x, y, lines, marks, measured, beyond: room ?? Infinity });
}

function traffic(shown) {
  const { context } = chosen, read = (batch) => shown.surface.bytes.map((place) => at(place, batch, context));
  const parts = read(chosen.batch), total = parts.reduce((sum, value) => sum + value, 0);
  const order = parts.map((value, place) => [value, place]).sort((a, b) => b[0] - a[0]).filter(([value]) => value > 0);
  const told = order.map(([value, place]) => `${percent(value / total)} ${COMPONENTS[place]}`);
  say("bytes", `At ${atBatch()} a step moves ${bytes(total)}: ${told.join(", ")}.`);
  const fitting = data.batches.map((batch, place) => ({ batch, place })).filter(({ place }) => rate(shown, place, context).fits);
  const plot = open("traffic", "Bytes of a step by what they are", titled(shown, atContext()),
    COMPONENTS.map((name, place) => ({ name, place, kind: "fill" })).filter((_, place) => parts[place] > 0));
  if (!fitting.length) return refuse(plot, "No batch fits in memory.");
  const columns = fitting.map(({ batch, place }) => ({ x: batch, title: `batch ${whole(batch)}`, parts: read(place) }));
  const largest = Math.max(...columns.map((column) => column.parts.reduce((sum, value) => sum + value, 0)));
  const [size, unit] = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"]].find(([each]) => largest >= each) || [1e3, "kB"];
  for (const column of columns) column.parts = column.parts.map((value) => value / size);
  const x = batchAxis(shown.surface.crossings[context][2], 1.45);
  stackChart(plot, { label: "Bytes of a step against the batch", x, columns, names: COMPONENTS, unit: { label: `${unit} read and written in a step`, tell: (value) => bytes(value * size) } });
}

function rowOf(shown, name, detail, isChosen) {
  const found = rate(shown, chosen.batch, chosen.context), fits = found.fits;
  const need = `${gib(found.memory)} of ${gib(found.limit)}`;
  const near = Math.max(128, data.contexts[chosen.context] / 4);
  const measured = measuredOf(shown).filter((row) => row.batch === data.batches[chosen.batch] && Math.abs(row.context - data.contexts[chosen.context]) <= near);
  return {
    name, detail, chosen: isChosen, value: fits ? found.total : 0, low: found.low, high: found.high, ceiling: found.ceiling, need,
    measured: measured.map((row) => ({ tokens_per_s: row.rate })), note: fits ? `limited by ${found.bound}, ${need}` : misfit(found),
  };
}

const fastest = (rows) => rows.filter((row) => row.value).sort((a, b) => b.value - a.value);

function formats(shown) {
  const rows = shown.pair.formats.map((format) => {
    const surface = format.routings.find((each) => each.name === shown.surface.name) || format.routings[0];
    const found = rate({ ...shown, format }, chosen.batch, chosen.context, surface);
    return rowOf({ ...shown, format, surface }, format.name, gib(found.memory), format === shown.format);
  });
  const [best, ...others] = fastest(rows), out = rows.filter((row) => !row.value).map((row) => row.name);
  const left = best && out.length ? ` ${out.join(", ")} ${out.length > 1 ? "do" : "does"} not fit in the ${gib(shown.pair.limit)} that can be had.` : "";
  const told = !best ? `None fits: ${rows[0].name}, the smallest, ${rows[0].note.replace(/^.*: /, "")}.` : others.length
    ? `${best.name} is the fastest at ${number(best.value)} tokens/s; ${last(others).name}, the slowest that fits, has ${number(last(others).value)}.`
    : `${best.name} gives ${number(best.value)} tokens/s${rows.length > 1 ? ", and is the only one that fits" : ""}.`;
  say("formats", `${told}${left}`);
  barChart(open("by-format", "Tokens per second by format, with the memory needed", `${shown.model.title}, ${shown.device.title}, ${atBatch()}, ${atContext()}`, barLegend(rows)), rows, "Tokens per second by format");
}

const barLegend = (rows) => rows.some((row) => row.value) && [
  { name: "forecast with 80 % interval", place: 0, kind: "dot" }, { name: "ceiling", kind: "ceiling" },
  ...(rows.some((row) => row.measured.length) ? [{ name: "measured", place: 1, kind: "measured" }] : []),
];

function others(shown) {
  const across = (list, of) => list.map((each, place) => {
    const other = of(place);
    return rowOf(other, each.title, other.format.name, other.pair === shown.pair);
  });
  const models = across(data.models, (place) => forecast(place, chosen.device, chosen.format, chosen.routing));
  const devices = across(data.devices, (place) => forecast(chosen.model, place, chosen.format, chosen.routing));
  const compare = (rows, on) => {
    const [best, ...less] = fastest(rows), slowest = last(less);
    if (!best) return `${on}, none fits.`;
    return `${on}, ${best.name} is the fastest at ${number(best.value)} tokens/s${slowest ? `, ${number(best.value / slowest.value)} times as fast as ${slowest.name}` : rows.length > 1 ? ", the only one that fits" : ""}.`;
  };
  const answers = [
    data.models.length > 1 && compare(models, `On ${shown.device.title}`),
    data.devices.length > 1 && compare(devices, `For ${shown.model.title}`),
  ].filter(Boolean);
  const same = chosen.format ? `In ${chosen.format} where that is offered, else` : "Each in";
  say("others", `${answers.join(" ")} ${same} the format that fits.`);
  drawOthers("by-model", models, "Models", shown.device.title);
  drawOthers("by-device", devices, "Devices", shown.model.title);
  find("others").hidden = !answers.length;
}

function drawOthers(id, rows, what, on) {
  find(id).hidden = rows.length < 2;
  if (rows.length > 1) barChart(open(id, `${what}: tokens per second`, `${on}, ${atBatch()}, ${atContext()}`, barLegend(rows)), rows, `Tokens per second by ${what}`);
}

function whatIf(shown) {
  const format = shown.pair.formats[shown.pair.default], context = data.contexts.indexOf(data.context);
  const base = { ...shown, format, surface: format.routings[0] };
  const fitting = data.batches.map((batch, place) => ({ batch, place })).filter(({ place }) => rate(base, place, context).fits);
  const lines = data.zeros.map((share, place) => ({
    name: share ? `${Math.round(100 * share)} % zeros` : "none", place,
    points: fitting.map((each) => {
      const y = at(shown.pair.sparse[place], each.place);
      return { x: each.batch, y, text: `${number(y)} tokens/s` };
    }),
  }));
  say("what-if", `${sparseAnswer(shown, fitting)} ${skewAnswer(shown)}`.trim());
  const subtitle = `${shown.model.title}, ${shown.device.title}, ${format.name}, context ${whole(data.context)}; a what-if: no published model reaches any share, and Q-Sparse reports none above 80 %`;
  const plot = open("zeros", "Zero inputs whose weights are not read", subtitle, fitting.length && lines);
  if (!fitting.length) refuse(plot, "The model does not fit.");
  else lineChart(plot, { label: "Tokens per second with zero inputs", x: batchAxis(base.surface.crossings[context][2]), y: axisFor(lines.flatMap((line) => line.points.map((each) => each.y)), "tokens/s"), lines });
  drawSkew(shown);
}

function sparseAnswer(shown, fitting) {
  const half = data.zeros.indexOf(0.5);
  if (!fitting.length || half < 0) return "";
  const gain = (each) => at(shown.pair.sparse[half], each.place) / at(shown.pair.sparse[0], each.place);
  const [first, final] = [fitting[0], last(fitting)];
  const later = fitting.length > 1 ? `, ${number(gain(final))} at batch ${whole(final.batch)}, since different tokens need different weights` : "";
  return `With half of the inputs zero, batch ${whole(first.batch)} decodes ${number(gain(first))} times as many tokens${later}.`;
}

function skewAnswer(shown) {
  const { routings } = shown.format;
  if (routings.length < 2 || !rate(shown, chosen.batch, chosen.context).fits) return "";
  if (data.batches[chosen.batch] === 1) return "Routing matters only in a batch: one token touches the same number of experts anyway.";
  const told = routings.map((surface) => `${number(rate(shown, chosen.batch, chosen.context, surface).total)} tokens/s if routing is ${surface.name}`);
  return `At ${atBatch()} it is ${told.join(", ")}.`;
}

function drawSkew(shown) {
  const { routings } = shown.format;
  find("skew").hidden = routings.length < 2;
  if (routings.length < 2) return;
  const lines = routings.map((surface, place) => ({
    name: surface.name, place, points: data.batches.map((batch, n) => ({ batch, ...rate(shown, n, chosen.context, surface) }))
      .filter((each) => each.fits).map((each) => ({ x: each.batch, y: each.total, text: `${number(each.total)} tokens/s (${span(each)})` })),
  }));
  const points = lines.flatMap((line) => line.points);
  const plot = open("skew", "Routings: which experts a batch shares", titled(shown, atContext()), points.length && lines);
  if (!points.length) refuse(plot, "No batch fits in memory.");
  else lineChart(plot, { label: "Tokens per second by routing", x: batchAxis(shown.surface.crossings[chosen.context][2]), y: axisFor(points.map((each) => each.y), "tokens/s"), lines });
}

function drawMeasured() {
  if (!find("scatter")) return;
  const devices = [...new Set(data.measured.map((row) => row.hardware))];
  const dots = data.measured.map((row) => ({
    x: row.forecast, y: row.rate, low: row.low, high: row.high, place: devices.indexOf(row.hardware), title: row.id,
    lines: [
      `${row.model} on ${row.hardware}, ${row.weights}`, `batch ${whole(row.batch)}, context ${whole(row.context)}`,
      `measured ${number(row.rate)} tokens/s`, `forecast ${number(row.forecast)} (${number(row.forecast_low)} to ${number(row.forecast_high)})`,
    ],
  }));
  const ends = dots.flatMap((each) => [each.x, each.y, each.low, each.high]);
  const axis = { low: Math.min(...ends) / 1.3, high: Math.max(...ends) * 1.3, isLog: true, show: brief };
  const legend = devices.slice(0, 12).map((name, place) => ({ name, place, kind: "measured" }));
  const plot = open("scatter", "Measured against forecast", "on the line both agree", legend);
  const behind = ({ svg, px, py }) => draw(svg, "path", { d: `M${px(axis.low)} ${py(axis.low)}L${px(axis.high)} ${py(axis.high)}`, class: "mark" });
  const x = { ...axis, label: "forecast, tokens/s" }, y = { ...axis, label: "measured, tokens/s" };
  dotChart(plot, { label: "Measured tokens per second against forecast", x, y, dots, behind, height: Math.min(420, plot.clientWidth) });
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
