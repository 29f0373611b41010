"""Chapter 4's demos: three activations side by side, and what they leave of a signal in depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ... import plots
from ...analysis import activation_functions
from ...plots.palette import COLOURS, LINE_STYLES, MARKERS
from .python_demo import Demo

__all__ = ["deep_signal", "figure1_curves", "race_curves", "three_activations"]

MOST_LAYERS = 12
LOWEST, HIGHEST = 1e-9, 2e4  # of the two scales
PANELS = {"std sqrt(1 / fan-in)": "gain 1", "std .01 in every layer": "std .01 everywhere"}


def three_activations(lowest: float = -4, highest: float = 4) -> Figure:
    """Return a figure of tanh, sigmoid and ReLU, each above its slope, between two inputs."""
    figure, axes = plots.figure(height=3.6, rows=2, columns=3, sharex=True, sharey="row")
    x = np.linspace(lowest, highest, 401)
    for (key, rule), (above, below) in zip(
        activation_functions.ACTIVATIONS.items(), axes.T, strict=True
    ):
        look = {"color": COLOURS[key], "linestyle": LINE_STYLES[key]}
        above.plot(x, rule.function(x), **look)
        below.plot(x, rule.slope(x), **look)
        above.set_title(rule.name)
        below.set_xlabel("input")
        for ax in (above, below):
            ax.axhline(0, color=COLOURS["muted"], lw=0.8, zorder=0)
            ax.grid()
    axes[0, 0].set_ylabel("output")
    axes[1, 0].set_ylabel("slope")
    axes[0, 0].set_ylim(-1.5, highest)
    axes[1, 0].set_ylim(-0.1, 1.15)
    return figure


def race_curves(record: Mapping[str, Any]) -> Figure:
    """Return a figure of the experiment "relu": the training error by epoch, a line a seed.

    One panel for each kind of first weights in the record, and the target as a dotted line.
    """
    kinds = list(dict.fromkeys(arm["initialization"] for arm in record["arms"].values()))
    shared = {"sharex": True, "sharey": True, "squeeze": False}
    figure, axes = plots.figure(height=3.2, columns=len(kinds), **shared)
    for name, arm in record["arms"].items():
        ax, key = axes[0, kinds.index(arm["initialization"])], name.partition(",")[0].lower()
        _runs(ax, key, arm["runs"])
    for ax, kind in zip(axes[0], kinds, strict=True):
        _finish(ax, PANELS.get(kind, kind), record["target"], (0, 1))
    axes[0, 0].set_ylabel("training error")
    return figure


def figure1_curves(record: Mapping[str, Any]) -> Figure:
    """Return a figure of the experiment "figure1": the training error by epoch, a line a seed.

    Left pixels of 0 to 255 minus the mean image, right the same divided by their spread, both with
    the first weights of cuda-convnet; the target as a dotted line.
    """
    figure, axes = plots.figure(height=3.2, columns=2, sharex=True, sharey=True)
    panels = {"raw": "pixels as in 2012", "divided": "divided by their spread"}
    for ax, (pixels, title) in zip(axes, panels.items(), strict=True):
        for name in ("ReLU", "tanh"):
            runs = record["cells"][f"{pixels}, cuda-convnet, {name}"]["runs"]
            _runs(ax, name.lower(), runs, first=1)
        _finish(ax, title, record["plan"]["target"], (0.2, 0.7))
    axes[0].set_ylabel("training error")
    return figure


def _runs(ax: Axes, key: str, runs: Sequence[Mapping[str, Any]], first: int = 0) -> None:
    """Draw a line and an end marker for each run. first: the epoch of its first error."""
    colour = COLOURS[key]
    for number, run in enumerate(runs):
        errors = run["train_error"]
        epochs = range(first, first + len(errors))
        label = activation_functions.ACTIVATIONS[key].name if number == 0 else None
        ax.plot(epochs, errors, color=colour, linestyle=LINE_STYLES[key], lw=1.5, label=label)
        ax.plot(epochs[-1], errors[-1], color=colour, marker=MARKERS[key])


def _finish(ax: Axes, title: str, target: float, limits: tuple[float, float]) -> None:
    ax.axhline(target, color=COLOURS["muted"], linestyle=LINE_STYLES["muted"])
    ax.set(xlabel="epoch", ylim=limits, title=title)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis="y")
    ax.legend(handlelength=3)


def _start_panel(ax: Axes, title: str) -> dict[str, Any]:
    """Draw three empty lines on a fixed scale, so that later only the lines move."""
    lines = {}
    for key, rule in activation_functions.ACTIVATIONS.items():
        look = {"color": COLOURS[key], "linestyle": LINE_STYLES[key], "marker": MARKERS[key]}
        (lines[key],) = ax.plot([], [], label=rule.name, **look)
    ax.set_yscale("log")
    ax.set(xlim=(-0.4, MOST_LAYERS + 0.4), ylim=(LOWEST / 3, HIGHEST), xlabel="after layer")
    ax.set_xticks(range(0, MOST_LAYERS + 1, 2))
    ax.set_yticks([LOWEST, 1e-6, 1e-3, 1, 1e3], ["0", "$10^{-6}$", "$10^{-3}$", "1", "$10^3$"])
    ax.grid(axis="y")
    ax.axhline(1, color=COLOURS["muted"], lw=0.8, zorder=1)
    ax.set_title(title)
    return lines


def _said(value: float) -> str:
    if value == 0:
        return "nothing"
    return plots.number(value) if value >= LOWEST else "below 1e-9"


def deep_signal() -> Demo:
    """How a signal fares through layers of tanh, sigmoid and ReLU, forward and back."""
    panels: list[dict[str, Any]] = []

    def compute(depth: int, gain: float, bias: float) -> dict[str, activation_functions.Depth]:
        return {
            key: activation_functions.through_layers(key, depth, gain, bias)
            for key in activation_functions.ACTIVATIONS
        }

    def draw(figure: Figure, data: dict[str, activation_functions.Depth]) -> str:
        if not figure.axes:
            left, right = figure.subplots(1, 2, sharey=True)
            panels[:] = [
                _start_panel(left, "forward: how answers differ"),
                _start_panel(right, "back: share of the gradient"),
            ]
            right.legend(loc="lower right", handlelength=3)  # no line ends down there
        for key, found in data.items():
            layers = np.arange(len(found.forward))
            panels[0][key].set_data(layers, np.maximum(found.forward, LOWEST))
            panels[1][key].set_data(layers, np.maximum(found.backward, LOWEST))
        depth = len(data["relu"].flat)
        parts = (
            f"{activation_functions.ACTIVATIONS[key].name} {_said(found.forward[-1])} forward and "
            f"{_said(found.backward[0])} back"
            for key, found in data.items()
        )
        dead, flat = data["relu"].dead[-1], data["tanh"].flat[-1]
        return (
            f"Through {depth} layer{'s' * (depth > 1)}: {', '.join(parts)}. In the last layer "
            f"{dead:.0%} of the ReLUs answer to no picture, and tanh is flat for {flat:.0%} of "
            "its inputs."
        )

    controls = {
        "depth": ipywidgets.IntSlider(value=8, min=1, max=MOST_LAYERS),
        "gain": ipywidgets.FloatSlider(value=1.0, min=0.1, max=3.0, step=0.02),
        "bias": ipywidgets.FloatSlider(value=0.0, min=-1.0, max=1.0, step=0.1),
    }
    rule = 0.01 * 4096**0.5  # AlexNet's std in a layer of 4096 inputs [P §5]
    presets = {
        "gain 1": {"depth": 8, "gain": 1.0, "bias": 0.0},
        "gain 1.42": {"depth": 8, "gain": 1.42, "bias": 0.0},
        "the paper's std": {"depth": 8, "gain": rule, "bias": 0.0},
        "the paper's bias too": {"depth": 8, "gain": rule, "bias": 1.0},
        "too large": {"depth": 8, "gain": 3.0, "bias": 0.0},
        "broken": {"depth": 8, "gain": 1.0, "bias": -0.8},
    }
    return Demo(compute, draw, controls, presets, name="deep signal", height=3.4)
