"""Exercises on overlapping pooling: votes, the pooled maps, and the way back. Chapter 03."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from alexnet_lib import ops, shapes
from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]

POOLING_OF_OTHERS = (
    "max_pool2d", "MaxPool2d", "max_pool1d", "max_pool3d", "adaptive_max_pool2d",
    "max_pool2d_loops", "max_pool2d_with_indices", "max_unpool2d", "MaxUnpool2d",
)  # fmt: skip


def votes(n: int, z: int, s: int) -> list[int]:
    starts = range(0, n - z + 1, s)
    return [sum(start <= i < start + z for start in starts) for i in range(n)]


def _rows(rng: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    yield 7, 3, 2  # three windows, each shares a pixel with the next
    yield 9, 3, 3
    yield 9, 3, 2
    yield 9, 2, 2  # the last pixel is in no window
    yield 8, 2, 3  # gaps
    yield 6, 3, 1
    yield 4, 4, 1  # one window
    yield 5, 1, 1
    yield 7, 3, 6
    yield 55, 3, 2  # AlexNet's first pooling layer
    for _ in range(8):
        z, s = int(rng.integers(1, 7)), int(rng.integers(1, 7))
        yield int(rng.integers(z, 30)), z, s


def _wrong_votes(
    starts: Callable[[int, int, int], range] = lambda n, z, s: range(0, n - z + 1, s),
    width: Callable[[int, int], int] = lambda z, s: z,
    most: int | None = None,
) -> Callable:
    """Return votes with something changed: where windows start, how wide they are, a ceiling."""

    def wrong(n, z, s):
        counts = [0] * n
        for start in starts(n, z, s):
            for i in range(start, min(n, start + width(z, s))):
                counts[i] += 1
        return counts if most is None else [min(most, count) for count in counts]

    return wrong


GAP = (
    "you left a gap of s between the windows. s goes from the start of one to the start of the "
    "next."
)
VOTES = Exercise(
    name="votes",
    chapter="03",
    minutes=8,
    difficulty=1,
    question=(
        "Pooling windows z pixels wide stand on a row of n pixels, the first at pixel 0, then one "
        "every s pixels, as long as the whole window fits. In how many windows is each pixel? "
        "Returns a list of n ints."
    ),
    hints=(
        "Where do the windows start? The last start that fits is at most n - z.",
        "range(0, n - z + 1, s) gives all the starts.",
        "Begin with [0] * n. For each start add 1 to the pixels start to start + z - 1.",
    ),
    oracle=votes,
    cases=_rows,
    mistakes={
        _wrong_votes(lambda n, z, s: range(0, n, s)):
            "you let windows stick out at the far end. A window counts only if all of it fits.",
        _wrong_votes(lambda n, z, s: range(0, n - z, s)):
            "the last window is missing: range leaves out its end, so it must be n - z + 1.",
        _wrong_votes(lambda n, z, s: range(0, n - z + 1)):
            "your windows start at every pixel. They start every s pixels.",
        _wrong_votes(lambda n, z, s: range(0, n - z + 1, z)):
            "your windows start every z pixels, so they never overlap. The stride is s.",
        _wrong_votes(lambda n, z, s: range(0, n - z + 1, z + s)): GAP,
        _wrong_votes(lambda n, z, s: range(0, n, z + s)): GAP,
        _wrong_votes(width=lambda z, s: z + 1):
            "your windows are z + 1 wide: the last pixel is start + z - 1.",
        _wrong_votes(width=lambda z, s: z - 1):
            "your windows are z - 1 wide: range leaves out its end.",
        _wrong_votes(width=lambda z, s: s):
            "your windows are s wide. s is the step from one to the next; they are z wide.",
        _wrong_votes(most=1):
            "you noted whether a pixel is in a window. Count in how many.",
        (lambda n, z, s: [-(-z // s)] * n):
            "z / s is right far from the ends only, and there not everywhere. Count.",
        (lambda n, z, s: [z // s] * n):
            "z / s is right far from the ends only, and there not everywhere. Count.",
        (lambda n, z, s: votes(n, s, z) if s <= n else [0] * n):
            "you took z and s for each other: windows are z wide, s apart.",
    },
    lesson=(
        "With z = 3 and s = 2 every second pixel votes twice along a row, so four times in a map; "
        "with s above z some pixels never vote."
    ),
    errors={
        "IndexError": "A window reaches beyond the row. The last one starts at n - z at most.",
    },
    where={
        lambda n, z, s: (n - z) % s != 0:
            "It fails only where the windows don't reach the end of the row: what's left over is "
            "in no window.",
        lambda n, z, s: s > z: "It fails only where s is above z, so that there are gaps.",
        lambda n, z, s: s < z: "It fails only where windows overlap.",
    },
)  # fmt: skip


def max_pool(x: torch.Tensor, z: int, s: int) -> torch.Tensor:
    return ops.max_pool2d(x, z, s)


def _normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(0, 3, shape).round(2)).float()


def _maps(rng: np.random.Generator) -> Iterator[tuple]:
    yield torch.tensor([[1.0, 5.0, 2.0], [4.0, 3.0, 9.0], [7.0, 0.0, 6.0]])[None, None], 2, 1
    yield _normal(rng, 1, 1, 5, 5), 3, 2
    yield _normal(rng, 2, 3, 9, 9), 3, 3
    yield -_normal(rng, 1, 2, 6, 6).abs() - 1, 2, 2  # nothing above zero
    yield _normal(rng, 2, 3, 7, 5), 3, 2
    yield _normal(rng, 3, 1, 8, 6), 3, 2  # rows and columns are left over
    yield _normal(rng, 1, 2, 4, 9), 2, 3  # one column too, behind a gap
    yield _normal(rng, 2, 2, 5, 8).double(), 2, 1
    yield _normal(rng, 1, 4, 6, 6), 1, 2
    yield _normal(rng, 1, 1, 5, 5), 4, 5
    for _ in range(4):
        z, s = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        rows, columns = int(rng.integers(1, 4)), int(rng.integers(4, 7))
        H, W = (z + (count - 1) * s + int(rng.integers(0, s)) for count in (rows, columns))
        yield _normal(rng, int(rng.integers(1, 4)), int(rng.integers(1, 4)), H, W), z, s


def _windows(x: torch.Tensor, z: int, s: int) -> torch.Tensor:
    """(N, C, H, W) -> (N, C, H', W', z, z), every window."""
    return x.unfold(2, z, s).unfold(3, z, s)


def _from_starts(starts: Callable[[int, int, int], Iterable[int]]) -> Callable:
    """Return max_pool with windows at other starts, from (side, z, s), cut off at the edge."""

    def wrong(x, z, s):
        rows, columns = (list(starts(side, z, s)) for side in x.shape[2:])
        return torch.stack([
            torch.stack([x[:, :, i : i + z, j : j + z].amax((2, 3)) for j in columns], -1)
            for i in rows
        ], -2)  # fmt: skip

    return wrong


TOO_MANY = "one window too many: round down, so that none sticks out."
MAX_POOL = Exercise(
    name="max_pool",
    chapter="03",
    minutes=12,
    difficulty=2,
    question=(
        "Max-pool feature maps x of shape (N, C, H, W): windows of z x z pixels, s pixels apart "
        "in both directions, the first at the top left, none sticking out. Without torch's or the "
        "library's pooling. Returns a new tensor (N, C, H', W') of x's type, with "
        "H' = (H - z) // s + 1, and W' in the same way."
    ),
    hints=(
        "Make the result with x.new_zeros(N, C, height, width), then fill it in two loops.",
        "Window (i, j) is x[:, :, i * s : i * s + z, j * s : j * s + z]: all images and channels "
        "at once.",
        "Its maximum over the last two axes is window.amax(dim=(2, 3)), of shape (N, C).",
    ),
    oracle=max_pool,
    cases=_maps,
    mistakes={
        (lambda x, z, s: max_pool(x, z, z)):
            "your windows are z apart. The stride is s, also where that makes them overlap.",
        (lambda x, z, s: max_pool(x, s, z)):
            "you took z and s for each other: windows are z wide, s apart.",
        (lambda x, z, s: max_pool(x, s, s)):
            "your windows are s wide. They are z wide and s apart.",
        (lambda x, z, s: max_pool(x, z, 1)):
            "your windows stand at every pixel. They stand s pixels apart.",
        _from_starts(lambda side, z, s: range(0, shapes.output_size(side, z, s) * z, z)):
            "you step by z. Window (i, j) begins at row i * s and column j * s.",
        _from_starts(lambda side, z, s: range(shapes.output_size(side, z, s))):
            "you step by 1. Window (i, j) begins at row i * s and column j * s.",
        partial(ops.max_pool2d, rounding="ceil"): TOO_MANY,
        _from_starts(lambda side, z, s: range(0, side - z, s)):
            "the last row and column of windows are missing: H' is (H - z) // s + 1.",
        (lambda x, z, s: max_pool(x, z, s).clamp_min(0)):
            "you compare with 0 first, so windows whose numbers are all negative give 0. Start "
            "from the window's own numbers.",
        (lambda x, z, s: ops.average_pool2d(x, z, s)):
            "that's the average. Max-pooling keeps the largest.",
        (lambda x, z, s: -max_pool(-x, z, s)):
            "that's the smallest of each window. Keep the largest.",
        (lambda x, z, s: max_pool(x.abs(), z, s)):
            "you compare absolute values. Keep the largest number: -5 is less than 1.",
        (lambda x, z, s: _windows(x, z, s).sum((4, 5))):
            "that's the sum of each window. Keep the largest.",
        (lambda x, z, s: _windows(x, z, s)[..., 0, :].amax(4)):
            "you looked at the first row of each window only.",
        (lambda x, z, s: _windows(x, z, s).amax((1, 4, 5))[:, None].expand(
            -1, x.shape[1], -1, -1)):
            "you took the maximum over the channels as well. Every channel is pooled alone.",
        (lambda x, z, s: _windows(x, z, s).amax((0, 4, 5))[None].expand(
            x.shape[0], -1, -1, -1)):
            "you took the maximum over the images as well. Every image is pooled alone.",
        (lambda x, z, s: _windows(x, z, s).amax((0, 1, 4, 5)).expand(*x.shape[:2], -1, -1)):
            "one max() over the whole block mixes the images and channels in it. Take the maximum "
            "over its last two axes only.",
        (lambda x, z, s: max_pool(x.transpose(2, 3), z, s)):
            "rows and columns are exchanged: i counts rows (axis 2), j columns (axis 3).",
    },
    lesson=(
        "Nothing in the loop knows whether windows overlap: it's the stride alone that decides. "
        "55 pixels with z = 3 and s = 2 give 27."
    ),
    errors={
        "IndexError": "If it's about a size or an index, a window reaches beyond the map. If it's "
        "about axes: images 0, channels 1, rows 2, columns 3.",
        "RuntimeError": "Do the shapes fit? A window's maximum over axes 2 and 3 has shape (N, C).",
    },
    where={
        lambda x, z, s: bool((x < 0).all()): "It fails only where all numbers are negative.",
        lambda x, z, s: any((side - z) % s for side in x.shape[2:]): f"Perhaps: {TOO_MANY}",
        lambda x, z, s: s > z: "It fails only where s is above z.",
    },
    forbidden=POOLING_OF_OTHERS,
)  # fmt: skip


def max_pool_gradient(x: torch.Tensor, z: int, s: int, g: torch.Tensor) -> torch.Tensor:
    _, index = F.max_pool2d(x, z, s, return_indices=True)
    return torch.zeros_like(x).flatten(2).scatter_add(2, index.flatten(2), g.flatten(2)).view_as(x)


def _with_gradients(rng: np.random.Generator) -> Iterator[tuple]:
    hand = torch.tensor([[1.0, 2.0, 0.0], [3.0, 9.0, 4.0], [0.0, 5.0, 6.0]])[None, None]
    yield hand, 2, 1, torch.tensor([[1.0, 10.0], [100.0, 1000.0]])[None, None]
    for shape, z, s in (
        ((1, 1, 5, 5), 3, 2), ((2, 3, 6, 6), 2, 2), ((1, 2, 7, 5), 3, 2), ((2, 1, 5, 8), 3, 1),
        ((1, 2, 6, 6), 2, 3), ((1, 1, 9, 9), 3, 3), ((2, 2, 4, 6), 4, 1), ((1, 3, 8, 7), 3, 2),
        ((1, 1, 6, 5), 1, 2),
    ):  # fmt: skip
        x = torch.from_numpy(rng.permuted(np.arange(np.prod(shape)) - 10)).reshape(shape).float()
        yield x, z, s, _normal(rng, *ops.max_pool2d(x, z, s).shape)
    x = torch.from_numpy(rng.permuted(np.arange(40.0))).reshape(1, 2, 4, 5)
    yield x, 3, 1, _normal(rng, 1, 2, 2, 3).double()
    ties = torch.tensor([[2.0, 2.0, 0.0], [2.0, 0.0, 1.0], [0.0, 1.0, 1.0]])[None, None]
    yield ties, 2, 1, torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]


def _wrong_gradient(
    share: Callable[[torch.Tensor], torch.Tensor] | None = None,
    add: bool = True, step: Callable[[int, int], int] = lambda z, s: s,
    weight: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda top, g: g,
) -> Callable:
    """Return max_pool_gradient with something changed.

    share: from a window (N, C, z, z), what each pixel gets of the gradient; by default the first
    of the largest gets all. add: whether gradients add up. weight: from maximum and gradient.
    """

    def wrong(x, z, s, g):
        out = torch.zeros_like(x)
        for i in range(g.shape[2]):
            for j in range(g.shape[3]):
                top, left = i * step(z, s), j * step(z, s)
                window = x[:, :, top : top + z, left : left + z]
                parts = (share or _first)(window) * weight(
                    window.amax((2, 3)), g[:, :, i, j]
                )[:, :, None, None]
                place = out[:, :, top : top + z, left : left + z]
                place.copy_(place + parts if add else torch.where(parts != 0, parts, place))
        return out

    return wrong


def _misplaced(place: Callable[[int, int, int, int], tuple[int, int]]) -> Callable:
    """Return max_pool_gradient with gradients put at place(top, left, row and column inside)."""

    def wrong(x, z, s, g):
        out = torch.zeros_like(x)
        for n, c, i, j in np.ndindex(*g.shape):
            window = x[n, c, i * s : i * s + z, j * s : j * s + z]
            row, column = place(i * s, j * s, *divmod(int(window.argmax()), z))
            out[n, c, row, column] += g[n, c, i, j]
        return out

    return wrong


def _first(window: torch.Tensor) -> torch.Tensor:
    flat = window.flatten(2)
    return F.one_hot(flat.argmax(2), flat.shape[2]).to(window.dtype).view_as(window)


def _last(window: torch.Tensor) -> torch.Tensor:
    return _first(window.flip(2, 3)).flip(2, 3)


def _all_largest(window: torch.Tensor) -> torch.Tensor:
    return (window == window.amax((2, 3), keepdim=True)).to(window.dtype)


SWAPPED = (
    "you took rows and columns for each other: best // z is the winner's row in its window, "
    "best % z its column, and the row comes first in the index."
)
GRADIENT = Exercise(
    name="max_pool_gradient",
    chapter="03",
    minutes=20,
    difficulty=3,
    question=(
        "Send the gradient back through a max-pooling layer. x (N, C, H, W) went in, with windows "
        "of z x z pixels, s apart; g (N, C, H', W') is the loss's gradient by each output. A "
        "window's gradient goes to the pixel that won it, the first in reading order if several "
        "are equal. Without torch's pooling or autograd. Returns a new tensor, the gradient by "
        "x: of x's shape and type."
    ),
    hints=(
        "Start from torch.zeros_like(x). Which pixels get nothing at all?",
        "One window of one image and channel: window.argmax() counts along its rows, so the winner "
        "stands at row argmax // z, column argmax % z of the window (// and % give both).",
        "A pixel may win several windows: then it gets the sum. Use += and not =.",
        "Four loops do: for n, for c, for i, for j; row = i * s + best // z, column = j * s + "
        "best % z; result[n, c, row, column] += g[n, c, i, j].",
    ),
    oracle=max_pool_gradient,
    cases=_with_gradients,
    mistakes={
        _wrong_gradient(add=False):
            "a pixel that wins several windows kept the gradient of the last one only. They add "
            "up: += instead of =.",
        _wrong_gradient(share=torch.ones_like):
            "every pixel of a window got its gradient. Only the winner does.",
        _wrong_gradient(share=lambda w: torch.full_like(w, 1 / (w.shape[2] * w.shape[3]))):
            "you shared the gradient out over the window: that's average pooling. The winner gets "
            "all of it.",
        _wrong_gradient(share=_all_largest):
            "where several pixels are equally large, each got the gradient. Only the first does.",
        _wrong_gradient(share=_last):
            "where several pixels are equally large, the last one got the gradient. It goes to the "
            "first in reading order: compare with >, not with >=.",
        _wrong_gradient(share=lambda w: _first(-w)):
            "the smallest pixel got the gradient. The largest won.",
        _wrong_gradient(share=lambda w: _first(w.abs())):
            "you chose the winner by absolute value.",
        _wrong_gradient(share=lambda w: _first(w.transpose(2, 3)).transpose(2, 3)):
            "where several pixels are equally large, you went down the columns first. Reading "
            "order goes along the rows.",
        _wrong_gradient(weight=lambda top, g: top):
            "the winners got their own value. They get g, the gradient of their window.",
        _wrong_gradient(weight=lambda top, g: top * g):
            "you multiplied the gradient by the winner's value. A maximum passes it on as it is.",
        _wrong_gradient(weight=lambda top, g: torch.ones_like(g)):
            "you counted the windows that each pixel wins. Add the windows' gradients g instead.",
        _wrong_gradient(step=lambda z, s: z):
            "your windows are z apart. The stride is s.",
        _misplaced(lambda top, left, a, b: (a, b)):
            "you put the gradient at (a, b), the winner's place in its window. In the map that's "
            "(i * s + a, j * s + b).",
        _misplaced(lambda top, left, a, b: (top + b, left + a)): SWAPPED,
        _misplaced(lambda top, left, a, b: (left + b, top + a)): SWAPPED,
    },
    lesson=(
        "Where windows overlap, one strong pixel can win up to four of them and gets all their "
        "gradients, while the losers learn nothing from this image."
    ),
    errors={
        "IndexError": "The winner's place in the map is the window's corner plus its place inside: "
        "row i * s + best // z, column j * s + best % z.",
    },
    where={
        lambda x, z, s, g: s < z: "It fails only where windows overlap: a pixel may win several.",
        lambda x, z, s, g: s > z: "It fails only where s is above z.",
    },
    forbidden=(*POOLING_OF_OTHERS, "backward", "autograd", "requires_grad", "requires_grad_",
               "grad", "vjp"),
)  # fmt: skip

EXERCISES = (VOTES, MAX_POOL, GRADIENT)
