// What each of two GPUs holds and what crosses between them: the arithmetic of shapes.tower_rows,
// for AlexNet's stages with any widths.

// kernel: the window's side; a fully connected layer's window covers its whole input. side: of its
// map. kept: sides of the maps behind it, LRN's and pooling's.
export const LAYERS = [
  { name: "conv1", kernel: 11, side: 55, kept: [55, 27] },
  { name: "conv2", kernel: 5, side: 27, kept: [27, 13] },
  { name: "conv3", kernel: 3, side: 13, kept: [] },
  { name: "conv4", kernel: 3, side: 13, kept: [] },
  { name: "conv5", kernel: 3, side: 13, kept: [6] },
  { name: "fc6", kernel: 6, side: 1, kept: [] },
  { name: "fc7", kernel: 1, side: 1, kept: [] },
  { name: "fc8", kernel: 1, side: 1, kept: [] },
];
export const IMAGE = { channels: 3, side: 227 };
const BYTES = 4; // of a float32

// One row a layer; pairs are [GPU 0, GPU 1]. widths: channels of each layer, over both towers.
// both: names of the layers that read both towers. towers: 2, or 1 with everything on GPU 0.
// bytes: of outputs for one image; received: what comes from the other GPU for one image, forward.
export function towerRows({ widths, both, towers }) {
  let { channels, side } = IMAGE;
  return LAYERS.map(({ name, kernel, side: outSide, kept }, i) => {
    const [first, last] = [i === 0, i === LAYERS.length - 1];
    const readsBoth = !first && towers === 2 && both.includes(name);
    const spread = towers === 1 || last ? 1 : 2;
    const inputs = (kernel ** 2 * channels) / (towers === 1 || first || readsBoth ? 1 : 2);
    const outputs = widths[i] / spread;
    const area = [outSide, ...kept].reduce((sum, each) => sum + each ** 2, 0);
    const image = first ? channels * side ** 2 : 0;
    const idle = towers === 1 || last;
    const pair = (value) => [value, idle ? 0 : value];
    const crosses = readsBoth ? (BYTES * channels * side ** 2) / 2 : 0;
    const row = {
      name, readsBoth, outputs, side: outSide,
      parameters: pair(outputs * (inputs + 1)),
      macs: pair(outputs * outSide ** 2 * inputs),
      bytes: pair(BYTES * (outputs * area + image)),
      received: [crosses, last ? 0 : crosses],
    };
    channels = widths[i];
    side = kept.at(-1) ?? outSide;
    return row;
  });
}

// Sums over the layers, pairs again, and the memory that training with a batch takes: weights,
// momentum and gradients; outputs; what the other GPU lent. crossing: bytes for one image, forward;
// sent: how many of them each GPU sends.
export function towerTotals(rows, batch) {
  const sum = (name) => [0, 1].map((gpu) => rows.reduce((total, row) => total + row[name][gpu], 0));
  const [parameters, macs, bytes, received] = ["parameters", "macs", "bytes", "received"].map(sum);
  const crossing = received[0] + received[1];
  return {
    parameters, macs, crossing, step: 2 * batch * crossing, sent: [received[1], received[0]],
    learned: parameters.map((count) => 3 * BYTES * count),
    outputs: bytes.map((count) => batch * count),
    lent: received.map((count) => batch * count),
  };
}
