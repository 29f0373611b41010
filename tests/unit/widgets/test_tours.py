"""The chapters' demos say what the library computes."""

from __future__ import annotations

import pytest

from alexnet_lib import ops, shapes
from alexnet_lib.course.widgets import tours


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(227, 11, 4), (60, 7, 7), (20, 15, 15), (100, 1, 15)]
)
def test_window_stops(size, kernel, stride):
    demo = tours.window_stops()
    for name, value in {"size": size, "kernel": kernel, "stride": stride}.items():
        demo.controls[name].value = value
    assert f"stops {shapes.output_size(size, kernel, stride)} time" in demo.summary
    rest = shapes.clipped_pixels(size, kernel, stride)
    assert ("nothing is left over" in demo.summary) == (rest == 0)
    assert str(rest) in demo.summary or rest == 0


def test_channel_window_at_the_edge_and_for_a_convention_that_refuses():
    demo = tours.channel_window()
    demo.controls["channel"].value = 0
    behind, ahead = ops.window("paper", 5)
    assert f"{ahead + 1} channels say: 0 to {ahead}, {behind} fewer" in demo.summary
    demo.controls["convention"].value = "caffe"
    demo.controls["size"].value = 4
    assert "odd sizes only" in demo.summary


def test_filters_over_time_goes_from_noise_to_the_end():
    demo = tours.filters_over_time()
    last = demo.summary
    demo.controls["moment"].value = 0
    assert "Picture 1 of " in demo.summary and "after 0 steps" in demo.summary
    assert demo.summary != last
