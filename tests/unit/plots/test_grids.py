"""Grids of numbers and squares on photos show what they are given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from alexnet_lib import plots


def frames(ax) -> list[tuple]:
    """Position and side of each unfilled rectangle."""
    found = (patch for patch in ax.patches if isinstance(patch, Rectangle) and not patch.get_fill())
    return [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in found]


def test_number_grid_writes_each_number_in_its_cell():
    values = np.array([[0, -1.5, 20], [3, 4, 5]])
    ax = plots.number_grid(values, window=(0, 1, 2), title="a grid")
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written[(1.5, 0.5)] == "−1.5" and written[(2.5, 0.5)] == "20"
    assert written[(0.5, 1.5)] == "3" and len(written) == 6
    assert frames(ax) == [(1, 0, 2, 2)]
    assert ax.get_title(loc="left") == "a grid" or ax.get_title() == "a grid"


def luminance(colour) -> float:
    """WCAG 2's relative luminance of any matplotlib colour."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


@pytest.mark.parametrize("meaning", ["before", "after"])
def test_number_grid_shows_larger_numbers_brighter_and_readable(meaning):
    ax = plots.number_grid([np.linspace(-9, 9, 12)], meaning=meaning)
    cells = [luminance(patch.get_facecolor()) for patch in ax.patches]
    assert cells == sorted(cells) and cells[0] < 0.1 and cells[-1] > 0.85
    for cell, text in zip(cells, ax.texts, strict=True):
        low, high = sorted((cell, luminance(text.get_color())))
        assert (high + 0.05) / (low + 0.05) > 4.5, text.get_text()


def test_number_grid_of_equal_numbers_is_bright():
    cells = [luminance(patch.get_facecolor()) for patch in plots.number_grid([[7, 7]]).patches]
    assert min(cells) > 0.85


def test_number_grid_wants_two_dimensions():
    with pytest.raises(ValueError, match=r"shape \(3,\); a grid of numbers is \(H, W\)"):
        plots.number_grid([1, 2, 3])


def test_squares_stand_where_their_pixels_are():
    picture = np.zeros((20, 20, 3), dtype=np.uint8)
    ax = plots.squares(picture, {"first": (0, 5), "last": (18, 5)})
    assert frames(ax) == [(-0.5, -0.5, 5, 5), (17.5, 17.5, 5, 5)]
    assert {text.get_text() for text in ax.texts} == {"first", "last"}
    assert ax.get_xlim() == (-0.5, 22.5) and ax.get_ylim() == (22.5, -0.5)


def test_squares_show_the_padding_even_where_no_window_stands():
    ax = plots.squares(np.zeros((8, 8)), {"middle": (2, 3)}, padding=2)
    assert ax.get_xlim() == (-2.5, 9.5)
