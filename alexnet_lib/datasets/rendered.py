"""Coloured shapes and textures on varied backgrounds, rendered from (seed, split, index).

Plain ones are large, bright and upright on even grey: so easy that a minute of training shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import cos, pi, sin

import numpy as np
from PIL import Image

__all__ = ["CLASSES", "COUNTS", "render", "render_many"]

#: Ten classes: six outlines, then four textures.
CLASSES = [
    "circle", "square", "triangle", "star", "cross", "ring",
    "stripes", "checkerboard", "dots", "zigzag",
]  # fmt: skip
#: How many images a split has unless another number is asked for.
COUNTS = {"train": 4000, "val": 1000, "test": 1000}

_SPLIT_NUMBERS = {"train": 0, "val": 1, "test": 2}
_LUMINANCE = np.array([0.30, 0.59, 0.11], np.float32)

Window = tuple[slice, slice, np.ndarray, np.ndarray]
Place = tuple[float, float, float, float, float]  # radius, x, y, angle, squeeze
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
Pick = Callable[[np.ndarray, float], np.ndarray]  # (colour beside it, least difference) -> colour

_GREY, _LIGHT, _DARK = (np.full(3, level, np.float32) for level in (110, 235, 15))


def render_many(
    count: int, size: int, split: str = "train", seed: int = 0, plain: bool = False,
    labels: Sequence[int] = range(len(CLASSES)),
) -> np.ndarray:  # fmt: skip
    """The first `count` images of a split: (count, size, size, 3) uint8, of each label in turn.

    labels: which of `CLASSES`, all of them by default.
    """
    images = np.empty((count, size, size, 3), np.uint8)
    for number in range(count):
        index = number // len(labels) * len(CLASSES) + labels[number % len(labels)]
        images[number] = render(index, size, split, seed, plain)
    return images


def render(
    index: int, size: int, split: str = "train", seed: int = 0, plain: bool = False
) -> np.ndarray:
    """One image of class `CLASSES[index % 10]` as (size, size, 3) uint8.

    size: height and width, pixels. The same index shows the same scene at every size.
    split: "train", "val" or "test"; no two splits or seeds share an image. plain: one large
    shape, white or black and white, nearly upright near the middle, and nothing else.
    """
    random = np.random.default_rng([seed, _SPLIT_NUMBERS[split], index])
    label = index % len(CLASSES)
    if plain:
        canvas = np.broadcast_to(_GREY, (size, size, 3)).copy()
        _draw_plain_object(random, canvas, label)
        return canvas.clip(0, 255).astype(np.uint8)
    patchwork = _patchwork(random)  # (cells, cells, 3)
    canvas = _blurred(patchwork, size)  # (H, W, 3) float32, 0..255
    for _ in range(random.integers(0, 4)):
        _scratch(random, canvas, thickness=random.uniform(0.008, 0.03))
    _draw_object(random, canvas, label, patchwork)
    if random.random() < 0.25:
        _scratch(random, canvas, thickness=random.uniform(0.01, 0.02))
    canvas *= random.uniform(0.7, 1.15)
    strength = random.uniform(0.0, 12.0)
    canvas += strength * random.standard_normal((size, size, 1), np.float32)
    return canvas.clip(0, 255).astype(np.uint8)


def _patchwork(random: np.random.Generator) -> np.ndarray:
    """A background: 1 to 6 cells a side, around one colour, (cells, cells, 3) uint8."""
    cells = int(random.integers(1, 7))
    spread = random.uniform(5, 40)
    base = random.uniform(30, 225, 3)
    patchwork = base + spread * random.standard_normal((cells, cells, 3))
    return patchwork.clip(0, 255).astype(np.uint8)


def _blurred(patchwork: np.ndarray, size: int) -> np.ndarray:
    large = Image.fromarray(patchwork).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(large).astype(np.float32)


def _window(canvas: np.ndarray, x: float, y: float, radius: float) -> Window:
    """The part of the canvas around (x, y), and its pixels' offsets in units of the side."""
    size = len(canvas)
    spans = []
    for centre in (y, x):
        start = max(0, int((centre - radius) * size) - 1)
        spans.append(slice(start, min(size, int((centre + radius) * size) + 2)))
    rows, columns = spans
    down = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / size - y
    across = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) / size - x
    return rows, columns, across[None, :], down[:, None]


def _paint(
    canvas: np.ndarray, rows: slice, columns: slice, coverage: np.ndarray, colour: np.ndarray
) -> None:
    """Blend `colour`, (3,) or (h, w, 3), over a window; coverage is (h, w), 0 to 1."""
    part = canvas[rows, columns]
    part += coverage[..., None] * (colour - part)


def _soft(distance: np.ndarray, size: int) -> np.ndarray:
    """From a signed distance in units of the side to the share of a pixel that is inside."""
    return np.clip(0.5 - distance * size, 0, 1)


def _scratch(random: np.random.Generator, canvas: np.ndarray, thickness: float) -> None:
    """A straight line with round ends, in any colour: clutter that belongs to no class."""
    x, y = random.uniform(0, 1, 2)
    angle, half = random.uniform(0, pi), random.uniform(0.03, 0.12)
    colour = random.uniform(0, 255, 3).astype(np.float32)
    rows, columns, across, down = _window(canvas, x, y, half + thickness)
    along = across * cos(angle) + down * sin(angle)
    aside = down * cos(angle) - across * sin(angle)
    beyond = np.maximum(np.abs(along) - half, 0)
    distance = np.sqrt(beyond * beyond + aside * aside) - thickness
    _paint(canvas, rows, columns, _soft(distance, len(canvas)), colour)


def _draw_object(
    random: np.random.Generator, canvas: np.ndarray, label: int, patchwork: np.ndarray
) -> None:
    radius = random.uniform(0.22, 0.44)
    x, y = random.uniform(0.8 * radius, 1 - 0.8 * radius, 2)
    place = (radius, x, y, random.uniform(0, 2 * pi), random.uniform(0.8, 1.0))
    behind = patchwork[int(y * len(patchwork)), int(x * len(patchwork))]
    _draw_at(random, canvas, label, place, behind, partial(_colour_unlike, random), shading=0.3)


def _draw_plain_object(random: np.random.Generator, canvas: np.ndarray, label: int) -> None:
    radius = random.uniform(0.3, 0.42)
    x, y = random.uniform(0.44, 0.56, 2)
    place = (radius, x, y, random.uniform(-0.3, 0.3), random.uniform(0.9, 1.0))
    colours = iter((_LIGHT, _DARK))
    _draw_at(random, canvas, label, place, _GREY, lambda *_: next(colours), shading=0.1)


def _draw_at(
    random: np.random.Generator, canvas: np.ndarray, label: int, place: Place, behind: np.ndarray,
    pick: Pick, shading: float,
) -> None:  # fmt: skip
    name, size = CLASSES[label], len(canvas)
    radius, x, y, angle, squeeze = place
    rows, columns, across, down = _window(canvas, x, y, 1.1 * radius)
    u = (across * cos(angle) + down * sin(angle)) / radius
    v = (down * cos(angle) - across * sin(angle)) / (radius * squeeze)
    colour = pick(behind, 70)
    shade = 1 + random.uniform(-shading, shading) * u[..., None]  # light from one side
    if name in OUTLINES:
        coverage = _soft(OUTLINES[name](u, v) * radius * squeeze, size)
        _paint(canvas, rows, columns, coverage, shade * colour)
        return
    second = pick(colour, 90)
    frequency = random.uniform(2.5, 4.0) * pi
    wave = TEXTURES[name](frequency * u, frequency * v)  # about -1..1, its zeros are the edges
    sharpness = size * radius / frequency
    mix = np.clip(0.5 + wave * sharpness, 0, 1)[..., None]
    patch = OUTLINES["circle" if random.random() < 0.5 else "square"]
    coverage = _soft(patch(u, v) * radius * squeeze, size)
    _paint(canvas, rows, columns, coverage, shade * (second + mix * (colour - second)))


def _colour_unlike(random: np.random.Generator, other: np.ndarray, least: float) -> np.ndarray:
    """A random colour whose brightness or tint differs from `other`'s by `least` (of 255)."""
    colour = random.uniform(0, 255, (8, 3)).astype(np.float32)
    apart = np.abs((colour - other) @ _LUMINANCE) + 0.3 * np.abs(colour - other).max(1)
    return colour[np.argmax(apart > least)] if (apart > least).any() else colour[apart.argmax()]


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.sqrt(u * u + v * v) - 0.78) - 0.2


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    lean = 0.8660254 * np.abs(u) - 0.5 * v
    return np.maximum(lean, v) - 0.5


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points: fold the plane into one half of a point; one straight edge is left."""
    radius = np.sqrt(u * u + v * v)
    fold = np.abs((np.arctan2(v, u) + pi / 5) % (2 * pi / 5) - pi / 5)
    inner_x, inner_y = 0.42 * cos(pi / 5), 0.42 * sin(pi / 5)
    edge_x, edge_y = inner_x - 1, inner_y
    length = (edge_x**2 + edge_y**2) ** 0.5
    return ((radius * np.cos(fold) - 1) * edge_y - radius * np.sin(fold) * edge_x) / length


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return np.maximum(long - 0.95, short - 0.26)


#: Signed distances to outlines of radius about 1: negative inside.
OUTLINES: dict[str, Distance] = {
    "circle": lambda u, v: np.sqrt(u * u + v * v) - 0.95,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) - 0.8,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}
#: Waves whose sign chooses one of two colours; arguments in radians.
TEXTURES: dict[str, Distance] = {
    "stripes": lambda a, b: np.sin(a) + 0 * b,
    "checkerboard": lambda a, b: np.sin(a) * np.sin(b),
    "dots": lambda a, b: 0.5 * (np.cos(a) + np.cos(b)) - 0.25,
    "zigzag": lambda a, b: np.sin(a + 2.0 * np.abs((b / pi) % 2 - 1)),
}
