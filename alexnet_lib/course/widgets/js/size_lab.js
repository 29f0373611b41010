// The output-size lab: a window's stops on a photo, what is left at the edge, and what comes of it.

import { consequence, filterNote, reading, sentences, trouble } from "./size_words.js";
import { chain, edgeMap, edgeSums, refusal, stops } from "./sizes.js";
import { KEEPS_KEYS, choice, complaint, draw, followWidth, frame, make, presets, say, set, share, slider, summary, tick } from "./toolkit.js";

const STATE = ["input_size", "kernel", "stride", "padding", "rounding", "pools", "row", "column"];
const LIMITS = {
  input_size: { label: "picture", role: "pixels a side", min: 3, max: 256 },
  kernel: { label: "window", role: "kernel, pixels", min: 1, max: 32 },
  stride: { label: "stride", role: "pixels a step", min: 1, max: 32 },
  padding: { label: "padding", role: "zeros around", min: 0, max: 8 },
};

// A square with a pixel picture in it and a drawing on top. name: what a screen reader hears.
function stage(title, attributes) {
  const canvas = make("canvas", { role: "presentation" });
  const svg = draw("svg", { role: "presentation" });
  const square = make("div", { class: "alexnet-stage", ...attributes }, canvas, svg);
  const head = make("strong", {}, title);
  const note = make("small", {});
  return { element: make("div", {}, make("div", { class: "alexnet-stage-title" }, head, note), square), square, canvas, svg, head, note };
}

// The photo at some size: its canvas, and its grey values less their mean, as one row.
function photoAt(image, size) {
  const canvas = make("canvas", { width: size, height: size });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, size, size);
  const { data } = context.getImageData(0, 0, size, size);
  const grey = new Float64Array(size * size);
  let mean = 0;
  for (let i = 0; i < grey.length; i += 1) {
    grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    mean += grey[i] / grey.length;
  }
  for (let i = 0; i < grey.length; i += 1) grey[i] -= mean;
  return { canvas, grey };
}

// Section 4's picture, which stands in for a photo of as few pixels: 0 is dark, 9 bright, neither
// of them black or white, so that the picture's edge shows on any page.
function exampleAt(values) {
  const size = values.length;
  const canvas = make("canvas", { width: size, height: size });
  const image = new ImageData(size, size);
  const grey = Float64Array.from(values.flat());
  grey.forEach((value, i) => image.data.set([...new Array(3).fill(Math.round(28 + (212 * value) / 9)), 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return { canvas, grey, example: true };
}

// Numbers in square cells, letters dark on bright. bright(index): whether a cell is.
function numbersIn(values, side, unit, left, bright) {
  return Array.from(values, (value, i) => draw("text", {
    class: "alexnet-in-cell", style: `fill: ${bright(i) ? "#000" : "#fff"}`,
    x: (left + (i % side) + 0.5) * unit, y: (left + Math.floor(i / side) + 0.5) * unit,
  }, String(value).replace("-", "−")));
}

// Show the part of a picture from (from, from) on, `count` pixels a side, at `unit` screen pixels each.
function place(canvas, picture, from, count, left, unit) {
  canvas.style.display = picture && count > 0 ? "" : "none";
  if (!picture || count <= 0) return;
  canvas.width = canvas.height = count;
  canvas.getContext("2d").drawImage(picture, from, from, count, count, 0, 0, count, count);
  Object.assign(canvas.style, { left: `${left * unit}px`, top: `${left * unit}px`, width: `${count * unit}px`, height: `${count * unit}px` });
}

// Grey for 0, towards white and black for the strongest numbers. reach: the share of the largest
// that is white; below 1 a few spots are cut off.
function showMap(canvas, map, side, reach) {
  canvas.width = canvas.height = side;
  let most = 0;
  for (const value of map) most = Math.max(most, Math.abs(value));
  const image = new ImageData(side, side);
  const contrast = 127.5 / (reach * most || 1);
  for (let i = 0; i < map.length; i += 1) {
    image.data.fill(127.5 + contrast * map[i], 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// A window's outline, readable on any photo; from: the corner's first pixel, unit: pixels on screen.
function outline(row, column, { kernel, stride }, from, unit, style) {
  const box = { x: (column * stride - from) * unit, y: (row * stride - from) * unit, width: kernel * unit, height: kernel * unit };
  return [draw("rect", { class: "alexnet-halo", ...box }), draw("rect", { class: `alexnet-window ${style}`, ...box })];
}

// What no window reads: an L on the right and at the bottom.
function unreadArea(end, edge, from, unit) {
  const [a, b] = [(end - from) * unit, (edge - from) * unit];
  return draw("path", { class: "alexnet-unread", d: `M${a},0 H${b} V${b} H0 V${a} H${a} Z` });
}

function render({ model, el }) {
  const state = share(model, STATE, redraw);
  const image = new Image();
  let photo = null; // at the size asked for last
  let shown = ""; // the setting whose map is drawn
  let width = 0;

  const main = stage("the picture", {
    tabindex: 0, role: "application", "aria-label": "the window on the picture: arrow keys, Home and End move it", ...KEEPS_KEYS,
  });
  const corner = stage("its last corner, enlarged", { role: "img" });
  const map = stage("the map", { role: "img" });
  const line = make("p", { class: "alexnet-arithmetic" });
  const panels = make("div", { class: "alexnet-stages" }, main.element, corner.element, map.element, line);
  const words = summary();
  const path = make("ol", { class: "alexnet-chain", "aria-label": "the sides of the maps from conv1 to pool5" });
  const result = make("p", { class: "alexnet-arithmetic", role: "status" });
  const wrong = complaint();
  const dials = Object.fromEntries(Object.entries(LIMITS).map(([name, limits]) => [name, dial(name, limits)]));
  const rounding = choice({
    label: "rounding", options: [["floor", "down (floor)"], ["ceil", "up (ceil)"]], changed: (value) => turn({ rounding: value }),
  });
  const pools = tick({ label: "the pools after it round up", changed: (on) => turn({ pools: on ? "ceil" : "floor" }) });
  const controls = make("div", { class: "alexnet-dials" }, ...Object.values(dials).map((d) => d.element), rounding.element, pools.element);
  frame(el, "output-size lab", presets(model.get("presets"), turn),
    panels, words.element, controls, wrong.element, path, result);

  function turn(values) {
    wrong.update("");
    state.set(values);
  }

  function dial(name, limits) {
    return slider({
      ...limits, refuse: (text) => trouble(text, limits), complain: wrong.update,
      changed: (value) => turn({ [name]: value }),
    });
  }

  function setting() {
    const { input_size: size, kernel, stride, padding, rounding: way } = state.get();
    return { size, kernel, stride, padding, rounding: way };
  }

  function move(row, column) {
    const now = setting();
    if (refusal(now)) return;
    const last = stops(now).outputs - 1;
    const inside = (value) => Math.min(last, Math.max(0, value));
    state.set({ row: inside(row), column: inside(column) });
  }

  main.square.addEventListener("keydown", (event) => {
    const { row, column } = marked();
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [0, 0], End: [Infinity, Infinity],
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    move(...moves[event.key]);
  });

  // pixels(event): which pixel of the padded picture, or which number of the map, is pointed at
  function follow(square, toStop) {
    const go = (event) => {
      const box = square.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      move(toStop(y), toStop(x));
    };
    square.addEventListener("pointerdown", (event) => {
      square.setPointerCapture(event.pointerId);
      go(event);
    });
    square.addEventListener("pointermove", (event) => square.hasPointerCapture(event.pointerId) && go(event));
  }
  follow(main.square, (part) => {
    const now = setting();
    return Math.round((part * extent(now) - now.kernel / 2) / now.stride);
  });
  follow(map.square, (part) => Math.floor(part * stops(setting()).outputs));

  function extent(now) {
    const room = now.size + 2 * now.padding;
    return refusal(now) ? Math.max(room, now.kernel) : Math.max(room, (stops(now).outputs - 1) * now.stride + now.kernel);
  }

  function marked() {
    const { row, column } = state.get();
    const last = stops(setting()).outputs - 1;
    return { row: Math.min(row, last), column: Math.min(column, last) };
  }

  function redraw() {
    const { rounding: way, pools: poolsWay, ...values } = state.get();
    // asked for before anything is written: a width asked for later lays the whole page out anew
    const [whole, part, side] = [main, corner, map].map(({ square }) => square.clientWidth);
    for (const name of Object.keys(LIMITS)) dials[name].update({ value: values[name] });
    rounding.update(way);
    pools.update(poolsWay === "ceil");
    const now = setting();
    const why = refusal(now);
    const sized = Number.isInteger(now.size) && now.size > 0;
    const example = model.get("example");
    if (photo?.canvas.width !== now.size && sized) {
      if (now.size === example.length) photo = exampleAt(example);
      else if (image.complete && image.naturalWidth) photo = photoAt(image, now.size);
    }
    words.element.classList.toggle("alexnet-refused", why !== "");
    map.element.style.visibility = corner.element.style.visibility = why ? "hidden" : "";
    if (why) return refuse(now, why, whole);
    const found = stops(now);
    const { row, column } = marked();
    drawMain(now, found, row, column, whole);
    drawCorner(now, found, part);
    drawMap(now, found, row, column, side);
    say(line, reading(now, row, column));
    words.update(sentences(now, found));
    const later = chain(found.outputs, poolsWay);
    path.replaceChildren(...later.sides.map(([name, side]) => make("li", {}, name, make("strong", {}, String(side)))));
    say(result, consequence(later));
  }

  function refuse(now, why, across) {
    const unit = width ? across / extent(now) : 0;
    if (Number.isFinite(unit)) {
      place(main.canvas, photo?.canvas, 0, now.size, now.padding, unit);
      main.svg.replaceChildren(...outline(0, 0, now, 0, unit, "alexnet-next"));
    }
    for (const text of [main.note, line, result]) say(text, "");
    path.replaceChildren();
    words.update(`${why[0].toUpperCase()}${why.slice(1)} Move a slider back, or press a preset.`);
  }

  function drawMain(now, found, row, column, across) {
    const edge = now.size + 2 * now.padding;
    const end = (found.outputs - 1) * now.stride + now.kernel;
    const unit = across / extent(now);
    place(main.canvas, photo?.canvas, 0, now.size, now.padding, unit);
    const digits = photo?.example ? numbersIn(photo.grey, now.size, unit, now.padding, (i) => photo.grey[i] > 4) : [];
    const starts = Array.from({ length: found.outputs }, (_, i) => i * now.stride * unit);
    const marks = [draw("path", { class: "alexnet-starts", d: starts.map((at) => `M${at},-7 V-2 M-7,${at} H-2`).join(" ") })];
    if (found.rest > 0) marks.push(unreadArea(end, edge, 0, unit));
    const last = found.outputs - 1;
    if (column < last) marks.push(...outline(row, column + 1, now, 0, unit, "alexnet-next"));
    if (row < last) marks.push(...outline(row + 1, column, now, 0, unit, "alexnet-next"));
    marks.push(...outline(row, column, now, 0, unit, "alexnet-this"));
    main.svg.replaceChildren(...digits, ...marks);
    say(main.note, `${now.size} × ${now.size}${now.padding ? " and zeros around" : ""}`);
  }

  function drawCorner(now, found, across) {
    const edge = now.size + 2 * now.padding;
    const whole = extent(now);
    const side = Math.min(whole, Math.max(8, now.kernel + 2 * now.stride));
    const from = whole - side;
    const unit = across / side;
    const first = Math.max(0, from - now.padding); // the first of the picture's pixels in here
    place(corner.canvas, photo?.canvas, first, now.size - first, first + now.padding - from, unit);
    const end = (found.outputs - 1) * now.stride + now.kernel;
    const marks = found.rest > 0 ? [unreadArea(end, edge, from, unit)] : [];
    const last = found.outputs - 1;
    if (last > 0) marks.push(...outline(last, last - 1, now, from, unit, "alexnet-next"), ...outline(last - 1, last, now, from, unit, "alexnet-next"));
    marks.push(...outline(last, last, now, from, unit, "alexnet-this"));
    corner.svg.replaceChildren(...marks);
    const left = found.beyond ? `striped: ${found.beyond} of zeros` : found.rest > 0 ? `dotted: ${found.rest} never read` : "nothing left over";
    say(corner.note, left);
    set(corner.square, { "aria-label": `the last windows at the bottom right; ${left}` });
  }

  function drawMap(now, found, row, column, across) {
    const { outputs } = found;
    const asked = Object.values(now).join();
    if (photo && asked !== shown) showMap(map.canvas, edgeMap(photo.grey, now), outputs, photo.example ? 1.15 : 0.6);
    shown = photo ? asked : "";
    const unit = across / outputs;
    Object.assign(map.canvas.style, { left: 0, top: 0, width: "100%", height: "100%" });
    const box = { x: column * unit, y: row * unit, width: unit, height: unit };
    map.svg.replaceChildren(...mapNumbers(now, outputs, unit), draw("rect", { class: "alexnet-halo", ...box }), draw("rect", { class: "alexnet-window alexnet-this", ...box }));
    say(map.head, `the map: ${outputs} × ${outputs}`);
    say(map.note, filterNote(now.kernel));
    set(map.square, { "aria-label": `the map of an edge filter, ${outputs} by ${outputs}` });
  }

  // On section 4's picture the filter is section 4's, so its sums can be written into the map.
  function mapNumbers(now, outputs, unit) {
    if (!photo?.example || unit < 24) return [];
    const sums = edgeSums(photo.grey, now);
    const most = sums.reduce((best, one) => Math.max(best, Math.abs(one)), 1);
    return numbersIn(sums, outputs, unit, 0, (i) => sums[i] > -0.1 * most);
  }

  image.addEventListener("load", redraw);
  image.src = model.get("photo_url");
  const stop = followWidth(panels, (now) => {
    width = now;
    panels.classList.toggle("alexnet-narrow", now <= 560);
    redraw();
  });
  return () => {
    stop();
    state.close();
  };
}

export default { render };
