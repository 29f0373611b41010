// The network map's panels for one stage: the picture with what a number reads, the maps, the
// kernels, the answer, and the shares of the costs.

import { COSTS, NAMES, STAGES, fieldOf, stageRows } from "./network.js";
import { amount, percent } from "./network_words.js";
import { KEEPS_KEYS, draw, make, number, say, set, thousands } from "./toolkit.js";

const SHOWN = 12; // maps of each tower
const COLUMNS = 6;
const PHOTO = 190; // pixels a side on the page

function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

// How many bytes a stage takes of a packed journey.
export function packedSize({ name, side, channels }) {
  if (name === "input" || name === NAMES.at(-1)) return 0;
  return side > 1 ? 2 * SHOWN * side ** 2 : channels;
}

// Where each stage's maps begin in a packed journey, by name.
export function offsets(rows) {
  let at = 0;
  return Object.fromEntries(rows.map((row) => {
    const place = [row.name, at];
    at += packedSize(row);
    return place;
  }));
}

// Draw tiles of height x width, `columns` in a row. values: one tile after another, with `colours`
// bytes a pixel, 1 for grey or 3.
function mosaic(canvas, { count, columns, height, width, gap, colours = 1 }, values) {
  const across = columns * (width + gap) - gap;
  const down = Math.ceil(count / columns) * (height + gap) - gap;
  Object.assign(canvas, { width: across, height: down });
  const context = canvas.getContext("2d");
  const image = context.createImageData(across, down);
  const pixels = image.data;
  let from = 0;
  for (let tile = 0; tile < count; tile += 1) {
    const [top, left] = [Math.floor(tile / columns) * (height + gap), (tile % columns) * (width + gap)];
    for (let row = 0; row < height; row += 1) {
      let at = 4 * ((top + row) * across + left);
      for (let column = 0; column < width; column += 1, from += colours, at += 4) {
        pixels[at] = values[from];
        pixels[at + 1] = values[colours === 3 ? from + 1 : from];
        pixels[at + 2] = values[colours === 3 ? from + 2 : from];
        pixels[at + 3] = 255;
      }
    }
  }
  context.putImageData(image, 0, 0);
}

// The picture, and on it the frame of what the number at `spot` reads. moved([x, y]) hears arrow keys.
export function photoPanel(moved) {
  const picture = make("img", { alt: "" });
  const frame = draw("rect", { class: "alexnet-frame" });
  const over = draw("svg", { role: "img", tabindex: 0, width: PHOTO, height: PHOTO, ...KEEPS_KEYS }, frame);
  const words = make("small");
  const element = make("figure", { class: "alexnet-photo" }, make("div", {}, picture, over), make("figcaption", {}, words));
  let [side, spot, shown, url] = [1, [0, 0], null, ""];

  over.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    moved(spot.map((at, axis) => {
      const cell = Math.floor(Math.min(at, 0.9999) * side) + steps[event.key][axis];
      return (Math.min(side - 1, Math.max(0, cell)) + 0.5) / side;
    }));
  });

  function update(row, one, at, text) {
    [side, spot] = [row.name === "input" ? 55 : row.side, at];
    if (shown !== one.photo) {
      URL.revokeObjectURL(url);
      url = URL.createObjectURL(new Blob([bytesOf(one.photo)], { type: "image/jpeg" }));
      picture.src = url;
      shown = one.photo;
    }
    const [column, line] = at.map((share) => Math.floor(Math.min(share, 0.9999) * row.side));
    const { top, left, height, width } = fieldOf(row, line, column);
    const scale = PHOTO / STAGES[0].side;
    const hidden = row.name === "input";
    set(frame, { x: left * scale, y: top * scale, width: width * scale, height: height * scale, visibility: hidden ? "hidden" : "visible" });
    const said = hidden ? "" : `; framed are ${width} × ${height} pixels, ${left} from the left, ${top} from the top`;
    set(over, { "aria-label": `${one.label}${said}` });
    set(picture, { alt: one.label });
    say(words, text);
  }
  return { element, update, close: () => URL.revokeObjectURL(url) };
}

// Which channels are shown: the first ones, or those that answer most.
export function channelWords(channels) {
  const together = channels.at(-1) - channels[0] === channels.length - 1;
  return together ? `channels ${channels[0]} to ${channels.at(-1)}` : `the loudest over all photos: ${channels.join(", ")}`;
}

// One tower's maps as a mosaic. pick([x, y]): hears where in a map the pointer is.
function towerMaps(gpu, pick) {
  const head = make("strong");
  const list = make("span", { class: "alexnet-channels" });
  const canvas = make("canvas", { "aria-hidden": "true" });
  const mark = draw("svg", { role: "img" });
  const stack = make("div", { class: "alexnet-map" }, canvas, mark);
  const element = make("div", { class: `alexnet-tower-maps alexnet-gpu${gpu}` }, head, list, stack);
  let grid = null;
  let drawn = "";

  function at(event) {
    if (!grid?.cell) return;
    const { left, top } = mark.getBoundingClientRect();
    const share = (place) => Math.min(0.9999, Math.max(0, ((place % grid.cell) - 0) / (grid.cell - grid.gap)));
    pick([share(event.clientX - left), share(event.clientY - top)]);
  }
  mark.addEventListener("pointerdown", (event) => {
    mark.setPointerCapture(event.pointerId);
    at(event);
  });
  mark.addEventListener("pointermove", (event) => event.buttons && at(event));

  function update(row, values, spot, room, channels) {
    const vector = row.side === 1;
    const tiles = vector ? { count: 1, columns: 1, height: 32, width: 64, gap: 0 }
      : { count: SHOWN, columns: COLUMNS, height: row.side, width: row.side, gap: Math.max(1, Math.round(row.side / 18)) };
    if (drawn !== values.key) mosaic(canvas, tiles, values.bytes);
    drawn = values.key;
    const wide = vector ? Math.min(room, 384) : room;
    const high = (wide * canvas.height) / canvas.width;
    const size = `width: ${wide}px; height: ${high}px`;
    set(canvas, { style: size });
    set(stack, { style: size });
    const unit = wide / canvas.width;
    grid = vector ? null : { cell: unit * (row.side + tiles.gap), gap: unit * tiles.gap };
    const cells = vector ? [] : Array.from({ length: SHOWN }, (_, tile) => {
      const [x, y] = spot.map((share) => Math.floor(Math.min(share, 0.9999) * row.side) * unit);
      return draw("rect", {
        class: "alexnet-frame alexnet-cell", x: (tile % COLUMNS) * grid.cell + x, y: Math.floor(tile / COLUMNS) * grid.cell + y,
        width: Math.max(3, unit), height: Math.max(3, unit),
      });
    });
    const half = row.channels / 2;
    const which = vector ? `all ${thousands(half)} numbers` : `${SHOWN} of ${half} maps`;
    say(head, `GPU ${gpu}: ${which}`);
    say(list, vector ? "" : channelWords(channels.slice(gpu * SHOWN, (gpu + 1) * SHOWN)));
    set(mark, { width: wide, height: high, "aria-label": `${row.name} on GPU ${gpu}, ${which}, bright is large` });
    mark.replaceChildren(...cells);
  }
  return { element, update };
}

// Bars of the answers: [[class, probability], ...].
function answerBars() {
  const element = make("div", { class: "alexnet-answers" });
  return {
    element,
    update(answers) {
      element.replaceChildren(...answers.map(([name, chance]) => make(
        "div", { class: "alexnet-answer" }, make("span", {}, name),
        make("i", { style: `width: ${(62 * chance).toFixed(2)}%`, "aria-hidden": "true" }), make("b", {}, percent(chance)),
      )));
    },
  };
}

// Everything that a stage puts out. pick: as in towerMaps. Returns { element, update }.
export function mapsPanel(pick) {
  const places = offsets(stageRows());
  const towers = [0, 1].map((gpu) => towerMaps(gpu, pick));
  const answers = answerBars();
  const large = make("img", { alt: "" });
  const note = make("small");
  const parts = { maps: make("div", {}, ...towers.map(({ element }) => element)), answers: answers.element };
  const element = make("div", { class: "alexnet-maps-panel" }, parts.maps, parts.answers, large, note);
  let url = "";
  let shown = null;

  function update(row, one, spot, room, channels) {
    const maps = row.towers === 2;
    if (shown !== one.photo) {
      URL.revokeObjectURL(url);
      url = URL.createObjectURL(new Blob([bytesOf(one.photo)], { type: "image/jpeg" }));
      set(large, { src: url, alt: one.label });
      shown = one.photo;
    }
    parts.maps.hidden = !maps;
    parts.answers.hidden = row.name !== "fc8";
    large.hidden = row.name !== "input";
    if (maps) {
      const all = bytesOf(one.maps);
      const half = packedSize(row) / 2;
      const from = (gpu) => places[row.name] + gpu * half;
      towers.forEach((tower, gpu) => {
        const values = { bytes: all.subarray(from(gpu), from(gpu) + half), key: `${row.name} ${one.label}` };
        tower.update(row, values, spot, Math.min(room - 14, 500), channels[row.name]);
      });
      say(note, `Black is 0, white is ${number(one.highs[row.name])}, the largest number shown. ${percent(one.alive[row.name])} of all ${thousands(row.channels * row.side ** 2)} are above 0.`);
    } else if (row.name === "fc8") {
      answers.update(one.answers);
      say(note, "Our network was trained on ten classes and has to choose one of them, whatever it sees. The paper's has 1,000.");
    } else {
      set(large, { width: Math.min(room, 340), height: Math.min(room, 340) });
      say(note, "227 × 227 × 3 numbers from 0 to 255, before the mean is subtracted. Both towers read all of them.");
    }
  }
  return { element, update, close: () => URL.revokeObjectURL(url) };
}

// The kernels behind the maps that are shown.
export function kernelsPanel() {
  const canvas = make("canvas", { "aria-hidden": "true" });
  const note = make("small");
  const element = make("figure", { class: "alexnet-kernels", role: "img" }, canvas, note);
  let shown = "";
  return {
    element,
    update(row, kernels) {
      if (shown === row.name) return;
      shown = row.name;
      const packed = kernels[row.name];
      element.hidden = !packed;
      if (!packed) return;
      const pixels = bytesOf(packed);
      const colours = row.name === "conv1" ? 3 : 1;
      const area = row.kernel ** 2;
      mosaic(canvas, { count: 2 * SHOWN, columns: COLUMNS, height: row.kernel, width: row.kernel, gap: 1, colours }, pixels);
      const what = `${row.kernel} × ${row.kernel}`;
      const deep = row.perOutput / area;
      say(note, `The kernels of these maps, ${what}${colours === 3 ? "" : `; of ${deep} slices the strongest`}. Grey is 0.`);
      set(element, { "aria-label": note.textContent });
    },
  };
}

// Three rows of parts, one a stage; the chosen one stands out. sums: of network.js's totals.
export function sharesPanel(rows, sums, choose) {
  const words = { parameters: ["parameters", thousands], macs: ["MACs", thousands], bytes: ["memory", amount] };
  const marks = rows.map(() => []);
  const cells = [];
  const lines = COSTS.map((cost) => {
    const [name, write] = words[cost];
    const value = make("span", { class: "alexnet-share" });
    cells.push([value, cost, write]);
    const bar = make("div", { class: "alexnet-bar-row", "aria-hidden": "true" }, ...rows.map((row, i) => {
      const share = row[cost] / sums[cost];
      const part = make("i", { style: `flex-grow: ${row[cost]}`, title: `${row.name}: ${percent(share)}`, onclick: () => choose(row.name) }, share > 0.085 ? row.name : "");
      marks[i].push(part);
      part.hidden = row[cost] === 0;
      return part;
    }));
    return make("div", { class: "alexnet-cost" }, make("strong", {}, name), bar, value);
  });
  const element = make("div", { class: "alexnet-costs" }, ...lines);
  return {
    element,
    update(row) {
      rows.forEach(({ name }, i) => marks[i].forEach((part) => part.classList.toggle("alexnet-chosen", name === row.name)));
      for (const [cell, cost, write] of cells) {
        say(cell, row[cost] ? `${write(row[cost])}, ${percent(row[cost] / sums[cost])}` : "none here");
      }
    },
  };
}
