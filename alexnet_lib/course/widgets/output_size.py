"""The output-size lab of chapter 02: a window's stops on a photo, and what comes of their number.

Its JavaScript (js/sizes.js) gives the same numbers as `shapes`. Chapters write
`widgets.SizeLab()`.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import traitlets
from matplotlib.axes import Axes
from PIL import Image

from ... import architectures, shapes
from ...datasets import builtin
from ...plots import squares
from .javascript_lab import Lab
from .python_demo import read_script

__all__ = ["PRESETS", "SizeLab", "fc6_inputs"]

SIDE = 256  # of the photo that travels to the page
#: label -> (hint, input_size, kernel, stride, padding, rounding, rounding of the pools)
PRESETS: dict[str, tuple[str, int, int, int, int, str, str]] = {
    "the paper's 224": ("as printed, rounded down", 224, 11, 4, 0, "floor", "floor"),
    "2012 program": ("224, everything rounded up", 224, 11, 4, 0, "ceil", "ceil"),
    "Caffe's 227": ("227; the pools round up", 227, 11, 4, 0, "floor", "ceil"),
    "torchvision": ("224 with 2 zeros around", 224, 11, 4, 2, "floor", "floor"),
    "D2L": ("224 with 1 zero around", 224, 11, 4, 1, "floor", "floor"),
    "Caffe at 224": ("224 rounded down, the pools up", 224, 11, 4, 0, "floor", "ceil"),
    "5 × 5 by hand": ("the example of section 4", 5, 3, 1, 0, "floor", "floor"),
}
#: Chapter 02's example, 0 dark and 9 bright: shown for a photo of as few pixels
EXAMPLE = ((0, 0, 0, 9, 9), (0, 0, 0, 9, 9), (0, 0, 9, 9, 9), (0, 9, 9, 9, 9), (9, 9, 9, 9, 9))
SETTINGS = ("input_size", "kernel", "stride", "padding", "rounding", "pools")


def fc6_inputs(side: int, pools: str = "floor") -> int:
    """Return how many numbers fc6 reads if conv1's maps have this side.

    side: pixels. pools: "floor" or "ceil", how the three poolings round. The stages between are
    AlexNet's. Raises ValueError, naming the stage, where a window doesn't fit any more.
    """
    layers = architectures.network("paper").layers
    channels = [layer.channels for layer in layers if layer.kind == "conv"][-1]
    windowed = [layer for layer in layers if layer.kind in ("conv", "max_pool")][1:]
    for layer in windowed:
        rounding = pools if layer.kind == "max_pool" else "floor"
        try:
            side = shapes.output_size(side, layer.kernel, layer.stride, layer.padding, rounding)
        except ValueError as error:
            raise ValueError(f"{layer.name}: {error}") from error
    return channels * side * side


def _picture(name: str) -> np.ndarray:
    """Return the central square of a shipped photo, SIDE pixels a side."""
    photo = Image.fromarray(builtin.photo(name))
    short = min(photo.size)
    left, top = ((length - short) // 2 for length in photo.size)
    square = photo.crop((left, top, left + short, top + short))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


class SizeLab(Lab):
    """Windows on a photo: input, window, stride, padding and rounding to turn, and what is left.

    input_size, kernel, stride, padding, rounding: as in `shapes.output_size`; default: the
    paper's 224. pools: how the pooling layers after it round. row, column: the window that is
    marked. photo: a name in `builtin.PHOTOS`; at 5 pixels a side, where it can't be recognized,
    the lab shows the picture of 5 x 5 numbers that chapter 02 does by hand.
    Raises ValueError as `shapes.output_size` does, and for an unknown photo.
    """

    _esm = read_script("toolkit.js", "sizes.js", "typed.js", "size_words.js", "size_lab.js")
    _css = Lab._css + read_script("size_lab.css")
    input_size = traitlets.Int(224).tag(sync=True)
    kernel = traitlets.Int(11).tag(sync=True)
    stride = traitlets.Int(4).tag(sync=True)
    padding = traitlets.Int(0).tag(sync=True)
    rounding = traitlets.Unicode("floor").tag(sync=True)
    pools = traitlets.Unicode("floor").tag(sync=True)
    row = traitlets.Int(20).tag(sync=True)
    column = traitlets.Int(20).tag(sync=True)
    photo_url = traitlets.Unicode().tag(sync=True)
    example = traitlets.List([list(row) for row in EXAMPLE]).tag(sync=True)

    def __init__(
        self, input_size: int = 224, kernel: int = 11, stride: int = 4, padding: int = 0,
        rounding: str = "floor", pools: str = "floor", photo: str = "coffee", **settings: Any,
    ) -> None:  # fmt: skip
        shapes.output_size(input_size, kernel, stride, padding, rounding)
        if pools not in ("floor", "ceil"):
            raise ValueError(f"pools is {pools!r}; choose 'floor' or 'ceil'.")
        self._pixels = _picture(photo)
        stream = io.BytesIO()
        Image.fromarray(self._pixels).save(stream, "JPEG", quality=85)
        encoded = base64.b64encode(stream.getvalue()).decode()
        super().__init__(
            input_size=input_size, kernel=kernel, stride=stride, padding=padding, pools=pools,
            rounding=rounding, photo_url=f"data:image/jpeg;base64,{encoded}", **settings,
        )
        if "presets" not in settings:
            self.presets = self._own_presets()

    def _own_presets(self) -> list[dict[str, Any]]:
        made = []
        for label, (hint, *rest) in PRESETS.items():
            marked = dict.fromkeys(("row", "column"), 20 if rest[0] > 100 else 0)
            settings = dict(zip(SETTINGS, rest, strict=True))
            made.append({"label": label, "hint": hint, "state": settings | marked})
        return [*made, {"label": "reset", "hint": "back to how this lab began",
                        "state": {**self.state(), "row": self.row, "column": self.column}}]

    @property
    def output_size(self) -> int:
        """The map's side; raises ValueError where the window doesn't fit."""
        return shapes.output_size(
            self.input_size, self.kernel, self.stride, self.padding, self.rounding
        )

    def state(self) -> dict[str, Any]:
        """Return the settings by name."""
        return {name: getattr(self, name) for name in SETTINGS}

    def sentence(self) -> str:
        """Return the map's side, what is left at the edge, and what fc6 reads."""
        try:
            side = self.output_size
        except ValueError as error:
            return str(error)
        rest = shapes.clipped_pixels(
            self.input_size, self.kernel, self.stride, self.padding, self.rounding
        )
        what = "pixels left over" if rest >= 0 else "zeros read beyond the edge"
        try:
            later = f"fc6 reads {fc6_inputs(side, self.pools):,} numbers"
        except ValueError as error:
            later = str(error)
        return f"the map is {side} x {side}, {what}: {abs(rest)}; {later}"

    def picture(self) -> Axes:
        """Return the photo with the first and the last window, and what lies around it."""
        size, kernel, padding = max(1, self.input_size), self.kernel, self.padding
        try:
            last = (self.output_size - 1) * self.stride - padding
        except ValueError:
            last = -padding  # the sentence says why
        if size == len(EXAMPLE):
            scaled = np.array(EXAMPLE) / 9
        else:
            scaled = Image.fromarray(self._pixels).resize((size, size), Image.Resampling.LANCZOS)
        windows = {"first window": (-padding, kernel), "last window": (last, kernel)}
        return squares(np.asarray(scaled), windows, padding=padding)
