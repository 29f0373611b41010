"""Numbers as the course writes them, and as text that can be drawn often.

Matplotlib lays every text out anew and takes about a millisecond for it; ten numbers above ten
bars are most of what a moving chart costs. A `Numeral` keeps the outlines of what it has drawn.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context
from functools import cache, lru_cache

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import TextPath, text_to_path
from matplotlib.transforms import Affine2D

from .palette import FONT_FAMILY

__all__ = ["Numeral", "number"]

UNIT = 100.0  # points: outlines are kept at this size
BELOW = 0.22  # of the font's size: from the bottom of a line to where its letters stand
BEFORE = {"left": 0.0, "center": 0.5, "right": 1.0}  # of a line's width, left of its position
_rounding = Context(prec=3, rounding=ROUND_HALF_UP)


def number(value: float) -> str:
    """Write a number in three digits as the demos do: 0, 0.595, 12.5, 43681, 2.06e-4."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if 100 <= abs(value) < 1e5:
        return str(math.floor(abs(value) + 0.5) * (1 if value > 0 else -1))
    rounded = _rounding.create_decimal_from_float(float(value))
    exponent = rounded.adjusted()
    if 1e-3 <= abs(value) < 1e5:
        return f"{rounded.normalize():f}"
    return f"{rounded.scaleb(-exponent).normalize():f}e{exponent}"


def _width(text: str, properties: FontProperties) -> float:
    return text_to_path.get_text_width_height_descent(text, properties, ismath=False)[0]


@cache
def _letter(letter: str, weight: str) -> tuple[Path, float]:
    """Return a letter's outline and how far the next one stands from it, in units."""
    properties = FontProperties(family=FONT_FAMILY[0], weight=weight, size=UNIT)
    advance = _width(f"0{letter}0", properties) - _width("00", properties)
    if letter.isspace():  # which TextPath can't be made of
        return Path(np.empty((0, 2)), np.empty(0, dtype=Path.code_type)), advance
    return TextPath((0, 0), letter, prop=properties), advance


@lru_cache(maxsize=4096)
def _outline(text: str, weight: str) -> tuple[Path, float]:
    """Return a line's outline, from 0 to the right, and its width, in units."""
    place, vertices, codes = 0.0, [np.empty((0, 2))], [np.empty(0, dtype=Path.code_type)]
    for letter in text:
        path, advance = _letter(letter, weight)
        vertices.append(path.vertices + [place, 0])
        codes.append(path.codes)
        place += advance
    return Path(np.concatenate(vertices), np.concatenate(codes)), place


class Numeral(Text):
    """One short upright line that stands on its position, aligned as `ha` says; else a Text."""

    def draw(self, renderer: RendererBase) -> None:
        """Fill the line's outline, which is laid out once."""
        if not self.get_visible() or not self.get_text():
            return
        outline, width = _outline(self.get_text(), self.get_weight())
        x, y = self.get_transform().transform(self.get_position())
        size = renderer.points_to_pixels(self.get_size())
        scale = size / UNIT
        left = x - scale * width * BEFORE[self.get_ha()]
        place = Affine2D().scale(scale).translate(left, y + BELOW * size)
        context = renderer.new_gc()
        context.set_linewidth(0)
        self._set_gc_clip(context)
        colour = to_rgba(self.get_color(), self.get_alpha())
        renderer.draw_path(context, outline, place, colour)
        context.restore()
        self.stale = False
