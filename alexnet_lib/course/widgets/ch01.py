"""Chapter 1's pictures: the contest's winners by year, and directions found in a photo."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import ipywidgets
import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D, ScaledTranslation, Transform

from ... import plots
from ...datasets import ilsvrc_history
from ...datasets.ilsvrc_history import Entry
from ...plots import bare, new_axes
from ...plots.fast_text import Numeral
from ...plots.palette import COLOURS, FONT_SIZE, MARKERS
from .python_demo import Demo

__all__ = ["directions", "winners_by_year", "winners_until"]

MEANING = {"hand-made features": "designed", "convolutional network": "learned"}
TOPS = {"error": 40, "depth": 200, "parameters": 200}  # of the scale; quarters of it get a line
BELOW_ZERO = 0.13  # of the scale: room for the numbers below the lowest markers
PLACES = {"winners": 1, "first and second": 2}
SIZES = {1: 7, 2: 11}  # of the markers by place, points
LEGEND_COLUMNS = {1: 335, 2: 160}  # by place, points from its markers to the right edge
TWO_LINES = {"Trimps-Soushen": "Trimps-\nSoushen"}


class _Chart:
    """The contest over the years on one Axes: everything is drawn once, and shown as told.

    Whatever changes is one of Axes' artists, never its ticks, title or legend, so that `Painter`
    redraws no more than that: y runs from 0 to 1, and `scale` brings a quantity there.
    """

    def __init__(self, ax: Axes, entries: Sequence[Entry]) -> None:
        self.ax, self.entries = ax, list(entries)
        first = {entry.year: entry for entry in entries if entry.place == 1}
        self.years = sorted(first)
        self.scale = Affine2D()
        data = self.scale + ax.transData
        self.line = ax.plot([], [], color=COLOURS["muted"], lw=1, zorder=1, transform=data)[0]
        self.band = ax.axvspan(0, 1, color=COLOURS["soft_highlight"], zorder=0, visible=False)
        self.points = {
            (method, place): ax.plot(
                [], [], linestyle="none", marker=MARKERS[MEANING[method]],
                markersize=SIZES[place], zorder=4 - place, transform=data,
                color=COLOURS[MEANING[method]], markeredgewidth=1.8,
                markerfacecolor=COLOURS[MEANING[method] if place == 1 else "background"],
            )[0]
            for place in (1, 2) for method in ilsvrc_history.METHODS
        }  # fmt: skip
        self.down, self.up = (_moved(data, ax, y=points) for points in (-18, 7))
        note = FONT_SIZE["note"]
        self.texts = [
            _text(ax, entry.year, 0, "", self.down, size=note, zorder=4) for entry in entries
        ]
        beside = _moved(ax.get_yaxis_transform(), ax, x=-5, y=-0.585 * note)
        quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
        self.ticks = [_text(ax, 0, y, "", beside, "right", size=note) for y in quarters]
        title = rcParams["axes.titlesize"], rcParams["axes.titleweight"]
        above = _moved(ax.transAxes, ax, y=6)
        self.title = _text(ax, 0, 1, "", above, "left", size=title[0], weight=title[1])
        self.seconds: list[Artist] = []  # the legend's part on them
        names = [TWO_LINES.get(first[year].name, first[year].name) for year in self.years]
        ticks = [f"{year}\n{name}" for year, name in zip(self.years, names, strict=True)]
        ax.set_xticks(self.years, ticks)
        ax.set_xlim(self.years[0] - 0.55, self.years[-1] + 0.55)
        ax.set_yticks(quarters, ["000"] * len(quarters))  # unseen, they keep room for `ticks`
        ax.set_ylim(-BELOW_ZERO, 1)
        ax.spines["left"].set_bounds(0, 1)
        ax.grid(axis="y")
        ax.tick_params(length=0)
        ax.tick_params(axis="y", labelcolor="none")
        self.quantity = ""

    def animate(self) -> None:
        """Tell `Painter` beforehand what moves; other ways of drawing leave that out."""
        moving = [self.line, self.band, self.title, *self.points.values(), *self.texts, *self.ticks]
        for artist in moving + self.seconds:
            artist.set_animated(True)

    def add_legend(self, keys: Collection[tuple[str, int]]) -> None:
        """Put the legend above the Axes, on the right: a row a method, a column a place.

        Its letters are drawn as outlines: matplotlib's own legend took 40 ms of each update.
        """
        methods = [m for m in ilsvrc_history.METHODS if any(key[0] == m for key in keys)]
        for method, place in keys:
            x = -LEGEND_COLUMNS[place]
            y = 8 + 15 * (len(methods) - 1 - methods.index(method))
            line, z = self.points[method, place], -1 if place == 1 else 5
            here = _moved(self.ax.transAxes, self.ax, x=x, y=y)
            marker = self.ax.add_artist(Line2D(
                [1], [1], markersize=SIZES[place], marker=line.get_marker(), clip_on=False,
                zorder=z, linestyle="none", markerfacecolor=line.get_markerfacecolor(),
                markeredgecolor=line.get_color(), markeredgewidth=1.8, transform=here,
                gid="legend",
            ))  # fmt: skip
            size = FONT_SIZE["note"]
            beside = _moved(self.ax.transAxes, self.ax, x=x + 11, y=y - 0.585 * size)
            words = f"{method}, {'winner' if place == 1 else 'second'}"
            text = _text(self.ax, 1, 1, words, beside, "left", size=size, zorder=z)
            if place == 2:
                self.seconds += [marker, text]

    def show(self, quantity: str, places: int, year: int, marked: bool = True) -> None:
        """Show one quantity up to a year, for the winners or for both places."""
        if quantity != self.quantity:
            self.quantity = quantity
            self.scale.clear().scale(1, 1 / TOPS[quantity])
            self.title.set_text(ilsvrc_history.QUANTITIES[quantity])
            for tick in self.ticks:
                tick.set_text(f"{tick.get_position()[1] * TOPS[quantity]:g}")
        shown: dict[tuple[str, int], list[tuple[int, float]]] = {key: [] for key in self.points}
        lowest = {
            at: min((v for e in self.entries if e.year == at and e.place <= places
                       and (v := ilsvrc_history.value(e, quantity)) is not None), default=None)
            for at in self.years
        }  # fmt: skip
        line: list[tuple[int, float]] = []  # NaN where the winner's value isn't known: a gap
        for entry, text in zip(self.entries, self.texts, strict=True):
            here = entry.year <= year and entry.place <= places
            found = ilsvrc_history.value(entry, quantity)
            if here and found is not None:
                shown[entry.method, entry.place].append((entry.year, found))
            if here and entry.place == 1:
                line.append((entry.year, np.nan if found is None else found))
            blank = "?" if entry.method == ilsvrc_history.METHODS[1] else "none"
            # without a value only the winner says so: two words would stand on each other
            here = here and (found is not None or entry.place == 1)
            written = blank if found is None else _written(found, quantity)
            place = self.down if found in (None, lowest[entry.year]) else self.up
            text.set(visible=here, y=found or 0.0, text=written, transform=place)
        for key, points in self.points.items():
            points.set_data(*zip(*shown[key], strict=True) if shown[key] else ([], []))
        self.line.set_data(*zip(*line, strict=True))
        self.band.set(visible=marked, x=year - 0.5, width=1)
        for artist in self.seconds:
            artist.set_visible(places == 2)


def _moved(transform: Transform, ax: Axes, x: float = 0, y: float = 0) -> Transform:
    """Return a transform that ends x and y points farther to the right and up."""
    return transform + ScaledTranslation(x / 72, y / 72, ax.figure.dpi_scale_trans)


def _text(
    ax: Axes, x: float, y: float, text: str, transform: Transform, ha: str = "center", **style: Any
) -> Numeral:
    """Add a line of text that is cheap to draw again, outside the Axes too."""
    style = {"transform": transform, "ha": ha, "va": "bottom", "clip_on": False} | style
    return ax.add_artist(Numeral(x, y, text, **style))


def _written(found: float, quantity: str) -> str:
    """Return a value as the contest's tables are read: 26.2 and 3.57 per cent, 152 layers."""
    if quantity != "error":
        return plots.number(found)
    return f"{found:.1f}" if found >= 10 else f"{found:.2f}"


def winners_until(year: int, quantity: str = "error", places: int = 2) -> Figure:
    """Return a figure of the contest up to a year. quantity: one of contest.QUANTITIES."""
    figure, ax = plots.figure(height=3.4)
    chart = _Chart(ax, ilsvrc_history.history())
    chart.show(quantity, places, year, marked=False)
    entries = [entry for entry in ilsvrc_history.history() if entry.year <= year]
    used = {(entry.method, entry.place) for entry in entries if entry.place <= places}
    chart.add_legend([key for key in chart.points if key in used])
    ax.set_xticks(chart.years, [
        label.get_text() if at <= year else f"{at}\n "
        for at, label in zip(chart.years, ax.get_xticklabels(), strict=True)
    ])  # fmt: skip
    return figure


def _said(entry: Entry, quantity: str) -> str:
    """Say what is known of one entry."""
    found, network = (
        ilsvrc_history.value(entry, quantity),
        entry.method == ilsvrc_history.METHODS[1],
    )
    if quantity == "error":
        mixed = ", hand-made features mixed in" if network and "hand-made" in entry.note else ""
        return f"{entry.name}, has {_written(found, quantity)}% ({entry.method}{mixed})"
    if found is None and not network:
        return f"{entry.name}, has hand-made features, so no network"
    if found is None:
        return f"{entry.name}, has a convolutional network, and our table no such number of it"
    what = "layers with weights" if quantity == "depth" else "million parameters"
    return f"{entry.name}, has {plots.number(found)} {what}"


def _summary(entries: Sequence[Entry], quantity: str, places: int, year: int) -> str:
    winner, second = (entry for entry in entries if entry.year == year)
    line = f"{year}, {ilsvrc_history.QUANTITIES[quantity]}: the winner, {_said(winner, quantity)}"
    if places == 2:
        line += f"; the second, {_said(second, quantity)}"
    before = ilsvrc_history.winners(entries).get(year - 1)
    if quantity == "error" and before is not None:
        gone = ilsvrc_history.percent_removed(before.error, winner.error)
        line += f". Of the winning error of {year - 1}, {gone:.0f}% is gone"
    return f"{line}."


def winners_by_year() -> Demo:
    """The contest of 2010 to 2017: step through the years, choose what is drawn and for whom."""
    entries = ilsvrc_history.history()
    charts: list[_Chart] = []

    def compute(year: int, axis: str, places: str) -> dict[str, Any]:
        return {"year": year, "quantity": axis, "places": PLACES[places]}

    def draw(figure: Figure, data: dict[str, Any]) -> str:
        if not figure.axes:
            charts[:] = [_Chart(figure.subplots(), entries)]
            charts[0].add_legend(list(charts[0].points))
            charts[0].animate()
        charts[0].show(data["quantity"], data["places"], data["year"])
        return _summary(entries, data["quantity"], data["places"], data["year"])

    controls = {
        "year": ipywidgets.IntSlider(value=2012, min=2010, max=2017),
        "axis": ipywidgets.Dropdown(
            options=[("top-5 error", "error"), ("depth", "depth"), ("parameters", "parameters")]
        ),
        "places": ipywidgets.Dropdown(options=list(PLACES), value="first and second"),
    }
    both = "first and second"
    presets = {
        "before 2012": {"year": 2011, "axis": "error", "places": both},
        "the gap of 2012": {"year": 2012, "axis": "error", "places": both},
        "all years": {"year": 2017, "axis": "error", "places": both},
        "deeper": {"year": 2017, "axis": "depth", "places": "winners"},
        "larger?": {"year": 2017, "axis": "parameters", "places": both},
    }
    return Demo(compute, draw, controls, presets, name="winners by year", height=3.8)


def directions(
    cells: np.ndarray, cell: int, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw each cell's histogram of directions as strokes along the edges, longer for stronger.

    cells: (rows, columns, bins) as `hog.histograms` gives them. cell: pixels of a cell's
    side. An edge runs across the direction in which brightness changes. Returns the Axes.
    """
    rows, columns, bins = cells.shape
    ax = ax or new_axes(4.2, 4.2 * rows / columns)
    angle = np.radians((np.arange(bins) + 0.5) * 180 / bins + 90)  # the edge, across the change
    share = np.sqrt(cells / max(float(cells.max()), 1e-12))  # so that faint ones can be seen
    y, x, b = np.nonzero(share > 0.2)
    half = 0.8 * cell * share[y, x, b]
    centre = np.stack([(x + 0.5) * cell, (y + 0.5) * cell], axis=1)  # (M, 2)
    step = np.stack([np.cos(angle[b]), np.sin(angle[b])], axis=1) * half[:, None]
    colour = COLOURS["designed"]
    ax.add_collection(
        LineCollection(np.stack([centre - step, centre + step], axis=1), colors=colour, lw=1.1)
    )
    ax.set_xlim(0, columns * cell)
    ax.set_ylim(rows * cell, 0)
    ax.set_aspect("equal")
    return bare(ax, title)
