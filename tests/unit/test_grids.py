"""Grids of numbers and squares on photos show what they are given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from alexnet_lib import grids


def frames(ax) -> list[tuple]:
    """Position and side of each unfilled rectangle."""
    found = (patch for patch in ax.patches if isinstance(patch, Rectangle) and not patch.get_fill())
    return [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in found]


def test_number_grid_writes_each_number_in_its_cell():
    values = np.array([[0, -1.5, 20], [3, 4, 5]])
    ax = grids.number_grid(values, window=(0, 1, 2), title="a grid")
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written[(1.5, 0.5)] == "−1.5" and written[(2.5, 0.5)] == "20"
    assert written[(0.5, 1.5)] == "3" and len(written) == 6
    assert frames(ax) == [(1, 0, 2, 2)]
    assert ax.get_title(loc="left") == "a grid" or ax.get_title() == "a grid"


def test_number_grid_shades_larger_numbers_darker():
    ax = grids.number_grid([[1.0, 2.0, 3.0]])
    shades = [patch.get_alpha() for patch in ax.patches]
    assert shades == sorted(shades) and shades[0] < shades[2]
    assert [patch.get_alpha() for patch in grids.number_grid([[7, 7]]).patches] == [0.08, 0.08]


def test_number_grid_wants_two_dimensions():
    with pytest.raises(ValueError, match=r"shape \(3,\); a grid of numbers is \(H, W\)"):
        grids.number_grid([1, 2, 3])


def test_squares_stand_where_their_pixels_are():
    picture = np.zeros((20, 20, 3), dtype=np.uint8)
    ax = grids.squares(picture, {"first": (0, 5), "last": (18, 5)})
    assert frames(ax) == [(-0.5, -0.5, 5, 5), (17.5, 17.5, 5, 5)]
    assert {text.get_text() for text in ax.texts} == {"first", "last"}
    assert ax.get_xlim() == (-0.5, 22.5) and ax.get_ylim() == (22.5, -0.5)


def test_squares_show_the_padding_even_where_no_window_stands():
    ax = grids.squares(np.zeros((8, 8)), {"middle": (2, 3)}, padding=2)
    assert ax.get_xlim() == (-2.5, 9.5)
