"""One JupyterLab and one Chromium for all browser tests; both are skipped without a Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from lab_controls import open_cells
from lab_driver import NO_CHROMIUM, ROOT, LabServer, NotebookPage, find_chromium, launch

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        executable = find_chromium(playwright)
        if executable is None:
            pytest.skip(NO_CHROMIUM)
        browser = launch(playwright, executable)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """JupyterLab with copies of all chapters and of the notebooks beside this file."""
    notebooks = [*sorted((ROOT / "chapters").glob("*.ipynb")), *sorted(HERE.glob("*.ipynb"))]
    with LabServer(tmp_path_factory.mktemp("lab"), notebooks) as server:
        yield server


@pytest.fixture
def open_notebook(
    chromium: Browser, lab_server: LabServer
) -> Iterator[Callable[[str], NotebookPage]]:
    """A function that opens a notebook by its file name; what it opened is closed afterwards."""
    pages: list[NotebookPage] = []

    def open_one(name: str) -> NotebookPage:
        pages.append(NotebookPage(chromium, lab_server, name))
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def page_with(chromium: Browser, lab_server: LabServer) -> Iterator[Callable[..., NotebookPage]]:
    """A function that opens a notebook made of the given cells; closed afterwards."""
    pages: list[NotebookPage] = []

    def open_one(*sources: str) -> NotebookPage:
        pages.append(open_cells(chromium, lab_server, *sources))
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()
