"""The Python demos of single chapters, each a `Demo` around a few lines of arithmetic."""

from __future__ import annotations

from typing import Any

import ipywidgets
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ... import ops, paper, plots, pretrained, shapes
from ...plots.palette import COLOURS
from .python_demo import Demo

__all__ = ["channel_window", "filters_over_time", "window_stops"]

MOST_WINDOWS = 60  # that are drawn; where there are more, they hide each other


def window_stops() -> Demo:
    """Chapter 0: a window on its way along one side of a picture, and how often it stops."""
    parts: dict[str, Any] = {}

    def compute(size: int, kernel: int, stride: int) -> dict[str, int]:
        stops = shapes.output_size(size, kernel, stride)
        rest = shapes.clipped_pixels(size, kernel, stride)
        return {"size": size, "kernel": kernel, "stride": stride, "stops": stops, "rest": rest}

    def start(figure: Figure) -> None:
        """Draw all patches that may be needed, so that later they only move."""
        ax = figure.subplots()
        parts["side"] = ax.add_patch(Rectangle((0, 0), 1, 1, color=COLOURS["soft_muted"], zorder=0))
        parts["windows"] = [
            ax.add_patch(Rectangle((0, 1.25 + 0.55 * (stop % 4)), 1, 0.4, zorder=1))
            for stop in range(MOST_WINDOWS)
        ]
        parts["rest"] = ax.add_patch(
            Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=COLOURS["tower1"], hatch="////",
                      zorder=2)
        )
        ax.set_xlim(-1, 231)
        ax.set_ylim(3.6, -0.2)
        ax.set_yticks([0.5, 2.3], ["the picture's side", "the window's stops"])
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("pixel")
        for side in ("left", "top", "right"):
            ax.spines[side].set_visible(False)
        looks = {"first and last stop": {"color": COLOURS["highlight"]},
                 "between": {"color": COLOURS["before"]},
                 "never read": {"facecolor": "none", "edgecolor": COLOURS["tower1"],
                                "hatch": "////"}}  # fmt: skip
        ax.legend([Rectangle((0, 0), 1, 1, **look) for look in looks.values()], list(looks),
                  loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)

    def draw(figure: Figure, data: dict[str, int]) -> str:
        if not figure.axes:
            start(figure)
        size, kernel, stride = data["size"], data["kernel"], data["stride"]
        parts["side"].set_width(size)
        for stop, window in enumerate(parts["windows"]):
            ends = stop in (0, data["stops"] - 1)
            window.set(
                visible=stop < data["stops"], x=stop * stride, width=kernel, zorder=1 + ends,
                color=COLOURS["highlight" if ends else "before"],
            )
        parts["rest"].set(
            visible=data["rest"] > 0, x=size - max(data["rest"], 0), width=max(data["rest"], 0)
        )
        rest = data["rest"]
        unread = "1 pixel at the far end is" if rest == 1 else f"{rest} pixels at the far end are"
        left_over = f"{unread} never read" if rest else "nothing is left over"
        return (
            f"A window of {kernel} in steps of {stride} over {size} pixels stops "
            f"{data['stops']} time{'s' * (data['stops'] != 1)}; {left_over}."
        )

    controls = {
        "size": ipywidgets.IntSlider(value=60, min=20, max=230),
        "kernel": ipywidgets.IntSlider(value=7, min=1, max=15),
        "stride": ipywidgets.IntSlider(value=7, min=1, max=15),
    }
    presets = {"windows apart": {"size": 60, "kernel": 7, "stride": 7},
               "windows overlapping": {"size": 60, "kernel": 7, "stride": 3}}
    return Demo(compute, draw, controls, presets, name="window stops", height=2.6)


def _hills(count: int = 10, side: int = 6) -> np.ndarray:
    """Return smooth made-up feature maps (count, side, side), each with its peak elsewhere."""
    rows, columns = np.mgrid[0:side, 0:side] - (side - 1) / 2
    peaks = [(2 * np.cos(1.7 * i), 2 * np.sin(i)) for i in range(count)]
    return np.array([np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 3) for y, x in peaks])


def channel_window() -> Demo:
    """Chapter 5: a block of feature maps with the channel window of one position marked."""
    maps = _hills()
    C = len(maps)

    def compute(channel: int, size: int, convention: str) -> dict[str, Any]:
        behind, ahead = ops.window(convention, size)
        return {"channel": channel, "size": size, "behind": behind, "ahead": ahead}

    def draw(figure: Figure, data: dict[str, int]) -> str:
        ax = figure.axes[0] if figure.axes else figure.subplots()
        plots.window_over_channels(maps, data["channel"], data["behind"], data["ahead"], ax=ax)
        first, last = data["channel"] - data["behind"], data["channel"] + data["ahead"]
        inside = range(max(0, first), min(C - 1, last) + 1)
        cut = (last - first + 1) - len(inside)
        end = f", {cut} fewer than in the middle of the block" if cut else ""
        return (
            f"With size {data['size']} channel {data['channel']} is divided, at this spot, by "
            f"what {len(inside)} channel{'s' * (len(inside) != 1)} say: "
            f"{inside[0]} to {inside[-1]}{end}."
        )

    controls = {
        "channel": ipywidgets.IntSlider(value=5, min=0, max=C - 1),
        "size": ipywidgets.IntSlider(value=5, min=1, max=9),
        "convention": ipywidgets.Dropdown(options=list(paper.CONVENTIONS)),
    }
    presets = {
        "the paper's": {"channel": 5, "size": 5, "convention": "paper"},
        "first channel": {"channel": 0, "size": 5, "convention": "paper"},
        "even, PyTorch": {"channel": 5, "size": 4, "convention": "pytorch"},
        "even, ONNX": {"channel": 5, "size": 4, "convention": "onnx"},
    }
    return Demo(compute, draw, controls, presets, name="channel window", height=2.9)


def filters_over_time(name: str = pretrained.REAL_RUN, steps_per_epoch: int = 147) -> Demo:
    """Chapter 10: the 96 filters of the first layer, from noise to the end of a run."""
    steps, pictures = pretrained.filter_moments(name)  # (M,), (M, 96, 11, 11, 3)
    each = {"axis": (2, 3, 4), "keepdims": True}
    low, high = pictures.min(**each).astype(float), pictures.max(**each)
    stretched = np.round(255 * (pictures - low) / np.maximum(high - low, 1)).astype(np.uint8)

    def compute(moment: int) -> dict[str, Any]:
        filters = stretched[moment].transpose(0, 3, 1, 2)
        return {"moment": moment, "step": int(steps[moment]), "filters": filters}

    def draw(figure: Figure, data: dict[str, Any]) -> str:
        ax = figure.axes[0] if figure.axes else figure.subplots()
        plots.filters(data["filters"], columns=24, normalize="none", ax=ax)
        epochs = data["step"] / steps_per_epoch
        return (
            f"Picture {data['moment'] + 1} of {len(steps)}: after {data['step']:,} steps "
            f"({epochs:.1f} epochs)."
        )

    slider = ipywidgets.IntSlider(value=len(steps) - 1, min=0, max=len(steps) - 1)
    presets = {"at the start": {"moment": 0}, "at the end": {"moment": len(steps) - 1}}
    return Demo(compute, draw, {"moment": slider}, presets, name="filters over time", height=2.9)
