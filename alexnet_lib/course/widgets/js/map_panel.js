// One map as a picture: pixels on a canvas, and over them digits, rings and window frames in SVG.

import { draw, make, number, say, set } from "./toolkit.js";

const DIGITS_FROM = 15; // pixels a cell needs to hold a digit
const LILAC = [196, 181, 255]; // "what comes out" on dark grounds: pixels that win

// grey: 0 to 1 -> [red, green, blue, alpha]; bright is strong.
export function grey(share) {
  const level = Math.round(255 * Math.max(0, Math.min(1, share)));
  return [level, level, level, 255];
}

// The same in lilac, and never so dark that it can't be seen.
export function tinted(share) {
  const level = Math.max(0.35, Math.min(1, share));
  return [...LILAC.map((part) => Math.round(level * part)), 255];
}

// votes: 0 to 1 -> amber, more of it the more votes; nothing for none.
export function amber(share) {
  return [201, 133, 0, Math.round(215 * share)];
}

// title: above the picture. picked(row, column): hears which cell the pointer is on.
// Returns { element, update(...) }; update takes height, width, side (pixels of the picture),
// colour(index), texts (index -> "" or a digit), dark(index): whether letters must be light,
// frames ([{ row, column, size, dashed }]), rings and dots (indices), alt, note.
export function mapPanel(title, picked) {
  const head = make("strong");
  const note = make("small");
  const canvas = make("canvas", { "aria-hidden": "true" });
  const over = draw("svg", { role: "img" });
  const stack = make("div", { class: "alexnet-map" }, canvas, over);
  const element = make("figure", { class: "alexnet-map-panel" }, make("figcaption", {}, head, note), stack);
  let cell = 1;
  say(head, title);

  function pick(event) {
    const { left, top } = over.getBoundingClientRect();
    picked(Math.floor((event.clientY - top) / cell), Math.floor((event.clientX - left) / cell));
  }
  if (picked) {
    over.classList.add("alexnet-pickable");
    over.addEventListener("pointerdown", (event) => {
      over.setPointerCapture(event.pointerId);
      pick(event);
    });
    over.addEventListener("pointermove", (event) => event.buttons && pick(event));
  }

  function update({ height, width, side, colour, texts, dark, frames, rings = [], dots = [], alt, note: said }) {
    cell = Math.min(side / Math.max(height, width), 64);
    say(note, said);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let at = 0; at < height * width; at += 1) image.data.set(colour(at), 4 * at);
    context.putImageData(image, 0, 0);
    const size = { width: `${cell * width}px`, height: `${cell * height}px` };
    Object.assign(canvas.style, size);
    set(stack, { style: `width: ${size.width}; height: ${size.height}` });
    set(over, { width: cell * width, height: cell * height, "aria-label": alt });
    const parts = [];
    const middle = (at) => [cell * ((at % width) + 0.5), cell * (Math.floor(at / width) + 0.5)];
    if (cell >= DIGITS_FROM) {
      for (const at of rings) {
        const [cx, cy] = middle(at);
        parts.push(draw("circle", { class: "alexnet-ring", cx, cy, r: 0.42 * cell }));
      }
      for (let at = 0; at < height * width; at += 1) {
        const [x, y] = middle(at);
        const look = dark ? (dark(at) ? "alexnet-on-dark" : "alexnet-on-light") : "";
        const small = texts(at).length > 2 ? " alexnet-small" : "";
        parts.push(draw("text", { x, y: y + 4, class: `alexnet-number ${look}${small}` }, texts(at)));
      }
      for (const at of dots) {
        const [cx, cy] = middle(at);
        parts.push(draw("circle", { class: "alexnet-changed", cx: cx + 0.34 * cell, cy: cy - 0.34 * cell, r: 3.5 }));
      }
    }
    for (const { row, column, size: span, dashed } of frames) {
      parts.push(draw("rect", {
        class: dashed ? "alexnet-frame alexnet-dashed" : "alexnet-frame",
        x: cell * column, y: cell * row, width: cell * span, height: cell * span,
      }));
    }
    over.replaceChildren(...parts);
  }
  return { element, update };
}

// A value as a cell can hold it: digits as they are, else two digits.
export function short(value) {
  return Number.isInteger(value) ? String(value) : number(Number(value.toPrecision(2)));
}
