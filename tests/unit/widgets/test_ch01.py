"""The contest's chart shows what the table holds, and says it."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_lib.course.widgets import ch01
from alexnet_lib.datasets import ilsvrc_history
from alexnet_lib.plots.palette import COLOURS, MARKERS


def markers(ax) -> list:
    """Return the lines of markers that show data; the legend's are no data."""
    return [
        line for line in ax.lines
        if line.get_marker() not in ("None", "") and line.get_gid() != "legend"
    ]  # fmt: skip


def drawn(figure) -> dict:
    """Return (colour, marker) -> the points of each line of markers that has any."""
    (ax,) = figure.axes
    lines = [line for line in markers(ax) if len(line.get_xdata())]
    return {
        (line.get_color(), line.get_marker(), line.get_markerfacecolor() == line.get_color()):
            list(zip(*line.get_data(), strict=True))
        for line in lines
    }  # fmt: skip


def key(meaning: str, winner: bool) -> tuple:
    return COLOURS[meaning], MARKERS[meaning], winner


def test_years_are_revealed_one_by_one():
    demo = ch01.winners_by_year()
    demo.controls["year"].value = 2010
    points = drawn(demo._figure)
    assert points == {key("designed", True): [(2010, 28.191)], key("designed", False):
                      [(2010, 33.649)]}  # fmt: skip
    demo.apply("the gap of 2012")
    points = drawn(demo._figure)
    assert points[key("learned", True)] == [(2012, 15.315)]
    assert (2012, 26.172) in points[key("designed", False)]
    assert "AlexNet, has 15.3% (convolutional network); the second, ISI, has 26.2%" in demo.summary
    assert "Of the winning error of 2011, 41% is gone." in demo.summary


@pytest.mark.parametrize("quantity", ilsvrc_history.QUANTITIES)
def test_all_that_is_known_is_drawn_and_what_is_not_is_said(quantity):
    demo = ch01.winners_by_year()
    demo.controls["axis"].value = quantity
    demo.controls["year"].value = 2017
    points = sorted(point for found in drawn(demo._figure).values() for point in found)
    known = [
        (entry.year, ilsvrc_history.value(entry, quantity)) for entry in ilsvrc_history.history()
        if ilsvrc_history.value(entry, quantity) is not None
    ]  # fmt: skip
    assert points == sorted(known)
    if quantity == "parameters":
        assert "and our table no such number of it" in demo.summary


@pytest.mark.parametrize("quantity", ilsvrc_history.QUANTITIES)
def test_markers_stand_where_the_labelled_scale_says(quantity):
    demo = ch01.winners_by_year()
    demo.controls["axis"].value = quantity
    demo.controls["year"].value = 2017
    (ax,) = demo._figure.axes
    ticks = [text for text in ax.texts if text.get_text().isdigit() and text.get_ha() == "right"]
    heights = [ax.transData.transform((2012, text.get_position()[1]))[1] for text in ticks]
    labels = [float(text.get_text()) for text in ticks]
    bottom, top = ax.get_window_extent().intervaly
    assert labels == sorted(labels) and len(labels) == 5 and labels[0] == 0
    for line in markers(ax):
        for x, y in zip(*line.get_data(), strict=True):
            height = line.get_transform().transform((x, y))[1]
            assert height == pytest.approx(np.interp(y, labels, heights), abs=0.01)
            assert bottom < height < top - 5


def test_a_year_without_a_value_breaks_the_line():
    demo = ch01.winners_by_year()
    demo.apply("deeper")
    (line,) = [ln for ln in demo._figure.axes[0].lines if ln.get_marker() in ("None", "")]
    values = dict(zip(*line.get_data(), strict=True))
    assert np.isnan(values[2013]) and np.isnan(values[2016]) and values[2015] == 152


def test_the_legend_names_seconds_only_where_they_are_drawn():
    def legend(demo) -> list[str]:
        texts = [text for text in demo._figure.axes[0].texts if text.get_visible()]
        return [text.get_text() for text in texts if text.get_text().endswith(("er", "second"))]

    demo = ch01.winners_by_year()
    assert sum("second" in text for text in legend(demo)) == 2
    demo.apply("deeper")
    assert legend(demo) == [f"{method}, winner" for method in ilsvrc_history.METHODS]


def test_the_last_mixture_is_told_from_a_pure_network():
    demo = ch01.winners_by_year()
    demo.controls["year"].value = 2013
    assert "NUS, has 13.0% (convolutional network, hand-made features mixed in)" in demo.summary
    demo.controls["year"].value = 2014
    assert "mixed in" not in demo.summary


def test_steps_redraw_only_what_moves_and_give_the_same_picture():
    demo = ch01.winners_by_year()
    whole, drawn_anew = demo._painter._draw_all, []
    demo._painter._draw_all = lambda *a, **k: (drawn_anew.append(1), whole(*a, **k))
    for preset in demo.presets:
        demo.apply(preset)
    demo.controls["year"].value = 2014
    assert not drawn_anew
    stepped = demo.picture
    demo._painter.background = None  # so that the next picture is drawn anew, in the same layout
    assert demo._painter.png() == stepped and drawn_anew


def test_winners_alone_and_years_before_networks():
    demo = ch01.winners_by_year()
    demo.apply("deeper")
    assert all(winner for *_, winner in drawn(demo._figure))
    demo.controls["year"].value = 2011
    assert "XRCE, has hand-made features, so no network" in demo.summary
    assert "second" not in demo.summary


def test_the_first_picture_gives_nothing_away():
    figure = ch01.winners_until(2011)
    years = {year for found in drawn(figure).values() for year, _ in found}
    labels = " ".join(label.get_text() for label in figure.axes[0].get_xticklabels())
    assert years == {2010, 2011} and "XRCE" in labels and "AlexNet" not in labels


def test_strokes_run_along_edges():
    cells = np.zeros((2, 2, 9))
    cells[0, 1, 4] = 1.0  # brightness grows downwards: the edge is level
    ax = ch01.directions(cells, 8)
    ((start, end),) = ax.collections[0].get_segments()
    assert start[1] == pytest.approx(4) and end[1] == pytest.approx(4)
    assert (start[0] + end[0]) / 2 == pytest.approx(12)
