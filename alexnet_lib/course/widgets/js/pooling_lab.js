// The pooling lab: windows over a map, who wins them, who votes how often, what a shift changes.

import { amber, grey, mapPanel, short, tinted } from "./map_panel.js";
import { change, moved, places, pool, refusal, sizeProblem } from "./pooling.js";
import { choice, complaint, followWidth, frame, make, number, presets, say, share, slider, summary, tick, typedNumber } from "./toolkit.js";

const RINGS_UP_TO = 20; // pixels a side; on larger maps a winner's whole pixel is tinted
const STATE = ["maps", "shown", "kernel", "stride", "kind", "shift", "window", "winners"];

function count(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

// What the windows do to one another: overlap, touch, or leave gaps.
export function meeting(kernel, stride) {
  const shared = kernel - stride;
  if (shared > 0) return `Neighbouring windows share ${count(shared, "column")} of ${kernel}.`;
  if (shared === 0) return "The windows touch and share nothing.";
  return `Between the windows is a gap of ${count(-shared, "pixel")}.`;
}

// How many windows the pixels are in: "Each pixel is in 1, 2 or 4 windows, 17 are in none."
export function voting(votes) {
  const kinds = [...new Set(votes)].filter(Boolean).sort((a, b) => a - b);
  const list = kinds.length > 1 ? `${kinds.slice(0, -1).join(", ")} or ${kinds.at(-1)}` : String(kinds[0]);
  const none = votes.filter((vote) => vote === 0).length;
  const said = `A pixel is in ${list} window${kinds.at(-1) === 1 ? "" : "s"}`;
  return none ? `${said}; ${none} of ${votes.length} are in none.` : `${said}.`;
}

function winning(result, kind, kernel, chosen) {
  const { outputs, winners, wins } = result;
  const value = number(outputs[chosen]);
  const name = `Window ${chosen + 1} of ${outputs.length}`;
  if (kind === "average") return `${name} averages its ${count(kernel ** 2, "pixel")} to ${value}; nobody wins.`;
  if (winners[chosen] < 0) return `${name} holds ${value} everywhere: no pixel stands out.`;
  const different = wins.filter(Boolean).length;
  const most = wins.reduce((best, one) => Math.max(best, one), 0);
  const decided = winners.filter((one) => one >= 0).length;
  const flat = outputs.length - decided;
  const won = `${!flat && decided > 1 ? "the " : ""}${count(decided, "window")}`;
  const twice = most > 1 && different > 1 ? `; one pixel wins ${most} of them` : "";
  const holds = flat === 1 ? "holds" : "hold";
  const nobody = flat ? ` ${count(flat, "window")} ${holds} one number only, so nobody wins.` : "";
  return `${name} keeps ${value}. ${count(different, "pixel")} ${different === 1 ? "wins" : "win"} ${won}${twice}.${nobody}`;
}

export function percent(share) {
  return `${number(Number((100 * share).toPrecision(2)))}%`;
}

// Everything in words. result: of the map as it's shown; still: of the map before the shift.
export function sentences(map, state, result, still) {
  const { kernel, stride, kind, shift, window } = state;
  const chosen = Math.min(window, result.outputs.length) - 1;
  const said = [
    meeting(kernel, stride),
    `${map.height} × ${map.width} becomes ${result.height} × ${result.width}.`,
    voting(result.votes), winning(result, kind, kernel, chosen),
  ];
  if (shift) {
    const after = change(still.outputs, result.outputs);
    const before = change(map.values, moved(map, shift).values);
    said.push(
      `Shifted by ${shift}: ${after.differ} of ${after.count} outputs change, by ${percent(after.share)} in all; `
      + `the input changes by ${percent(before.share)}.`,
    );
  }
  return said.join(" ");
}

// The output's size, with its numbers: (9 − 3) / 2 + 1 = 4.
export function arithmetic({ height }, { kernel, stride }) {
  const exact = (height - kernel) / stride;
  const down = Number.isInteger(exact) ? "" : ", rounded down";
  return `(${height} − ${kernel}) / ${stride} + 1 = ${places(height, kernel, stride)} windows a side${down}`;
}

// Whether the winners of a map are ringed: a tint looks like signal, so it waits to be asked for.
export function hasRings({ height, width }) {
  return Math.max(height, width) <= RINGS_UP_TO;
}

// The window nearest to a pixel, from 1.
export function windowAt(row, column, result, { kernel, stride }) {
  const near = (place, most) => Math.max(0, Math.min(most - 1, Math.round((place - (kernel - 1) / 2) / stride)));
  return near(row, result.height) * result.width + near(column, result.width) + 1;
}

// The chosen window's frame, and dashed ones for those beside and below it.
function frames(result, { kernel, stride }, chosen) {
  const row = Math.floor(chosen / result.width);
  const column = chosen % result.width;
  const at = (i, j, dashed) => ({ row: i * stride, column: j * stride, size: kernel, dashed });
  const near = [[row, column - 1], [row, column + 1], [row - 1, column], [row + 1, column]];
  const there = near.filter(([i, j]) => i >= 0 && j >= 0 && i < result.height && j < result.width);
  return [...there.map(([i, j]) => at(i, j, true)), at(row, column, false)];
}

function render({ model, el }) {
  const state = share(model, STATE, redraw);
  let width = 0;
  let drawn = null; // the last result, for the pointer

  const choose = (row, column) => {
    if (drawn) state.set({ window: windowAt(row, column, drawn, state.get()) });
  };
  const input = mapPanel("in", choose);
  const voters = mapPanel("windows a pixel is in", choose);
  const output = mapPanel("out", (row, column) => {
    if (!drawn || row < 0 || column < 0 || row >= drawn.height || column >= drawn.width) return;
    state.set({ window: row * drawn.width + column + 1 });
  });
  const panels = make("div", { class: "alexnet-maps" }, input.element, voters.element, output.element);
  const line = make("p", { class: "alexnet-arithmetic" });
  const words = summary();
  const wrong = complaint();

  const current = () => {
    const { maps, shown } = state.get();
    return maps[shown] ?? maps[0];
  };
  const problems = {
    kernel: (value) => sizeProblem("window", value, current()),
    stride: (value) => sizeProblem("stride", value, current()),
    shift: (value) => wholeProblem("shift", value, 0, current().width - 1),
    window: (value) => wholeProblem("window's number", value, 1, drawn ? drawn.outputs.length : 1),
  };
  const turn = (name) => (value) => {
    if (!problems[name](value)) state.set({ [name]: value });
  };
  const dial = (name, label, role, min, max) => slider({
    label, role, min, max, complain: wrong.update, changed: turn(name),
    refuse: (text) => {
      const why = problems[name](typedNumber(text));
      return why && `${why} Nothing was changed.`;
    },
  });
  const dials = {
    kernel: dial("kernel", "z", "window", 1, 5),
    stride: dial("stride", "s", "stride", 1, 5),
    shift: dial("shift", "shift", "to the right", 0, 4),
    window: dial("window", "window", "which one", 1, 1),
  };
  const which = choice({
    label: "map",
    options: model.get("maps").map(({ name }, index) => [index, name]),
    changed: (index) => {
      const shown = Number(index);
      state.set({ shown, window: 1, winners: hasRings(state.get().maps[shown]) });
    },
  });
  const kind = choice({
    label: "keeps", options: [["max", "the maximum"], ["average", "the average"]],
    changed: (name) => state.set({ kind: name }),
  });
  const marks = tick({ label: "mark the pixels that win", changed: (on) => state.set({ winners: on }) });
  const apply = (values) => {
    wrong.update("");
    state.set(values);
  };
  frame(
    el, "pooling lab", presets(model.get("presets"), apply), panels, line, words.element, wrong.element,
    make("div", { class: "alexnet-dials" }, which.element, kind.element, ...Object.values(dials).map((d) => d.element), marks.element),
  );

  function redraw() {
    const now = state.get();
    const map = current();
    which.update(String(now.shown));
    kind.update(now.kind);
    marks.update(now.winners);
    dials.kernel.update({ value: now.kernel, label: "z" });
    dials.stride.update({ value: now.stride, label: "s" });
    dials.shift.update({ value: now.shift, label: "shift" });
    const refused = refusal(map, now);
    if (refused) {
      drawn = null;
      say(line, "");
      words.update(`${refused} The picture stays as it was.`, true);
      return;
    }
    const seen = moved(map, now.shift);
    const result = drawn = pool(seen, now);
    const still = now.shift ? pool(map, now) : result;
    const total = result.outputs.length;
    const chosen = Math.max(1, Math.min(now.window, total)) - 1;
    dials.window.update({ value: chosen + 1, label: "window", max: total });
    show(map, seen, result, still, chosen, now);
    say(line, arithmetic(map, now));
    words.update(sentences(map, now, result, still));
  }

  function show(map, seen, result, still, chosen, now) {
    const gap = 18;
    const side = width > 620 ? Math.floor((width - 2 * gap) / 3) : Math.min(width, 300);
    const top = map.values.reduce((best, one) => Math.max(best, one), 0) || 1;
    const marked = now.winners && now.kind === "max";
    const around = frames(result, now, chosen);
    const whole = { height: map.height, width: map.width, side };
    const size = `${map.height} × ${map.width}`;
    input.update({
      ...whole, frames: around, rings: marked ? result.wins.flatMap((one, at) => (one ? [at] : [])) : [],
      colour: (at) => {
        const colour = grey(seen.values[at] / top);
        return marked && !hasRings(map) && result.wins[at] ? tinted(seen.values[at] / top) : colour;
      },
      texts: (at) => short(seen.values[at]), dark: (at) => seen.values[at] / top < 0.55,
      note: `${size}${marked ? ", winners marked" : ""}`,
      alt: `the map that goes in, ${size}, with window ${chosen + 1} framed`,
    });
    const most = result.votes.reduce((best, one) => Math.max(best, one), 1);
    const full = Math.max(most, 4); // one vote is pale, also where nobody has more
    voters.update({
      ...whole, frames: around.slice(-1), colour: (at) => amber(result.votes[at] / full),
      texts: (at) => String(result.votes[at]), note: `up to ${most}`,
      alt: voting(result.votes),
    });
    const moves = result.outputs.flatMap((one, at) => (Math.abs(one - still.outputs[at]) > 1e-9 ? [at] : []));
    output.update({
      height: result.height, width: result.width, side, dots: moves,
      colour: (at) => grey(result.outputs[at] / top),
      texts: (at) => short(result.outputs[at]), dark: (at) => result.outputs[at] / top < 0.55,
      frames: [{ row: Math.floor(chosen / result.width), column: chosen % result.width, size: 1 }],
      note: `${result.height} × ${result.width}${now.shift ? ", dots: changed" : ""}`,
      alt: `the map that comes out, ${result.height} × ${result.width}`,
    });
  }

  const stop = followWidth(panels, (now) => {
    width = Math.max(200, now);
    panels.classList.toggle("alexnet-narrow", now <= 620);
    redraw();
  });
  return () => {
    stop();
    state.close();
  };
}

// Why a whole number from least to most isn't given; "" if it is.
export function wholeProblem(name, value, least, most) {
  const advice = `Give a whole number from ${least} to ${most}.`;
  if (!Number.isFinite(value)) return `The ${name} needs a number. ${advice}`;
  if (value < 0) return `The ${name} can't be negative: ${value}. ${advice}`;
  if (!Number.isInteger(value)) return `The ${name} is a whole number, not ${value}. ${advice}`;
  if (value < least || value > most) return `${value} is out of range for the ${name}. ${advice}`;
  return "";
}

export default { render };
