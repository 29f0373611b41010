"""A training run to watch while it goes on: its curve, its pace, and a button that stops it.

Chapters write `monitor = widgets.TrainingMonitor(steps=...)`, show it, and hand its
`update` to `training.fit` or call it in a loop of their own.
"""

from __future__ import annotations

import base64
import html
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ... import plots
from ...benchmarks.estimate import duration
from ...plots import palette
from ...plots.palette import COLOURS, FONT_SIZE, LINE_STYLES, MARKERS
from .python_demo import DemoManners, Painter

__all__ = ["TrainingMonitor"]

SECONDS_BETWEEN_PICTURES = 0.25
DRAWING_SHARE = 0.1  # of the time at most; the rest is the training's
MEMORY = 0.8  # of the line, from one step to the next


def running_mean(losses: Sequence[float]) -> np.ndarray:
    """Return the mean of the losses so far, (steps,); each counts MEMORY times the one after it."""
    mean, weight, means = 0.0, 0.0, []
    for loss in losses:
        mean, weight = MEMORY * mean + loss, MEMORY * weight + 1
        means.append(mean / weight)
    return np.array(means)


class _Curve:
    """The chart of a run: axes and empty curves at first, moved as losses come in."""

    def __init__(self, steps: int, chance: float | None, smooth: bool, height: float) -> None:
        self.steps, self.chance, self.smooth, self.height = steps, chance, smooth, height
        self.figure = plots.new_figure(palette.FIGURE_WIDTH, height)
        ax = self.ax = self.figure.add_subplot()
        dots = {"linestyle": "none", "marker": MARKERS["train"], "markersize": 4, "alpha": 0.45}
        (self.dots,) = ax.plot([], [], color=COLOURS["train"], mew=0, label="one step", **dots)
        (self.line,) = ax.plot([], [], color=COLOURS["train"], lw=2, label="running mean")
        (self.marks,) = ax.plot(
            [], [], color=COLOURS["validation"], linestyle=LINE_STYLES["validation"], lw=1.2,
            marker=MARKERS["validation"], markersize=7, label="validation",
        )
        if chance is not None:
            ax.axhline(chance, color=COLOURS["muted"], linestyle=LINE_STYLES["muted"], lw=1.5)
            ax.annotate(
                "chance", (1, chance), xycoords=("axes fraction", "data"), ha="right",
                va="bottom", color=COLOURS["muted"], fontsize=FONT_SIZE["note"],
            )
        ax.set(xlabel="step", ylabel="loss", xlim=(0, steps + 0.5), ylim=(0, self._top([])))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(axis="y")

    def move(self, losses: Sequence[float], validation: Sequence[tuple[float, float]]) -> None:
        """Bring the curves to the losses; only a new end of an axis has the rest drawn anew."""
        steps = np.arange(1, len(losses) + 1)
        self.dots.set_data(steps, losses)
        if self.smooth:
            self.line.set_data(steps, running_mean(losses))
        measured = [loss for _, loss in validation]
        self.marks.set_data([step for step, _ in validation], measured)
        end, top = max(self.steps, len(losses)) + 0.5, self._top([*losses, *measured])
        if (self.ax.get_xlim()[1], self.ax.get_ylim()[1]) != (end, top):
            self.ax.set(xlim=(0, end), ylim=(0, top))
        shown = [self.dots] + self.smooth * [self.line] + bool(validation) * [self.marks]
        legend = self.ax.get_legend()
        if losses and (legend is None or len(legend.get_texts()) != len(shown)):
            self.ax.legend(handles=shown, loc="upper right", handlelength=2, ncols=len(shown))

    def _top(self, values: Sequence[float]) -> float:
        """Return a round end for the loss axis; what lies above six guesses is cut off."""
        most = 6 * self.chance if self.chance else math.inf
        seen = [min(value, most) for value in values if math.isfinite(value)]
        needed = 1.1 * max([1.3 * (self.chance or 0), *seen])
        return math.ceil(4 * needed) / 4 or 1.0


class TrainingMonitor(ipywidgets.VBox):
    """The loss as it falls: every step a dot, their running mean a line, and a Stop button.

    steps: how many the run will have in all. chance: the loss of a guess, ln(classes), drawn
    dotted; None draws none. batch_size: pictures a step, for the pace; `training.fit` tells its
    own. smooth: False leaves the line out. height: of the picture, in inches. button: False leaves
    the Stop button out, for a frame that has its own.

    `training.fit(..., on_step=monitor.update)` keeps it up to date, and stops resumably when the
    button was pressed; the same monitor then follows the resumed run. In a loop of one's own:
    `if monitor.update(loss): break`. Printed, it says how far the run has come and no times, so
    that two runs of a notebook print the same.
    """

    def __init__(
        self, steps: int, chance: float | None = None, *, batch_size: int | None = None,
        smooth: bool = True, height: float = 2.8, button: bool = True,
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps is {steps}; say how many steps the run will have, at least 1.")
        self.steps, self.chance, self.batch_size, self.smooth = steps, chance, batch_size, smooth
        self.losses: list[float] = []
        self.validation: list[tuple[float, float]] = []  # (step, loss)
        self.state = "waiting"
        self.summary = ""
        self._stop = threading.Event()
        self._started = self._drawn_at = self._drawing_seconds = 0.0
        self._first = 0
        self._curve = _Curve(steps, chance, smooth, height)
        self._painter = Painter(self._curve.figure)
        size = {"width": f"{self._pixels}px", "max_width": "100%"}
        self._picture = ipywidgets.Image(format="png", layout=size)
        self._bar = ipywidgets.IntProgress(max=steps, layout={"width": "auto", "flex": "1 1 auto"})
        self._button = ipywidgets.Button(description="Stop", disabled=True)
        self._button.add_class("alexnet-button")
        self._button.on_click(lambda _: self.stop())
        self._sentence = ipywidgets.HTML()
        self._sentence.add_class("alexnet-summary")
        self._manners = DemoManners()
        parts = [self._bar, self._button] if button else [self._bar]
        row = ipywidgets.HBox(parts, layout={"align_items": "center"})
        super().__init__([self._picture, row, self._sentence, self._manners])
        self.add_class("alexnet-card").add_class("alexnet-monitor")
        self._show()

    @property
    def _pixels(self) -> int:
        return round(self._curve.figure.get_figwidth() * palette.PIXELS_PER_INCH)

    def stop(self) -> None:
        """Ask the run to stop after the step it is at, as the button does."""
        self._stop.set()
        self._button.disabled = True
        self._button.description = "Stopping"

    def update(self, state: Any, validation: float | None = None) -> bool:
        """Take in one step, redraw if it is time to, and say whether to stop.

        state: the run that `training.fit` hands over, or the loss of the step, a number or a
        tensor of one element. validation: a validation loss measured after this step.
        Returns True once for each press of Stop. Also fit's `on_epoch`.
        """
        before = (self.state, len(self.validation))
        if hasattr(state, "losses"):
            self._follow(state)
        else:
            self._note_start(len(self.losses) + 1)
            self.losses.append(float(state))
        if validation is not None:
            self.validation.append((len(self.losses), float(validation)))
        stopping = self._stop.is_set()
        done = len(self.losses) >= self.steps
        self.state = "stopped" if stopping else "finished" if done else "running"
        if done or before != (self.state, len(self.validation)) or self._is_time():
            self._show()
        if stopping:
            self._stop.clear()
        return stopping

    def _follow(self, run: Any) -> None:
        """Read a training.Run: its losses so far, and what it measured after each epoch."""
        self._note_start(len(run.losses))
        self.losses = list(run.losses)
        rows = [row for row in run.epochs if row["val_loss"] is not None]
        self.validation = [(row["step"], row["val_loss"]) for row in rows]
        self.batch_size = self.batch_size or run.about.get("batch_size")

    def _note_start(self, count: int) -> None:
        """Start the clock anew where a run begins or goes on after a stop."""
        another = count < len(self.losses)
        if another:
            self.losses, self.validation = [], []
        if another or self.state != "running":
            self._started, self._first = time.monotonic(), count
            self._stop.clear()

    def _is_time(self) -> bool:
        pause = max(SECONDS_BETWEEN_PICTURES, self._drawing_seconds / DRAWING_SHARE)
        return time.monotonic() - self._drawn_at >= pause

    def _show(self) -> None:
        """Bring picture, bar and sentence up to date; a picture that fails never ends a run."""
        started = time.monotonic()
        self.summary = self._progress_sentence(started)
        try:
            self._curve.move(self.losses, self.validation)
            self._picture.value = self._painter.png()
        except Exception as error:
            self.summary += f" (No picture: {type(error).__name__}: {error})"
        self._bar.value = min(len(self.losses), self.steps)
        self._button.disabled = self.state != "running"
        self._button.description = "Stop"
        line = html.escape(self.summary, quote=False)
        self._sentence.value = f'<p class="alexnet-sentence">{line}</p>'
        self._manners.alt = self._alt
        self._drawn_at = time.monotonic()
        self._drawing_seconds = self._drawn_at - started

    def _progress_sentence(self, now: float) -> str:
        """Say step, loss, pace and what is left; the pace counts from the second step on."""
        count = len(self.losses)
        if not count:
            return "The curve appears here as soon as the next cell trains."
        parts = [f"{self._steps_done}, loss {self._recent:.2f}"]
        seconds, measured = now - self._started, count - self._first
        if measured > 0 and seconds > 0:
            if self.batch_size:
                parts.append(f"{measured * self.batch_size / seconds:.0f} images/s")
            left = (self.steps - count) * seconds / measured
            parts += [f"{duration(left)} left"] if self.state == "running" else []
        return ", ".join(parts)

    @property
    def _steps_done(self) -> str:
        prefix = {"finished": "done: ", "stopped": "stopped at "}.get(self.state, "")
        return f"{prefix}step {len(self.losses)} of {self.steps}"

    @property
    def _recent(self) -> float:
        """The end of the line where there is one, else the last loss."""
        return running_mean(self.losses)[-1] if self.smooth else self.losses[-1]

    @property
    def _alt(self) -> str:
        if not self.losses:
            return "An empty chart: the loss of each step will appear in it."
        count = f"{len(self.losses)} of {self.steps} steps"
        return f"The loss of each training step and its running mean, after {count}."

    def figure(self) -> Figure:
        """Return the curve as it stands as a Figure of its own, for `widgets.show`."""
        curve = _Curve(self.steps, self.chance, self.smooth, self._curve.height)
        curve.move(self.losses, self.validation)
        return curve.figure

    @property
    def picture(self) -> bytes:
        """The picture as it was last shown, as PNG."""
        return bytes(self._picture.value)

    def __repr__(self) -> str:
        done = self._steps_done if self.losses else f"{self.steps} steps to come"
        return f"TrainingMonitor({done})"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        """Return widget and text, and the picture once there is a curve in it."""
        bundle = super()._repr_mimebundle_(**options)
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        data["text/plain"] = repr(self)
        if not self.losses:
            return data, {}
        data["image/png"] = base64.b64encode(self.picture).decode()
        return data, {"image/png": {"alt": self._alt, "width": self._pixels}}
