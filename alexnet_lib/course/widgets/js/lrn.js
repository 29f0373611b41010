// Local response normalization in every convention: y = x * (k + c * S) ** -beta, with S the sum
// of squares over a window of channels. The same numbers as ops.local_response_norm.

// divides: whether c is alpha / size. reach: size -> channels [behind, ahead] of the one
// normalized. names: what each convention calls its constants.
export const CONVENTIONS = {
  paper: {
    title: "the paper", divides: false, reach: (n) => [Math.floor(n / 2), Math.floor(n / 2)],
    names: { size: "n", k: "k", alpha: "α", beta: "β" }, window: "n/2 to either side",
  },
  seed: {
    title: "the article", divides: true, reach: (r) => [Math.floor(r / 2), Math.floor(r / 2)],
    names: { size: "r", k: "κ", alpha: "α", beta: "β" }, window: "r/2 to either side",
  },
  source2012: {
    title: "the 2012 source", divides: true, reach: leansBack,
    names: { size: "size", k: "minDiv", alpha: "scale", beta: "pow" },
    window: "size channels, an even size leans back",
  },
  pytorch: {
    title: "PyTorch", divides: true, reach: leansBack,
    names: { size: "size", k: "k", alpha: "alpha", beta: "beta" },
    window: "size channels, an even size leans back",
  },
  caffe: {
    title: "Caffe", divides: true, reach: leansAhead, oddOnly: true,
    names: { size: "local_size", k: "k", alpha: "alpha", beta: "beta" },
    window: "local_size channels, odd sizes only",
  },
  tensorflow: {
    title: "TensorFlow", divides: false, reach: (radius) => [radius, radius],
    names: { size: "depth_radius", k: "bias", alpha: "alpha", beta: "beta" },
    window: "depth_radius to either side",
  },
  cudnn: {
    title: "cuDNN", divides: true, reach: leansAhead, leastK: 1e-5,
    names: { size: "lrnN", k: "lrnK", alpha: "lrnAlpha", beta: "lrnBeta" },
    window: "lrnN channels, an even lrnN leans ahead",
  },
  onnx: {
    title: "ONNX", divides: true, reach: leansAhead,
    names: { size: "size", k: "bias", alpha: "alpha", beta: "beta" },
    window: "size channels, an even size leans ahead",
  },
};

function leansBack(n) {
  return [Math.floor(n / 2), n - 1 - Math.floor(n / 2)];
}

function leansAhead(n) {
  return [Math.floor((n - 1) / 2), n - 1 - Math.floor((n - 1) / 2)];
}

// What a convention refuses, as a sentence; "" where it takes these constants.
export function refusal({ convention, size, k }) {
  const rule = CONVENTIONS[convention];
  if (!rule) return `There is no convention called ${convention}.`;
  if (!Number.isInteger(size) || size < 1) {
    return `A window spans a whole number of channels, 1 or more, not ${size}.`;
  }
  if (rule.oddOnly && size % 2 === 0) return `Caffe takes odd sizes only, such as ${size + 1}.`;
  if (rule.leastK && k < rule.leastK) return "cuDNN wants k of at least 1e-5.";
  return "";
}

// One row of channels, everything that a picture of it needs. For each channel: outputs; divisors,
// (k + c * S) ** beta; sums, S; windows, [first, last] channel; undefined, whether it's 0/0.
export function normalize(values, constants) {
  const refused = refusal(constants);
  if (refused) throw new Error(refused);
  const { convention, size, alpha, beta, k } = constants;
  const rule = CONVENTIONS[convention];
  const [behind, ahead] = rule.reach(size);
  const c = rule.divides ? alpha / size : alpha;
  const result = { c, behind, ahead, outputs: [], divisors: [], sums: [], windows: [], undefined: [] };
  values.forEach((value, i) => {
    const first = Math.max(0, i - behind);
    const last = Math.min(values.length - 1, i + ahead);
    let sum = 0;
    for (let j = first; j <= last; j += 1) sum += values[j] * values[j];
    const base = k + c * sum;
    result.windows.push([first, last]);
    result.sums.push(sum);
    result.divisors.push(base ** beta);
    result.undefined.push(base === 0);
    result.outputs.push(base === 0 ? 0 : value / base ** beta); // 0/0 counts as 0
  });
  return result;
}

export function lrn(values, constants) {
  return normalize(values, constants).outputs;
}
