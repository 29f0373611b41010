"""Look at a notebook: run it in headless JupyterLab and save pictures of it.

    python tests/browser/look.py chapters/05_local_response_normalization.ipynb OUTDIR

writes page_01.png, page_02.png, ... (the whole page, one window after another) and, for each demo,
demo_1.png, then each slider at both ends and each preset: demo_1_k_low.png, demo_1_k_high.png,
demo_1_preset_paper.png. It prints every error, and what each demo says in each of these states.
The notebook itself is not changed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from lab_driver import NO_CHROMIUM, Demo, LabServer, NotebookPage, find_chromium, launch


def main() -> int:
    """Read the command line, take the pictures, return 1 if the notebook shows an error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("folder", type=Path, help="where the pictures go; made if missing")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in pixels")
    parser.add_argument("--height", type=int, default=1400, help="of each picture of the page")
    parser.add_argument("--no-run", action="store_true", help="show the stored outputs instead")
    parser.add_argument("--no-demos", action="store_true", help="leave the demos alone")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        executable = find_chromium(playwright)
        if executable is None:
            print(NO_CHROMIUM, file=sys.stderr)
            return 2
        with LabServer(Path(temporary), [options.notebook], theme=options.theme) as server:
            browser = launch(playwright, executable)
            page = NotebookPage(
                browser, server, options.notebook.name, width=options.width, height=options.height
            )
            if not options.no_run:
                print(f"ran all cells in {page.run_all(seconds=900):.1f} s")
            print(f"{photograph(page, options.folder)} pictures of the page in {options.folder}")
            if not options.no_demos:
                for number, demo in enumerate(page.demos(), start=1):
                    exercise(demo, f"demo_{number}", options.folder)
            problems = page.errors() + [f"asks another machine: {url}" for url in page.foreign]
            browser.close()
    for problem in problems:
        print(f"ERROR {problem}")
    print(f"{len(problems)} errors")
    return 1 if problems else 0


def photograph(page: NotebookPage, folder: Path) -> int:
    """Save the whole notebook, one window's height at a time; returns the number of pictures."""
    panel = page.page.locator(".jp-WindowedPanel-outer").first
    panel.evaluate("e => e.scrollTop = 0")
    # the area below the last cell is for scrolling only
    bottom = panel.evaluate(
        """e => {
          const cells = [...e.querySelectorAll('.jp-Cell')];
          const last = cells.length ? cells[cells.length - 1].getBoundingClientRect().bottom : 0;
          return last - e.getBoundingClientRect().top;
        }"""
    )
    height = panel.evaluate("e => e.clientHeight")
    count = max(1, -(-int(bottom) // height))
    for number in range(count):
        for _ in range(5):  # JupyterLab may still be on its way to the cell that ran last
            panel.evaluate("(e, top) => e.scrollTop = top", number * height)
            page.page.wait_for_timeout(200)
            if abs(panel.evaluate("e => e.scrollTop") - number * height) < 2:
                break
        panel.screenshot(path=folder / f"page_{number + 1:02d}.png")
    return count


def exercise(demo: Demo, name: str, folder: Path) -> None:
    """Save a demo as it is, with each slider at both ends, and after each preset."""

    def shoot(what: str, text: str) -> None:
        what = re.sub(r"\W+", "_", what).strip("_")
        demo.root.screenshot(path=folder / f"{what}.png")
        print(f"{what}: {text!r}")

    shoot(name, demo.settle().text)
    for number, slider in enumerate(demo.sliders(), start=1):
        called, start = slider.name or f"slider{number}", slider.value
        if not slider.label:
            print(f"{name} {called}: a screen reader has no name for this slider")
        for key, end in (("Home", "low"), ("End", "high")):
            state = demo.move(slider, key)
            shoot(f"{name}_{called}_{end}", f"{called} = {slider.value}: {state.text}")
        slider.restore(start)
        demo.settle()
    for preset in demo.presets():
        called = preset.inner_text()
        shoot(f"{name}_preset_{called}", demo.click(preset).text)


if __name__ == "__main__":
    sys.exit(main())
