// A row of bars in SVG: to look at, or to drag with mouse, finger and keyboard.

import { KEEPS_KEYS, draw, number, say, set } from "./toolkit.js";

const NUMBER_ROOM = 20; // pixels above the highest bar, for its number
const LABEL_ROOM = 20; // and below the baseline, for the channel

// Numbers get small where they'd run into one another; where even that is too large, only the
// marked one stays.
export function numberClass(text, pitch, marked) {
  const size = text.length * 5.2 > pitch && !marked ? " alexnet-hidden" : text.length * 7.4 > pitch ? " alexnet-small" : "";
  return `alexnet-number${size}${marked ? " alexnet-marked" : ""}`;
}

// changed(index, value) makes the bars draggable, focused(index) hears which one is in use.
// Returns { element, update(...) }; see update.
export function barRow({ meaning, changed, focused, step = 0.05 }) {
  const band = draw("rect", { class: "alexnet-band" });
  const baseline = draw("line", { class: "alexnet-baseline" });
  const columns = draw("g");
  const element = draw("svg", { class: `alexnet-bars alexnet-${meaning}` }, band, columns, baseline);
  let bars = [];
  let view = { values: [], maximum: 1, height: 100, labels: true };

  function put(index, value) {
    const { maximum } = view;
    const rounded = Number(Math.min(maximum, Math.max(0, value)).toPrecision(6));
    if (rounded !== view.values[index]) changed(index, rounded);
  }

  function byKey(index, event) {
    const { maximum, values } = view;
    const leap = (event.shiftKey ? 0.01 : 0.1) * maximum;
    const moves = {
      ArrowUp: leap, ArrowRight: leap, ArrowDown: -leap, ArrowLeft: -leap,
      PageUp: 3 * leap, PageDown: -3 * leap, Home: -Infinity, End: Infinity,
    };
    const digit = /^[0-9]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (!(event.key in moves) && !digit) return;
    event.preventDefault();
    event.stopPropagation();
    put(index, digit ? (Number(event.key) * maximum) / 10 : values[index] + moves[event.key]);
  }

  function byPointer(index, event) {
    const { maximum, height } = view;
    const top = element.getBoundingClientRect().top + NUMBER_ROOM;
    const share = 1 - (event.clientY - top) / height;
    put(index, Math.round(share / step) * step * maximum);
  }

  function makeBar(index) {
    const parts = {
      hit: draw("rect", { class: "alexnet-hit" }),
      bar: draw("rect", { class: "alexnet-bar" }),
      number: draw("text", { class: "alexnet-number" }),
      label: draw("text", { class: "alexnet-channel" }),
    };
    const group = draw("g", {}, parts.hit, parts.bar, parts.number, parts.label);
    if (changed) {
      parts.grip = draw("rect", { class: "alexnet-grip" });
      group.append(parts.grip);
      set(group, {
        class: "alexnet-handle", role: "slider", tabindex: 0, "aria-orientation": "vertical", ...KEEPS_KEYS,
        onkeydown: (event) => byKey(index, event),
        onfocus: () => focused(index),
        onpointerdown: (event) => {
          group.setPointerCapture(event.pointerId);
          group.focus({ preventScroll: true });
          byPointer(index, event);
        },
        onpointermove: (event) => {
          if (group.hasPointerCapture(event.pointerId)) byPointer(index, event);
        },
      });
    }
    return { group, ...parts };
  }

  // values; maximum: the value of a full bar; window: [first, last] to shade, or null; channel: the
  // one to mark; texts: numbers above the bars, default the values; height, width, left: in pixels;
  // labels: whether channels are numbered; describe(index): what a screen reader hears.
  function update(next) {
    view = { ...view, ...next };
    const { values, maximum, window, channel, texts, height, width, left = 0, labels, describe } = view;
    if (!width) return;
    if (bars.length !== values.length) {
      bars = values.map((_, index) => makeBar(index));
      columns.replaceChildren(...bars.map((bar) => bar.group));
    }
    const pitch = (width - left) / values.length;
    const base = NUMBER_ROOM + height;
    const total = base + (labels ? LABEL_ROOM : 4);
    set(element, { width, height: total });
    set(baseline, { x1: left, x2: width, y1: base, y2: base });
    band.style.display = window ? "" : "none";
    if (window) {
      const [first, last] = window;
      set(band, { x: left + first * pitch, width: (last - first + 1) * pitch, y: 0, height: total });
    }
    bars.forEach(({ group, hit, bar, grip, number: text, label }, i) => {
      const tall = Math.max(0, Math.min(1, values[i] / maximum)) * height || 0;
      const x = left + i * pitch;
      const middle = x + pitch / 2;
      group.classList.toggle("alexnet-marked", i === channel);
      set(hit, { x, width: pitch, y: 0, height: total });
      set(bar, { x: x + 0.14 * pitch, width: 0.72 * pitch, y: base - tall, height: tall, rx: 2 });
      if (grip) set(grip, { x: middle - 8, width: 16, y: base - tall + 4, height: 3, rx: 1.5 });
      const written = texts ? texts[i] : number(values[i]);
      set(text, { x: middle, y: base - tall - 6, class: numberClass(written, pitch, i === channel) });
      say(text, written);
      label.style.display = labels ? "" : "none";
      set(label, { x: middle, y: base + 15 });
      say(label, String(i));
      if (changed) {
        set(group, {
          "aria-label": `channel ${i}`, "aria-valuemin": 0, "aria-valuemax": maximum,
          "aria-valuenow": values[i], "aria-valuetext": describe ? describe(i) : number(values[i]),
        });
      }
    });
    if (!changed) set(element, { role: "img", "aria-label": next.alt ?? "" });
  }
  return { element, update };
}
