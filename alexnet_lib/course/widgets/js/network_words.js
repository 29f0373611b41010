// What the network map says in words; network.js has the numbers.

import { thousands } from "./toolkit.js";

const TITLES = {
  input: "the picture", conv: "convolution and ReLU", lrn: "local response normalization",
  pool: "overlapping max-pooling", fc: "fully connected, ReLU",
};

// "55 × 55 × 48" or "2,048": what lies in one tower.
export function sizeWords({ channels, side, towers }) {
  const here = thousands(channels / towers);
  return side > 1 ? `${side} × ${side} × ${here}` : here;
}

export function title({ name, kind }) {
  return name === "fc8" ? "fully connected, softmax" : TITLES[kind];
}

// A share as one reads it: 61.9%, 0.06%, none.
export function percent(share) {
  if (share === 0) return "none";
  return share >= 0.1 ? `${(100 * share).toFixed(1)}%` : `${Number((100 * share).toPrecision(2))}%`;
}

// 1.16 MB, 16.4 kB.
export function amount(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(2)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}

// The stage's arithmetic, line by line: [what, formula, result].
export function arithmetic(row) {
  const { kind, kernel, stride, padding, channels, side, reads, perOutput } = row;
  const lines = [];
  const area = side > 1 ? `${side} × ${side} × ` : "";
  if (kind === "conv" || kind === "pool") {
    const padded = padding ? `${reads.side} + 2 · ${padding}` : `${reads.side}`;
    lines.push(["side", `(${padded} − ${kernel}) / ${stride} + 1`, String(side)]);
  }
  if (kind === "conv" || kind === "fc") {
    const window = kind === "conv" ? `${kernel} × ${kernel} × ${perOutput / kernel ** 2}`
      : reads.side > 1 ? `${reads.side} × ${reads.side} × ${reads.channels}` : thousands(reads.channels);
    const unit = kind === "conv" ? "kernels" : "units";
    lines.push(["parameters", `${thousands(channels)} ${unit} × (${window} weights + 1 bias)`, thousands(row.parameters)]);
    lines.push(["MACs", `${area}${thousands(channels)} outputs × ${thousands(perOutput)} weights`, thousands(row.macs)]);
  }
  const numbers = `${area}${thousands(channels)} numbers`;
  if (kind === "input") lines.push(["numbers", numbers, thousands(channels * side ** 2)]);
  else lines.push(["bytes", `${numbers} × 4`, thousands(row.bytes)]);
  return lines;
}

// What one number of a stage's maps reads of the picture.
export function reading({ field, kind }) {
  if (kind === "input") return "The picture, cut square and scaled to 227 × 227. The mean is subtracted from it.";
  if (!field) return "Each number here reads the whole picture.";
  return `One number of a map reads ${field} × ${field} pixels of the picture: the frame. Click on a map, or use the arrow keys here.`;
}

// The sentence below the drawing. picture: { label, alive, answers }; sums: of network.js's totals.
export function sentence(row, sums, picture) {
  const where = row.towers === 2 ? "in each tower" : row.name === "fc8" ? "on GPU 0 alone" : "for both towers";
  const shares = row.kind === "input" ? "Costs are counted from conv1 on." : `It has ${percent(row.parameters / sums.parameters)} of the parameters, ${percent(row.macs / sums.macs)} of the MACs, `
    + `${percent(row.bytes / sums.bytes)} of the memory.`;
  return `${row.name}, ${title(row)}: ${sizeWords(row)} ${where}. ${shares} ${seen(row, picture)}`;
}

// What a picture looks like at a stage.
export function seen(row, { label, alive, answers }) {
  if (row.name === "input") return `Shown: ${label}.`;
  if (row.name === "fc8") {
    const [name, chance] = answers[0];
    return `On “${label}” our network says ${name}, ${percent(chance)}.`;
  }
  return `On “${label}” ${percent(alive[row.name])} of the numbers are above zero.`;
}

// Why a file isn't sent to Python, "" if it is. limit: bytes.
export function fileTrouble({ name, size }, limit) {
  if (size === 0) return `${name} is empty: 0 bytes. The picture stays as it was.`;
  if (size > limit) {
    return `${name} has ${amount(size)}, and this browser can't make it smaller; up to ${amount(limit)} can be sent. `
      + "Save it smaller and drop it again. The picture stays as it was.";
  }
  return "";
}
