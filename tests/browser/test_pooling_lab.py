"""The pooling lab in a page: keys, the pointer, and numbers typed that make no sense."""

from __future__ import annotations

import pytest

from lab_controls import open_cells, preset, put, run_to_lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("browser"),  # one server, one browser
]
CELLS = (  # as in chapter 03
    "from alexnet_lib import datasets, pretrained\n"
    "from alexnet_lib.analysis import lrn_maps\n"
    "from alexnet_lib.course import widgets",
    "filters = pretrained.learned_filters()['conv1.weight']\n"
    "cat = lrn_maps.before_and_after(datasets.photo('cat'), filters)['before']\n"
    "widgets.PoolingLab({'a cat, filter 48': cat[48]})",
)


@pytest.fixture(scope="module")
def lab(chromium, lab_server):
    """The lab in a notebook of its own, run."""
    page = open_cells(chromium, lab_server, *CELLS)
    yield run_to_lab(page, "pooling lab")
    page.close()


def sentence(lab) -> str:
    return lab.locator(".alexnet-summary").inner_text()


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("z", "0", "A window of 0 pixels holds nothing"),
        ("z", "-1", "The window can't be negative"),
        ("z", "2.5", "Pixels come whole"),
        ("z", "99", "doesn't fit on a map of 9 × 9"),
        ("z", "many", "The window needs a number"),
        ("s", "0", "never leaves the first place"),
        ("s", "-3", "The stride can't be negative"),
        ("s", "1,5", "the stride can't be 1.5"),
        ("s", "10", "leaves a map of 9 × 9 at the first step"),
        ("shift", "9", "9 is out of range for the shift"),
        ("window", "17", "17 is out of range for the window's number"),
    ],
)
def test_typed_numbers_that_make_no_sense_change_nothing_and_get_a_line(lab, name, typed, said):
    preset(lab, "reset")
    before = sentence(lab)
    field = put(lab, name, typed)
    line = lab.get_by_role("alert")
    line.wait_for(state="visible")
    assert said in line.inner_text() and "Nothing was changed." in line.inner_text()
    assert field.get_attribute("aria-invalid") is not None
    assert sentence(lab) == before
    put(lab, name, "2")
    line.wait_for(state="hidden")
    assert field.get_attribute("aria-invalid") is None


def test_a_window_can_be_typed_that_the_slider_does_not_reach(lab):
    preset(lab, "reset")
    put(lab, "z", "9")
    lab.get_by_text("9 × 9 becomes 1 × 1").wait_for()


def test_average_keeps_the_cat_and_its_winners_are_marked_on_demand(lab):
    preset(lab, "reset")
    marks = lab.get_by_label("mark the pixels that win")
    assert marks.is_checked()
    preset(lab, "a real map")
    lab.get_by_text("55 × 55 becomes 27 × 27").wait_for()
    assert "one number only, so nobody wins." in sentence(lab) and not marks.is_checked()
    assert "winners marked" not in lab.locator("figcaption").first.inner_text()
    marks.check()
    lab.get_by_text("winners marked").wait_for()
    preset(lab, "average")
    lab.get_by_text("averages its 9 pixels").wait_for()
    assert "55 × 55 becomes 27 × 27" in sentence(lab)
    lab.locator("select").first.select_option("0")
    lab.get_by_text("9 × 9 becomes 4 × 4").wait_for()
    assert marks.is_checked()
    lab.locator("select").first.select_option("1")
    lab.get_by_text("55 × 55 becomes 27 × 27").wait_for()
    assert not marks.is_checked()


def test_the_pointer_and_the_keys_choose_a_window(lab):
    preset(lab, "reset")
    pictures = lab.locator(".alexnet-map svg")
    pictures.nth(2).click(position={"x": 230, "y": 230})  # the last output of 4 x 4
    lab.get_by_text("Window 16 of 16 keeps 7.").wait_for()
    pictures.nth(0).click(position={"x": 4, "y": 4})
    lab.get_by_text("Window 1 of 16 keeps 2.").wait_for()
    slider = lab.get_by_role("slider", name="window")
    slider.last.focus()
    slider.last.press("ArrowRight")
    lab.get_by_text("Window 2 of 16 keeps 5.").wait_for()
    assert slider.last.get_attribute("data-lm-suppress-shortcuts") == "true"
