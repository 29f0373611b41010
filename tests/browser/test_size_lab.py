"""The output-size lab of chapter 02 in a real browser: typed, pointed at, moved by keys."""

from __future__ import annotations

import random

import pytest
from playwright.sync_api import Locator, expect

from alexnet_lib import shapes
from alexnet_lib.course.widgets import output_size as output_size_widget
from lab_controls import preset, put, run_to_lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),  # one server, one browser
]
CELLS = ("from alexnet_lib.course import widgets", "widgets.SizeLab()")  # as in chapter 02
BOXES = ("picture", "window", "stride", "padding")


@pytest.fixture
def lab(page_with) -> Locator:
    """The lab in a notebook of its own, run."""
    return run_to_lab(page_with(*CELLS), "output-size lab")


def check_numbers(lab: Locator) -> None:
    """What the page says is what the library computes, whatever is set."""
    rng = random.Random(2)
    sentence, result = lab.locator(".alexnet-sentence"), lab.locator("p[role=status]").last
    preset(lab, "5 × 5 by hand")
    for _ in range(12):
        setting = (rng.randint(40, 256), rng.randint(1, 32), rng.randint(1, 16), rng.randint(0, 8))
        rounding, pools = rng.choice(["floor", "ceil"]), rng.choice(["floor", "ceil"])
        for box, value in zip(BOXES, setting, strict=True):
            put(lab, box, str(value))
        lab.locator("select").select_option(rounding)
        lab.locator("input[type=checkbox]").set_checked(pools == "ceil")
        side = shapes.output_size(*setting, rounding)
        expect(sentence).to_contain_text(f"the map is {side} × {side}")
        map_canvas = lab.locator("canvas").nth(2)
        expect(map_canvas).to_have_js_property("width", side)
        try:
            inputs = output_size_widget.fc6_inputs(side, pools)
        except ValueError:
            expect(result).to_contain_text("Here AlexNet ends")
        else:
            expect(result).to_contain_text(f"= {inputs:,} numbers into 4,096: ")
            expect(result).to_contain_text(f"{4096 * (inputs + 1):,} weights")


def check_example(lab: Locator) -> None:
    """Five by five by hand: section 4's picture and its map, in numbers; elsewhere the photo."""
    preset(lab, "5 × 5 by hand")
    stages = lab.locator(".alexnet-stage")
    digits = [str(value) for row in output_size_widget.EXAMPLE for value in row]
    expect(stages.nth(0).locator("text")).to_have_text(digits)
    sums = stages.nth(2).locator("text")
    for place, text in enumerate(("9", "27", "18")):
        expect(sums.nth(place)).to_have_text(text)
    expect(lab.get_by_text("right column minus left column; grey is 0")).to_be_visible()
    preset(lab, "torchvision")
    expect(lab.get_by_text("dotted: 1 never read")).to_be_visible()
    expect(stages.nth(0).locator("text")).to_have_count(0)


def check_bad_input(lab: Locator) -> None:
    """Each kind of bad number has its line, changes nothing, and is forgotten afterwards."""
    sentence, complaint = lab.locator(".alexnet-sentence"), lab.locator(".alexnet-complaint")
    preset(lab, "Caffe's 227")
    for box, text, said in (
        ("stride", "0", "would never move on"), ("window", "33", "33 is too large"),
        ("padding", "-1", "-1 is negative"), ("picture", "2", "2 is too small"),
        ("stride", "2.5", "not a whole number"), ("window", "eleven", "is not a number"),
        ("picture", "", "The box is empty"),
    ):
        field = put(lab, box, text)
        expect(complaint).to_contain_text(said)
        expect(field).to_have_attribute("aria-invalid", "")
        expect(sentence).to_contain_text("the map is 55 × 55")
        field.blur()
        assert field.input_value() in ("227", "11", "4", "0")
    put(lab, "stride", "2")
    expect(complaint).to_be_hidden()
    put(lab, "picture", "9")
    expect(sentence).to_contain_text("A window of 11 doesn't fit into a picture of 9")
    preset(lab, "Caffe's 227")
    expect(sentence).to_contain_text("the map is 55 × 55")


def check_window(lab: Locator) -> None:
    """The window goes where keys and the pointer send it, and never out of the picture."""
    preset(lab, "Caffe's 227")
    stage, reading = lab.locator("[role=application]"), lab.locator(".alexnet-stages > p")
    cells = lab.page.locator(".jp-Cell").count()
    stage.focus()
    for keys, place in (
        (["Home"], (0, 0)), (["ArrowUp", "ArrowLeft"], (0, 0)), (["ArrowRight"], (0, 1)),
        (["ArrowDown", "ArrowDown"], (2, 1)), (["End"], (54, 54)), (["ArrowDown"], (54, 54)),
        (["d", "d", "x"], (54, 54)),  # JupyterLab's keys for deleting a cell
    ):
        for key in keys:
            stage.press(key)
        expect(reading).to_contain_text(f"row {place[0]}, column {place[1]} of the map")
    assert lab.page.locator(".jp-Cell").count() == cells
    expect(reading).to_contain_text("rows 216 to 226 and columns 216 to 226")
    picture_map = lab.get_by_role("img", name="the map of an edge filter")
    box = picture_map.bounding_box()
    picture_map.click(position={"x": box["width"] * 10.5 / 55, "y": box["height"] * 3.5 / 55})
    expect(reading).to_contain_text("row 3, column 10 of the map")
    box = stage.bounding_box()
    stage.click(position={"x": box["width"] * 113 / 227, "y": 1})
    expect(reading).to_contain_text("row 0, column 27 of the map")


def test_the_lab_gives_the_librarys_numbers_and_answers_to_keys(lab):
    check_numbers(lab)
    check_example(lab)
    check_bad_input(lab)
    check_window(lab)
