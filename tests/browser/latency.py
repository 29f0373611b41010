"""How long a demo takes from a key to its pixels, in headless JupyterLab.

    python tests/browser/latency.py [--steps 30] [--json FILE]

runs a notebook with a ten-bar `Demo` and the LRN lab, presses an arrow key `--steps` times on
each, and prints median, 95th percentile and maximum in milliseconds: from the key's event to the
first animation frame that shows the new picture. Tests gate on loose bounds only; this is for
people, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright

from lab_driver import NO_CHROMIUM, LabServer, NotebookPage, find_chromium, launch

CELLS = [
    """import ipywidgets
import numpy as np
import torch
from alexnet_lib import ops, plots, widgets
plots.use_style()
x = np.array([8, 8, 8, 8, 8, 9, 8, 8, 8, 8.0])
def compute(k):
    row = torch.from_numpy(x)[None]
    return ops.local_response_norm(row, 5, 1.0, 0.75, float(k), "pytorch")[0].numpy()""",
    """def draw(fig, y):
    plots.bars(y, highlight=5, limit=1.2, ax=fig.axes[0] if fig.axes else fig.subplots())
    return f"The 9 becomes {plots.number(y[5])}."
widgets.Demo(compute, draw, {"k": ipywidgets.IntSlider(value=2, min=0, max=80)}, height=2.4)""",
    """def draw_both(fig, y):
    axes = fig.axes if fig.axes else fig.subplots(2, 1)
    plots.before_after(x, y, highlight=5, window=(3, 7), limits=(10, 1.2), axes=axes)
    return f"The 9 becomes {plots.number(y[5])}."
slider = ipywidgets.IntSlider(value=2, min=0, max=80)
widgets.Demo(compute, draw_both, {"k": slider}, height=3.4)""",
    "widgets.LRNLab()",
]

IPYWIDGETS, RANGES, BARS = ".widget-slider [role=slider]", "input[type=range]", "svg [role=slider]"
CASES = {  # the demo, what to look at, what to focus, which one of these, the keys in turn
    "Demo, ten bars": (0, "img", IPYWIDGETS, 0, ["ArrowRight"]),
    "Demo, ten bars before and after": (1, "img", IPYWIDGETS, 0, ["ArrowRight"]),
    "LRN lab, a slider": (2, "svg.alexnet-after", RANGES, 1, ["ArrowRight"]),
    "LRN lab, a bar": (2, "svg.alexnet-after", BARS, 3, ["ArrowLeft", "ArrowRight"]),
}

# From the key's event to the start of the animation frame that paints the new picture. A lab draws
# inside a frame; an image is painted by the first frame that finds it loaded.
WATCH = """([root, picture, handle, number]) => {
  const demo = document.querySelectorAll('.alexnet-demo')[root];
  const target = demo.querySelector(picture);
  let begin = null;
  window.latencies = [];
  demo.querySelectorAll(handle)[number].addEventListener('keydown', () => {
    begin = performance.now();
  }, true);
  const done = () => {
    if (begin !== null) latencies.push(performance.now() - begin);
    begin = null;
  };
  const painted = () => target.complete ? done() : requestAnimationFrame(painted);
  new MutationObserver(() => {
    if (target.tagName === 'IMG') requestAnimationFrame(painted);
    else done();
  }).observe(target, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: ['src', 'y', 'height'],
  });
}"""


def measure(page: Page, case: tuple[int, str, str, int, list[str]], steps: int) -> list[float]:
    """Press a key `steps` times, each after the last has been drawn; returns milliseconds."""
    root, picture, handle, number, keys = case
    page.evaluate(WATCH, [root, picture, handle, number])
    page.locator(".alexnet-demo").nth(root).locator(handle).nth(number).focus()
    for step in range(steps + 2):
        page.keyboard.press(keys[step % len(keys)])
        page.wait_for_function("count => latencies.length > count", arg=step, timeout=10_000)
        page.wait_for_timeout(60)
    return page.evaluate("() => latencies")[2:]  # the first two find out which parts move


def summarize(times: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum, in milliseconds."""
    ordered = sorted(times)
    return {
        "median_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[max(0, round(0.95 * len(ordered)) - 1)], 1),
        "max_ms": round(ordered[-1], 1),
    }


def main() -> int:
    """Run, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        executable = find_chromium(playwright)
        if executable is None:
            print(NO_CHROMIUM, file=sys.stderr)
            return 2
        file = Path(temporary) / "latency.ipynb"
        nbformat.write(notebook, file)
        with LabServer(Path(temporary) / "server", [file]) as server:
            browser = launch(playwright, executable)
            notebook_page = NotebookPage(browser, server, file.name, width=1366, height=768)
            notebook_page.run_all()
            for name, case in CASES.items():
                results[name] = summarize(measure(notebook_page.page, case, options.steps))
                print(f"{name:34}", "  ".join(f"{k} {v:6.1f}" for k, v in results[name].items()))
            browser.close()
    if options.json:
        machine = {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()}
        report = {"steps": options.steps, "hardware": machine, "latency": results}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
