// A learner's own picture on the network map: chosen or dropped, made smaller if need be, sent.

import { fileTrouble } from "./network_words.js";
import { KEEPS_KEYS, make } from "./toolkit.js";

const MOST_BYTES = 4e6; // one message to Python holds up to 10 MB
const SIDE = 908; // pixels of the shorter side, where the browser makes it smaller
const PATIENCE = 20000; // milliseconds until the page says that nobody answers

// The file's bytes, or a smaller version's that the browser makes; null where it can't.
async function readable(file) {
  if (file.size <= MOST_BYTES) return file.arrayBuffer();
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, SIDE / Math.min(bitmap.width, bitmap.height));
    const canvas = make("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    const blob = await new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.92); });
    return blob && blob.size <= MOST_BYTES ? blob.arrayBuffer() : null;
  } catch {
    return null;
  }
}

// A button that opens a file, and the area that takes one dropped. model: anywidget's.
// tell(text, wrong): says where a file is. Returns { element, watch(area), answered() }.
export function filePicker(model, tell) {
  const input = make("input", { type: "file", accept: "image/*", hidden: "", tabindex: -1, onchange: () => input.files[0] && send(input.files[0]) });
  const button = make("button", { type: "button", class: "alexnet-button", onclick: () => input.click(), ...KEEPS_KEYS }, "your own picture …");
  const element = make("span", { class: "alexnet-file" }, button, input);
  let timer = 0;

  async function send(file) {
    clearTimeout(timer);
    tell(`Reading ${file.name} …`, false);
    const bytes = file.size ? await readable(file) : null;
    input.value = ""; // so that the same file can be chosen again
    const trouble = bytes ? "" : fileTrouble(file, MOST_BYTES) || `${file.name} can't be read. The picture stays as it was.`;
    if (trouble) return tell(trouble, true);
    try {
      model.send({ kind: "picture", name: file.name }, undefined, [bytes]);
    } catch {
      return tell("A picture of your own needs the running notebook: Python takes it through the network. The picture stays as it was.", true);
    }
    timer = setTimeout(() => tell(`Python has not answered about ${file.name} yet. It may be busy with a cell, or not running.`, true), PATIENCE);
    return undefined;
  }

  function watch(area) {
    const over = (event) => {
      event.preventDefault();
      event.stopPropagation();
      area.classList.add("alexnet-dropping");
    };
    const out = () => area.classList.remove("alexnet-dropping");
    area.addEventListener("dragenter", over);
    area.addEventListener("dragover", over);
    area.addEventListener("dragleave", (event) => area.contains(event.relatedTarget) || out());
    area.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      out();
      const { files } = event.dataTransfer;
      if (files.length === 1) send(files[0]);
      else tell(files.length ? "One picture at a time, please. The picture stays as it was." : "That is not a file. Drop a picture from a folder.", true);
    });
  }
  return { element, watch, answered: () => clearTimeout(timer) };
}
