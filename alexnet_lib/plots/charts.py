"""Charts in the course's one visual language: arrays in, Axes out.

Nothing here saves or shows; `widgets.show(ax, alt)` does, with a sentence for whoever can't see
the picture. Figures are made without pyplot, so these functions are safe in a demo's callback.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib
import matplotlib.ticker
import numpy as np
from cycler import cycler
from matplotlib.artist import Artist, getp
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation
from PIL import Image

from .fast_text import Numeral, number
from .images import (
    blocks,
    feature_maps,
    filters,
    image,
    new_axes,
    new_figure,
    quick_png,
    window_over_channels,
)
from .palette import (
    COLOURS,
    FIGURE_WIDTH,
    FONT_FAMILY,
    FONT_SIZE,
    LINE_STYLES,
    MARKERS,
    PIXELS_PER_INCH,
)

__all__ = [
    "bars",
    "before_after",
    "blocks",
    "curves",
    "feature_maps",
    "figure",
    "filters",
    "image",
    "number",
    "png",
    "spread",
    "use_style",
    "window_over_channels",
]

Values = Sequence[float] | np.ndarray

_drawn: WeakKeyDictionary[Axes, dict[str, Any]] = WeakKeyDictionary()  # bars, to be moved


def use_style() -> None:
    """Give matplotlib the course's colours, letters and lines; call it once, at a chapter's top."""
    matplotlib.rcParams.update({
        "font.family": "sans-serif",
        "font.sans-serif": [FONT_FAMILY[0]],  # the one that matplotlib brings along
        "font.size": FONT_SIZE["label"],
        "axes.titlesize": FONT_SIZE["title"],
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.titlecolor": COLOURS["text"],
        "axes.labelsize": FONT_SIZE["label"],
        "axes.labelcolor": COLOURS["text"],
        "axes.edgecolor": COLOURS["muted"],
        "axes.facecolor": COLOURS["background"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=[COLOURS["text"], COLOURS["muted"]]),
        "text.color": COLOURS["text"],
        "text.hinting": "none",  # a quarter faster, which demos feel
        "grid.color": COLOURS["grid"],
        "grid.linewidth": 0.8,
        "xtick.labelsize": FONT_SIZE["tick"],
        "ytick.labelsize": FONT_SIZE["tick"],
        "xtick.color": COLOURS["muted"],
        "ytick.color": COLOURS["muted"],
        "xtick.labelcolor": COLOURS["text"],
        "ytick.labelcolor": COLOURS["text"],
        "lines.linewidth": 2,
        "lines.markersize": 5,
        "legend.frameon": False,
        "legend.fontsize": FONT_SIZE["label"],
        "figure.facecolor": COLOURS["background"],
        "figure.dpi": PIXELS_PER_INCH,
        "figure.titlesize": FONT_SIZE["title"],
        "figure.titleweight": "bold",
        "image.cmap": "gray",
    })


def figure(
    height: float = 3.0, width: float = FIGURE_WIDTH, rows: int = 1, columns: int = 1,
    **options: Any,
) -> tuple[Figure, Any]:
    """Return a Figure that pyplot knows nothing of, and its Axes (an array for more than one).

    height, width: inches, 100 pixels each on the page. options: for `Figure.subplots`, such as
    sharex=True or width_ratios=[2, 1].
    """
    made = new_figure(width, height)
    return made, made.subplots(rows, columns, **options)


def png(picture: Figure | Axes, scale: float | None = None) -> bytes:
    """Return a Figure as PNG; scale: pixels of the PNG for one on the page.

    By default 1.5, and 1.25 where photos or maps are in it, which take most of the bytes.
    """
    drawn = picture if isinstance(picture, Figure) else picture.get_figure(root=True)
    if scale is None:
        scale = 1.25 if any(ax.images for ax in drawn.axes) else 1.5
    before = drawn.dpi
    drawn.set_dpi(PIXELS_PER_INCH * scale)
    try:
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    finally:
        drawn.set_dpi(before)
    return quick_png(pixels)


def _ceiling(values: np.ndarray) -> float:
    """Return the round number at or above the largest value."""
    top = float(np.nanmax(values, initial=0.0))
    if not math.isfinite(top) or top <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(top))
    return next(s for s in (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10, 12) if s * power >= top) * power


def _change(artist: Artist, **properties: Any) -> None:
    """Set the properties that differ, so that what stays the same need not be drawn anew."""
    for name, value in properties.items():
        at = artist.get_position()[1] if isinstance(artist, Text) and name == "y" else None
        if (getp(artist, name) if at is None else at) != value:
            artist.set(**{name: value})


def _start_bars(ax: Axes, key: tuple, ylabel: str | None) -> dict[str, Any]:
    """Draw bars of height 0 with their numbers and a hidden window behind them."""
    count, labels, meaning = key
    window = ax.axvspan(0, 1, color=COLOURS["soft_highlight"], zorder=0, visible=False)
    colours = {"color": COLOURS[meaning], "edgecolor": COLOURS["highlight"], "linewidth": 0}
    container = ax.bar(range(count), np.zeros(count), width=0.72, zorder=2, **colours)
    above = ax.transData + ScaledTranslation(0, 2 / 72, ax.get_figure(root=True).dpi_scale_trans)
    style = {"ha": "center", "va": "bottom", "fontsize": FONT_SIZE["note"], "transform": above,
             "clip_on": False}
    texts = [ax.add_artist(Numeral(i, 0, "", zorder=3, **style)) for i in range(count)]
    ax.set_xticks(range(count), labels)
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlim(-0.6, count - 0.4)
    if ylabel:
        ax.set_ylabel(ylabel)
    return {"bars": container, "texts": texts, "window": window, "key": key}


def bars(
    values: Values, labels: Sequence[object] | None = None, *,
    meaning: str = "after", highlight: int | Iterable[int] = (),
    window: tuple[int, int] | None = None, limit: float | None = None, numbers: bool = True,
    title: str | None = None, ylabel: str | None = None, ax: Axes | None = None,
) -> Axes:
    """Draw one bar a value with the value printed above it.

    values: (C,), 0 or more; NaN has no bar and is named. labels: under the bars, default 0, 1, ...
    meaning: the palette's name for the colour. highlight: bars to outline. window: first and last
    bar of a span to shade. limit: height of the axis, default just above the largest value.
    Calling it again with the same ax and as many values moves the bars that are there, which is
    what keeps a demo fast. Returns the Axes. Raises ValueError for values that aren't one row.
    """
    heights = np.asarray(values, dtype=np.float64)
    if heights.ndim != 1 or heights.size == 0:
        raise ValueError(f"values has shape {heights.shape}; bars need one row, (C,).")
    names = [str(name) for name in (range(heights.size) if labels is None else labels)]
    if len(names) != heights.size:
        raise ValueError(f"{len(names)} labels for {heights.size} values; give one a bar.")
    ax = ax or new_axes(FIGURE_WIDTH, 2.0)
    drawn, key = _drawn.get(ax), (heights.size, tuple(names), meaning)
    if drawn is None or drawn["key"] != key or drawn["window"].axes is not ax:
        ax.clear()
        drawn = _drawn[ax] = _start_bars(ax, key, ylabel)
    marked = {highlight} if isinstance(highlight, int) else set(highlight)
    for i, height in enumerate(heights.tolist()):
        bar, text = drawn["bars"][i], drawn["texts"][i]
        tall = 0.0 if math.isnan(height) else height
        written = number(height) if numbers or math.isnan(height) else ""
        _change(bar, height=tall, linewidth=2.5 if i in marked else 0)
        _change(text, y=tall, text=written, fontweight="bold" if i in marked else "normal")
    _change(drawn["window"], visible=window is not None)
    if window is not None:
        _change(drawn["window"], x=window[0] - 0.5, width=window[1] - window[0] + 1)
    top = 1.18 * (_ceiling(heights) if limit is None else limit)
    if ax.get_ylim() != (0, top):
        ax.set_ylim(0, top)
    if title is not None and ax.get_title(loc="left") != title:
        ax.set_title(title)
    return ax


def before_after(
    before: Values, after: Values,
    labels: Sequence[object] | None = None, *, highlight: int | Iterable[int] = (),
    window: tuple[int, int] | None = None, titles: tuple[str, str] = ("before", "after"),
    limits: tuple[float | None, float | None] = (None, None), axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Draw what goes in above what comes out, bar under bar, values printed.

    before, after: (C,). The rest as in `bars`; limits: for the upper and the lower row, which
    have scales of their own. axes: two, as from `figure(rows=2)`. Returns an array of both Axes.
    """
    if np.shape(before) != np.shape(after):
        raise ValueError(
            f"before has shape {np.shape(before)} and after {np.shape(after)}; they must match."
        )
    rows = figure(3.4, rows=2)[1] if axes is None else np.asarray(axes)
    marks = {"labels": labels, "highlight": highlight, "window": window}
    bars(before, meaning="before", title=titles[0], limit=limits[0], ax=rows[0], **marks)
    bars(after, meaning="after", title=titles[1], limit=limits[1], ax=rows[1], **marks)
    return rows


def _look(name: str, meanings: Mapping[str, str] | None) -> str:
    """Return the palette's meaning for a series: as told, or its own name, or muted."""
    meaning = (meanings or {}).get(name, name)
    return meaning if meaning in LINE_STYLES else "muted"


def curves(
    series: Mapping[str, Values], x: Values | None = None, *,
    meanings: Mapping[str, str] | None = None, xlabel: str = "epoch", ylabel: str = "",
    reference: tuple[float, str] | None = None, percent: bool = False, title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw curves with the mean as a line and, for several seeds, least to most as a band.

    series: name -> (E,) for one run or (S, E) for S seeds. x: (E,), default 1 to E. meanings:
    name -> the palette's meaning; a series named "train" or "validation" needs none. reference:
    a level to draw dotted and its name, such as (0.1, "chance"). percent: values are shares of 1.
    Returns the Axes.
    """
    ax = ax or new_axes(FIGURE_WIDTH, 3.2)
    for name, values in series.items():
        rows = np.atleast_2d(np.asarray(values, dtype=np.float64))  # (S, E)
        steps = np.arange(1, rows.shape[1] + 1) if x is None else np.asarray(x)
        meaning = _look(name, meanings)
        colour, style = COLOURS[meaning], LINE_STYLES[meaning]
        marker = MARKERS[meaning] if rows.shape[1] <= 12 else None
        ax.plot(steps, rows.mean(axis=0), color=colour, linestyle=style, marker=marker, label=name)
        if len(rows) > 1:
            least, most = rows.min(axis=0), rows.max(axis=0)
            ax.fill_between(steps, least, most, color=colour, alpha=0.16, lw=0)
    if reference is not None:
        ax.axhline(reference[0], color=COLOURS["muted"], linestyle=LINE_STYLES["muted"], lw=1.5)
        ax.annotate(reference[1], (1, reference[0]), xycoords=("axes fraction", "data"), ha="right",
                    va="bottom", color=COLOURS["muted"], fontsize=FONT_SIZE["note"])
    ax.grid(axis="y")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    _whole_steps(ax, xlabel)
    if percent:
        ax.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
    if title:
        ax.set_title(title)
    if len(series) > 1:
        ax.legend(handlelength=3)
    return ax


def _whole_steps(ax: Axes, xlabel: str) -> None:
    if xlabel in ("epoch", "step"):
        ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))


def spread(
    groups: Mapping[str, Values], *, meanings: Mapping[str, str] | None = None,
    xlabel: str = "", percent: bool = False, title: str | None = None, ax: Axes | None = None,
) -> Axes:
    """Draw a small experiment: a dot a seed, a stroke at each group's mean, the mean printed.

    groups: name -> (S,) one value a seed, first on top. meanings: name -> the palette's meaning,
    default "ours". percent: values are shares of 1. Returns the Axes.
    """
    ax = ax or new_axes(FIGURE_WIDTH, 0.75 + 0.55 * len(groups) + (0.3 if title else 0))
    for row, (name, values) in enumerate(groups.items()):
        points = np.sort(np.asarray(values, dtype=np.float64))
        meaning = (meanings or {}).get(name, name if name in MARKERS else "ours")
        mean = float(points.mean())
        ax.plot(points, np.full(points.size, row), linestyle="none", marker=MARKERS[meaning],
                color=COLOURS[meaning], markersize=8, alpha=0.7, mew=0)
        ax.add_patch(Rectangle((mean, row - 0.3), 0, 0.6, lw=2.5, edgecolor=COLOURS["text"]))
        text = f"{100 * mean:.1f}%" if percent else number(mean)
        ax.annotate(text, (mean, row - 0.3), xytext=(0, 3), textcoords="offset points", ha="center",
                    va="bottom", weight="bold", fontsize=FONT_SIZE["note"])
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.45, -0.75)
    ax.margins(x=0.12)
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(xlabel)
    if percent:
        ax.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.6g}%")
    if title:
        ax.set_title(title)
    return ax
