// The two-tower lab: the network as two columns, a switch before each layer, and what follows.

import { LAYERS, towerRows, towerTotals } from "./towers.js";
import { amount, batchTrouble, memory, sentences, switchLabel } from "./tower_words.js";
import { KEEPS_KEYS, complaint, draw, followWidth, frame, make, presets, say, set, share, slider, summary, thousands } from "./toolkit.js";

const STATE = ["widths", "both", "towers", "batch", "note"];
const BATCH = { min: 1, max: 1024 };
const CARD = 3 * 2 ** 30; // bytes of a GTX 580
const WIRES = 28; // pixels between two layers
const BARS = [["learned", "weights, momentum, gradients"], ["outputs", "outputs of the layers"], ["lent", "lent by the other GPU"]];

// One layer: a box a GPU. Returns { element, update(row, towers) }.
function layerRow(name) {
  const boxes = [0, 1].map((gpu) => {
    const title = make("strong", {}, name);
    const shape = make("span", {});
    const count = make("small", {});
    return { title, shape, count, element: make("div", { class: `alexnet-box alexnet-gpu${gpu}` }, title, shape, count) };
  });
  const element = make("div", { class: "alexnet-layer" }, ...boxes.map((box) => box.element));
  return {
    element,
    update({ outputs, side, parameters }) {
      boxes.forEach(({ shape, count, element: box }, gpu) => {
        const empty = parameters[gpu] === 0;
        box.classList.toggle("alexnet-idle", empty);
        say(shape, empty ? "not here" : side > 1 ? `${outputs} × ${side} × ${side}` : String(outputs));
        say(count, empty ? "" : `${thousands(parameters[gpu])} parameters`);
      });
    },
  };
}

// The wires into one layer and the switch on them. Returns { element, update(row, towers, width) }.
function wiring(name, flip) {
  const svg = draw("svg", { role: "presentation" });
  const button = make("button", { type: "button", role: "switch", class: "alexnet-switch", onclick: flip, ...KEEPS_KEYS });
  const element = make("div", { class: "alexnet-wires" }, svg, button);
  const wire = (from, to, gpu, style = "") => draw("path", { class: `alexnet-wire alexnet-gpu${gpu} ${style}`, d: `M${from},0 L${to},${WIRES}` });
  return {
    element, button,
    update(row, towers, width) {
      const [left, right] = [0.23 * width, 0.77 * width];
      const last = name === LAYERS.at(-1).name;
      const wires = [wire(left, left, 0)];
      if (towers === 2 && !last) wires.push(wire(right, right, 1));
      if (row.readsBoth && !last) wires.push(wire(left, right, 0, "alexnet-across"));
      if (row.readsBoth) wires.push(wire(right, left, 1, "alexnet-across"));
      set(svg, { width, height: WIRES });
      svg.replaceChildren(...wires);
      button.style.visibility = towers === 2 ? "" : "hidden";
      set(button, { "aria-checked": row.readsBoth, "aria-label": switchLabel(row) });
      say(button, row.readsBoth ? `both · ${thousands(row.received[0] + row.received[1])} B` : "own tower");
    },
  };
}

// What each GPU holds, as two bars up to 3 GB or, if that is too little, further.
function memoryBars() {
  const svg = draw("svg", { role: "img" });
  const legend = make("div", { class: "alexnet-legend", "aria-hidden": "true" }, ...BARS.map(([kind, text]) =>
    make("span", {}, make("i", { class: `alexnet-swatch alexnet-${kind}` }), text)));
  return {
    element: make("div", {}, svg, legend),
    update(totals, width) {
      const held = [0, 1].map((gpu) => memory(totals, gpu));
      const end = Math.max(1.08 * CARD, 1.04 * Math.max(...held));
      const scale = (bytes) => (bytes / end) * (width - 116);
      const parts = [];
      for (const gpu of [0, 1]) {
        const y = 18 + 26 * gpu;
        parts.push(draw("text", { x: 0, y: y + 14, class: "alexnet-side" }, `GPU ${gpu}`));
        let x = 54;
        for (const [kind] of BARS) {
          const long = scale(totals[kind][gpu]);
          parts.push(draw("rect", { x, y, width: long, height: 19, class: `alexnet-part alexnet-${kind} alexnet-gpu${gpu}` }));
          x += long;
        }
        parts.push(draw("text", { x: x + 6, y: y + 14, class: "alexnet-side" }, amount(held[gpu])));
      }
      const limit = 54 + scale(CARD);
      parts.push(draw("line", { x1: limit, x2: limit, y1: 14, y2: 68, class: "alexnet-card-end" }));
      parts.push(draw("text", { x: limit, y: 10 }, "3 GB"));
      set(svg, { width, height: 70, "aria-label": `memory in training: GPU 0 ${amount(held[0])}, GPU 1 ${amount(held[1])}, a card had 3 GB` });
      svg.replaceChildren(...parts);
    },
  };
}

// Counts of both GPUs side by side.
function table() {
  const lines = [["parameters", (t) => t.parameters, thousands], ["MACs for a picture", (t) => t.macs, thousands],
    ["bytes to send, a picture, forward", (t) => [t.sent[0], t.sent[1]], thousands], ["memory in training", (t) => [memory(t, 0), memory(t, 1)], amount]];
  const cells = lines.map(() => [make("td", {}), make("td", {}), make("td", {})]);
  const head = make("tr", {}, make("td", {}), ...["GPU 0", "GPU 1", "together"].map((text) => make("th", { scope: "col" }, text)));
  const body = lines.map(([name], i) => make("tr", {}, make("th", { scope: "row" }, name), ...cells[i]));
  return {
    element: make("table", { class: "alexnet-counts" }, head, ...body),
    update(totals) {
      lines.forEach(([, take, write], i) => {
        const [one, other] = take(totals);
        [one, other, one + other].forEach((value, column) => say(cells[i][column], write(value)));
      });
    },
  };
}

function render({ model, el }) {
  const state = share(model, STATE, redraw);
  let width = 0;
  const layers = LAYERS.map(({ name }) => layerRow(name));
  const wires = LAYERS.slice(1).map(({ name }) => wiring(name, () => flip(name)));
  const titles = make("div", { class: "alexnet-layer alexnet-towers" }, ...[0, 1].map((gpu) => make("span", { class: `alexnet-gpu${gpu}` }, `GPU ${gpu}`)));
  const network = make("div", { class: "alexnet-network", role: "group", "aria-label": "the network; the arrow keys lead from switch to switch" },
    titles, layers[0].element, ...wires.flatMap((wire, i) => [wire.element, layers[i + 1].element]));
  const words = summary();
  const note = make("p", { class: "alexnet-note", role: "status" });
  const bars = memoryBars();
  const counts = table();
  const wrong = complaint();
  const batch = slider({
    label: "batch", role: "pictures a step", ...BATCH, refuse: (text) => batchTrouble(text, BATCH), complain: wrong.update,
    changed: (value) => turn({ batch: value }),
  });
  frame(el, "two-tower lab", presets(model.get("presets"), turn), network, note, words.element,
    make("div", { class: "alexnet-dials" }, batch.element), wrong.element, bars.element, counts.element);

  function turn(values) {
    wrong.update("");
    state.set(values);
  }

  function flip(name) {
    const { both } = state.get();
    const next = both.includes(name) ? both.filter((each) => each !== name) : [...both, name];
    turn({ both: LAYERS.map((layer) => layer.name).filter((each) => next.includes(each)), note: "" });
  }

  network.addEventListener("keydown", (event) => {
    const at = wires.findIndex(({ button }) => button === event.target);
    const moves = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: wires.length - 1 };
    if (at < 0 || !(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    wires[Math.min(wires.length - 1, Math.max(0, moves[event.key]))].button.focus();
  });

  function redraw() {
    if (!width) return;
    const now = state.get();
    const rows = towerRows(now);
    const totals = towerTotals(rows, now.batch);
    layers.forEach((layer, i) => layer.update(rows[i]));
    wires.forEach((wire, i) => wire.update(rows[i + 1], now.towers, width));
    words.update(sentences(now, totals));
    say(note, now.note);
    batch.update({ value: now.batch });
    bars.update(totals, width);
    counts.update(totals);
  }

  const stop = followWidth(network, (now) => {
    width = now;
    network.classList.toggle("alexnet-narrow", now <= 480);
    redraw();
  });
  return () => {
    stop();
    state.close();
  };
}

export default { render };
