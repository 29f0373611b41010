"""Mistakes as pictures: the table of what was taken for what, and the pictures themselves.

Numpy and matplotlib only; arrays in, Axes out, as in `plots`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from .images import bare, image, new_axes, new_figure
from .palette import COLOURS, FIGURE_WIDTH, FONT_SIZE

__all__ = ["confusion", "gallery"]

MOST_CLASSES = 30  # with more the numbers no longer fit
MOST_NUMBERS = 14  # classes up to which each cell has its number


def _tint(colour: str, share: np.ndarray) -> np.ndarray:
    """Return a colour, as strong as the shares (..., ) from 0 to 1 say, on the background."""
    strength = np.sqrt(share)[..., None]  # so that few can be seen, too
    return strength * to_rgb(COLOURS[colour]) + (1 - strength) * to_rgb(COLOURS["background"])


def confusion(
    matrix: np.ndarray, classes: Sequence[str], *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw what is taken for what, a row for each right answer.

    matrix: (C, C) counts from `confusion.confusion`, C at most 30. classes: (C,) names. What is
    right, on the diagonal, is green, what is wrong ochre, stronger the larger its share of the
    row. Returns the Axes. Raises ValueError for another shape.
    """
    counts = np.asarray(matrix)
    C = len(classes)
    if counts.shape != (C, C) or not 2 <= C <= MOST_CLASSES:
        raise ValueError(
            f"matrix has shape {counts.shape} for {C} classes; it must be ({C}, {C}), with 2 to "
            f"{MOST_CLASSES} classes. Take the hardest ones with matrix[chosen][:, chosen]."
        )
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    cells = np.where(np.eye(C, dtype=bool)[..., None], _tint("validation", shares),
                     _tint("highlight", shares))
    ax = ax or new_axes(0.78 * FIGURE_WIDTH, 0.56 * FIGURE_WIDTH + (0.3 if title else 0))
    ax.imshow(cells, aspect="auto", interpolation="nearest")
    for (row, column), number in np.ndenumerate(counts):
        if number and C <= MOST_NUMBERS:
            dark = cells[row, column].mean() < 0.5
            ax.text(column, row, f"{number:,}", ha="center", va="center",
                    fontsize=FONT_SIZE["note"], color=COLOURS["background" if dark else "text"],
                    weight="bold" if row == column else "normal")
    ax.set_xticks(range(C), classes, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(C), classes)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="what the network says", ylabel="what it is")
    if title:
        ax.set_title(title)
    return ax


def gallery(
    images: Sequence[np.ndarray] | np.ndarray, lines: Sequence[str], *, columns: int = 4,
    size: float = 1.35, title: str | None = None,
) -> Figure:
    """Show pictures side by side, with words below each.

    images: pictures (H, W), (H, W, 1) or (H, W, 3), uint8 or 0..1, at least one. lines: the words,
    as many. columns: pictures a row. size: side of a picture, inches. Returns the Figure.
    Raises ValueError where their numbers differ or there are none.
    """
    if len(images) != len(lines) or not len(images):
        raise ValueError(
            f"{len(images)} pictures and {len(lines)} lines of words; give one line a picture, and "
            "at least one."
        )
    columns = min(columns, len(images))
    rows, below = -(-len(images) // columns), 0.2 * max(line.count("\n") + 1 for line in lines)
    width = min(1.0, columns / 4) * FIGURE_WIDTH
    figure = new_figure(width, rows * (size + below + 0.1) + 0.3 * bool(title))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        bare(ax)
    for ax, picture, line in zip(axes, images, lines, strict=False):
        pixels = np.asarray(picture)
        image(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels, ax=ax)
        ax.set_xlabel(line, fontsize=FONT_SIZE["note"], color=COLOURS["text"], labelpad=4)
    if title:
        figure.suptitle(title)
    return figure
