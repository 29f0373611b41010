"""How soon every slider of every chapter answers to a key, in headless JupyterLab.

    python -m alexnet_lib bench sliders [CHAPTER ...] [--rounds PRESSES] [--out FOLDER]

calls this program. It opens each chapter, runs all its cells and presses arrow keys on every slider
of every demo: on the sliders of ipywidgets, on range inputs, and on one handle of each drawing that
has some. key_watch.js says what is timed. On the machine where figures are to be reported, nothing
else should run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, sync_playwright

from lab_driver import NO_CHROMIUM, ROOT, Demo, LabServer, NotebookPage, Slider, find_chromium
from lab_driver import launch as launch_browser
from patience import run_patiently

sys.path.insert(0, str(ROOT))

from alexnet_lib import records
from alexnet_lib.benchmarks import sliders as slider_benchmark

WATCH = Path(__file__).with_name("key_watch.js").read_text(encoding="utf-8")
WINDOW = {"width": 1366, "height": 768}  # a small laptop's
WARM_UP = 2  # presses that don't count: the first ones find out which parts move
LIMIT = 5000  # ms after which a press counts as unanswered
GIVE_UP = 3  # unanswered presses
PAUSE = 150  # ms without a change before each press: a lab tells Python 120 ms after the last
FRAME = 1000 / 60  # ms
GOLDEN = 0.618  # multiples of it, less their whole part, lie evenly between 0 and 1


def press_all(page: NotebookPage, slider: Slider, presses: int) -> tuple[list[float], int]:
    """Press arrow keys on one slider, half of them to the right, then back, turning at its ends.

    Each press waits until the demo is still, and a little longer by a different part of a frame,
    so that keys don't keep step with the screen. Returns the milliseconds of the answered presses
    and the number of those that moved the slider and nothing else. The slider ends where it began.
    """
    slider.handle.scroll_into_view_if_needed()
    slider.handle.focus()
    slider.handle.evaluate(WATCH)
    times: list[float | None] = []
    step, place, turns = 1, 0, 0
    while len(times) < WARM_UP + presses and times.count(None) < GIVE_UP and turns < 2:
        if not _move(page, slider, step, PAUSE + FRAME * (GOLDEN * len(times) % 1)):
            step, turns = -step, turns + 1  # two in a row: it doesn't move at all
            continue
        place, turns = place + step, 0
        times.append(page.page.evaluate("limit => keyWatch.answered(limit)", LIMIT))
        if len(times) == WARM_UP + presses // 2:
            step = -step
    for _ in range(abs(place)):
        _move(page, slider, -1 if place > 0 else 1, PAUSE)
    page.page.evaluate("() => keyWatch.stop()")
    counted = times[WARM_UP:]
    return [ms for ms in counted if ms is not None], counted.count(None)


def _move(page: NotebookPage, slider: Slider, step: int, still: float) -> bool:
    """Press one key once the demo has been still, in ms; returns whether the slider has moved."""
    before = _place(slider)  # first: asking may take frames, and the key is not to follow on one
    page.page.evaluate("time => keyWatch.quiet(time)", still)
    page.page.keyboard.press("ArrowRight" if step > 0 else "ArrowLeft")
    return _place(slider) != before


def _place(slider: Slider) -> str:
    """Where a slider stands; ipywidgets announce one decimal only, so there its handle's place."""
    if slider.native or isinstance(slider, DrawnHandle):
        return slider.value
    return slider.handle.evaluate("handle => handle.parentElement.style.transform")


class DrawnHandle(Slider):
    """A part of a drawing that keys move, such as a bar; it tells its value once it is redrawn."""

    def __init__(self, handle: Locator, alike: int) -> None:
        super().__init__(handle, "", native=False)
        self.name = f"{self.label} (1 of {alike})"

    @property
    def value(self) -> str:
        """The value that the page announces after the next frame, as text."""
        return self.handle.evaluate(
            """async e => {
              for (let i = 0; i < 2; i += 1) await new Promise(requestAnimationFrame);
              return e.getAttribute('aria-valuenow') ?? '';
            }"""
        )


def drawn_handles(demo: Demo) -> list[Slider]:
    """One handle, the one in the middle, of each drawing that has some."""
    found: list[Slider] = []
    for drawing in demo.root.locator("svg:visible:has([role=slider])").all():
        handles = drawing.locator("[role=slider]:not([aria-disabled=true])").all()
        if handles:
            found.append(DrawnHandle(handles[len(handles) // 2], len(handles)))
    return found


def demo_name(demo: Demo, number: int) -> str:
    """What a demo calls itself, in the page or in its printed form; "demo 3" if nothing."""
    name = demo.root.evaluate(
        """root => {
          if (root.getAttribute('aria-label')) return root.getAttribute('aria-label');
          const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')];
          const own = root.closest('.jp-Cell');
          const model = jupyterapp.shell.currentWidget.content.model.cells.get(cells.indexOf(own));
          const number = [...own.querySelectorAll('.alexnet-demo')].indexOf(root);
          const names = [];
          for (let i = 0; model.outputs && i < model.outputs.length; i += 1) {
            const text = model.outputs.get(i).toJSON().data?.['text/plain'];
            const called = /^([^()\\n]{1,40})\\(/.exec([text ?? ''].flat().join(''));
            if (called) names.push(called[1]);
          }
          return names[number] ?? '';
        }"""
    )
    return name or f"demo {number}"


def measure_chapter(page: NotebookPage, presses: int) -> list[dict[str, Any]]:
    """Measure every slider of an open notebook that has been run; returns a row for each."""
    rows = []
    for number, demo in enumerate(page.demos(), start=1):
        demo.root.scroll_into_view_if_needed()
        name = demo_name(demo, number)
        for slider in demo.sliders() + drawn_handles(demo):
            times, unanswered = press_all(page, slider, presses)
            where = {"chapter": page.name, "demo": name, "slider": slider.name or slider.label}
            browser_alone = slider.native or isinstance(slider, DrawnHandle)
            kind = "JavaScript" if browser_alone else "Python"
            rows.append(where | slider_benchmark.summarize(kind, times, unanswered))
    return rows


def measure(
    browser: Browser, notebooks: list[Path], presses: int, out: Path, command: str
) -> list[str]:
    """Measure the sliders of notebooks, print a table, write a record; returns what went wrong.

    An interruption leaves the record of the notebooks before.
    """
    record: dict[str, Any] = {
        "command": command, "presses": presses, "limits_ms": slider_benchmark.LIMITS_MS,
        "window": WINDOW, "chapters": [], "rows": [], "problems": [],
        "load_average": {"before": _load(), "after": None},
        "browser": browser.version, "packages": _packages(),
        "environment": records.environment(),
    }  # fmt: skip
    problems: list[str] = record["problems"]
    with tempfile.TemporaryDirectory() as temporary:
        # all_cells=False: as learners have it
        with LabServer(Path(temporary), notebooks, all_cells=False) as server:
            for notebook in notebooks:
                started = time.monotonic()
                page = NotebookPage(browser, server, notebook.name, **WINDOW)
                errors = run_patiently(page)
                rows = measure_chapter(page, presses)
                errors += [error for error in page.errors() if error not in errors]
                page.close()
                problems += [f"{notebook.stem}: {error}" for error in errors]
                record["chapters"].append(notebook.stem)
                record["rows"] += rows
                record["load_average"]["after"] = _load()
                records.write(out, record)
                seconds = time.monotonic() - started
                print(f"{notebook.stem}: {len(rows)} sliders in {seconds:.0f} s", flush=True)
    print(slider_benchmark.table(record["rows"]))
    return problems


def _load() -> list[float] | None:
    """The load average of 1, 5 and 15 minutes; None where the system keeps none."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def _packages() -> dict[str, str]:
    names = ("jupyterlab", "ipykernel", "ipywidgets", "anywidget", "matplotlib", "playwright")
    return {name: metadata.version(name) for name in names}


def main() -> int:
    """Read the command line and measure; returns 1 where a chapter had errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="such as 05; all by default")
    parser.add_argument("--presses", type=int, default=slider_benchmark.PRESSES)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/sliders.json"))
    options = parser.parse_args()
    words = ["python -m alexnet_lib bench sliders", *options.chapters]
    if options.presses != slider_benchmark.PRESSES:
        words.append(f"--rounds {options.presses}")
    with sync_playwright() as playwright:
        executable = find_chromium(playwright)
        if executable is None:
            print(NO_CHROMIUM, file=sys.stderr)
            return slider_benchmark.NO_CHROMIUM
        browser = launch_browser(playwright, executable)
        notebooks = slider_benchmark.chapters(options.chapters)
        problems = measure(browser, notebooks, options.presses, options.out, " ".join(words))
        browser.close()
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"the record is {options.out}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
