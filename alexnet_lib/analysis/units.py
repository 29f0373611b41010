"""Looking into a trained network, as arrays: colour in filters, what excites a unit, what a hidden
square costs, and who is near whom in fc7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .. import augment
from ..models import Net
from ..pretrained import activations

__all__ = [
    "NOISE_COLOUR", "Patch", "colourfulness", "describe", "distances", "nearest", "occlusion",
    "places", "shuffled_gaps", "top_patches",
]

NOISE_COLOUR = 2 / 3  # of a filter of independent weights: two of its three directions are colour


def colourfulness(filters: np.ndarray) -> np.ndarray:
    """Return the share of each filter's energy that is colour, 0 (grey) to 1.

    filters: (K, 3, h, w). The grey part is the mean over red, green and blue at each place; what
    is left is colour. Independent noise has 2/3. A filter of zeros has 0. Returns (K,), float64.
    Raises ValueError for another shape.
    """
    weights = np.asarray(filters, dtype=np.float64)
    if weights.ndim != 4 or weights.shape[1] != 3:
        raise ValueError(f"filters has shape {weights.shape}; colour needs (K, 3, h, w).")
    grey = weights.mean(axis=1, keepdims=True)
    energy = (weights**2).sum(axis=(1, 2, 3))
    colour = ((weights - grey) ** 2).sum(axis=(1, 2, 3))
    return np.divide(colour, energy, out=np.zeros(len(weights)), where=energy > 0)


def shuffled_gaps(values: np.ndarray, times: int = 10_000, seed: int = 0) -> np.ndarray:
    """Deal values out to two halves at random, many times; return each time's gap of means.

    values: (K,), K even. Returns (times,), second half minus first: what chance alone makes.
    """
    rng = np.random.default_rng(seed)
    half = len(values) // 2
    dealt = rng.permuted(np.tile(np.asarray(values, dtype=np.float64), (times, 1)), axis=1)
    return dealt[:, half:].mean(axis=1) - dealt[:, :half].mean(axis=1)


@dataclass(frozen=True)
class Patch:
    """Where a unit answered. image: which picture. value: the answer. row, column: in its map."""

    image: int
    value: float
    row: int
    column: int


def top_patches(maps: np.ndarray, channel: int, count: int = 4) -> list[Patch]:
    """Return where a channel answers most, at most one place a picture, the strongest first.

    maps: (N, C, H, W) of one stage, as from `pretrained.activations`. Pictures that leave it at 0
    or below aren't among them. Raises ValueError for a channel that isn't there.
    """
    N, C, _, W = maps.shape
    if not 0 <= channel < C:
        raise ValueError(f"channel is {channel}; this stage has the channels 0 to {C - 1}.")
    flat = maps[:, channel].reshape(N, -1)
    best = flat.argmax(axis=1)
    values = flat[np.arange(N), best]
    order = np.argsort(-values, kind="stable")[:count]
    return [
        Patch(int(i), float(values[i]), *divmod(int(best[i]), W)) for i in order if values[i] > 0
    ]


def places(side: int, size: int, step: int) -> list[int]:
    """Return where a square of `size` starts on its way over `side` pixels: 0, step, 2 step ...

    The last start is moved in so that the square ends at the edge. ValueError where it can't fit.
    """
    if not 1 <= size <= side or step < 1:
        raise ValueError(
            f"size is {size} and step {step}; a square needs 1 to {side} pixels, a step 1 or more."
        )
    starts = list(range(0, side - size + 1, step))
    return starts if starts[-1] == side - size else [*starts, side - size]


@torch.no_grad()
def occlusion(
    score: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, size: int, step: int,
    batch_size: int = 32,
) -> np.ndarray:
    """Hide one square after another, and return how far the score drops: (rows, columns).

    score: takes (N, C, H, W), gives (N,), such as one class's probability. x: (1, C, H, W), as the
    network takes it; the square is filled with 0: grey, where the mean was subtracted. size, step:
    pixels; `places` says where the squares start. Positive: the score was higher with that square
    to be seen. Source: Zeiler and Fergus 2013, section 4.2.
    """
    H, W = x.shape[2:]
    tops, lefts = places(H, size, step), places(W, size, step)
    whole = float(score(x)[0])
    corners = [(top, left) for top in tops for left in lefts]
    drops: list[float] = []
    for start in range(0, len(corners), batch_size):
        some = corners[start : start + batch_size]
        hidden = x.repeat(len(some), 1, 1, 1)
        for one, (top, left) in zip(hidden, some, strict=True):
            one[:, top : top + size, left : left + size] = 0
        drops += (whole - score(hidden)).tolist()
    return np.array(drops).reshape(len(tops), len(lefts))


def distances(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances (Q, N) between rows of features, (Q, D) and (N, D)."""
    a, b = (np.asarray(rows, dtype=np.float64).reshape(len(rows), -1) for rows in (queries, others))
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.sqrt(squares.clip(0))


def nearest(features: np.ndarray, query: int, count: int = 5) -> np.ndarray:
    """Return the rows nearest to one of them, the nearest first, itself left out.

    features: (N, ...), such as what fc7 says of N pictures. Euclidean, as in [P Fig. 4].
    """
    gaps = distances(features[query : query + 1], features)[0]
    order = np.argsort(gaps, kind="stable")
    return order[order != query][:count]


@torch.no_grad()
def describe(
    net: Net, pictures: np.ndarray, mean: torch.Tensor, stages: Sequence[str], batch_size: int = 32
) -> dict[str, np.ndarray]:
    """Return what some stages say of many pictures: stage -> (N, ...), as `pretrained.activations`.

    pictures: uint8 (N, H, W, 3), of the network's size. mean: as `augment.to_input` takes it.
    """
    parts: dict[str, list[np.ndarray]] = {stage: [] for stage in stages}
    for start in range(0, len(pictures), batch_size):
        some = torch.from_numpy(np.array(pictures[start : start + batch_size]))
        found = activations(net, augment.to_input(some, mean), list(stages))
        for stage, value in found.items():
            parts[stage].append(value)
    return {stage: np.concatenate(each) for stage, each in parts.items()}
