// What every JavaScript lab is built from: elements, numbers, a state shared with Python, sliders,
// choices, presets and a sentence. A lab's render() puts these together; demo.css and lab.css
// give them their looks.

export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  set(element, attributes);
  element.append(...children);
  return element;
}

// Set attributes that differ; a function is a listener: { onclick: f }.
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
}

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Write text in which x^2 stands for a raised 2.
export function sayRaised(element, text) {
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  element.replaceChildren(...text.split(/\^([\p{L}\p{N}._-]+)/u).map((part, i) => (i % 2 ? make("sup", {}, part) : part)));
}

// Write text so that no line breaks within a number such as 2.06e-4.
export function sayTogether(element, text) {
  if (element.textContent === text) return;
  const parts = text.split(/(\S*\de-\d\S*)/);
  element.replaceChildren(...parts.map((part, i) => (i % 2 ? make("span", { class: "alexnet-together" }, part) : part)));
}

// Three digits, as plots.number writes them: 0, 0.595, 12.5, 43681, 2.06e-4.
export function number(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "inf" : "-inf";
  if (size >= 100 && size < 1e5) return String(Math.sign(value) * Math.floor(size + 0.5));
  if (size === 0) return "0";
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(3)));
  const [digits, exponent] = value.toExponential(2).split("e");
  return `${Number(digits)}e${Number(exponent)}`;
}

// 60,965,224.
export function thousands(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

// The number that was typed; NaN for anything else.
export function typedNumber(text) {
  const plain = text.trim().replace(",", ".").replace("−", "-");
  return plain === "" ? NaN : Number(plain);
}

// A line that is there only while something that was typed isn't taken.
export function complaint() {
  const element = make("p", { class: "alexnet-complaint", role: "alert" });
  return { element, update: (text) => say(element, text) };
}

// The state that a lab shares with Python. Changes are drawn once a frame, and sent a moment after
// the last one, so that dragging never waits for a kernel, or needs one. What the page has changed
// since is newer than what comes back: the kernel sends each value again when it has taken it, and
// a busy one does so late.
export function share(model, names, redraw) {
  let frame = 0;
  let timer = 0;
  let unsent = {};
  const schedule = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(redraw);
  };
  const send = () => {
    unsent = {};
    try {
      model.save_changes();
    } catch {
      // no kernel: the page goes on without it
    }
  };
  const hear = Object.fromEntries(names.map((name) => [name, () => {
    if (name in unsent && model.get(name) !== unsent[name]) model.set(name, unsent[name]);
    schedule();
  }]));
  for (const name of names) model.on(`change:${name}`, hear[name]);
  return {
    get: () => Object.fromEntries(names.map((name) => [name, model.get(name)])),
    set(values) {
      Object.assign(unsent, values);
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      schedule();
      clearTimeout(timer);
      timer = setTimeout(send, 120);
    },
    close() {
      cancelAnimationFrame(frame);
      for (const name of names) model.off(`change:${name}`, hear[name]);
    },
  };
}

// JupyterLab's command mode takes keys from whatever doesn't say this.
export const KEEPS_KEYS = { "data-lm-suppress-shortcuts": "true" };

// A labelled range with a box for the exact number. role: what it's for, in small letters. scale "log": steps of a tenth of a decade.
// refuse(text): why what was typed isn't taken, "" if it is; by default anything that isn't a number from 0 on.
// complain(why): hears that each time. Returns { element, update({ value, label, min, max, step }) }; changed(value) is called.
export function slider({ label, role = "", min, max, step = 1, scale = "linear", whole = false, refuse, complain = () => {}, changed }) {
  const title = make("strong");
  const name = make("span", { class: "alexnet-name" }, title, " ", make("small", {}, role));
  const range = make("input", { type: "range", ...KEEPS_KEYS });
  const box = make("input", { type: "text", inputmode: "decimal", ...KEEPS_KEYS });
  const element = make("div", { class: "alexnet-slider" }, make("label", {}, name, range), box);
  const log = scale === "log";
  const toRange = (value) => (log ? Math.round(10 * Math.log10(Math.max(value, 1e-12))) : value);
  const fromRange = (place) => (log ? Number((10 ** (place / 10)).toPrecision(2)) : place);
  let limits = { min, max, step };
  let current = min;

  function plain(text) {
    const value = typedNumber(text);
    const taken = value >= 0 && value < Infinity && (!whole || (Number.isInteger(value) && value >= limits.min));
    return taken ? "" : "not a number for this";
  }

  function accept(text) {
    const why = (refuse ?? plain)(text);
    box.toggleAttribute("aria-invalid", why !== "");
    complain(why);
    if (!why) changed(typedNumber(text));
  }
  range.addEventListener("input", () => {
    complain("");
    changed(fromRange(Number(range.value)));
  });
  box.addEventListener("change", () => accept(box.value));
  box.addEventListener("keydown", (event) => event.key === "Enter" && accept(box.value));
  box.addEventListener("blur", () => {
    box.value = number(current);
    box.removeAttribute("aria-invalid");
  });

  function update({ value, label: text, ...changes }) {
    limits = { ...limits, ...changes };
    current = value;
    if (text) {
      say(title, text);
      set(box, { "aria-label": `${text}, exact value` });
    }
    const ends = log ? [toRange(limits.min), toRange(limits.max), 1] : [limits.min, limits.max, limits.step];
    set(range, { min: ends[0], max: ends[1], step: ends[2], "aria-valuetext": number(value) });
    range.value = toRange(value);
    const share = (range.value - ends[0]) / (ends[1] - ends[0]);
    range.style.setProperty("--share", `${100 * share}%`);
    if (document.activeElement !== box || range.matches(":active")) box.value = exact(value);
  }
  update({ value: min, label });
  return { element, update };
}

// A number as one would type it: all its digits, if they're few.
function exact(value) {
  const text = String(value);
  return text.length <= 7 ? text : number(value);
}

// A labelled choice. options: [[value, text], ...]. Returns { element, update(value) }.
export function choice({ label, options, changed }) {
  const entries = options.map(([value, text]) => make("option", { value }, text));
  const list = make("select", { onchange: () => changed(list.value), ...KEEPS_KEYS }, ...entries);
  const name = make("span", { class: "alexnet-name" }, make("strong", {}, label));
  const element = make("label", { class: "alexnet-choice" }, name, list);
  return { element, update: (value) => { list.value = value; } };
}

export function tick({ label, changed }) {
  const box = make("input", { type: "checkbox", onchange: () => changed(box.checked), ...KEEPS_KEYS });
  const element = make("label", { class: "alexnet-tick" }, box, label);
  return { element, update: (value) => { box.checked = value; } };
}

// A row of buttons, each of which sets some of the state. list: [{ label, hint, state }, ...].
export function presets(list, apply) {
  const buttons = list.map(({ label, hint, state }) => make(
    "button",
    { type: "button", class: "alexnet-button alexnet-preset", title: hint ?? "", onclick: () => apply(state), ...KEEPS_KEYS },
    label,
  ));
  return make("div", { class: "alexnet-presets", role: "group", "aria-label": "presets" }, ...buttons);
}

// The sentence that says what the picture shows; screen readers hear it when it changes.
export function summary() {
  const sentence = make("p", { class: "alexnet-sentence", role: "status", "aria-live": "polite" });
  const element = make("div", { class: "alexnet-summary" }, sentence);
  return {
    element,
    update(text, wrong = false) {
      sayTogether(sentence, text);
      sentence.classList.toggle("alexnet-error", wrong);
    },
  };
}

// The lab's outer element, filled, inside what JupyterLab gives.
export function frame(el, name, ...children) {
  el.append(make("section", { class: "alexnet-card alexnet-demo alexnet-lab", "aria-label": name }, ...children));
}

// Call redraw(width) now and whenever the element's width changes; returns a function that stops.
export function followWidth(element, redraw) {
  const observer = new ResizeObserver(([entry]) => redraw(Math.round(entry.contentRect.width)));
  observer.observe(element);
  return () => observer.disconnect();
}
