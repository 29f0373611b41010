"""Pooling windows drawn over pixels: the article's picture, and a map before and after pooling."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyBboxPatch, Rectangle

from .fast_text import number
from .images import bare, new_axes
from .palette import COLOURS, FONT_SIZE

__all__ = ["MOST_NUMBERS", "pixels", "vote_counts", "windows"]

INSET = 0.04  # of a pixel: keeps the frames of windows that touch beside each other
MOST_NUMBERS = 200  # pixels up to which each one's number is written
AMBER = LinearSegmentedColormap.from_list(
    "amber", [COLOURS["background"], COLOURS["soft_highlight"], COLOURS["highlight"]]
)


def windows(
    side: int, kernel: int, stride: int, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw all pooling windows over a grid of side x side pixels; the darker, the more of them.

    kernel, stride: pixels. Frames stand on the pixels' borders, inset by a hair, so windows that
    touch are seen to touch. Each has round corners of its own, and every second one another
    colour, so that those that overlap can be told apart. Returns the Axes.
    """
    ax = ax or new_axes(3.6, 3.6)
    for line in range(side + 1):
        style = {"color": COLOURS["grid"], "lw": 0.8, "zorder": 0}
        ax.plot([line, line], [0, side], **style)
        ax.plot([0, side], [line, line], **style)
    starts = range(0, side - kernel + 1, stride)
    for i, top in enumerate(starts):
        for j, left in enumerate(starts):
            size = kernel - 2 * INSET
            area = Rectangle((left, top), kernel, kernel, color=COLOURS["highlight"], alpha=0.22)
            area.set_linewidth(0)
            corners = f"round,pad=0,rounding_size={0.12 * size}"
            place = (left + INSET, top + INSET)
            frame = FancyBboxPatch(place, size, size, boxstyle=corners, fill=False, lw=1.6)
            frame.set_edgecolor(COLOURS[("after", "muted")[(i + j) % 2]])
            ax.add_patch(area)
            ax.add_patch(frame)
    return _over_pixels(ax, (side, side), title)


def _over_pixels(ax: Axes, shape: tuple[int, int], title: str | None) -> Axes:
    ax.set_xlim(-0.05, shape[1] + 0.05)
    ax.set_ylim(shape[0] + 0.05, -0.05)
    ax.set_aspect("equal")
    return bare(ax, title)


def pixels(
    values: np.ndarray, *, frame: tuple[int, int, int] | None = None, limit: float | None = None,
    rings: np.ndarray | None = None, title: str | None = None, ax: Axes | None = None,
) -> Axes:
    """Show one map in grey, bright is strong, with its numbers where they fit.

    values: (H, W). frame: a window to outline, (row, column, size). limit: the value that is
    white, default the largest. rings: indices row * W + column to ring. Returns the Axes.
    """
    array = np.asarray(values, dtype=np.float64)
    ax = ax or new_axes(3, 3)
    top = (limit if limit is not None else array.max()) or 1.0
    _cells(ax, array, array / top, "gray", [COLOURS["background"], "#000000"], title)
    for at in np.unique([] if rings is None else np.asarray(rings)[np.asarray(rings) >= 0]):
        row, column = divmod(int(at), array.shape[1])
        ax.plot(column + 0.5, row + 0.5, "o", ms=14, mfc="none", mec="#8A78F0", mew=1.8)
    if frame is not None:
        row, column, size = frame
        ax.add_patch(
            Rectangle((column, row), size, size, fill=False, lw=3, edgecolor=COLOURS["highlight"])
        )
    return ax


def vote_counts(votes: np.ndarray, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Show how many windows each pixel is in, (H, W), as shades of amber. Returns the Axes."""
    ax = ax or new_axes(3, 3)
    array = np.asarray(votes)
    shares = array / max(array.max(), 4)  # one vote is pale, also where nobody has more
    _cells(ax, array, shares, AMBER, [COLOURS["text"]] * 2, title)
    return ax


def _cells(
    ax: Axes, values: np.ndarray, shares: np.ndarray, colours, letters: list[str],
    title: str | None,
) -> None:  # fmt: skip
    """Draw cells coloured by shares of 1; letters: the colours of numbers on dark and on light."""
    H, W = values.shape
    ax.imshow(
        shares, cmap=colours, vmin=0, vmax=1, interpolation="nearest", extent=(0, W, H, 0)
    )
    _over_pixels(ax, (H, W), title)
    if values.size > MOST_NUMBERS:
        return
    for (row, column), value in np.ndenumerate(values):
        colour = letters[0] if shares[row, column] < 0.55 else letters[1]
        ax.text(
            column + 0.5, row + 0.5, number(float(value)), color=colour, ha="center", va="center",
            fontsize=FONT_SIZE["tick"],
        )
