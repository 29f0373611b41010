// The LRN lab: ten channels at one position, before and after, with every constant to turn.

import { barRow, numberClass } from "./bars.js";
import { normalize, refusal } from "./lrn.js";
import { choice, draw, followWidth, frame, make, number, presets, sayRaised, set, share, slider, summary } from "./toolkit.js";

const STATE = ["values", "convention", "size", "k", "alpha", "beta", "channel", "maximum"];

// What happened, in words: the marked channel, its neighbours, the far ones, the ends, 0/0.
export function sentences(values, result, channel) {
  const { outputs, divisors, undefined: empty, behind, ahead } = result;
  const last = values.length - 1;
  const mine = outputs[channel];
  const said = [];
  if (empty[channel]) {
    said.push(`Channel ${channel} is 0 and so is its whole window: 0/0, which counts as 0 here.`);
  } else {
    const how = divisors[channel] < 1
      ? `grows, divided by ${number(divisors[channel])}, to` : `is divided by ${number(divisors[channel])} and becomes`;
    const start = `The ${number(values[channel])} in channel ${channel} ${how} ${number(mine)}`;
    const beside = [channel - 1, channel + 1].filter((i) => i >= 0 && i <= last);
    const far = values.map((_, i) => i).filter(
      (i) => i - behind >= 0 && i + ahead <= last && (i < channel - ahead || i > channel + behind) && !beside.includes(i),
    );
    const parts = [compare(mine, beside.map((i) => outputs[i]), "its neighbours")];
    const usual = commonest(far.map((i) => values[i]));
    const others = far.filter((i) => values[i] === usual && !empty[i]).map((i) => outputs[i]);
    if (others.length) parts.push(compare(mine, others, `the other ${number(usual)}s`));
    said.push(`${start}: ${parts.filter(Boolean).join(", ")}.`);
    if (same(others) && others.length > 1 && usual === values[0] && usual === values[last] && !empty[0]) {
      const ends = [outputs[0], outputs[last]];
      const more = ends.filter((end) => end > others[0] * (1 + 1e-9)).length;
      if (more) {
        const which = more === 2 ? "Both ends have" : `The ${ends[0] > ends[1] ? "first" : "last"} has`;
        said.push(`${which} fewer neighbours, so ${more === 2 ? "they stay" : "it stays"} higher: ${number(Math.max(...ends))}.`);
      }
    }
  }
  const count = empty.filter(Boolean).length;
  const rest = empty[channel] ? count - 1 : count;
  if (rest) said.push(`${rest} ${empty[channel] ? "more " : ""}channel${rest > 1 ? "s" : ""} would be 0/0 and count${rest > 1 ? "" : "s"} as 0.`);
  return said.join(" ");
}

function same(list) {
  return list.every((value) => Math.abs(value - list[0]) <= 1e-9 * Math.abs(list[0]));
}

function commonest(list) {
  const times = (value) => list.filter((other) => other === value).length;
  return list.reduce((best, value) => (best === undefined || times(value) > times(best) ? value : best), undefined);
}

function compare(mine, others, whose) {
  if (!others.length) return "";
  const low = Math.min(...others);
  const high = Math.max(...others);
  const range = same(others) ? number(low) : `${number(low)} to ${number(high)}`;
  if (mine > high * (1 + 1e-9)) return `above ${whose} (${range})`;
  if (mine < low * (1 - 1e-9)) return `below ${whose} (${range})`;
  return same(others) ? `level with ${whose} (${range})` : `between ${whose} (${range})`;
}

// The marked channel's arithmetic with its numbers put in: 9 / (0 + 2/2 · (8² + 9² + 8²))^2 = ...
export function arithmetic(values, constants, result, channel) {
  const [first, last] = result.windows[channel];
  const squares = values.slice(first, last + 1).map((value) => `${number(value)}²`);
  const factor = CONVENTIONS[constants.convention].divides
    ? `${number(constants.alpha)}/${constants.size}` : number(constants.alpha);
  const base = constants.k + result.c * result.sums[channel];
  const sum = squares.length > 6 ? `${squares.slice(0, 2).join(" + ")} + … + ${squares.at(-1)}` : squares.join(" + ");
  const power = constants.beta === 1 ? "" : `^${number(constants.beta)}`;
  const end = result.undefined[channel] ? "0/0 → 0" : number(result.outputs[channel]);
  return `${number(values[channel])} / (${number(constants.k)} + ${factor} · (${sum}))${power}`
    + ` = ${number(values[channel])} / ${number(base)}${power} = ${end}`;
}

function formula({ divides, names }) {
  const c = divides ? `${names.alpha}/${names.size}` : names.alpha;
  return `y = x / (${names.k} + ${c} · Σ x²)^${names.beta}`;
}

function render({ model, el }) {
  const state = share(model, STATE, redraw);
  let width = 0;

  const before = barRow({
    meaning: "before",
    changed: (index, value) => state.set({ values: state.get().values.with(index, value) }),
    focused: (channel) => state.set({ channel }),
  });
  const after = barRow({ meaning: "after" });
  const factors = draw("svg", { class: "alexnet-factors", role: "presentation" });
  const line = make("p", { class: "alexnet-arithmetic" });
  const words = summary();
  const rows = [["before", "drag a bar, or use the arrow keys", before.element], ["divided by", "", factors],
    ["after", "", after.element]].map(([title, hint, drawing]) => make(
    "div", { class: "alexnet-row" },
    make("div", { class: "alexnet-row-title" }, make("strong", {}, title), make("small", {}, hint)), drawing,
  ));
  const chart = make("div", { class: "alexnet-chart" }, ...rows);
  const convention = choice({
    label: "convention",
    options: Object.entries(CONVENTIONS).map(([name, { title }]) => [name, title]),
    changed: (name) => {
      const { size } = state.get();
      state.set({ convention: name, size: CONVENTIONS[name].oddOnly ? size | 1 : size });
    },
  });
  const scale = choice({
    label: "bars up to",
    options: [...new Set([10, 100, 1000, model.get("maximum")])].map((top) => [top, String(top)]),
    changed: (text) => {
      const { values, maximum } = state.get();
      const maximumNow = Number(text);
      state.set({ maximum: maximumNow, values: values.map((v) => Number(((v * maximumNow) / maximum).toPrecision(6))) });
    },
  });
  const turn = (name) => (value) => state.set({ [name]: value });
  const dials = {
    size: slider({ role: "window", min: 1, max: 9, whole: true, changed: turn("size") }),
    k: slider({ role: "bias", min: 0, max: 4, step: 0.1, changed: turn("k") }),
    alpha: slider({ role: "factor", min: 1e-5, max: 10, scale: "log", changed: turn("alpha") }),
    beta: slider({ role: "power", min: 0, max: 3, step: 0.05, changed: turn("beta") }),
  };
  const rule = make("p", { class: "alexnet-rule" });
  const controls = make(
    "div", { class: "alexnet-dials" }, convention.element, scale.element, ...Object.values(dials).map((d) => d.element),
  );
  frame(el, "LRN lab", presets(model.get("presets"), state.set), chart, line, words.element, controls, rule);

  function redraw() {
    const now = state.get();
    const { values, maximum, convention: name } = now;
    const channel = Math.min(now.channel, values.length - 1);
    const { names, window, oddOnly } = CONVENTIONS[name] ?? CONVENTIONS.paper;
    convention.update(name);
    scale.update(String(maximum));
    dials.size.update({ value: now.size, label: names.size, step: oddOnly ? 2 : 1 });
    for (const constant of ["k", "alpha", "beta"]) dials[constant].update({ value: now[constant], label: names[constant] });
    sayRaised(rule, `${formula(CONVENTIONS[name] ?? CONVENTIONS.paper)}, Σ over a window of channels: ${window}.`);
    const layout = { width, height: 104, channel };
    const refused = refusal(now);
    if (refused) {
      before.update({ ...layout, values, maximum, window: null });
      after.update({ ...layout, values: values.map(() => 0), texts: values.map(() => "–"), maximum: 1, window: null });
      factors.replaceChildren();
      sayRaised(line, "");
      words.update(`${refused} Turn the slider back, or choose another convention.`, true);
      return;
    }
    const result = normalize(values, now);
    const span = result.windows[channel];
    before.update({
      ...layout, values, maximum, window: span,
      describe: (i) => `${number(values[i])}, becomes ${number(result.outputs[i])}`,
    });
    const texts = result.outputs.map((value, i) => (result.undefined[i] ? "0/0" : number(value)));
    after.update({
      ...layout, values: result.outputs, texts, window: span, labels: false,
      maximum: Math.max(...result.outputs) || 1, alt: `after: ${texts.join(", ")}`,
    });
    writeFactors(factors, result, channel, width);
    sayRaised(line, arithmetic(values, now, result, channel));
    words.update(sentences(values, result, channel));
  }

  const stop = followWidth(chart, (now) => {
    width = Math.max(200, now - (now > 560 ? 96 : 0));
    chart.classList.toggle("alexnet-narrow", now <= 560);
    redraw();
  });
  return () => {
    stop();
    state.close();
  };
}

function writeFactors(svg, { divisors, windows, undefined: empty }, channel, width) {
  const pitch = width / divisors.length;
  const [first, last] = windows[channel];
  set(svg, { width, height: 26 });
  const texts = divisors.map((divisor, i) => {
    const written = empty[i] ? "0" : number(divisor);
    return draw("text", { x: (i + 0.5) * pitch, y: 17, class: numberClass(written, pitch, i === channel) }, written);
  });
  const band = { class: "alexnet-band", x: first * pitch, y: 0, width: (last - first + 1) * pitch, height: 26 };
  svg.replaceChildren(draw("rect", band), ...texts);
}

export default { render };
