// The network map's drawing: every stage a block in each of two towers, wires between them, and a
// row of buttons below, one a stage.

import { NAMES } from "./network.js";
import { sizeWords, title } from "./network_words.js";
import { KEEPS_KEYS, draw, make, say, set } from "./toolkit.js";

const [TOP, BOTTOM, HEIGHT] = [82, 208, 276]; // the towers' middles, pixels
const MIDDLE = (TOP + BOTTOM) / 2;
const LEAST = 630; // pixels wide; narrower pages scroll
const ROOM = 84; // pixels of a name at most
// What a block of the article's figure holds.
const TOGETHER = { lrn1: "conv1+lrn1", lrn2: "conv2+lrn2" };

// How a block looks: width of its front, height, and how far back it goes.
export function blockSize({ side, channels, towers }) {
  if (side === 1) return { width: 8, height: 66, deep: 4 };
  const height = 8 + 7.2 * Math.sqrt(side);
  return { width: 4 + 1.1 * Math.sqrt(channels / towers), height, deep: 0.33 * height };
}

// Where every block's front begins: each stands in the middle of a slot, and so does its name below.
// Returns [{ row, middle, x, width, height, deep, ys }], ys: the middles of its halves.
export function layout(rows, width) {
  const slot = width / rows.length;
  return rows.map((row, i) => {
    const size = blockSize(row);
    const middle = (i + 0.5) * slot;
    const ys = row.towers === 2 ? [TOP, BOTTOM] : [row.name === "input" ? MIDDLE : TOP];
    return { row, ...size, middle, x: middle - (size.width + size.deep) / 2, ys };
  });
}

function faces({ x, width, height, deep }, y) {
  const [low, high, right, rise] = [y + height / 2, y - height / 2, x + width, deep / 2];
  const path = (...points) => points.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)},${b.toFixed(1)}`).join("") + "Z";
  return [
    ["front", path([x, low], [right, low], [right, high], [x, high])],
    ["top", path([x, high], [right, high], [right + deep, high - rise], [x + deep, high - rise])],
    ["side", path([right, low], [right + deep, low - rise], [right + deep, high - rise], [right, high])],
  ];
}

// The wires into a stage, from the one before it.
function wires(before, place) {
  const from = before.x + before.width + before.deep / 2;
  const line = (y1, y2, gpu) => draw("path", { class: `alexnet-wire alexnet-${gpu}`, d: `M${from},${y1} L${place.x},${y2}` });
  if (before.row.name === "input") return place.ys.map((y) => line(MIDDLE, y, "grey"));
  const sources = [[TOP, "gpu0"], [BOTTOM, "gpu1"]];
  return sources.flatMap(([y1, gpu], i) => place.ys.filter((_, j) => i === j || place.row.both).map((y2) => line(y1, y2, gpu)));
}

// choose(name): hears which stage is picked. Returns { element, update({ rows, chosen, width }), focus(name) }.
export function networkDrawing(choose) {
  const svg = draw("svg", { role: "img" });
  const buttons = new Map(NAMES.map((name) => [name, make(
    "button",
    { type: "button", role: "tab", class: "alexnet-stage", onclick: () => choose(name), ...KEEPS_KEYS },
    make("strong", {}, name), make("small", {}),
  )]));
  const list = make("div", { class: "alexnet-stages", role: "tablist", "aria-label": "stages; the arrow keys lead along them" }, ...buttons.values());
  const inner = make("div", { class: "alexnet-towers-inner" }, svg, list);
  const more = make("small", { class: "alexnet-more", hidden: true }, "The map goes on to the right: scroll it sideways, or go along the names with the arrow keys.");
  const scrolled = make("div", { class: "alexnet-towers-map" }, inner);
  const element = make("div", {}, scrolled, more);
  let watched = "";
  let shown = NAMES;
  let drawnFor = "";
  let blocks = new Map();

  list.addEventListener("keydown", (event) => {
    const at = shown.findIndex((name) => buttons.get(name) === event.target.closest("button"));
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: shown.length - 1 };
    if (at < 0 || !(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const next = shown[Math.min(shown.length - 1, Math.max(0, moves[event.key]))];
    buttons.get(next).focus();
    choose(next);
  });

  function drawBlock(place) {
    const { row, ys } = place;
    const halves = ys.map((y, gpu) => draw("g", { class: `alexnet-half alexnet-${row.name === "input" ? "grey" : `gpu${gpu}`}` },
      ...faces(place, y).map(([face, d]) => draw("path", { class: `alexnet-face alexnet-${face}`, d }))));
    const group = draw("g", { class: "alexnet-pick", onclick: () => choose(row.name) }, draw("title", {}, `${row.name}: ${title(row)}`), ...halves);
    blocks.set(row.name, group);
    return group;
  }

  function drawAll(rows, width) {
    const places = layout(rows, width);
    blocks = new Map();
    const lines = places.flatMap((place, i) => (i ? wires(places[i - 1], place) : []));
    const last = places.at(-1);
    const names = [TOP - 46, BOTTOM + 4].map((y, gpu) => draw("text", { x: Math.min(width, last.middle + 30), y, class: `alexnet-side alexnet-gpu${gpu}` }, `GPU ${gpu}`));
    set(svg, { width, height: HEIGHT, "aria-label": `the network in two towers: ${rows.map((row) => `${row.name} ${sizeWords(row)}`).join(", ")}` });
    svg.replaceChildren(...lines, ...places.map(drawBlock), ...names);
    set(inner, { style: `width: ${width}px` });
    const room = Math.min(width / rows.length, ROOM);
    for (const { row, middle } of places) {
      const button = buttons.get(row.name);
      set(button, { style: `left: ${(middle - room / 2).toFixed(1)}px; width: ${room.toFixed(1)}px` });
      const { name, side, channels, towers } = row;
      say(button.firstChild, (rows.length < NAMES.length && TOGETHER[name]) || name);
      say(button.lastChild, side > 1 ? `${side}×${side} ×${channels / towers}` : sizeWords(row));
    }
    shown = rows.map((row) => row.name);
    for (const [name, button] of buttons) button.hidden = !shown.includes(name);
  }

  function update({ rows, chosen, width: room }) {
    const width = Math.max(LEAST, room);
    const key = `${width} ${rows.length}`;
    if (drawnFor !== key) drawAll(rows, width);
    drawnFor = key;
    more.hidden = width <= room;
    if (watched !== chosen) {
      watched = chosen;
      const { offsetLeft: left, offsetWidth: wide } = buttons.get(chosen);
      if (left < scrolled.scrollLeft || left + wide > scrolled.scrollLeft + room) scrolled.scrollLeft = left + wide / 2 - room / 2;
    }
    for (const [name, group] of blocks) group.classList.toggle("alexnet-chosen", name === chosen);
    for (const [name, button] of buttons) {
      set(button, { "aria-selected": name === chosen, tabindex: name === chosen ? 0 : -1 });
    }
  }
  return { element, update };
}
