// What the output-size lab says in words; sizes.js has the numbers.

import { HIDDEN, LAST_CHANNELS, span } from "./sizes.js";
import { thousands, typedNumber } from "./toolkit.js";
import { wholeTrouble } from "./typed.js";

export const PAPERS_INPUTS = 9216; // numbers that fc6 reads in the paper: 6 * 6 * 256

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

// (224 + 2·2 − 11) / 4 + 1 = 55.25, rounded down 55.
export function arithmetic({ size, kernel, stride, padding, rounding }, { exact, outputs, dropped }) {
  const zeros = padding ? ` + 2·${padding}` : "";
  const start = `(${size}${zeros} − ${kernel}) / ${stride} + 1 = ${Number(exact.toFixed(3))}`;
  const least = dropped ? `, rounded up ${outputs + 1}, less 1` : `, rounded ${rounding === "ceil" ? "up" : "down"} ${outputs}`;
  return exact === outputs ? start : `${start}${least}`;
}

// The sentence below the pictures.
export function sentences(setting, result) {
  const { kernel, stride, padding } = setting;
  const { outputs, dropped, rest, unread, beyond } = result;
  const said = [`${arithmetic(setting, result)}: the map is ${outputs} × ${outputs}.`];
  if (outputs === 1) said.push("There is room for one window only.");
  const edge = padding ? "the last zeros" : "the edge";
  if (beyond) {
    said.push(`The last windows reach ${plural(beyond, "pixel")} beyond ${edge} and read zeros there, on the right and at the bottom.`);
  } else if (unread) {
    const behind = rest - unread === 1 ? ", nor is the zero behind them" : `, nor are the ${rest - unread} zeros behind them`;
    const zeros = rest > unread ? behind : "";
    said.push(`${plural(unread, "column")} on the right and ${plural(unread, "row")} at the bottom are never read${zeros}.`);
  } else if (rest) {
    said.push(`The picture is read to its edge; ${rest === 1 ? "the last zero behind it is" : `the last ${rest} zeros behind it are`} not.`);
  } else said.push("The last window ends exactly at the edge.");
  if (stride > kernel && outputs > 1) {
    said.push(`The stride is larger than the window: between two windows ${plural(stride - kernel, "column")} and as many rows are skipped.`);
  }
  if (dropped) said.push("One more window would start beyond the picture and read nothing but zeros; it is left out.");
  if (padding >= kernel) said.push("The padding is as wide as the window: the first windows read nothing but zeros.");
  return said.join(" ");
}

function range(stop, setting, what) {
  const [first, last] = span(stop, setting);
  const zeros = Math.min(setting.kernel, Math.max(0, -first) + Math.max(0, last - setting.size + 1));
  const note = zeros ? ` (${zeros} of them zero)` : "";
  const written = [first, last].map((value) => String(value).replace("-", "−"));
  return first === last ? `${what} ${written[0]}${note}` : `${what}s ${written.join(" to ")}${note}`;
}

// What the marked window reads.
export function reading(setting, row, column) {
  return `The window at row ${row}, column ${column} of the map reads ${range(row, setting, "row")} and `
    + `${range(column, setting, "column")} of the picture.`;
}

// What the filter of this width does, as the map's note.
export function filterNote(kernel) {
  if (kernel === 1) return "a window of 1: the pixel itself";
  const part = kernel < 4 ? "column" : "half";
  return `right ${part} minus left ${part}; grey is 0`;
}

// What comes of a map's side further on: the numbers that fc6 reads, and its weights.
export function consequence({ sides, stuck, inputs, parameters }) {
  const side = sides.at(-1)[1];
  if (stuck) return `Here AlexNet ends: the window of ${stuck} doesn't fit into ${side} × ${side} any more.`;
  const said = `fc6 reads ${side} · ${side} · ${LAST_CHANNELS} = ${thousands(inputs)} numbers into ${thousands(HIDDEN)}: `
    + `${thousands(parameters)} weights and biases.`;
  if (inputs !== PAPERS_INPUTS) return `${said} In the paper it reads ${thousands(PAPERS_INPUTS)}.`;
  const first = sides[0][1];
  return first === 55 ? `${said} As in the paper.`
    : `${said} As in the paper, although conv1 gives ${first} and not 55: a hidden mistake.`;
}

// Why the text typed into a slider's box can't be taken, or "".
export function trouble(text, { label, min, max }) {
  if (label === "stride" && typedNumber(text) === 0) return "With a stride of 0 the window would never move on. Take 1 or more.";
  const small = typedNumber(text) === 0 ? ": there would be nothing to read" : "";
  return wholeTrouble(text, { min, max, rule: `${label} goes from ${min} to ${max}`, counts: "pixels", small });
}
