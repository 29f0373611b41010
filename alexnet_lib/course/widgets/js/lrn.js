// Local response normalization in every convention: y = x * (k + c * S) ** -beta, with S the sum
// of squares over a window of channels. The same numbers as ops.local_response_norm.

// CONVENTIONS comes from Python, as data: name -> title; divides, whether c is alpha / size; reach,
// for each size from 1 the channels [behind, ahead] of the one normalized; names, what it calls its
// constants; window in words; oddOnly; leastK.

// What a convention refuses, as a sentence; "" where it takes these constants.
export function refusal({ convention, size, k }) {
  const rule = CONVENTIONS[convention];
  if (!rule) return `There is no convention called ${convention}.`;
  if (!Number.isInteger(size) || size < 1) {
    return `A window spans a whole number of channels, 1 or more, not ${size}.`;
  }
  if (size > rule.reach.length) return `A window spans at most ${rule.reach.length} channels here.`;
  if (rule.oddOnly && size % 2 === 0) return `${rule.title} takes odd sizes only, such as ${size + 1}.`;
  if (rule.leastK && k < rule.leastK) return `${rule.title} wants k of at least ${rule.leastK.toExponential()}.`;
  return "";
}

// One row of channels, everything that a picture of it needs. For each channel: outputs; divisors,
// (k + c * S) ** beta; sums, S; windows, [first, last] channel; undefined, whether it's 0/0.
export function normalize(values, constants) {
  const refused = refusal(constants);
  if (refused) throw new Error(refused);
  const { convention, size, alpha, beta, k } = constants;
  const rule = CONVENTIONS[convention];
  const [behind, ahead] = rule.reach[size - 1];
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
