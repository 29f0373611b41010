"""Exercises on local response normalization: a row in the article's convention, maps in the
paper's. Chapter 05."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from alexnet_lib import ops
from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def lrn_row(row: list[float], r: int, kappa: float, alpha: float, beta: float) -> list[float]:
    x = torch.tensor([row], dtype=torch.float64)
    return ops.local_response_norm(x, r, alpha, beta, kappa, "seed")[0].tolist()


def _rows(rng: np.random.Generator) -> Iterator[tuple]:
    yield [1.0, 2.0, 3.0], 2, 1.0, 2.0, 1.0  # small enough to do by hand
    yield [1.0, 2.0, 3.0], 2, 1.0, 2.0, 2.0
    yield [8.0] * 5 + [9.0] + [8.0] * 4, 2, 0.0, 2.0, 2.0
    yield [0.0] * 5 + [1.0] + [0.0] * 4, 2, 0.0, 2.0, 2.0
    yield [0.0] * 5 + [1.0] + [0.0] * 4, 2, 1.0, 2.0, 2.0
    yield [4.0], 2, 1.0, 1.0, 0.75
    yield [3.0, -1.0], 6, 2.0, 0.5, 0.75  # the window is wider than the row
    yield [0.0, 0.0, 0.0], 4, 0.0, 1.0, 0.5
    for _ in range(8):
        row = [round(float(value), 1) for value in rng.normal(0, 3, int(rng.integers(4, 12)))]
        kappa, alpha, beta = (round(float(value), 2) for value in rng.uniform(0.5, 2.5, 3))
        yield row, 2 * int(rng.integers(1, 4)), kappa, alpha, beta


def _wrong_row(
    reach: Callable[[int], tuple[int, int]] = lambda r: (r // 2, r // 2),
    divisor: Callable[[int, int], float] = lambda r, count: r,
    term: Callable[[float], float] = lambda value: value * value,
    wrap: bool = False, centre: bool = True, kappa_inside: bool = False,
    result: Callable[[float, float, float], float] = lambda value, s, beta: value / s**beta,
    nothing: float = 0.0,
) -> Callable:  # fmt: skip
    """Return lrn_row with something changed.

    reach: from r, the neighbours behind and ahead. divisor: of alpha, from r and the number of
    neighbours that are there. term: what is summed. wrap: beyond one end is the other. nothing:
    what 0/0 gives.
    """

    def wrong(row, r, kappa, alpha, beta):
        y, (behind, ahead) = [], reach(r)
        for i, value in enumerate(row):
            places = [j for j in range(i - behind, i + ahead + 1) if centre or j != i]
            if wrap:
                places = [j % len(row) for j in places]
            window = [row[j] for j in places if 0 <= j < len(row)]
            c = alpha / divisor(r, len(window))
            total = sum(map(term, window))
            s = c * (kappa + total) if kappa_inside else kappa + c * total
            y.append(result(value, s, beta) if s else nothing)
        return y

    return wrong


def _slice_row(row, r, kappa, alpha, beta):
    """A slice whose start is below 0 counts from the row's end."""
    y = []
    for i, value in enumerate(row):
        s = kappa + alpha / r * sum(v * v for v in row[i - r // 2 : i + r // 2 + 1])
        y.append(value / s**beta if s else 0.0)
    return y


def _in_place_row(row, r, kappa, alpha, beta):
    """The result overwrites the numbers that the next neighbours need."""
    row = list(row)
    for i, value in enumerate(row):
        window = row[max(0, i - r // 2) : i + r // 2 + 1]
        s = kappa + alpha / r * sum(v * v for v in window)
        row[i] = value / s**beta if s else 0.0
    return row


def _has_empty_window(row, r, kappa, alpha, beta) -> bool:
    windows = (row[max(0, i - r // 2) : i + r // 2 + 1] for i in range(len(row)))
    return kappa == 0 and not all(any(window) for window in windows)


LRN_ROW = Exercise(
    name="lrn_row",
    chapter="05",
    minutes=10,
    difficulty=1,
    question=(
        "Normalize one row of numbers in the article's convention: divide each by "
        "(kappa + alpha / r * S) ** beta, S the sum of squares over itself and r / 2 neighbours on "
        "each side; neighbours beyond the ends count nothing. r is even. 0/0 counts as 0. "
        "Returns a new list of floats, as long as row."
    ),
    hints=(
        "Take one index i. Which indices are in its window, and which of them exist?",
        "The window is row[max(0, i - r // 2) : i + r // 2 + 1]; a slice may run past the end.",
        "Compute s = kappa + alpha / r * sum(v * v for v in window). If s is 0, so is the answer; "
        "else it is row[i] / s ** beta.",
    ),
    oracle=lrn_row,
    cases=_rows,
    mistakes={
        _wrong_row(divisor=lambda r, count: 1):
            "you left alpha undivided: that's the paper's convention. The article divides by r.",
        _wrong_row(divisor=lambda r, count: r + 1):
            "you divided alpha by r + 1: so many are in the window, but the article divides by r.",
        _wrong_row(divisor=lambda r, count: max(count, 1)):
            "you divided alpha by the number of neighbours there are. It stays r, at the ends too.",
        _wrong_row(divisor=lambda r, count: r // 2):
            "you divided alpha by r / 2. The article divides it by r.",
        _wrong_row(reach=lambda r: (r // 2, r // 2 - 1)):
            "the window is one short on the right: range and slices leave out their end, so add 1.",
        _wrong_row(reach=lambda r: (r // 2 - 1, r // 2)):
            "the window is one short on the left: it starts at i - r // 2.",
        _wrong_row(reach=lambda r: (r, r)):
            "the window reaches r to each side. The article means r / 2 to each side.",
        _wrong_row(reach=lambda r: (0, r)):
            "the window only looks ahead. It reaches r / 2 to both sides.",
        _wrong_row(reach=lambda r: (r, 0)):
            "the window only looks back. It reaches r / 2 to both sides.",
        _wrong_row(wrap=True):
            "the window wraps around: before the first number you took the last. Beyond the ends "
            "there is nothing.",
        _slice_row:
            "a slice whose start is negative counts from the end of the row, and comes out empty. "
            "Start at max(0, i - r // 2).",
        _wrong_row(centre=False):
            "you left the number itself out of its window. It belongs to the sum.",
        _wrong_row(term=lambda value: value):
            "you summed the numbers. S sums their squares.",
        _wrong_row(term=abs):
            "you summed absolute values. S sums squares.",
        _wrong_row(kappa_inside=True):
            "you multiplied kappa by alpha / r as well. Only the sum of squares is.",
        _wrong_row(result=lambda value, s, beta: value / s):
            "beta is missing: the bracket is raised to the power beta.",
        _wrong_row(result=lambda value, s, beta: value * s**beta):
            "you multiplied by the bracket. It divides.",
        _wrong_row(result=lambda value, s, beta: (value / s) ** beta if value >= 0 else math.nan):
            "you raised the whole fraction to the power beta. Only the bracket below is.",
        _wrong_row(nothing=math.nan):
            "0/0 came out as NaN. Where the bracket is 0, the answer is 0 here.",
        _in_place_row:
            "you overwrote numbers that the next windows still need. Write into a new list.",
    },
    lesson=(
        "A number is judged by its neighbours: the lone 1 keeps everything, the 9 pushes the 8s "
        "beside it down, and at the ends, where a neighbour is missing, the 8s come out high."
    ),
    errors={
        "ZeroDivisionError": "That's 0/0: kappa is 0 and the window holds only zeros. The answer "
        "is 0 there; ask before you divide.",
        "IndexError": "The window reaches beyond an end of the row. Take only the indices from "
        "max(0, i - r // 2) to min(len(row) - 1, i + r // 2).",
    },
    where={
        _has_empty_window: "It fails only where kappa is 0 and a window holds nothing but zeros: "
        "0/0 counts as 0.",
        lambda row, r, kappa, alpha, beta: r // 2 >= len(row):
            "It fails only where the window is wider than the row.",
        lambda row, r, kappa, alpha, beta: min(row) < 0:
            "It fails only where the row holds negative numbers; squares don't mind the sign.",
    },
)  # fmt: skip


def lrn(x: torch.Tensor, n: int, k: float, alpha: float, beta: float) -> torch.Tensor:
    return ops.local_response_norm(x, n, alpha, beta, k, "paper")


def _maps(rng: np.random.Generator) -> Iterator[tuple]:
    yield torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1), 3, 1.0, 1.0, 1.0  # by hand
    yield torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 5, 1, 1), 3, 2.0, 0.5, 0.75
    yield _normal(rng, 2, 7, 4, 4), 5, 2.0, 0.3, 0.75
    yield _normal(rng, 3, 6, 2, 5), 3, 1.0, 0.5, 0.5
    yield _normal(rng, 1, 9, 5, 1), 5, 1.5, 1.0, 1.25
    yield _normal(rng, 2, 4, 3, 3), 1, 1.0, 1.0, 0.75  # only itself
    yield _normal(rng, 2, 2, 3, 4), 9, 2.0, 0.5, 0.75  # wider than all channels
    yield _normal(rng, 2, 1, 2, 2), 5, 2.0, 0.5, 0.75
    yield _normal(rng, 2, 5, 3, 2).double(), 3, 2.0, 0.5, 0.75
    yield 100 * _normal(rng, 1, 96, 27, 27).abs(), 5, 2.0, 1e-4, 0.75  # as in the network
    for _ in range(4):
        shape = [int(rng.integers(1, high)) for high in (4, 10, 6, 6)]
        k, alpha, beta = (round(float(value), 2) for value in rng.uniform(0.3, 2.0, 3))
        yield _normal(rng, *shape), int(rng.choice([3, 5, 7])), k, alpha, beta


def _normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(0, 2, shape).round(2)).float()


def _sums(squares: torch.Tensor, behind: int, ahead: int, dim: int = 1) -> torch.Tensor:
    """Sum along one axis over i - behind .. i + ahead, clipped."""
    moved = squares.movedim(dim, -1)
    return F.pad(moved, (behind, ahead)).unfold(-1, behind + ahead + 1, 1).sum(-1).movedim(-1, dim)


def _wrong_lrn(
    sums: Callable[[torch.Tensor, int], torch.Tensor] = lambda q, n: _sums(q, n // 2, n // 2),
    scale: Callable[[float, int], float] = lambda alpha, n: alpha,
    term: Callable[[torch.Tensor], torch.Tensor] = lambda x: x * x,
    bracket: Callable[[float, float, torch.Tensor], torch.Tensor] = lambda k, c, s: k + c * s,
    result: Callable = lambda x, s, beta: x / s**beta,
) -> Callable:  # fmt: skip
    """Return lrn with something changed: the window's sums, alpha's scale, what is summed, ..."""
    return lambda x, n, k, alpha, beta: result(
        x, bracket(k, scale(alpha, n), sums(term(x), n)), beta
    )


def _mean_of_those_there(q: torch.Tensor, n: int) -> torch.Tensor:
    return _sums(q, n // 2, n // 2) / _sums(torch.ones_like(q), n // 2, n // 2)


LRN = Exercise(
    name="lrn",
    chapter="05",
    minutes=15,
    difficulty=2,
    question=(
        "Normalize a block of feature maps x of shape (N, C, H, W) as the paper does "
        "(section 3.3): x / (k + alpha * S) ** beta, S the sum of squares at the same position "
        "in the n channels around it, n // 2 on each side, clipped at the first and last; n is "
        "odd, k above 0. Without the library's LRN. Returns a new tensor of x's shape and type."
    ),
    hints=(
        "Square all of x once. Then S is a sum of n shifted copies of the squares.",
        "To shift along the channels without wrapping around, add n // 2 channels of zeros at both "
        "ends: F.pad(x * x, (0, 0, 0, 0, n // 2, n // 2)).",
        "S = sum(padded[:, j : j + C] for j in range(n)), with C = x.shape[1].",
    ),
    oracle=lrn,
    cases=_maps,
    mistakes={
        _wrong_lrn(scale=lambda alpha, n: alpha / n):
            "you divided alpha by n: that's PyTorch's convention, and the 2012 source's. The paper "
            "prints it undivided.",
        _wrong_lrn(scale=lambda alpha, n: alpha * n):
            "you multiplied alpha by n. The formula takes alpha as it is.",
        _wrong_lrn(sums=_mean_of_those_there):
            "you took the mean over the window. The paper sums.",
        _wrong_lrn(sums=lambda q, n: _sums(q, n // 2, max(n // 2 - 1, 0))):
            "the window is one channel short at its upper end: range and slices leave it out.",
        _wrong_lrn(sums=lambda q, n: _sums(q, max(n // 2 - 1, 0), n // 2)):
            "the window is one channel short at its lower end: it starts at i - n // 2.",
        _wrong_lrn(sums=lambda q, n: _sums(q, n, n)):
            "the window reaches n channels to each side. It holds n in all: n // 2 to each side.",
        _wrong_lrn(sums=lambda q, n: _sums(q, 0, n - 1)):
            "the window starts at the channel itself. It lies around it, n // 2 to each side.",
        _wrong_lrn(sums=lambda q, n: _sums(q, n - 1, 0)):
            "the window ends at the channel itself. It lies around it, n // 2 to each side.",
        _wrong_lrn(sums=lambda q, n: sum(q.roll(j, 1) for j in range(-(n // 2), n // 2 + 1))):
            "the window wraps around: roll brings the last channels before the first. Beyond the "
            "ends there is nothing; pad with zeros.",
        _wrong_lrn(sums=lambda q, n: _sums(_sums(q, n // 2, n // 2, 2), n // 2, n // 2, 3)):
            "your window lies in space, over rows and columns of one map. LRN's lies across "
            "channels, at one position.",
        _wrong_lrn(sums=lambda q, n: _sums(q, n // 2, n // 2, 2)):
            "your window runs along the rows (axis 2). Channels are axis 1.",
        _wrong_lrn(sums=lambda q, n: _sums(q, n // 2, n // 2, 3)):
            "your window runs along the columns (axis 3). Channels are axis 1.",
        _wrong_lrn(sums=lambda q, n: _sums(q, n // 2, n // 2, 0)):
            "your window runs over the images (axis 0). Channels are axis 1.",
        _wrong_lrn(sums=lambda q, n: q.sum(dim=1, keepdim=True)):
            "you summed over all channels. Only the n around each one count.",
        _wrong_lrn(sums=lambda q, n: q):
            "the neighbours are missing: S holds only the channel itself.",
        _wrong_lrn(sums=lambda q, n: _sums(q, n // 2, n // 2) - q):
            "you left the channel itself out of its window. It belongs to the sum.",
        _wrong_lrn(bracket=lambda k, c, s: c * (k + s)):
            "you multiplied k by alpha as well. Only the sum of squares is: k + alpha * S.",
        _wrong_lrn(bracket=lambda k, c, s: c * s):
            "k is missing: the bracket is k + alpha * S.",
        _wrong_lrn(bracket=lambda k, c, s: 1 + c * s):
            "you wrote 1 for k, which is a default of PyTorch.",
        _wrong_lrn(result=lambda x, s, beta: x / s):
            "beta is missing: the bracket is raised to the power beta.",
        _wrong_lrn(result=lambda x, s, beta: x / s.sqrt()):
            "you took the square root of the bracket. The power is beta.",
        _wrong_lrn(result=lambda x, s, beta: x * s**beta):
            "you multiplied by the bracket. It divides.",
        _wrong_lrn(result=lambda x, s, beta: (x / s) ** beta):
            "you raised the whole fraction to the power beta. Only the bracket below is.",
        _wrong_lrn(term=lambda x: x):
            "you summed the activations. S sums their squares.",
        _wrong_lrn(term=lambda x: x.abs()):
            "you summed absolute values. S sums squares.",
    },
    lesson=(
        "Sums of shifted slices replace every loop over pixels, and the window runs across "
        "channels, where neighbours are other detectors at the same place."
    ),
    errors={
        "RuntimeError": "If it's about shapes: S has x's own shape, (N, C, H, W), whatever n is.",
        "IndexError": "The window reaches beyond the first or last channel: pad or clip.",
    },
    where={
        lambda x, n, k, alpha, beta: n // 2 >= x.shape[1]:
            "It fails only where the window is wider than all channels together.",
        lambda x, n, k, alpha, beta: x.shape[0] > 1:
            "It fails only with more than one image: N comes first in the shape.",
        lambda x, n, k, alpha, beta: bool((x < 0).any()):
            "It fails only where x holds negative numbers.",
    },
    forbidden=("local_response_norm", "LocalResponseNorm", "local_response_norm_loops"),
    differentiable=("x",),
)  # fmt: skip


EXERCISES = (LRN_ROW, LRN)
