// One row of channels under each of the eight conventions, side by side.

import { barRow } from "./bars.js";
import { normalize, refusal } from "./lrn.js";
import { choice, followWidth, frame, make, number, presets, say, set, share, slider, summary, tick } from "./toolkit.js";

const STATE = ["values", "size", "k", "alpha", "beta", "channel", "maximum", "same_scale"];

// Names of conventions whose outputs agree, as lists: [["paper", "tensorflow"], ["seed"], ...].
export function agreement(results) {
  const groups = [];
  for (const [name, result] of Object.entries(results)) {
    if (!result) continue;
    const group = groups.find(([first]) => agree(results[first].outputs, result.outputs));
    if (group) group.push(name);
    else groups.push([name]);
  }
  return groups;
}

function agree(a, b) {
  return a.every((value, i) => Math.abs(value - b[i]) <= 1e-9 * Math.max(Math.abs(value), Math.abs(b[i])));
}

// How many different rows come out, and what the marked channel becomes by whose rule.
export function sentence(results, channel, value) {
  const rows = agreement(results).length;
  const byNumber = new Map();
  const refusing = [];
  for (const [name, result] of Object.entries(results)) {
    const { title } = CONVENTIONS[name];
    if (!result) refusing.push(title);
    else {
      const text = number(result.outputs[channel]);
      byNumber.set(text, [...(byNumber.get(text) ?? []), title]);
    }
  }
  if (!rows) return "No convention takes these constants. Turn a slider back.";
  const parts = [...byNumber].map(([text, names]) => `${text} (${names.join(", ")})`);
  const count = rows === 1 ? "one and the same row" : `${rows} different rows`;
  const no = refusing.length ? ` ${refusing.join(" and ")} refuse${refusing.length > 1 ? "" : "s"} these constants.` : "";
  return `The same constants under eight conventions: ${count}. `
    + `The ${number(value)} in channel ${channel} becomes ${parts.join(", ")}.${no}`;
}

function reachText([behind, ahead]) {
  const from = behind ? `i−${behind}` : "i";
  const to = ahead ? `i+${ahead}` : "i";
  return from === to ? "only i" : `${from} … ${to}`;
}

function makePanel(name) {
  const bars = barRow({ meaning: "after" });
  const note = make("small", {});
  const result = make("span", { class: "alexnet-panel-value" });
  const title = make("div", { class: "alexnet-panel-title" }, make("strong", {}, CONVENTIONS[name].title.replace("the ", "")), result);
  return { element: make("div", { class: "alexnet-panel" }, title, bars.element, note), bars, note, result };
}

function render({ model, el }) {
  const state = share(model, STATE, redraw);
  const before = barRow({
    meaning: "before",
    changed: (index, value) => state.set({ values: state.get().values.with(index, value) }),
    focused: (channel) => state.set({ channel }),
  });
  const title = make("div", { class: "alexnet-panel-title" },
    make("span", {}, make("strong", {}, "before "), make("small", {}, "drag a bar, or use the arrow keys")));
  const top = make("div", {}, title, before.element);
  const panels = Object.fromEntries(Object.keys(CONVENTIONS).map((name) => [name, makePanel(name)]));
  const grid = make("div", { class: "alexnet-panels" }, ...Object.values(panels).map((panel) => panel.element));
  const words = summary();
  const turn = (name) => (value) => state.set({ [name]: value });
  const dials = {
    size: slider({ role: "window", label: "size", min: 1, max: 9, whole: true, changed: turn("size") }),
    k: slider({ role: "bias", label: "k", min: 0, max: 4, step: 0.1, changed: turn("k") }),
    alpha: slider({ role: "factor", label: "alpha", min: 1e-5, max: 10, scale: "log", changed: turn("alpha") }),
    beta: slider({ role: "power", label: "beta", min: 0, max: 3, step: 0.05, changed: turn("beta") }),
  };
  const scale = tick({ label: "the same scale in all eight", changed: turn("same_scale") });
  const controls = make("div", { class: "alexnet-dials" }, ...Object.values(dials).map((d) => d.element), scale.element);
  let widths = [0, 0];
  frame(el, "eight conventions", presets(model.get("presets"), state.set), top, grid, words.element, controls);

  function redraw() {
    const now = state.get();
    const { values, maximum } = now;
    const channel = Math.min(now.channel, values.length - 1);
    for (const constant of Object.keys(dials)) dials[constant].update({ value: now[constant] });
    scale.update(now.same_scale);
    const results = Object.fromEntries(Object.keys(CONVENTIONS).map((name) => {
      const constants = { ...now, convention: name };
      return [name, refusal(constants) ? null : normalize(values, constants)];
    }));
    const all = Object.values(results).flatMap((result) => result?.outputs ?? []);
    before.update({ values, maximum, channel, width: widths[0], height: 70, window: null });
    for (const [name, { bars, note, result: text }] of Object.entries(panels)) {
      const result = results[name];
      const outputs = result?.outputs ?? values.map(() => 0);
      const most = Math.max(...(now.same_scale ? all : outputs)) || 1;
      bars.update({
        values: outputs, texts: values.map(() => ""), maximum: most, channel, width: widths[1], height: 58,
        window: result ? result.windows[channel] : null, labels: false,
        alt: result ? `${CONVENTIONS[name].title}: ${outputs.map(number).join(", ")}` : `${CONVENTIONS[name].title}: refused`,
      });
      say(text, result ? number(outputs[channel]) : "–");
      say(note, result
        ? `${reachText([result.behind, result.ahead])}, α${CONVENTIONS[name].divides ? `/${now.size}` : ""} = ${number(result.c)}`
        : refusal({ ...now, convention: name }));
    }
    words.update(sentence(results, channel, values[channel]), all.length === 0);
  }

  const stop = followWidth(top, (width) => {
    widths = [width, grid.firstElementChild.clientWidth - 16];
    redraw();
  });
  return () => {
    stop();
    state.close();
  };
}

export default { render };
