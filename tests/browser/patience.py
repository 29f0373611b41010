"""Run a notebook on a machine that may be busy with other things."""

from __future__ import annotations

from lab_driver import NotebookPage


def starved(problems: list[str]) -> bool:
    """Whether nothing went wrong but that the machine was busy.

    anywidget gives a model two seconds to start and takes it for broken after that.
    """
    late = ("[anywidget] Failed to initialize model", "a widget does not render")
    return bool(problems) and all(any(words in text for words in late) for text in problems)


def run_patiently(page: NotebookPage, seconds: float = 900) -> list[str]:
    """Run every cell, up to three times where the machine starved it; returns the errors left."""
    page.run_all(seconds)
    for _ in range(2):
        if starved(page.errors()):
            page.reload()
            page.run_all(seconds)
    return page.errors()
