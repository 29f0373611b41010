"""The whole network as one picture: every stage a block in each of two towers, arrays in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Polygon

from .images import bare, new_axes
from .palette import COLOURS, FIGURE_WIDTH, FONT_SIZE, LINE_STYLES

__all__ = ["cost_shares", "towers_map"]

TOWER_Y = (0.0, -5.2)  # where the middle of each tower's blocks lies


def _corners(x: float, y: float, width: float, height: float, deep: float) -> list[np.ndarray]:
    """Return front, top and side of a block whose front's left edge is at x, its middle at y."""
    low, high, rise = y - height / 2, y + height / 2, 0.5 * deep
    right = x + width
    return [
        np.array([(x, low), (right, low), (right, high), (x, high)]),
        np.array([(x, high), (right, high), (right + deep, high + rise), (x + deep, high + rise)]),
        np.array([(right, low), (right + deep, low + rise), (right + deep, high + rise),
                  (right, high)]),
    ]  # fmt: skip


def towers_map(
    names: Sequence[str], shapes: Sequence[tuple[int, ...]], crossing: Sequence[str] = (),
    marked: str | None = None, ax: Axes | None = None, labels: Mapping[str, str] | None = None,
) -> Axes:
    """Draw a network as two towers of blocks, with crossed lines where a stage reads both.

    names: of the stages, the first being the picture, the last lying in the first tower alone.
    shapes: what each puts out over both towers, (C, H, W) or (C,). A face is as high as its maps
    are, by the square root, a block as thick as it has channels. crossing: the stages that read
    both towers. marked: the stage to point at. labels: what to write below a block in place of
    its name, in one or two lines. Returns the Axes.
    Raises ValueError where names and shapes differ in number.
    """
    if len(names) != len(shapes):
        raise ValueError(f"{len(names)} names for {len(shapes)} shapes; give one name a block.")
    ax = ax or new_axes(FIGURE_WIDTH, 3.5)
    step, start = 3.0, 0.0
    labels = labels or {}
    lines = max((label.count("\n") for label in labels.values()), default=0)
    for number, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        one = number in (0, len(names) - 1)
        side = shape[1] if len(shape) == 3 else 1
        height = 0.5 + 0.27 * side**0.5 if side > 1 else 3.0
        width = 0.25 + 0.055 * (shape[0] / (1 if one else 2)) ** 0.5 if side > 1 else 0.4
        deep, x = (0.33 * height if side > 1 else 0.2), number * step
        ys = TOWER_Y if not one else ((sum(TOWER_Y) / 2,) if number == 0 else TOWER_Y[:1])
        for tower, y in enumerate(ys):
            meaning = f"tower{tower + 1}" if number else "before"
            edge = COLOURS["highlight" if name == marked else "text"]
            for face, tint in zip(_corners(x, y, width, height, deep), (0.75, 0.4, 0.55),
                                  strict=True):  # fmt: skip
                paper = np.array(to_rgb(COLOURS["background"]))
                fill = tint * np.array(to_rgb(COLOURS[meaning])) + (1 - tint) * paper
                ax.add_patch(Polygon(face, facecolor=fill, edgecolor=edge, zorder=3,
                                     lw=2.2 if name == marked else 0.6,
                                     joinstyle="round"))
        if number:
            ends = TOWER_Y[:1] if number == len(names) - 1 else TOWER_Y
            _wires(ax, (start, x), ends, name in crossing, "muted" if number == 1 else None)
        start = x + width + deep / 2
        size = f"{side}×{side}\n×{shape[0] // (1 if one else 2):,}" if side > 1 else (
            f"{shape[0] // (1 if one else 2):,}"
        )
        style = {"ha": "center", "va": "top", "fontsize": FONT_SIZE["note"] - 0.5}
        colour = COLOURS["highlight" if name == marked else "text"]
        middle = x + (width + deep) / 2
        ax.text(middle, -8.3, labels.get(name, name), weight="bold", color=colour, **style)
        ax.text(middle, -9.3 - 0.7 * lines, size, color=COLOURS["muted"], **style)
    for tower, y in enumerate(TOWER_Y):
        meaning = f"tower{tower + 1}"
        place = y + (0 if tower else 2.2)  # nothing of fc8 lies in the second tower
        ax.text(len(names) * step - 0.8, place, f"GPU {tower}", color=COLOURS[meaning],
                weight="bold", ha="right", va="center", fontsize=FONT_SIZE["note"])
    ax.set_xlim(-0.6, len(names) * step - 0.4)
    ax.set_ylim(-11.6 - 0.7 * lines, 3.6)
    return bare(ax)


def _of_kind(name: str) -> str:
    """Return the colour of a layer's kind, one of KINDS."""
    return next(COLOURS[meaning] for starts, meaning in KINDS.values() if name.startswith(starts))


def _wires(
    ax: Axes, xs: tuple[float, float], ends: Sequence[float], crossed: bool, one: str | None
) -> None:
    """Draw what a stage reads: lines along xs, from the stage before it.

    ends: the middles of the stage's halves. one: the meaning of what both halves read, if it is
    one block, drawn in the middle.
    """
    starts = (sum(TOWER_Y) / 2,) * 2 if one else TOWER_Y
    for tower, start in enumerate(starts):
        for end in ends if crossed else [TOWER_Y[tower]]:
            meaning = one or f"tower{tower + 1}"
            ax.plot(xs, (start, end), lw=1.3, zorder=1,
                    color=COLOURS[meaning], ls="-" if one else LINE_STYLES[meaning])


KINDS = {  # what a piece of a bar is -> how its name may start, its colour's meaning
    "convolution": (("conv",), "soft_convolution"),
    "fully connected": (("fc",), "soft_connected"),
    "ReLU, dropout": (("ReLU", "dropout"), "grid"),
    "LRN": (("LRN",), "soft_lrn"),
    "pooling": (("pool",), "soft_pooling"),
}


def _fits(text: str, size: float, inches: float) -> bool:
    """Tell whether letters of a size, points, have room on some inches."""
    return 0.62 * size * len(text) / 72 < inches


def cost_shares(shares: Mapping[str, Mapping[str, float]], ax: Axes | None = None) -> Axes:
    """Draw what each layer takes of several costs, as rows of stacked bars, a colour a kind.

    shares: cost -> layer -> its share, 0 to 1, the layers in the same order in each. Every piece
    that has room for its name gets it. Returns the Axes.
    """
    ax = ax or new_axes(FIGURE_WIDTH, 0.95 + 0.5 * len(shares))
    small = FONT_SIZE["note"] - 1.5
    for row, values in enumerate(shares.values()):
        left = 0.0
        for name, value in values.items():
            ax.barh(row, value, left=left, height=0.72, color=_of_kind(name),
                    edgecolor=COLOURS["background"], lw=0.8)
            inches = 0.8 * FIGURE_WIDTH * value
            tries = ((f"{name} {100 * value:.0f}%", FONT_SIZE["note"]), (name, FONT_SIZE["note"]),
                     (name, small))  # fmt: skip
            said = next(((text, size) for text, size in tries if _fits(text, size, inches)), None)
            if said:
                ax.text(left + value / 2, row, said[0], ha="center", va="center", fontsize=said[1],
                        color=COLOURS["text"])
            left += value
    handles = [Patch(color=_of_kind(starts[0]), label=kind)
               for kind, (starts, *_) in KINDS.items()]  # fmt: skip
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.42, 1.0), ncols=len(KINDS),
              frameon=False, fontsize=FONT_SIZE["note"], handlelength=1.2, columnspacing=1.4)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set_ylim(len(shares) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return ax
