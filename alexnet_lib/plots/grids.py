"""Pictures of windows: on a small grid of numbers, and on a photo.

Numpy and matplotlib only; arrays in, Axes out, as in `plots`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .images import image, new_axes
from .palette import COLOURS, FONT_SIZE

__all__ = ["number_grid", "squares"]

DARKEST = 0.28  # the mean of red, green and blue in the darkest cell
INK, LIGHT = "#111111", "#FFC33D"  # a line that shows on any photo: light on a dark rim


def number_grid(
    values: np.ndarray, *, window: tuple[int, int, int] | None = None, title: str | None = None,
    meaning: str = "before", ax: Axes | None = None,
) -> Axes:
    """Draw a small grid of numbers, each in its cell, and perhaps a window on it.

    values: (H, W), at most about 12 x 12; larger is brighter, as in a photo. window: (row, column,
    side) of a square to mark. meaning: the palette's name for the cells' colour. Returns the Axes.
    Raises ValueError for another shape.
    """
    grid = np.asarray(values, dtype=np.float64)
    if grid.ndim != 2:
        raise ValueError(f"values has shape {grid.shape}; a grid of numbers is (H, W).")
    H, W = grid.shape
    ax = ax or new_axes(0.5 * W + 0.3, 0.5 * H + 0.3 * bool(title) + 0.1)
    least, span = grid.min(), np.ptp(grid)
    for (row, column), value in np.ndenumerate(grid):
        colour, letters = _cell_colours(meaning, (value - least) / span if span else 1.0)
        ax.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="none"))
        ax.text(column + 0.5, row + 0.5, f"{value:g}".replace("-", "−"), ha="center", va="center",
                color=letters, fontsize=FONT_SIZE["label"])
    for step in range(H + 1):
        ax.plot([0, W], [step, step], color=COLOURS["muted"], lw=0.6)
    for step in range(W + 1):
        ax.plot([step, step], [0, H], color=COLOURS["muted"], lw=0.6)
    if window is not None:
        row, column, side = window
        frame = {"fill": False, "edgecolor": COLOURS["highlight"], "lw": 3, "zorder": 3}
        ax.add_patch(Rectangle((column, row), side, side, **frame))
    ax.set_xlim(-0.08, W + 0.08)
    ax.set_ylim(H + 0.08, -0.08)
    ax.set_aspect("equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return ax


def _cell_colours(meaning: str, share: float) -> tuple[np.ndarray, str]:
    """Return a cell's colour, dark for a share of 0 and nearly white for 1, and its letters'."""
    own = np.array(to_rgb(COLOURS[meaning]))
    dark, bright = own * min(1.0, DARKEST / own.mean()), 1 - 0.06 * (1 - own)
    colour = dark + share * (bright - dark)
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return colour, "#FFFFFF" if luminance < 0.179 else "#000000"  # the one that stands out more


def squares(
    array: np.ndarray, windows: Mapping[str, tuple[int, int]], *, padding: int = 0,
    title: str | None = None, ax: Axes | None = None,
) -> Axes:
    """Show a picture with square windows on its diagonal, each with its name.

    array: (H, W, 3) or (H, W), as in `plots.image`. windows: name -> (first row and column, side)
    in pixels of the picture; what lies outside it is striped: zeros. padding: zeros around the
    picture that are there anyway. Returns the Axes.
    """
    H, W = np.shape(array)[:2]
    low = min([-padding, *(first for first, _ in windows.values())])
    high = max([max(H, W) + padding, *(first + side for first, side in windows.values())])
    ax = image(array, title=title, ax=ax or new_axes(4.2, 4.2))
    zeros = {"facecolor": COLOURS["background"], "edgecolor": COLOURS["grid"], "hatch": "////"}
    corner, whole = (low - 0.5, low - 0.5), high - low
    ax.add_patch(Rectangle(corner, whole, whole, zorder=-1, lw=0, **zeros))
    rim, letters = withStroke(linewidth=4, foreground=INK), withStroke(linewidth=3, foreground=INK)
    for number, (name, (first, side)) in enumerate(windows.items()):
        frame = Rectangle(
            (first - 0.5, first - 0.5), side, side, fill=False, edgecolor=LIGHT, lw=1.8,
            linestyle="-" if number % 2 == 0 else (0, (4, 2)), path_effects=[rim],
        )
        ax.add_patch(frame)
        right = first + side / 2 > (low + high) / 2
        ax.annotate(
            name, (first + side - 0.5 if right else first - 0.5, first - 0.5), xytext=(0, 4),
            textcoords="offset points", ha="right" if right else "left", va="bottom", color=LIGHT,
            weight="bold", fontsize=FONT_SIZE["note"], path_effects=[letters],
        )
    ax.set_xlim(low - 0.5, high - 0.5)
    ax.set_ylim(high - 0.5, low - 0.5)
    return ax
