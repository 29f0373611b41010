// What the two-tower lab says in words; towers.js has the numbers.

import { thousands } from "./toolkit.js";
import { wholeTrouble } from "./typed.js";

// Bytes in the unit that suits them, of thousands: 234,496 B, 30.0 MB, 1.46 GB.
export function amount(bytes) {
  if (bytes < 1e6) return `${thousands(bytes)} B`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

// The sentence below the network.
export function sentences(setting, totals) {
  const { towers, batch } = setting;
  if (towers === 1) return `All on GPU 0, nothing crosses. It holds ${amount(memory(totals, 0))} with batch ${batch}.`;
  const said = totals.crossing
    ? `For each picture ${thousands(totals.crossing)} bytes cross forward, and as many backward: ${amount(totals.step)} a step with batch ${batch}.`
    : `Nothing crosses, whatever the batch (now ${batch}).`;
  if (setting.both.length === 0) return `${said} The towers never meet: fc8 reads GPU 0 alone, and nobody reads what GPU 1 computes.`;
  const unread = setting.both.includes("fc8") ? "" : " fc8 reads GPU 0 alone: nobody reads GPU 1's fc7.";
  return `${said}${unread}`;
}

// What one GPU holds in training.
export function memory({ learned, outputs, lent }, gpu) {
  return learned[gpu] + outputs[gpu] + lent[gpu];
}

// What a switch says to a screen reader, and what stands on it.
export function switchLabel({ name, readsBoth, received }) {
  if (!readsBoth) return `${name} reads its own tower`;
  return `${name} reads both towers; ${thousands(received[0] + received[1])} bytes cross for each picture`;
}

// Why the text typed into the batch's box can't be taken, or "".
export function batchTrouble(text, { min, max }) {
  return wholeTrouble(text, {
    min, max, rule: `a batch goes from ${min} to ${max} here`, counts: "pictures", small: ": a step needs a picture",
  });
}
