// What the two-tower lab says in words; towers.js has the numbers.

export function thousands(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

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
  const typed = text.trim();
  const value = Number(typed.replace(",", ".").replace("−", "-"));
  const limits = `a batch goes from ${min} to ${max} here`;
  if (typed === "") return `The box is empty. Type a whole number; ${limits}.`;
  if (!Number.isFinite(value)) return `“${typed.slice(0, 20)}” is not a number. Type digits only; ${limits}.`;
  if (value < 0) return `${typed} is negative. It counts pictures; ${limits}.`;
  if (!Number.isInteger(value)) return `${typed} is not a whole number. There are no parts of pictures; ${limits}.`;
  if (value < min) return `${typed} is too small: a step needs a picture; ${limits}.`;
  return value > max ? `${typed} is too large; ${limits}.` : "";
}
