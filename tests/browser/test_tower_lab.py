"""The two-tower lab of chapter 06 in a real browser: switched, typed, moved by keys."""

from __future__ import annotations

import random

import pytest
from playwright.sync_api import Locator, expect

from alexnet_lib import shapes
from alexnet_lib.course.widgets import two_towers as two_tower_widget
from lab_controls import preset, put, run_to_lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),  # one server, one browser
]
CELLS = ("from alexnet_lib.course import widgets", "widgets.TowerLab()")  # as in chapter 06


@pytest.fixture
def lab(page_with) -> Locator:
    """The lab in a notebook of its own, run."""
    return run_to_lab(page_with(*CELLS), "two-tower lab")


def switch(lab: Locator, name: str) -> Locator:
    """The switch before a layer."""
    return lab.locator(f'[role=switch][aria-label^="{name} reads"]')


def check_numbers(lab: Locator) -> None:
    """The table says what the library computes, whatever is switched."""
    rng = random.Random(3)
    for _ in range(8):
        label = rng.choice(list(two_tower_widget.PRESETS)[:3])
        _, widths, both, towers, _ = two_tower_widget.PRESETS[label]
        preset(lab, label)
        batch = rng.randint(1, 1024)
        put(lab, "batch", str(batch))
        for name in rng.sample(two_tower_widget.READERS, 3):
            was_both = name in both
            expect(switch(lab, name)).to_have_attribute("aria-checked", str(was_both).lower())
            switch(lab, name).click()
            expect(switch(lab, name)).to_have_attribute("aria-checked", str(not was_both).lower())
            both = [each for each in both if each != name] if was_both else [*both, name]
        spec = two_tower_widget.tower_network(two_tower_widget.WIDTHS[widths])
        rows = shapes.tower_rows(spec, both, towers)
        one, other = ([sum(getattr(row, cost)[gpu] for row in rows) for cost in
                       ("parameters", "macs", "received")] for gpu in (0, 1))  # fmt: skip
        cells = [lab.locator("table tr").nth(line).locator("td") for line in (1, 2, 3)]
        for line, first, second in zip(cells, one[:2] + other[2:], other[:2] + one[2:],
                                       strict=True):  # fmt: skip
            expect(line).to_have_text([f"{first:,}", f"{second:,}", f"{first + second:,}"])
        crossing = one[2] + other[2]
        said = f"For each picture {crossing:,} bytes" if crossing else "Nothing crosses"
        expect(lab.locator(".alexnet-sentence")).to_contain_text(said)
        expect(lab.locator(".alexnet-sentence")).to_contain_text(str(batch))


def check_keys(lab: Locator) -> None:
    """Arrow keys lead from switch to switch, the space bar turns one, no cell is deleted."""
    preset(lab, "the paper")
    cells = lab.page.locator(".jp-Cell").count()
    switch(lab, "conv2").focus()
    for key, focused in (("ArrowDown", "conv3"), ("End", "fc8"), ("ArrowDown", "fc8"),
                         ("ArrowUp", "fc7"), ("Home", "conv2"), ("ArrowUp", "conv2")):  # fmt: skip
        lab.page.keyboard.press(key)
        expect(switch(lab, focused)).to_be_focused()
    expect(lab.locator(".alexnet-note")).to_contain_text("run 145")
    lab.page.keyboard.press("Space")
    expect(switch(lab, "conv2")).to_have_attribute("aria-checked", "true")
    expect(switch(lab, "conv2")).to_have_text("both · 279,936 B")
    expect(lab.locator(".alexnet-note")).to_be_empty()
    for key in ("d", "d", "x"):  # JupyterLab's keys for deleting a cell
        lab.page.keyboard.press(key)
    assert lab.page.locator(".jp-Cell").count() == cells


def check_bad_batches(lab: Locator) -> None:
    """Each kind of bad number has its line, changes nothing, and is forgotten afterwards."""
    preset(lab, "the paper")
    complaint, sentence = lab.locator(".alexnet-complaint"), lab.locator(".alexnet-sentence")
    for text, said in (("0", "0 is too small"), ("-1", "-1 is negative"), ("", "The box is empty"),
                       ("2000", "2000 is too large"), ("2.5", "not a whole number"),
                       ("many", "is not a number")):  # fmt: skip
        field = put(lab, "batch", text)
        expect(complaint).to_contain_text(said)
        expect(field).to_have_attribute("aria-invalid", "")
        expect(sentence).to_contain_text("with batch 128.")
        field.blur()
        expect(field).to_have_value("128")
    put(lab, "batch", "64")
    expect(complaint).to_be_hidden()
    expect(sentence).to_contain_text("with batch 64.")
    preset(lab, "one tower")
    expect(sentence).to_contain_text("All on GPU 0, nothing crosses.")
    expect(lab.locator("[role=switch]:visible")).to_have_count(0)
    preset(lab, "reset")
    expect(sentence).to_contain_text("234,496 bytes cross forward")
    expect(lab.locator("[role=switch]:visible")).to_have_count(len(two_tower_widget.READERS))


def test_the_lab_gives_the_librarys_numbers_and_answers_to_keys(lab):
    check_numbers(lab)
    check_keys(lab)
    check_bad_batches(lab)
