"""The contest's chart shows what the table holds, and says it."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_lib import contest, contest_tour
from alexnet_lib.palette import COLOURS, MARKERS


def drawn(figure) -> dict:
    """Return (colour, marker) -> the points of each line of markers that has any."""
    (ax,) = figure.axes
    lines = [line for line in ax.lines if line.get_marker() not in ("None", "")]
    return {
        (line.get_color(), line.get_marker(), line.get_markerfacecolor() == line.get_color()):
            list(zip(*line.get_data(), strict=True))
        for line in lines if len(line.get_xdata())
    }  # fmt: skip


def key(meaning: str, winner: bool) -> tuple:
    return COLOURS[meaning], MARKERS[meaning], winner


def test_years_are_revealed_one_by_one():
    demo = contest_tour.winners_by_year()
    demo.controls["year"].value = 2010
    points = drawn(demo._figure)
    assert points == {key("designed", True): [(2010, 28.191)], key("designed", False):
                      [(2010, 33.649)]}  # fmt: skip
    demo.apply("the gap of 2012")
    points = drawn(demo._figure)
    assert points[key("learned", True)] == [(2012, 15.315)]
    assert (2012, 26.172) in points[key("designed", False)]
    assert "AlexNet 15.3% (convolutional network); second ISI 26.2%" in demo.summary
    assert "Of the winning error of 2011, 41% is gone." in demo.summary


@pytest.mark.parametrize("quantity", contest.QUANTITIES)
def test_all_that_is_known_is_drawn_and_what_is_not_is_said(quantity):
    demo = contest_tour.winners_by_year()
    demo.controls["axis"].value = quantity
    demo.controls["year"].value = 2017
    points = sorted(point for found in drawn(demo._figure).values() for point in found)
    known = [
        (entry.year, contest.value(entry, quantity)) for entry in contest.history()
        if contest.value(entry, quantity) is not None
    ]  # fmt: skip
    assert points == sorted(known)
    low, high = demo._figure.axes[0].get_ylim()
    assert low < 0 and max(value for _, value in known) < 0.97 * high
    if quantity == "parameters":
        assert "of which our table holds no such number" in demo.summary


def test_winners_alone_and_years_before_networks():
    demo = contest_tour.winners_by_year()
    demo.apply("deeper")
    assert all(winner for *_, winner in drawn(demo._figure))
    demo.controls["year"].value = 2011
    assert "XRCE hand-made features, so no network" in demo.summary
    assert "second" not in demo.summary


def test_the_first_picture_gives_nothing_away():
    figure = contest_tour.winners_until(2011)
    years = {year for found in drawn(figure).values() for year, _ in found}
    labels = " ".join(label.get_text() for label in figure.axes[0].get_xticklabels())
    assert years == {2010, 2011} and "XRCE" in labels and "AlexNet" not in labels


def test_strokes_run_along_edges():
    cells = np.zeros((2, 2, 9))
    cells[0, 1, 4] = 1.0  # brightness grows downwards: the edge is level
    ax = contest_tour.directions(cells, 8)
    ((start, end),) = ax.collections[0].get_segments()
    assert start[1] == pytest.approx(4) and end[1] == pytest.approx(4)
    assert (start[0] + end[0]) / 2 == pytest.approx(12)
