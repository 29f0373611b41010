"""Demos that the browser computes, in JavaScript: they answer within a frame, with no kernel.

Their JavaScript is in js/ and gives the same numbers as the library. Python sees their
state: `lab.values`, `lab.k = 1`. Chapters write `widgets.LRNLab()`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets
from matplotlib.axes import Axes

from ... import plots
from ..._errors import unknown_name
from ...paper import CONVENTIONS
from ...plots import palette
from .python_demo import read_script

__all__ = ["ConventionsLab", "LRNLab", "Lab", "lrn_conventions"]

LONE_ONE = (0, 0, 0, 0, 0, 1, 0, 0, 0, 0)
NINE_AMONG_EIGHTS = (8, 8, 8, 8, 8, 9, 8, 8, 8, 8)
MOST_CHANNELS = 32  # in a window that the JavaScript computes
ARTICLE = {"convention": "seed", "size": 2, "k": 0.0, "alpha": 2.0, "beta": 2.0}  # [A], its example


class Lab(anywidget.AnyWidget):
    """What the JavaScript demos share: their looks, presets, a printed form, a still picture.

    A lab has `_esm`, synchronized traits, `presets`, `state()` for the printed form, `sentence()`
    and `picture()`.
    """

    _css = palette.css_variables() + read_script("demo.css", "lab.css")
    presets = traitlets.List(traitlets.Dict()).tag(sync=True)

    def state(self) -> dict[str, Any]:
        """Return what the printed form names: the settings, by name."""
        raise NotImplementedError

    def sentence(self) -> str:
        """Return one line of text that says what the picture shows."""
        raise NotImplementedError

    def picture(self) -> Axes:
        """Return the lab as a still picture."""
        raise NotImplementedError

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{name}={plots.number(value) if isinstance(value, float) else value}"
            for name, value in self.state().items()
        )
        return f"{type(self).__name__}({settings}): {self.sentence()}"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        """Return widget, still picture and text; a page without a kernel shows the latter two."""
        data, metadata = super()._repr_mimebundle_(**options)
        still = self.picture()
        width = round(still.get_figure(root=True).get_figwidth() * palette.PIXELS_PER_INCH)
        data = {**data, "text/plain": repr(self)}
        data["image/png"] = base64.b64encode(plots.png(still)).decode()
        return data, {**metadata, "image/png": {"alt": self.sentence(), "width": width}}


def lrn_conventions() -> dict[str, dict[str, Any]]:
    """Return `paper.CONVENTIONS` as the JavaScript reads them: see js/lrn.js."""
    return {
        rule.name: {
            "title": rule.title, "divides": rule.divisor == "size", "names": dict(rule.names),
            "reach": [rule.reach(size) for size in range(1, MOST_CHANNELS + 1)],
            "window": rule.window, "oddOnly": rule.odd_only, "leastK": rule.least_k,
        }
        for rule in CONVENTIONS.values()
    }  # fmt: skip


def _outputs(values: Sequence[float], constants: dict[str, Any]) -> list[float]:
    """Return LRN of one row, in float64; raises ValueError where the convention refuses."""
    import torch  # a chapter without a lab need not wait for torch

    from ... import ops

    row = torch.tensor([list(values)], dtype=torch.float64)  # (N=1, C)
    return ops.local_response_norm(row, **constants)[0].tolist()


def _constants_of(convention: str) -> dict[str, Any]:
    """Return a convention's own constants, as a lab's state."""
    own = CONVENTIONS[convention]
    constants = {"size": own.size, "k": own.k, "alpha": own.alpha, "beta": own.beta}
    return {"convention": convention, **constants}


class LRNLab(Lab):
    """Ten channels at one position to drag, before and after LRN, with every constant to turn.

    values: the channels' activations, 0 or more. convention, size, alpha, beta, k: as in
    `ops.local_response_norm`; default: the article's example. channel: the one whose window is
    shown, default the largest. maximum: the value of a full bar, 10, 100 or 1000.
    Raises ValueError for an unknown convention and for values that aren't a row of numbers >= 0.
    """

    _esm = read_script(
        "toolkit.js", "bars.js", "lrn.js", "lrn_lab.js", CONVENTIONS=lrn_conventions()
    )
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    convention = traitlets.Unicode("seed").tag(sync=True)
    size = traitlets.Int(2).tag(sync=True)
    k = traitlets.Float(0.0).tag(sync=True)
    alpha = traitlets.Float(2.0).tag(sync=True)
    beta = traitlets.Float(2.0).tag(sync=True)
    channel = traitlets.Int(0).tag(sync=True)
    maximum = traitlets.Float(10.0).tag(sync=True)

    def __init__(self, values: Sequence[float] = NINE_AMONG_EIGHTS, **settings: Any) -> None:
        row = _row(values)
        convention = settings.get("convention", "seed")
        if convention not in CONVENTIONS:
            raise unknown_name("LRN convention", convention, CONVENTIONS)
        settings.setdefault("channel", int(np.argmax(row)))
        settings.setdefault("maximum", _full_bar(row))
        super().__init__(values=row, **settings)
        if "presets" not in settings:
            self.presets = self._own_presets()

    def _own_presets(self) -> list[dict[str, Any]]:
        start = {**self.constants, "values": self.values}
        shown = {"maximum": 10.0, "channel": 5}
        return [
            {"label": "0000010000", "hint": "with the article's constants",
             "state": {**ARTICLE, **shown, "values": list(LONE_ONE)}},
            {"label": "8888898888", "hint": "with the article's constants",
             "state": {**ARTICLE, **shown, "values": list(NINE_AMONG_EIGHTS)}},
            {"label": "the paper's constants", "hint": "n 5, k 2, alpha 1e-4, beta 0.75",
             "state": _constants_of("paper")},
            {"label": "PyTorch's defaults", "hint": "size 5, k 1, alpha 1e-4, beta 0.75",
             "state": _constants_of("pytorch")},
            {"label": "reset", "hint": "back to how this lab began",
             "state": {**start, "maximum": self.maximum, "channel": self.channel}},
        ]

    @property
    def constants(self) -> dict[str, Any]:
        """The settings that `ops.local_response_norm` takes, by name."""
        names = ("convention", "size", "k", "alpha", "beta")
        return {name: getattr(self, name) for name in names}

    @property
    def outputs(self) -> list[float]:
        """The row after LRN; raises ValueError where the convention refuses the constants."""
        return _outputs(self.values, self.constants)

    def state(self) -> dict[str, Any]:
        """Return the constants, and the row in the article's shorthand where it's digits."""
        return {"values": _digits(self.values), **self.constants}

    def sentence(self) -> str:
        """Return what becomes of the marked channel and of its neighbours."""
        try:
            outputs = self.outputs
        except ValueError as error:
            return str(error)
        i = min(self.channel, len(outputs) - 1)
        value, output = plots.number(self.values[i]), plots.number(outputs[i])
        said = f"the {value} in channel {i} becomes {output}"
        beside = [outputs[j] for j in (i - 1, i + 1) if 0 <= j < len(outputs)]
        names = " and ".join(dict.fromkeys(map(plots.number, beside)))
        return f"{said}, its neighbours {names}" if names else said

    def picture(self) -> Axes:
        """Return the row before and after as bars, the marked channel's window shaded."""
        from ... import ops

        try:
            outputs = self.outputs
            behind, ahead = ops.window(self.convention, self.size)
        except ValueError:
            outputs, behind, ahead = [0.0] * len(self.values), 0, 0  # the sentence says why
        last = len(outputs) - 1
        i = min(self.channel, last)
        window = (max(0, i - behind), min(last, i + ahead))
        return plots.before_after(self.values, outputs, highlight=i, window=window)[0]


class ConventionsLab(Lab):
    """The same row and the same numbers under each of the eight conventions, side by side.

    values, size, alpha, beta, k, channel, maximum: as in LRNLab. same_scale: whether the eight
    pictures share one scale.
    """

    _esm = read_script(
        "toolkit.js", "bars.js", "lrn.js", "conventions_lab.js", CONVENTIONS=lrn_conventions()
    )
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    size = traitlets.Int(2).tag(sync=True)
    k = traitlets.Float(0.0).tag(sync=True)
    alpha = traitlets.Float(2.0).tag(sync=True)
    beta = traitlets.Float(2.0).tag(sync=True)
    channel = traitlets.Int(0).tag(sync=True)
    maximum = traitlets.Float(10.0).tag(sync=True)
    same_scale = traitlets.Bool(False).tag(sync=True)

    def __init__(self, values: Sequence[float] = NINE_AMONG_EIGHTS, **settings: Any) -> None:
        row = _row(values)
        settings.setdefault("channel", int(np.argmax(row)))
        settings.setdefault("maximum", _full_bar(row))
        super().__init__(values=row, **settings)
        if "presets" not in settings:
            self.presets = self._own_presets()

    def _own_presets(self) -> list[dict[str, Any]]:
        names = ("values", "channel", "maximum", "size", "k", "alpha", "beta", "same_scale")
        start = {name: getattr(self, name) for name in names}
        article = {name: value for name, value in ARTICLE.items() if name != "convention"}
        shown = {"maximum": 10.0, "channel": 5}
        return [
            {"label": "8888898888", "hint": "with the article's constants",
             "state": {**article, **shown, "values": list(NINE_AMONG_EIGHTS)}},
            {"label": "an even size", "hint": "size 4: which way does the window lean?",
             "state": {**shown, "size": 4, "k": 1.0, "alpha": 1.0, "beta": 0.75,
                       "values": [0, 0, 0, 8, 0, 4, 0, 0, 0, 0]}},
            {"label": "the paper's constants, at 100", "hint": "n 5, k 2, alpha 1e-4, beta 0.75",
             "state": {"size": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75, "maximum": 100.0,
                       "values": [100] * 10, "channel": 5}},
            {"label": "reset", "hint": "back to how this lab began", "state": start},
        ]

    def all_outputs(self) -> dict[str, list[float] | None]:
        """Return the row after LRN by convention; None where it refuses these constants."""
        found: dict[str, list[float] | None] = {}
        for name in CONVENTIONS:
            constants = {"size": self.size, "k": self.k, "alpha": self.alpha, "beta": self.beta}
            try:
                found[name] = _outputs(self.values, {**constants, "convention": name})
            except ValueError:
                found[name] = None
        return found

    def state(self) -> dict[str, Any]:
        """Return the constants, and the row in the article's shorthand where it's digits."""
        constants = {"size": self.size, "k": self.k, "alpha": self.alpha, "beta": self.beta}
        return {"values": _digits(self.values), **constants}

    def sentence(self) -> str:
        """Return what the marked channel becomes under each convention."""
        parts = (
            f"{name} {'refuses' if row is None else plots.number(row[self.channel])}"
            for name, row in self.all_outputs().items()
        )
        value = plots.number(self.values[self.channel])
        return f"the {value} in channel {self.channel} becomes: {', '.join(parts)}"

    def picture(self) -> Axes:
        """Return eight small rows of bars."""
        figure, axes = plots.figure(3.2, rows=2, columns=4)
        nothing = [0.0] * len(self.values)
        for ax, (name, row) in zip(axes.flat, self.all_outputs().items(), strict=True):
            heights = nothing if row is None else row
            plots.bars(heights, highlight=self.channel, numbers=False, ax=ax)
            ax.set_title(name if row is not None else f"{name}: refuses", fontsize=9)
            ax.set_xticks([])
        return figure.axes[0]


def _row(values: Sequence[float]) -> list[float]:
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1 or row.size == 0 or not np.isfinite(row).all() or (row < 0).any():
        raise ValueError(f"values is {values!r}; give one row of numbers, 0 or more: [8, 9, 8].")
    return row.tolist()


def _full_bar(row: Sequence[float]) -> float:
    return next((top for top in (10.0, 100.0, 1000.0) if max(row) <= top), float(max(row)))


def _digits(values: Sequence[float]) -> str:
    """Write a row as the article does, 8888898888, where every value is one digit."""
    if all(value == int(value) and 0 <= value <= 9 for value in values):
        return "".join(str(int(value)) for value in values)
    return "[" + ", ".join(map(plots.number, values)) + "]"
