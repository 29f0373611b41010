"""Chapter 3's lab: pooling windows over a map, in JavaScript. Chapters write
`widgets.PoolingLab()`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from matplotlib.axes import Axes

from ... import plots
from ...analysis import pooling_windows
from ...plots import palette
from .javascript_lab import Lab
from .python_demo import read_script

__all__ = ["SMALL_MAP", "PoolingLab"]

#: 9 x 9 digits to begin with: a slanted stroke, a spot and some noise.
SMALL_MAP = np.array([
    [0, 1, 0, 2, 0, 0, 1, 4, 2],
    [1, 0, 2, 0, 1, 3, 6, 3, 0],
    [0, 2, 0, 1, 5, 8, 3, 0, 1],
    [1, 0, 4, 7, 9, 4, 0, 2, 0],
    [0, 3, 8, 6, 2, 0, 1, 0, 0],
    [2, 6, 5, 1, 0, 1, 0, 0, 2],
    [4, 3, 0, 0, 2, 0, 5, 1, 0],
    [1, 0, 1, 0, 0, 2, 7, 3, 1],
    [0, 2, 0, 1, 0, 0, 2, 0, 0],
], dtype=np.float64)  # fmt: skip
LARGEST_SIDE = 64
RINGS_UP_TO = 20  # pixels a side; winners of larger maps aren't marked unless asked for
START = {"shown": 0, "kernel": 3, "stride": 2, "kind": "max", "shift": 0, "window": 6,
         "winners": True}


def _one_map(name: str, values: Any) -> dict[str, Any]:
    """Return a map as the page takes it, rounded to what can be told apart."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the map {name!r} doesn't hold numbers ({error}); give (H, W).") from None
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"the map {name!r} has shape {array.shape}; give one map, (H, W), such as maps[0]."
        )
    if max(array.shape) > LARGEST_SIDE:
        raise ValueError(
            f"the map {name!r} is {array.shape[0]} x {array.shape[1]}; the lab draws up to "
            f"{LARGEST_SIDE} x {LARGEST_SIDE}. Cut a piece out, such as map[:64, :64]."
        )
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(
            f"the map {name!r} holds negative or endless numbers; the lab shows what comes out of "
            "a ReLU: 0 or more."
        )
    height, width = array.shape
    rounded = [float(f"{value:.4g}") for value in array.ravel()]
    return {"name": name, "height": height, "width": width, "values": rounded}


def _has_rings(one: dict[str, Any]) -> bool:
    return max(one["height"], one["width"]) <= RINGS_UP_TO


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} is {value!r}; give a whole number, {least} or more.")
    return int(value)


class PoolingLab(Lab):
    """A map, how many windows each pixel is in, and the pooled map; z, s and a shift to turn.

    maps: name -> (H, W), 0 or more, at most 64 x 64, shown besides the small map of digits.
    kernel, stride: pixels. kind: "max" or "average". shift: pixels to the right; what leaves
    comes back on the left. window: which one is framed, from 1. shown: which map, from 0.
    winners: whether the pixels that win are marked; default: on maps of up to 20 x 20.
    Raises ValueError for maps that aren't such, for sizes that aren't whole or too small, and for
    an unknown kind.
    """

    _esm = read_script("toolkit.js", "pooling.js", "map_panel.js", "pooling_lab.js")
    _css = palette.css_variables() + read_script("demo.css", "lab.css", "pooling.css")
    maps = traitlets.List(traitlets.Dict()).tag(sync=True)
    shown = traitlets.Int(0).tag(sync=True)
    kernel = traitlets.Int(3).tag(sync=True)
    stride = traitlets.Int(2).tag(sync=True)
    kind = traitlets.Unicode("max").tag(sync=True)
    shift = traitlets.Int(0).tag(sync=True)
    window = traitlets.Int(6).tag(sync=True)
    winners = traitlets.Bool(True).tag(sync=True)

    def __init__(self, maps: Mapping[str, Any] | None = None, **settings: Any) -> None:
        every = {"9 × 9 digits": SMALL_MAP, **(maps or {})}
        for name, least in (("kernel", 1), ("stride", 1), ("window", 1), ("shift", 0),
                            ("shown", 0)):  # fmt: skip
            if name in settings:
                settings[name] = _whole(name, settings[name], least)
        if settings.get("kind", "max") not in pooling_windows.KINDS:
            raise ValueError(f"kind is {settings['kind']!r}; choose 'max' or 'average'.")
        if settings.get("shown", 0) >= len(every):
            raise ValueError(f"shown is {settings['shown']}; the lab has {len(every)} map(s).")
        checked = [_one_map(*each) for each in every.items()]
        settings.setdefault("winners", _has_rings(checked[settings.get("shown", 0)]))
        super().__init__(maps=checked, **settings)
        if "presets" not in settings:
            self.presets = self._own_presets()

    def _own_presets(self) -> list[dict[str, Any]]:
        start = {name: getattr(self, name) for name in START}
        average = {"kernel": 3, "stride": 2, "shift": 0, "kind": "average"}  # of whichever map
        presets = [
            ("windows apart", "z 3, s 3", START | {"stride": 3, "window": 5}),
            ("overlapping: AlexNet", "z 3, s 2, as in torchvision's AlexNet", START),
            ("the usual one", "z 2, s 2", START | {"kernel": 2}),
            ("broken: gaps", "z 2, s 4: pixels that nobody reads",
             START | {"kernel": 2, "stride": 4, "window": 5}),
            ("average", "z 3, s 2, the average, on the map that is shown", average),
            ("a shift by one", "z 2, s 2, moved one pixel", START | {"kernel": 2, "shift": 1}),
        ]  # fmt: skip
        if len(self.maps) > 1:
            real = {"shown": 1, "window": 255, "winners": _has_rings(self.maps[1])}
            presets.append(("a real map", self.maps[1]["name"], START | real))
        presets.append(("reset", "back to how this lab began", start))
        return [{"label": label, "hint": hint, "state": state} for label, hint, state in presets]

    @property
    def map(self) -> np.ndarray:
        """The map that is shown, before any shift."""
        chosen = self.maps[min(self.shown, len(self.maps) - 1)]
        return np.array(chosen["values"]).reshape(chosen["height"], chosen["width"])

    @property
    def outputs(self) -> np.ndarray:
        """The pooled map; raises ValueError for windows that don't fit."""
        return pooling_windows.pool(np.roll(self.map, self.shift, axis=1), self.kernel, self.stride,
                            self.kind)  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Return the settings by name."""
        settings = {"map": self.maps[min(self.shown, len(self.maps) - 1)]["name"]}
        names = ("kernel", "stride", "kind", "shift", "window")
        return settings | {name: getattr(self, name) for name in names}

    def sentence(self) -> str:
        """Return what becomes of the map, who votes how often, and who wins the framed window."""
        try:
            outputs = self.outputs
        except ValueError as error:
            return str(error)
        height, width = self.map.shape
        votes = pooling_windows.votes(height, width, self.kernel, self.stride)
        kinds = sorted({int(vote) for vote in votes.flat})
        counts = ", ".join(map(str, kinds))
        said = (
            f"{height} x {width} becomes {outputs.shape[0]} x {outputs.shape[1]}; pixels are in "
            f"{counts} windows"
        )
        place = min(self.window, outputs.size) - 1
        value = plots.number(float(outputs.flat[place]))
        verb = "keeps" if self.kind == "max" else "averages to"
        return f"{said}; window {place + 1} {verb} {value}"

    def picture(self) -> Axes:
        """Return the map, the votes and the output side by side."""
        figure, axes = plots.figure(2.9, columns=3)
        shown = np.roll(self.map, self.shift, axis=1)
        try:
            outputs = self.outputs
        except ValueError:
            for ax in axes:
                plots.pixels(shown, ax=ax)  # the sentence says why
            return figure.axes[0]
        place = min(self.window, outputs.size) - 1
        row, column = divmod(place, outputs.shape[1])
        frame = (row * self.stride, column * self.stride, self.kernel)
        marked = self.winners and self.kind == "max" and shown.size <= plots.MOST_NUMBERS
        rings = pooling_windows.winners(shown, self.kernel, self.stride) if marked else None
        votes = pooling_windows.votes(*shown.shape, self.kernel, self.stride)
        plots.pixels(shown, frame=frame, rings=rings, title="in", ax=axes[0])
        plots.vote_counts(votes, title="windows a pixel is in", ax=axes[1])
        plots.pixels(
            outputs, frame=(row, column, 1), limit=shown.max(), title="out", ax=axes[2]
        )
        return figure.axes[0]
