// What ipywidgets leaves out, for the demo that this widget is in: names for screen readers, and
// no JupyterLab shortcut while a control has the focus (two d's would delete the cell).

const FOCUSABLE = "input, select, button, [role=slider], [contenteditable], [tabindex]";

export function nameControls(root, alt = "") {
  for (const control of root.querySelectorAll(FOCUSABLE)) {
    control.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  for (const widget of root.querySelectorAll(".widget-inline-hbox")) {
    const name = widget.querySelector(".widget-label")?.textContent || question(root);
    for (const part of widget.querySelectorAll("[role=slider], select, input[type=text], input[type=number], .widget-readout")) {
      part.setAttribute("aria-label", name);
    }
  }
  for (const group of root.querySelectorAll(".widget-radio-box")) {
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", question(root));
  }
  const shown = alt || (root.querySelector(".alexnet-summary")?.textContent.trim() ?? "");
  for (const picture of root.querySelectorAll("img")) picture.alt = shown;
}

function question(root) {
  return root.querySelector(".alexnet-question")?.textContent ?? "";
}

// A figure made by `show` has its sentence in the output below it; JupyterLab drops a PNG's alt.
export function nameFigures() {
  for (const caption of document.querySelectorAll(".alexnet-caption")) {
    const output = caption.closest(".jp-OutputArea-child")?.previousElementSibling;
    for (const picture of output?.querySelectorAll("img:not([alt])") ?? []) {
      picture.alt = caption.textContent;
    }
  }
}

function onceInPage(node, found) {
  if (node.isConnected) found();
  else requestAnimationFrame(() => onceInPage(node, found));
}

function render({ model, el }) {
  el.style.display = "none";
  const observers = [];
  const watch = (node, change) => {
    let timer = 0;
    const observer = new MutationObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(change, 200);
    });
    observer.observe(node, { childList: true, subtree: true });
    observers.push(observer);
    change();
  };
  onceInPage(el, () => {
    const root = el.closest(".alexnet-card");
    if (!root) return;
    const name = () => nameControls(root, model.get("alt"));
    model.on("change:alt", name);
    watch(root, name);
    const notebook = root.closest(".jp-Notebook");
    if (notebook) watch(notebook, nameFigures);
  });
  return () => observers.forEach((observer) => observer.disconnect());
}

export default { render };
