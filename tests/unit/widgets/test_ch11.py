"""Chapter 11's demos say and show what was computed."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_lib.analysis.deconvolution import Portrait
from alexnet_lib.course.widgets import ch11


def portrait(channel, side):
    rng = np.random.default_rng(channel)
    patches = tuple(rng.integers(0, 256, (side, side - 2, 3)).astype(np.uint8) for _ in range(3))
    seen = tuple(rng.normal(size=patch.shape).astype(np.float32) for patch in patches)
    return Portrait(channel, patches, seen, (9.0, 7.0, 5.0), (0, 1, 2))


def test_contrast_puts_zero_at_grey_and_the_largest_at_an_end():
    made = ch11.contrast(np.array([[[0.0, -2.0, 4.0]]]))
    assert made.tolist() == [[[128, 64, 255]]]
    assert (ch11.contrast(np.zeros((2, 2, 3))) == 128).all()


def test_unit_portraits_follow_layer_and_unit():
    demo = ch11.unit_portraits(
        {"conv1": [portrait(3, 11), portrait(4, 11)], "conv2": [portrait(5, 51), portrait(6, 51)]},
        columns=3,
    )
    assert "Unit 5 of conv2 sees up to 51 x 51 pixels" in demo.summary
    before = demo.picture
    demo.controls["unit"].value = 2
    assert "Unit 6 of conv2" in demo.summary and demo.picture != before
    demo.apply("first layer")
    assert "Unit 3 of conv1 sees up to 11 x 11 pixels" in demo.summary
    assert demo.summary.endswith("9, 7, 5.") and ", less where the picture ends" in demo.summary
    answers = [text.get_text() for text in demo._figure.axes[0].texts]
    assert answers == ["answer 9", "answer 7", "answer 5"]


def test_a_tile_keeps_one_scale_and_is_clear_around_a_patch_that_was_cut():
    tile = ch11._tile(np.full((30, 60, 3), 7, np.uint8), 60)
    shown = tile[..., 3] > 0
    assert shown.all(axis=1).sum() == 60 and shown.any(axis=1).sum() == 60  # of 120 rows
    assert (tile[shown] == [7, 7, 7, 255]).all() and shown[30:90].all()
    small = ch11._tile(np.full((30, 30, 3), 7, np.uint8), 60)
    assert (small[..., 3] > 0).sum() == 60 * 60


@pytest.fixture
def hidden():
    picture = np.full((60, 60, 3), 90, np.uint8)
    drops = {20: np.arange(9).reshape(3, 3) / 100, 40: -np.arange(9).reshape(3, 3) / 50}
    return ch11.hide_a_square(picture, drops, 0.7, "church"), drops


def test_hide_a_square_starts_where_it_matters_most_and_says_the_drop(hidden):
    demo, drops = hidden
    assert demo.parameters == {"size": 40, "row": 0, "column": 0}
    demo.controls["size"].value = 20
    demo.controls["row"].value, demo.controls["column"].value = 2, 1
    assert "Hidden: 20 x 20 pixels, place 2 from the top, 1 from the left." in demo.summary
    assert "'church' with 63%; with nothing hidden it was 70%: 7 points less." in demo.summary
    demo.apply("what speaks most against")
    assert demo.parameters == {"size": 40, "row": 2, "column": 2}
    assert "with 86%" in demo.summary and "16 points more" in demo.summary


def test_hidden_squares_lie_where_the_map_says(hidden):
    demo, _ = hidden
    demo.controls["size"].value = 20
    demo.controls["row"].value, demo.controls["column"].value = 2, 1
    (square,) = demo._figure.axes[0].patches
    assert square.get_xy() == (19.5, 39.5) and square.get_width() == 20


def test_neighbour_rows_show_the_nearest():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 9, 9, 3)).astype(np.uint8)
    features = np.array([[0.0], [10.0], [1.0], [3.0], [20.0], [30.0]])
    figure = ch11.neighbour_rows(images, features, [0, 4], count=2)
    shown = [np.round(ax.images[0].get_array() * 255) for ax in figure.axes]
    for pixels, index in zip(shown, [0, 2, 3, 4, 1, 5], strict=True):
        np.testing.assert_array_equal(pixels, images[index][::3, ::3])


def test_neighbours_of_the_same_owner_are_framed_otherwise_than_others():
    images = np.zeros((4, 9, 9, 3), np.uint8)
    features = np.array([[0.0], [1.0], [2.0], [9.0]])
    figure = ch11.neighbour_rows(
        images, features, [0], count=3, titles=["cup"], owners=[5, 5, 7, 5]
    )
    query, *found = (ax.spines["left"] for ax in figure.axes)
    styles = [spine.get_linestyle() for spine in found]
    assert styles[0] == styles[2] != styles[1] and found[0].get_edgecolor() != (
        found[1].get_edgecolor()
    )
    titles = [ax.get_title("left") + ax.get_title("center") for ax in figure.axes]  # by style
    assert titles == ["picture", "nearest: 1", "2", "3"]
    assert figure.axes[0].get_ylabel() == "cup"
