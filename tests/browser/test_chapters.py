"""Every chapter in a real browser: run all, then move every slider and click every preset."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lab_driver import ROOT, Demo, NotebookPage
from patience import run_patiently

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("browser"),  # one server, one browser
]
NOTEBOOKS = sorted(path.name for path in (ROOT / "chapters").glob("*.ipynb"))


def save_picture(demo: Demo, name: str) -> None:
    """Keep a picture of a demo in the folder $SCREENSHOTS, if that is set."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        demo.root.screenshot(path=Path(folder) / f"{re.sub(r'[^0-9A-Za-z]+', '_', name)}.png")


def check_sliders(demo: Demo, name: str) -> None:
    """Each slider, moved to both ends by keyboard, changes picture and text."""
    for number, slider in enumerate(demo.sliders(), start=1):
        called = f"{name}, slider {slider.name or number}"
        start = slider.value
        low = demo.move(slider, "Home")
        lowest = slider.value
        save_picture(demo, f"{called} low")
        high = demo.move(slider, "End")
        highest = slider.value
        save_picture(demo, f"{called} high")
        assert float(lowest) < float(highest), f"{called} does not move: Home and End do nothing"
        assert low.pictures != high.pictures, f"{called}: same picture at {lowest} and {highest}"
        assert low.text != high.text, f"{called}: same text at {lowest} and {highest}: {low.text}"
        slider.restore(start)
        demo.settle()


def check_presets(demo: Demo, name: str) -> None:
    """Each preset leads to one picture, wherever one comes from, and not all to the same."""
    presets = demo.presets()
    shown = []
    for preset in presets:
        shown.append(demo.click(preset))
        save_picture(demo, f"{name} preset {preset.inner_text()}")
        assert shown[-1].text, f"{name}: no text after preset {preset.inner_text()}"
    if len(presets) > 1:
        assert len({state.pictures for state in shown}) > 1, f"{name}: presets change no picture"
        assert len({state.text for state in shown}) > 1, f"{name}: presets change no text"
    for preset, before in zip(presets, shown, strict=True):
        again = demo.click(preset)
        assert again.text == before.text, f"{name}: preset {preset.inner_text()} gave two texts"


def check_demo(demo: Demo, name: str) -> None:
    """A demo shows a picture and a line of text, and answers to its sliders and presets."""
    state = demo.settle()
    save_picture(demo, name)
    assert state.pictures, f"{name} shows no img, canvas or svg"
    assert state.text, f"{name} has no .alexnet-summary with text"
    check_sliders(demo, name)
    check_presets(demo, name)


def check_page(page: NotebookPage) -> None:
    """Run a notebook and check all it shows."""
    assert run_patiently(page) == []
    for number, demo in enumerate(page.demos(), start=1):
        check_demo(demo, f"{page.name} demo {number}")
    assert page.errors() == [], "after the demos were used"
    assert page.foreign == [], "the page asked another machine"


def check_names(demo: Demo, name: str) -> None:
    """Who can't see a demo is told what its sliders and pictures are."""
    nameless = [slider.name for slider in demo.sliders() if not slider.label]
    assert not nameless, f"{name}: a screen reader has no name for the sliders {nameless}"
    wrong = demo.root.evaluate(
        """root => [...root.querySelectorAll('img, canvas, svg')].filter(e =>
             !(e.getAttribute('alt') || e.getAttribute('aria-label')
               || e.getAttribute('aria-labelledby') || e.getAttribute('role') === 'presentation'
               || e.querySelector('title, [aria-label]')  // its parts speak for themselves
               || e.closest('[aria-hidden=true], [role=img][aria-label], button')))
           .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert not wrong, f"{name}: pictures without alternative text: {wrong}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_chapter_runs_and_every_demo_answers(open_notebook, name):
    page = open_notebook(name)
    check_page(page)
    for number, demo in enumerate(page.demos(), start=1):
        check_names(demo, f"{page.name} demo {number}")
