"""What pooling does to one map: who wins, who votes how often, and what a shift changes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .. import ops, shapes

__all__ = ["KINDS", "pool", "shift_change", "votes", "winners"]

KINDS = ("max", "average")


def _as_map(values: np.ndarray | torch.Tensor) -> torch.Tensor:
    x = torch.as_tensor(np.asarray(values), dtype=torch.float64)
    if x.dim() != 2:
        raise ValueError(f"the map has shape {tuple(x.shape)}; give one map, (H, W).")
    return x


def pool(
    values: np.ndarray | torch.Tensor, kernel: int, stride: int, kind: str = "max"
) -> np.ndarray:
    """Pool one map (H, W) in float64; kind: "max" or "average". Returns (H', W').

    Raises ValueError as `ops.max_pool2d` does, and for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; choose 'max' or 'average'.")
    pooled = ops.max_pool2d if kind == "max" else ops.average_pool2d
    return pooled(_as_map(values)[None, None], kernel, stride)[0, 0].numpy()


def winners(values: np.ndarray | torch.Tensor, kernel: int, stride: int) -> np.ndarray:
    """Return which pixel wins each window, as row * W + column; the first of equals.

    values: (H, W). Returns int64 (H', W'), -1 where a window's pixels are all equal, so that none
    stands out. Raises ValueError as `ops.max_pool2d` does.
    """
    x = _as_map(values)[None, None]
    highest = ops.max_pool2d(x, kernel, stride)
    lowest = -ops.max_pool2d(-x, kernel, stride)
    _, index = F.max_pool2d(x, kernel, stride, return_indices=True)
    if kernel > 1:
        index = torch.where(highest > lowest, index, -1)
    return index[0, 0].numpy()


def votes(height: int, width: int, kernel: int, stride: int) -> np.ndarray:
    """Return how many pooling windows each pixel of a map lies in: int64 (height, width).

    A pixel at the far edges that no window reaches has 0. Raises ValueError as `ops.max_pool2d`.
    """
    sides = []
    for side in (height, width):
        outputs = shapes.output_size(side, kernel, stride)
        starts = np.arange(outputs)[:, None] * stride
        places = np.arange(side)[None, :]
        sides.append(((places >= starts) & (places < starts + kernel)).sum(axis=0))
    return np.outer(*sides)


def shift_change(
    values: np.ndarray | torch.Tensor, moved: np.ndarray | torch.Tensor, kernel: int, stride: int,
    kind: str = "max",
) -> tuple[float, float]:
    """Return how much a map changes by a shift, before pooling and after it.

    values, moved: the map (H, W) and the same map shifted. A change is the sum of all absolute
    differences over the sum of all absolute values: 0 for none. Returns (before, after).
    """
    pairs = [(_as_map(values).numpy(), _as_map(moved).numpy())]
    pairs.append(tuple(pool(each, kernel, stride, kind) for each in pairs[0]))
    before, after = (np.abs(a - b).sum() / max(np.abs(a).sum(), 1e-12) for a, b in pairs)
    return float(before), float(after)
