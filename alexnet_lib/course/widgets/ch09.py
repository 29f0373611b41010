"""Chapter 9's pictures and demos: a ball in a valley, a schedule over a run, a patient's file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ... import plots, records
from ...analysis import quadratic_bowl
from ...experiments import faults
from ...paper import DIARY_2012, RECIPES, STOPPED_2012
from ...plots.fast_text import Numeral
from ...plots.palette import COLOURS, FONT_SIZE, LINE_STYLES, MARKERS
from .python_demo import Demo

__all__ = ["clinic_files", "dashboard", "rolling_ball", "schedule_over_run", "spoken", "ward"]

STEPS = 120  # of a roll


# The ball


def _start_valley(figure: Figure) -> dict[str, Any]:
    """Draw the valley, seen from above, and an empty loss curve; returns what will move."""
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    x, y = np.meshgrid(np.linspace(-7, 13, 120), np.linspace(-1.5, 3.5, 90))
    heights = quadratic_bowl.loss(np.stack([x, y], axis=-1))
    left.contour(x, y, heights, levels=np.geomspace(0.5, 400, 9), colors=COLOURS["grid"],
                 linewidths=1)  # fmt: skip
    look = {"linestyle": "none", "markersize": 9, "zorder": 4}
    left.plot(*quadratic_bowl.BOTTOM, marker="*", color=COLOURS["highlight"], label="lowest",
              **look | {"zorder": 6})  # fmt: skip
    left.plot(0, 0, marker="+", color=COLOURS["muted"], label="all weights 0", mew=2, **look)
    style = {"color": COLOURS["ours"], "marker": MARKERS["ours"], "markersize": 3, "lw": 1.2}
    (path,) = left.plot([], [], zorder=3, **style)
    (now,) = left.plot([], [], marker=MARKERS["ours"], color=COLOURS["after"], linestyle="none",
                       markersize=13, mfc="none", mew=2, zorder=5,
                       label="the ball at the end")  # fmt: skip
    left.set(xlim=(-7, 13), ylim=(-1.5, 3.5), xlabel="weight 1: flat", ylabel="weight 2: steep")
    left.set_title("the ball's way, seen from above")
    left.legend(loc="lower right", ncols=1, handletextpad=0.2, fontsize=FONT_SIZE["note"])
    (curve,) = right.plot([], [], color=COLOURS["ours"], linestyle=LINE_STYLES["ours"])
    first = float(quadratic_bowl.loss(np.array(quadratic_bowl.START)))
    right.axhline(first / 100, color=COLOURS["muted"], linestyle=LINE_STYLES["muted"])
    right.annotate("1% of the first", (STEPS, first / 100), ha="right", va="bottom",
                   color=COLOURS["muted"], fontsize=FONT_SIZE["note"])  # fmt: skip
    right.set_yscale("log")
    right.set(xlim=(0, STEPS), ylim=(1e-6, 1e6), xlabel="step", title="loss")
    right.grid(axis="y")
    return {"path": path, "now": now, "curve": curve}


def _told(found: quadratic_bowl.Roll, decay: float) -> str:
    """Say in a sentence or two where a ball went."""
    if found.escaped:
        return (
            f"Flown away after {len(found.path) - 1} steps: across the valley every step "
            "overshoots by more than the last one. The rate is too high."
        )
    crossings = f"It crossed the valley's floor {found.swings} times"
    if found.arrived is not None:
        came = f"Below 1% of the first loss for good after {found.arrived} steps. {crossings}"
    else:
        share = plots.number(float(found.losses[-1] / found.losses[0]))
        came = f"Not there after {STEPS} steps: {share} of the first loss is left. {crossings}"
    pull = quadratic_bowl.CURVATURES[0] / (quadratic_bowl.CURVATURES[0] + decay)
    if decay and pull < 0.999:
        return f"{came}. Decay holds weight 1 back, at {pull:.0%} of the way from 0 to the lowest."
    return f"{came}."


def rolling_ball() -> Demo:
    """A ball that rolls by the rule of 2012: rate, momentum and decay to turn."""
    parts: dict[str, Any] = {}

    def compute(rate: float, momentum: float, decay: float) -> tuple[quadratic_bowl.Roll, float]:
        return quadratic_bowl.roll(rate, momentum, decay, STEPS), decay

    def draw(figure: Figure, data: tuple[quadratic_bowl.Roll, float]) -> str:
        if not figure.axes:
            parts.update(_start_valley(figure))
        found, decay = data
        parts["path"].set_data(*found.path.T)
        parts["now"].set_data(*found.path[-1:].T)
        parts["curve"].set_data(np.arange(len(found.losses)), np.maximum(found.losses, 1e-6))
        return _told(found, decay)

    recipe = RECIPES["paper2012"]
    start = {"rate": recipe.lr, "momentum": recipe.momentum, "decay": recipe.weight_decay}
    controls = {
        "rate": ipywidgets.FloatLogSlider(
            value=recipe.lr, base=10, min=-3, max=-1, step=0.05, readout_format=".4f"
        ),
        "momentum": ipywidgets.FloatSlider(value=recipe.momentum, min=0, max=0.98, step=0.02),
        "decay": ipywidgets.SelectionSlider(
            value=recipe.weight_decay, options=[0.0, 0.0005, 0.005, 0.05, 0.5, 5.0]
        ),
    }
    presets = {
        "the paper's": start,
        "no momentum": start | {"momentum": 0.0},
        "too much momentum": start | {"momentum": 0.98},
        "too high": start | {"rate": 0.1},
        "too high without momentum": start | {"rate": 10**-1.65, "momentum": 0.0},
        "strong decay": start | {"decay": 0.5},
    }
    return Demo(compute, draw, controls, presets, name="rolling ball", height=3.4)


# The schedule


def schedule_over_run(run: Mapping[str, Any]) -> Figure:
    """Return the diary of 2012 over the log of a run of ours, both as shares of their length.

    run: a record with losses (one a step) and epochs, such as imagenette_paper.
    """
    figure, (above, below) = plots.figure(height=4.4, rows=2, sharex=True, height_ratios=[1, 1.1])
    losses = np.asarray(run["losses"], dtype=np.float64)
    window = 25
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    along = (np.arange(len(smooth)) + window) / len(losses)
    look = {"color": COLOURS["ours"], "linestyle": LINE_STYLES["ours"]}
    above.plot(along, smooth, **look)
    above.set(ylabel="training loss", title=f"our run: {run['total_epochs']} epochs on "
              f"{run['train_images']:,} photos")  # fmt: skip
    ends = np.array([0, *(epoch["step"] for epoch in run["epochs"])]) / len(losses)
    rates = [epoch["rate"] for epoch in run["epochs"]]
    dates = np.array([row[0] for row in DIARY_2012] + [STOPPED_2012]) / STOPPED_2012
    for values, name, meaning in (
        ([row[2] for row in DIARY_2012], "2012, all but conv1", "paper"),
        ([row[1] or np.nan for row in DIARY_2012], "2012, conv1", "highlight"),
    ):
        style = {"color": COLOURS[meaning], "linestyle": LINE_STYLES[meaning], "lw": 2}
        below.stairs(values, dates, baseline=None, label=name, **style)
    below.stairs(rates, ends, baseline=None, label="ours, at the end of each epoch", **look, lw=2)
    drops = [ends[i] for i in range(1, len(rates)) if rates[i] < rates[i - 1]]
    for date in drops:
        above.axvline(date, color=COLOURS["ours"], linestyle=":", lw=1.2)
    above.annotate("our rate falls", (drops[0], 1), (-5, -3), ha="right", va="top",
                   xycoords=("data", "axes fraction"), textcoords="offset points",
                   fontsize=FONT_SIZE["note"])  # fmt: skip
    for row, date in list(zip(DIARY_2012, dates, strict=False))[1:]:
        below.vlines(date, row[1] or 1e-5, 1.5e-2, color=COLOURS["muted"],
                     linestyle=LINE_STYLES["muted"], lw=1)  # fmt: skip
    for ax in (above, below):
        ax.grid(axis="y")
    for row, date in list(zip(DIARY_2012, dates, strict=False))[1:]:
        below.annotate(str(row[0]), (date, 2e-2), ha="center", fontsize=FONT_SIZE["note"])
    below.annotate(str(STOPPED_2012), (1, 2e-2), ha="center", fontsize=FONT_SIZE["note"])
    below.set_yscale("log")
    below.set(ylim=(4e-6, 5e-2), xlim=(0, 1.01), xlabel="share of the run that is done",
              ylabel="rate", title="the rates; the numbers are epochs of 2012")  # fmt: skip
    below.legend(loc="lower left", handlelength=3)
    return figure


# The clinic

#: measure of a file -> (title, lowest and highest shown, whether powers of ten)
PANELS: dict[str, tuple[str, tuple[float, float], bool]] = {
    "mean": ("mean output", (1e-6, 1e4), True),
    "across": ("across pictures", (1e-6, 1e4), True),
    "dead": ("dead units", (-0.05, 1.1), False),
    "gradient": ("gradient / weight", (1e-7, 1e3), True),
    "update": ("update / weight", (1e-7, 1e1), True),
    "weight": ("weight / first", (0.5, 8), True),
}
SUBJECT = {"color": COLOURS["after"], "linestyle": LINE_STYLES["after"], "marker": "o",
           "markersize": 4, "lw": 1.4}  # fmt: skip
CONTROL = {"color": COLOURS["before"], "linestyle": LINE_STYLES["before"], "marker": "",
           "lw": 1.4}  # fmt: skip


def _start_board(figure: Figure, record: Mapping[str, Any]) -> dict[str, Any]:
    """Draw eight empty panels on fixed scales; returns the lines that will move."""
    axes = [*figure.subplots(2, 4).flat]
    layers = list(record["patients"]["healthy"]["layers"])
    lines: dict[str, Any] = {}
    loss, chance = axes[0], math.log(len(record["classes"]))
    for name, style in (("loss control", CONTROL), ("loss", SUBJECT | {"marker": ""})):
        (lines[name],) = loss.plot([], [], **style)
    loss.axhline(chance, color=COLOURS["muted"], linestyle=LINE_STYLES["muted"], lw=1)
    loss.set(xlim=(0, record["steps"]), ylim=(0, 3.2), xlabel="step")
    (lines["cursor"],) = loss.plot([], [], color=COLOURS["highlight"], lw=1)
    for ax, (measure, (title, limits, log)) in zip(axes[1:7], PANELS.items(), strict=True):
        for name, style in ((f"{measure} control", CONTROL), (measure, SUBJECT)):
            (lines[name],) = ax.plot([], [], **style)
        if log:
            ax.set_yscale("log")
        ax.set(xlim=(0.5, len(layers) + 0.5), ylim=limits, xlabel="conv 1 to 5, fc 6 to 8")
        ax.set_xticks(range(1, len(layers) + 1))
        _title(ax, title)
    axes[6].set_yticks([1, 2, 4], ["1", "2", "4"])
    axes[6].minorticks_off()
    # words lie below what moves, so that they need not be drawn again with it
    below = {"color": COLOURS["text"], "zorder": 0.6}
    note = below | {"transform": loss.transAxes, "size": 7.5, "ha": "right", "va": "bottom"}
    loss.text(0.97, 0.9, "dotted: chance", **note)
    lines["note"] = loss.add_artist(Numeral(0.97, 0.79, "dashed: healthy", **note))
    test = axes[7]
    lines["bars"] = test.barh([1, 0], [0, 0], height=0.5, color=COLOURS["after"])
    test.set(xlim=(0, 1.02), ylim=(-0.6, 1.9))
    test.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
    test.set_yticks([])
    test.annotate("right", (0.02, 1.36), **below, fontsize=FONT_SIZE["note"])
    test.annotate("asked twice: changed", (0.02, 0.3), **below, fontsize=FONT_SIZE["note"])
    test.axvline(1 / len(record["classes"]), 0.5, 0.85, color=COLOURS["muted"],
                 linestyle=LINE_STYLES["muted"], lw=1)  # fmt: skip
    test.annotate("chance", (1 / len(record["classes"]), 1.65), ha="center", **below,
                  fontsize=FONT_SIZE["note"])  # fmt: skip
    _title(loss, "loss")
    _title(test, "test on new photos")
    for ax in axes:
        ax.tick_params(labelsize=7.5)
        ax.xaxis.label.set_size(FONT_SIZE["note"])
        ax.grid(axis="y")
    return lines


def _title(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=FONT_SIZE["label"], pad=5)


def _row(file: Mapping[str, Any], measure: str, look: int) -> list[float]:
    """Return a measure of all layers at a look; what isn't finite stands at the top."""
    values = [layer[measure][look] for layer in file["layers"].values()]
    return [math.inf if value is None else abs(value) for value in values]


def _move_board(lines: Mapping[str, Any], record: Mapping[str, Any], name: str, look: int) -> None:
    """Move the lines to a patient's file at one look; each panel cuts off at its scale."""
    file, control = record["patients"][name], record["patients"]["healthy"]
    look = min(look, len(file["looks"]) - 1)
    top = 3.2
    for key, one in (("loss control", control), ("loss", file)):
        shown = np.minimum([math.inf if v is None else v for v in one["loss"]], 0.98 * top)
        if one["stopped"] is not None:
            shown = np.append(shown, 0.98 * top)
        lines[key].set_data(np.arange(1, len(shown) + 1), shown)
    step = file["looks"][look]
    lines["cursor"].set_data([step, step], [0, top])
    for measure, (_, (low, high), log) in PANELS.items():
        for key, one in ((f"{measure} control", control), (measure, file)):
            at = min(look, len(one["looks"]) - 1)
            values = np.clip(_row(one, measure, at), low * 1.3 if log else low,
                             high / 1.3 if log else high)  # fmt: skip
            lines[key].set_data(np.arange(1, len(values) + 1), values)
    if lines["note"].get_visible() != (name != "healthy"):
        lines["note"].set_visible(name != "healthy")
    test = file["test"] or {"top1": 0.0, "changed_answers": 0.0}
    for bar, key in zip(lines["bars"], ("top1", "changed_answers"), strict=True):
        bar.set_width(test[key])


def spoken(record: Mapping[str, Any], who: str, look: int = -1) -> str:
    """Say what a file shows at a look, in numbers and without a diagnosis; who: as in `find`."""
    name = faults.find(who).name
    file = record["patients"][name]
    look = range(len(file["looks"]))[min(look, len(file["looks"]) - 1)]
    layers = list(file["layers"])
    dead = [layer for layer, share in zip(layers, _row(file, "dead", look), strict=True)
            if share == 1]  # fmt: skip
    still = [layer for layer, ratio in zip(layers, _row(file, "update", look), strict=True)
             if ratio == 0]  # fmt: skip
    across, weight = _row(file, "across", look)[-1], max(_row(file, "weight", look)[:-1])
    step = file["looks"][look]
    parts = [
        f"Patient {who} at step {step}: loss {plots.number(file['loss'][step - 1])}, "
        f"the last outputs differ by {plots.number(across)} across pictures",
        f"dead as a whole: {', '.join(dead) or 'no layer'}",
        f"without any update: {', '.join(still) or 'no layer'}",
        f"weights grown to {plots.number(weight)} times the first at most, fc8 aside",
    ]
    if file["test"] is None:
        parts.append(f"no test: the loss wasn't finite at step {file['stopped']}")
    else:
        parts.append(f"{file['test']['top1']:.0%} of the new photos right, "
                     f"{file['test']['changed_answers']:.0%} of the answers change")  # fmt: skip
    return "; ".join(parts) + "."


def dashboard(record: Mapping[str, Any], who: str = "healthy", look: int = -1) -> Figure:
    """Return the file of one patient as a figure of eight panels, the healthy one dashed.

    record: of the experiment "clinic". who: a letter or the name of a fault. look: which of the
    steps that were looked at, the last by default.
    """
    figure, axes = plots.figure(height=4.0)
    axes.remove()
    lines = _start_board(figure, record)
    name = faults.find(who).name
    looks = len(record["patients"][name]["looks"])
    _move_board(lines, record, name, range(looks)[min(look, looks - 1)])
    return figure


def ward(record: Mapping[str, Any]) -> Figure:
    """Return a small picture for each patient: its loss, and the healthy one's dashed.

    record: of the experiment "clinic". Each point is the mean of the last eight steps, or of as
    many as there are. A loss that leaves the picture ends there.
    """
    figure, axes = plots.figure(height=4.6, rows=3, columns=3, sharex=True, sharey=True)
    top, chance = 2.2, math.log(len(record["classes"]))
    healthy = _lately(record["patients"]["healthy"]["loss"])
    for ax, (letter, name) in zip(axes.flat, faults.LETTERS.items(), strict=True):
        ax.axhline(chance, color=COLOURS["grid"], lw=2, zorder=0)
        for losses, style in (
            (_lately(record["patients"][name]["loss"]), SUBJECT | {"marker": "", "lw": 2.4}),
            (healthy, CONTROL),
        ):
            gone = np.flatnonzero(losses > top)
            losses = np.minimum(losses[: gone[0] + 1 if len(gone) else None], 2 * top)
            ax.plot(np.arange(len(losses)) + 1, losses, **style)
        ax.set(xlim=(0, record["steps"]), ylim=(0.7, top))
        _title(ax, letter)
    first = axes.flat[0]
    first.annotate("dashed: healthy, grey: chance", (0.02, 0.98), va="top",
                   xycoords="axes fraction", fontsize=FONT_SIZE["note"])  # fmt: skip
    for ax in axes[-1]:
        ax.set_xlabel("step", fontsize=FONT_SIZE["note"])
    axes[1, 0].set_ylabel("training loss")
    return figure


def _lately(losses: list[float], window: int = 8) -> np.ndarray:
    """Return at each step the mean of the last losses, up to a window of them."""
    return np.array([np.mean(losses[max(0, i - window) : i]) for i in range(1, len(losses) + 1)])


def clinic_files(record: Mapping[str, Any] | None = None) -> Demo:
    """The clinic's files to leaf through, by letter and step, without their diagnosis.

    record: of the experiment "clinic", by default the one that ships.
    """
    record = records.read("clinic") if record is None else record
    lines: dict[str, Any] = {}
    looks = record["patients"]["healthy"]["looks"]

    def compute(patient: str, look: int) -> tuple[str, int]:
        return patient, look

    def draw(figure: Figure, data: tuple[str, int]) -> str:
        if not figure.axes:
            lines.update(_start_board(figure, record))
        who, look = data
        _move_board(lines, record, faults.find(who).name, look)
        return spoken(record, who, look)

    letters = ["healthy", *faults.LETTERS]
    controls = {
        "patient": ipywidgets.SelectionSlider(value="healthy", options=letters),
        "look": ipywidgets.IntSlider(value=len(looks) - 1, min=0, max=len(looks) - 1),
    }
    presets = {name: {"patient": name} for name in letters}
    return Demo(compute, draw, controls, presets, name="clinic", height=4.2)
