// AlexNet's stages from the picture to the answer: the arithmetic of shapes.walk, for the paper's
// network. What follows a stage's ReLU belongs to the stage; flatten and dropout move no numbers.

// channels: over both towers. groups 2: each tower reads its own. both: reads both towers.
export const STAGES = [
  { name: "input", kind: "input", layer: 0, channels: 3, side: 227 },
  { name: "conv1", kind: "conv", layer: 1, channels: 96, kernel: 11, stride: 4, padding: 0, groups: 1 },
  { name: "lrn1", kind: "lrn", layer: 1 },
  { name: "pool1", kind: "pool", layer: 1, kernel: 3, stride: 2, padding: 0 },
  { name: "conv2", kind: "conv", layer: 2, channels: 256, kernel: 5, stride: 1, padding: 2, groups: 2 },
  { name: "lrn2", kind: "lrn", layer: 2 },
  { name: "pool2", kind: "pool", layer: 2, kernel: 3, stride: 2, padding: 0 },
  { name: "conv3", kind: "conv", layer: 3, channels: 384, kernel: 3, stride: 1, padding: 1, groups: 1, both: true },
  { name: "conv4", kind: "conv", layer: 4, channels: 384, kernel: 3, stride: 1, padding: 1, groups: 2 },
  { name: "conv5", kind: "conv", layer: 5, channels: 256, kernel: 3, stride: 1, padding: 1, groups: 2 },
  { name: "pool5", kind: "pool", layer: 5, kernel: 3, stride: 2, padding: 0 },
  { name: "fc6", kind: "fc", layer: 6, channels: 4096, both: true },
  { name: "fc7", kind: "fc", layer: 7, channels: 4096, both: true },
  { name: "fc8", kind: "fc", layer: 8, channels: 1000, both: true },
];
export const NAMES = STAGES.map(({ name }) => name);
// The maps that the article's figure shows: after a convolution, or after its LRN.
export const DRAWN = ["input", "lrn1", "lrn2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"];
const BYTES = 4; // of a float32

// One row a stage, of one picture. side: 1 for vectors. reads: { channels, side } before it.
// towers: in how many halves it lies. field, jump, start: pixels of the picture that one number
// reads, the step between neighbours, where the first begins; field 0: it reads everything.
export function stageRows() {
  let [channels, side, field, jump, start] = [STAGES[0].channels, STAGES[0].side, 1, 1, 0];
  return STAGES.map((stage) => {
    const reads = { channels, side };
    let [weights, biases] = [0, 0];
    if (stage.kind === "conv" || stage.kind === "pool") {
      side = Math.floor((side + 2 * stage.padding - stage.kernel) / stage.stride) + 1;
      start -= stage.padding * jump;
      field += (stage.kernel - 1) * jump;
      jump *= stage.stride;
    }
    if (stage.kind === "conv") [weights, biases] = [stage.channels * (channels / stage.groups) * stage.kernel ** 2, stage.channels];
    if (stage.kind === "fc") {
      [weights, biases] = [stage.channels * channels * side ** 2, stage.channels];
      [side, field, jump, start] = [1, 0, 0, 0];
    }
    channels = stage.channels ?? channels;
    return {
      ...stage, channels, side, reads, field, jump, start,
      towers: stage.kind === "input" || stage.name === NAMES.at(-1) ? 1 : 2,
      perOutput: biases ? weights / biases : 0, // weights behind one output
      parameters: weights + biases, macs: weights * side ** 2,
      bytes: stage.kind === "input" ? 0 : BYTES * channels * side ** 2, // of what it puts out
    };
  });
}

export const COSTS = ["parameters", "macs", "bytes"];

// Sums over all stages, by cost.
export function totals(rows) {
  return Object.fromEntries(COSTS.map((cost) => [cost, rows.reduce((sum, row) => sum + row[cost], 0)]));
}

// The part of the picture that the number at [row, column] of a stage's maps reads, cut at the
// picture's edge: { top, left, height, width }, pixels.
export function fieldOf({ field, jump, start }, row, column, picture = STAGES[0].side) {
  if (!field) return { top: 0, left: 0, height: picture, width: picture };
  const span = (at) => [Math.max(0, start + at * jump), Math.min(picture, start + at * jump + field)];
  const [[top, bottom], [left, right]] = [span(row), span(column)];
  return { top, left, height: bottom - top, width: right - left };
}
