// Where windows stop on a picture, and what is left: the arithmetic of alexnet_lib/shapes.py.
// A setting is { size, kernel, stride, padding, rounding }, in pixels; rounding: "floor" or "ceil".

const NAMES = { size: "the picture", kernel: "the window", stride: "the stride", padding: "the padding" };

// Why these numbers give no map at all, or "".
export function refusal(setting) {
  for (const [name, title] of Object.entries(NAMES)) {
    const value = setting[name];
    const least = name === "padding" ? 0 : 1;
    if (!Number.isInteger(value)) return `${title} is ${value}; it counts pixels, so it has to be a whole number.`;
    if (value < least) return `${title} is ${value}; it must be at least ${least}.`;
  }
  const { size, kernel, padding } = setting;
  const room = size + 2 * padding;
  if (kernel <= room) return "";
  const around = padding ? ` with its zeros, ${room} pixels in all` : "";
  return `a window of ${kernel} doesn't fit into a picture of ${size}${around}: it can't stand anywhere.`;
}

// One side of the map and what lies at the far end, for a setting that isn't refused.
// exact: stops before rounding. outputs: stops. dropped: a stop that rounding up would add though
// it starts beyond the picture. rest: pixels of the padded picture behind the last window (of
// these, `unread` belong to the picture), or, below 0, zeros that it reads beyond.
export function stops({ size, kernel, stride, padding, rounding }) {
  const room = size + 2 * padding - kernel;
  const exact = room / stride + 1;
  let outputs = rounding === "ceil" ? Math.ceil(room / stride) + 1 : Math.floor(room / stride) + 1;
  const dropped = rounding === "ceil" && (outputs - 1) * stride >= size + padding;
  if (dropped) outputs -= 1;
  const rest = size + 2 * padding - ((outputs - 1) * stride + kernel);
  return { exact, outputs, dropped, rest, unread: Math.max(0, rest - padding), beyond: Math.max(0, -rest) };
}

// First and last pixel that the window at one stop reads; below 0 and from `size` on there are zeros.
export function span(stop, { kernel, stride, padding }) {
  const first = stop * stride - padding;
  return [first, first + kernel - 1];
}

// The stages between conv1 and fc6, AlexNet's in every version: name, window, stride, padding.
export const LATER = [
  ["pool1", 3, 2, 0], ["conv2", 5, 1, 2], ["pool2", 3, 2, 0], ["conv3", 3, 1, 1], ["conv4", 3, 1, 1],
  ["conv5", 3, 1, 1], ["pool5", 3, 2, 0],
];
export const LAST_CHANNELS = 256;
export const HIDDEN = 4096;

// What becomes of a map on its way to fc6. pools: how pooling rounds. Returns { sides: [[name,
// side], ...], inputs, parameters } of fc6; or, where a window stops fitting, { sides, stuck: name }.
export function chain(side, pools) {
  const sides = [["conv1", side]];
  for (const [name, kernel, stride, padding] of LATER) {
    const setting = { size: sides.at(-1)[1], kernel, stride, padding, rounding: name.startsWith("pool") ? pools : "floor" };
    if (refusal(setting)) return { sides, stuck: name };
    sides.push([name, stops(setting).outputs]);
  }
  const inputs = sides.at(-1)[1] ** 2 * LAST_CHANNELS;
  return { sides, inputs, parameters: (inputs + 1) * HIDDEN };
}

// The map of one filter, for the picture of the lab: the window's right half minus its left half,
// as means (a window of 1: the pixel itself). pixels: size * size numbers, with 0 for the zeros
// around them. Sums over rectangles come from a table of sums, so that every size is fast.
export function edgeMap(pixels, setting) {
  const { size, kernel } = setting;
  const { outputs } = stops(setting);
  const table = new Float64Array((size + 1) * (size + 1));
  for (let y = 0; y < size; y += 1) {
    let row = 0;
    for (let x = 0; x < size; x += 1) {
      row += pixels[y * size + x];
      table[(y + 1) * (size + 1) + x + 1] = table[y * (size + 1) + x + 1] + row;
    }
  }
  const inside = (value) => Math.min(size, Math.max(0, value));
  const half = Math.max(1, Math.floor(kernel / 2));
  const map = new Float64Array(outputs * outputs);
  for (let i = 0; i < outputs; i += 1) {
    const first = span(i, setting)[0];
    const [top, bottom] = [inside(first) * (size + 1), inside(first + kernel) * (size + 1)];
    const columns = (from, to) => {
      const [left, right] = [inside(from), inside(to)];
      return table[bottom + right] - table[top + right] - table[bottom + left] + table[top + left];
    };
    for (let j = 0; j < outputs; j += 1) {
      const left = j * setting.stride - setting.padding;
      const bright = columns(left + kernel - half, left + kernel);
      map[i * outputs + j] = (kernel === 1 ? bright : bright - columns(left, left + half)) / (half * kernel);
    }
  }
  return map;
}

// The same with sums in place of means, for a picture of whole numbers: whole numbers again.
export function edgeSums(pixels, setting) {
  const cells = Math.max(1, Math.floor(setting.kernel / 2)) * setting.kernel;
  return Array.from(edgeMap(pixels, setting), (mean) => Math.round(mean * cells));
}
