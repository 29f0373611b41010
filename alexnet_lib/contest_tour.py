"""Chapter 1's pictures: the contest's winners by year, and directions found in a photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from . import contest, plots
from .contest import Entry
from .demos import Demo
from .numerals import Numeral
from .palette import COLOURS, FONT_SIZE, MARKERS
from .pictures import bare, new_axes

__all__ = ["directions", "winners_by_year", "winners_until"]

MEANING = {"hand-made features": "designed", "convolutional network": "learned"}
TOPS = {"error": 38.0, "depth": 180.0, "parameters": 172.0}
PLACES = {"winners": 1, "first and second": 2}
TWO_LINES = {"Trimps-Soushen": "Trimps-\nSoushen"}


class _Chart:
    """The contest over the years on one Axes: everything is drawn once, and shown as told."""

    def __init__(self, ax: Axes, entries: Sequence[Entry]) -> None:
        self.ax, self.entries = ax, list(entries)
        first = {entry.year: entry for entry in entries if entry.place == 1}
        self.years = sorted(first)
        self.line = ax.plot([], [], color=COLOURS["muted"], lw=1, zorder=1)[0]
        self.band = ax.axvspan(0, 1, color=COLOURS["soft_highlight"], zorder=0, visible=False)
        self.points = {
            (method, place): ax.plot(
                [], [], linestyle="none", marker=MARKERS[MEANING[method]],
                markersize=7 if place == 1 else 11, zorder=4 - place,
                color=COLOURS[MEANING[method]], markeredgewidth=1.8,
                markerfacecolor=COLOURS[MEANING[method] if place == 1 else "background"],
                label=f"{method}, {'winner' if place == 1 else 'second'}",
            )[0]
            for place in (1, 2) for method in contest.METHODS
        }  # fmt: skip
        down, up = (
            ax.transData + ScaledTranslation(0, points / 72, ax.figure.dpi_scale_trans)
            for points in (-18, 7)
        )
        style = {"ha": "center", "va": "bottom", "fontsize": FONT_SIZE["note"], "clip_on": False}
        self.texts = [
            ax.add_artist(
                Numeral(entry.year, 0, "", zorder=4, transform=down if entry.place == 1 else up,
                        **style)
            )
            for entry in entries
        ]  # fmt: skip
        names = [TWO_LINES.get(first[year].name, first[year].name) for year in self.years]
        ticks = [f"{year}\n{name}" for year, name in zip(self.years, names, strict=True)]
        ax.set_xticks(self.years, ticks)
        ax.set_xlim(self.years[0] - 0.55, self.years[-1] + 0.55)
        ax.grid(axis="y")
        self.quantity = ""

    def show(self, quantity: str, places: int, year: int, marked: bool = True) -> None:
        """Show one quantity up to a year, for the winners or for both places."""
        if quantity != self.quantity:
            self.quantity = quantity
            top = TOPS[quantity]
            self.ax.set_ylim(-0.13 * top, top)
            self.ax.set_title(contest.QUANTITIES[quantity])
        shown: dict[tuple[str, int], list[tuple[int, float]]] = {key: [] for key in self.points}
        for entry, text in zip(self.entries, self.texts, strict=True):
            here = entry.year <= year and entry.place <= places
            found = contest.value(entry, quantity)
            if here and found is not None:
                shown[entry.method, entry.place].append((entry.year, found))
            blank = "?" if entry.method == contest.METHODS[1] else "none"
            # without a value only the winner says so: two words would stand on each other
            here = here and (found is not None or entry.place == 1)
            written = blank if found is None else _written(found, quantity)
            text.set(visible=here, y=found or 0.0, text=written)
        for key, line in self.points.items():
            line.set_data(*zip(*shown[key], strict=True) if shown[key] else ([], []))
        best = sorted(point for key, found in shown.items() if key[1] == 1 for point in found)
        self.line.set_data(*zip(*best, strict=True) if best else ([], []))
        self.band.set(visible=marked, x=year - 0.5, width=1)


def _written(found: float, quantity: str) -> str:
    """Return a value as the contest's tables are read: 26.2 and 3.57 per cent, 152 layers."""
    if quantity != "error":
        return plots.number(found)
    return f"{found:.1f}" if found >= 10 else f"{found:.2f}"


def _legend(ax: Axes, handles: Sequence[Any]) -> None:
    """Put the legend above the Axes, on the right, beside the title."""
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    space = {"ncols": 2, "columnspacing": 1.2, "handletextpad": 0.2, "labelspacing": 0.5}
    ax.legend(handles=handles, **place, **space)


def winners_until(year: int, quantity: str = "error", places: int = 2) -> Figure:
    """Return a figure of the contest up to a year. quantity: one of contest.QUANTITIES."""
    figure, ax = plots.figure(height=3.4)
    chart = _Chart(ax, contest.history())
    chart.show(quantity, places, year, marked=False)
    entries = [entry for entry in contest.history() if entry.year <= year]
    used = {(entry.method, entry.place) for entry in entries if entry.place <= places}
    handles = [line for key, line in chart.points.items() if key in used]
    ax.set_xticks(chart.years, [
        label.get_text() if at <= year else f"{at}\n "
        for at, label in zip(chart.years, ax.get_xticklabels(), strict=True)
    ])  # fmt: skip
    _legend(ax, handles)
    return figure


def _said(entry: Entry, quantity: str) -> str:
    """Say what is known of one entry."""
    found = contest.value(entry, quantity)
    if quantity == "error":
        return f"{entry.name} {_written(found, quantity)}% ({entry.method})"
    if found is None and entry.method == contest.METHODS[0]:
        return f"{entry.name} hand-made features, so no network"
    if found is None:
        return f"{entry.name} a convolutional network, of which our table holds no such number"
    what = "layers with weights" if quantity == "depth" else "million parameters"
    return f"{entry.name} {plots.number(found)} {what}"


def _summary(entries: Sequence[Entry], quantity: str, places: int, year: int) -> str:
    winner, second = (entry for entry in entries if entry.year == year)
    line = f"{year}, {contest.QUANTITIES[quantity]}: the winner {_said(winner, quantity)}"
    if places == 2:
        line += f"; second {_said(second, quantity)}"
    before = contest.winners(entries).get(year - 1)
    if quantity == "error" and before is not None:
        gone = contest.percent_removed(before.error, winner.error)
        line += f". Of the winning error of {year - 1}, {gone:.0f}% is gone"
    return f"{line}."


def winners_by_year() -> Demo:
    """The contest of 2010 to 2017: step through the years, choose what is drawn and for whom."""
    entries = contest.history()
    charts: list[_Chart] = []

    def compute(year: int, axis: str, places: str) -> dict[str, Any]:
        return {"year": year, "quantity": axis, "places": PLACES[places]}

    def draw(figure: Figure, data: dict[str, Any]) -> str:
        if not figure.axes:
            charts[:] = [_Chart(figure.subplots(), entries)]
            _legend(charts[0].ax, list(charts[0].points.values()))
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

    cells: (rows, columns, bins) as `orientations.histograms` gives them. cell: pixels of a cell's
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
