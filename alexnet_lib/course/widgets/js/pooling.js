// Pooling over one map, and everything that a picture of it needs: which pixel wins which window,
// how many windows each pixel is in. The same numbers as ops.max_pool2d and ops.average_pool2d.

// A map is { height, width, values }, row by row.

// What can't be pooled, as a sentence; "" where it can. what: "window" or "stride" named first.
export function refusal(map, { kernel, stride }) {
  return sizeProblem("window", kernel, map) || sizeProblem("stride", stride, map);
}

// Why a window or a stride of this many pixels makes no sense on this map; "" if it does.
export function sizeProblem(name, value, { height, width }) {
  const side = Math.min(height, width);
  const advice = `Give a whole number from 1 to ${side}.`;
  if (!Number.isFinite(value)) return `The ${name} needs a number. ${advice}`;
  if (value < 0) return `The ${name} can't be negative: ${value} pixels. ${advice}`;
  if (value === 0 && name === "window") return `A window of 0 pixels holds nothing to choose from. ${advice}`;
  if (value === 0) return `A stride of 0 never leaves the first place. ${advice}`;
  if (!Number.isInteger(value)) return `Pixels come whole: the ${name} can't be ${value}. ${advice}`;
  if (value > side && name === "window") return `A window of ${value} doesn't fit on a map of ${height} × ${width}. ${advice}`;
  if (value > side) return `A stride of ${value} leaves a map of ${height} × ${width} at the first step. ${advice}`;
  return "";
}

// How many windows fit along a side; the last one never sticks out (floor).
export function places(side, kernel, stride) {
  return Math.floor((side - kernel) / stride) + 1;
}

// How many windows hold each pixel along a side.
export function votesAlong(side, kernel, stride) {
  const votes = new Array(side).fill(0);
  for (let start = 0; start + kernel <= side; start += stride) {
    for (let i = start; i < start + kernel; i += 1) votes[i] += 1;
  }
  return votes;
}

// Pool a map. Returns height and width of the output; outputs; winners, the index of the input
// that a maximum takes (the first of equals, as in torch; -1 for an average and where all are
// equal); votes, how many windows each pixel is in; wins, how many of them it wins.
export function pool(map, { kernel, stride, kind }) {
  const refused = refusal(map, { kernel, stride });
  if (refused) throw new Error(refused);
  const { height: H, width: W, values } = map;
  const height = places(H, kernel, stride);
  const width = places(W, kernel, stride);
  const outputs = new Array(height * width);
  const winners = new Array(height * width).fill(-1);
  const wins = new Array(H * W).fill(0);
  for (let i = 0; i < height; i += 1) {
    for (let j = 0; j < width; j += 1) {
      let best = i * stride * W + j * stride;
      let least = values[best];
      let sum = 0;
      for (let r = i * stride; r < i * stride + kernel; r += 1) {
        for (let c = j * stride; c < j * stride + kernel; c += 1) {
          const at = r * W + c;
          sum += values[at];
          if (values[at] > values[best]) best = at;
          if (values[at] < least) least = values[at];
        }
      }
      const place = i * width + j;
      if (kind === "average") {
        outputs[place] = sum / (kernel * kernel);
        continue;
      }
      outputs[place] = values[best];
      if (values[best] > least || kernel === 1) {
        winners[place] = best;
        wins[best] += 1;
      }
    }
  }
  const down = votesAlong(H, kernel, stride);
  const across = votesAlong(W, kernel, stride);
  const votes = down.flatMap((one) => across.map((other) => one * other));
  return { height, width, outputs, winners, votes, wins };
}

// The map moved to the right; what leaves on the right comes back on the left (torch.roll).
export function moved({ height, width, values }, shift) {
  const back = ((shift % width) + width) % width;
  return { height, width, values: values.map((_, at) => {
    const column = at % width;
    return values[at - column + ((column - back + width) % width)];
  }) };
}

// How far two lists of numbers are apart: the share that differ, and the sum of the differences
// over the sum of the first list's sizes.
export function change(before, after) {
  let differ = 0;
  let apart = 0;
  let whole = 0;
  before.forEach((value, i) => {
    if (Math.abs(value - after[i]) > 1e-9) differ += 1;
    apart += Math.abs(value - after[i]);
    whole += Math.abs(value);
  });
  return { differ, count: before.length, share: whole ? apart / whole : 0 };
}
