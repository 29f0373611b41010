// The network map: both towers and all eight layers; choose a stage, and see what a picture becomes.

import { DRAWN, stageRows, totals } from "./network.js";
import { networkDrawing } from "./network_drawing.js";
import { filePicker } from "./network_files.js";
import { kernelsPanel, mapsPanel, photoPanel, sharesPanel } from "./network_panels.js";
import { arithmetic, reading, sentence, title } from "./network_words.js";
import { choice, followWidth, frame, make, presets, say, share, summary, tick } from "./toolkit.js";

const STATE = ["stage", "photo", "article", "spot", "pictures", "own", "trouble", "kernels", "channels", "notes"];

// The stage that is shown: of those that the article draws, the block that a stage is part of.
export function shownStage(stage, article) {
  if (!article || DRAWN.includes(stage)) return stage;
  const names = stageRows().map(({ name }) => name);
  return DRAWN.find((name) => names.indexOf(name) > names.indexOf(stage));
}

// What each source says of a stage.
function sourcesTable(sources) {
  const cells = sources.map((name) => [make("th", { scope: "row" }, name), make("td", {})]);
  const element = make("table", { class: "alexnet-counts alexnet-sources" }, ...cells.map((pair) => make("tr", {}, ...pair)));
  return { element, update: (said) => cells.forEach(([, cell], i) => say(cell, said[i] || "says nothing")) };
}

function formulas() {
  const element = make("table", { class: "alexnet-counts alexnet-formulas" });
  let shown = "";
  return {
    element,
    update(row) {
      if (shown === row.name) return;
      shown = row.name;
      element.replaceChildren(...arithmetic(row).map(([what, formula, result]) => make(
        "tr", {}, make("th", { scope: "row" }, what), make("td", {}, formula), make("td", {}, `= ${result}`),
      )));
    },
  };
}

function render({ model, el }) {
  const state = share(model, STATE, redraw);
  const rows = stageRows();
  const sums = totals(rows);
  let width = 0;
  let answered = model.get("trouble").number ?? 0;

  const turn = (values) => {
    tell("", false);
    state.set(values);
  };
  const choose = (stage) => turn({ stage });
  const move = (spot) => state.set({ spot });
  const drawing = networkDrawing(choose);
  const photo = photoPanel(move);
  const maps = mapsPanel(move);
  const kernels = kernelsPanel();
  const shares = sharesPanel(rows, sums, choose);
  const numbers = formulas();
  const said = sourcesTable(model.get("notes").sources);
  const words = summary();
  const status = make("p", { class: "alexnet-status", role: "status" });
  const files = filePicker(model, tell);
  const which = choice({ label: "picture", options: [], changed: (label) => turn({ photo: label }) });
  const list = which.element.querySelector("select");
  const only = tick({ label: "only what the article draws", changed: (article) => turn({ article, stage: shownStage(state.get().stage, article) }) });
  const head = make("strong", { class: "alexnet-stage-title" });
  const panel = make("div", { class: "alexnet-stage-panel", role: "tabpanel" }, head,
    make("div", { class: "alexnet-looks" }, make("div", {}, photo.element, kernels.element), maps.element));
  frame(
    el, "network map", presets(model.get("presets"), turn),
    make("div", { class: "alexnet-choices" }, which.element, files.element, only.element), status,
    drawing.element, words.element, panel, shares.element,
    make("div", { class: "alexnet-room" }, numbers.element), make("div", { class: "alexnet-room" }, said.element),
  );
  const card = el.querySelector(".alexnet-lab");
  files.watch(card);

  function tell(text, wrong) {
    say(status, text);
    status.classList.toggle("alexnet-wrong", wrong);
  }

  function offer({ pictures, own }) {
    const labels = [...pictures, ...(own.label ? [own] : [])].map(({ label }) => label);
    if (labels.join("\n") === list.dataset.labels) return;
    list.dataset.labels = labels.join("\n");
    list.replaceChildren(...labels.map((label) => make("option", { value: label }, label)));
  }

  function redraw() {
    if (!width) return;
    const now = state.get();
    const one = [...now.pictures, now.own].find(({ label }) => label === now.photo) ?? now.pictures[0];
    const row = rows.find(({ name }) => name === now.stage) ?? rows[0];
    if ((now.trouble.number ?? 0) !== answered) {
      answered = now.trouble.number;
      files.answered();
      tell(now.trouble.text, now.trouble.text !== "");
    }
    offer(now);
    which.update(one.label);
    only.update(now.article);
    drawing.update({ rows: now.article ? rows.filter(({ name }) => DRAWN.includes(name)) : rows, chosen: row.name, width });
    words.update(sentence(row, sums, one));
    say(head, `${row.name}: ${title(row)}`);
    photo.update(row, one, now.spot, reading(row));
    kernels.update(row, now.kernels);
    maps.update(row, one, now.spot, width > 560 ? width - 214 : width, now.channels);
    shares.update(row);
    numbers.update(row);
    said.update(now.notes.stages[row.name]);
  }

  const stop = followWidth(panel, (now) => {
    width = now;
    card.classList.toggle("alexnet-narrow", now <= 560);
    redraw();
  });
  return () => {
    stop();
    photo.close();
    maps.close();
    state.close();
  };
}

export default { render };
