"""A lab in a notebook, and what a reader does with it: find it, press, type."""

from __future__ import annotations

import nbformat
from playwright.sync_api import Browser, Locator

from lab_driver import LabServer, NotebookPage
from patience import run_patiently

__all__ = ["drawn", "open_cells", "preset", "put", "run_to_lab"]


def open_cells(browser: Browser, server: LabServer, *sources: str) -> NotebookPage:
    """Open a new notebook made of code cells."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    folder = server.work / "chapters"
    name = f"cells_{len(list(folder.glob('cells_*.ipynb')))}.ipynb"
    nbformat.write(notebook, folder / name)
    return NotebookPage(browser, server, name)


def run_to_lab(page: NotebookPage, name: str, seconds: float = 600) -> Locator:
    """Run a notebook and return the lab called `name` in it."""
    assert run_patiently(page, seconds) == []
    lab = page.page.locator(f'.alexnet-lab[aria-label="{name}"]')
    lab.scroll_into_view_if_needed()
    return lab


def drawn(lab: Locator) -> None:
    """Wait until the page has drawn what was done to a lab: it draws once a frame."""
    lab.evaluate("() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")


def put(lab: Locator, box: str, text: str) -> Locator:
    """Type into a slider's box and press Enter; returns the box once the lab is drawn anew."""
    field = lab.get_by_label(f"{box}, exact value")
    field.fill(text)
    field.press("Enter")
    drawn(lab)
    return field


def preset(lab: Locator, label: str) -> None:
    """Press a preset's button and wait until the lab is drawn anew."""
    lab.get_by_role("button", name=label, exact=True).click()
    drawn(lab)
