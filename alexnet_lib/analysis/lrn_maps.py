"""A photo's first feature maps before and after local response normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import augment, ops
from .signal_propagation import square

__all__ = ["before_and_after", "oriented_filters"]


def oriented_filters(count: int = 16, size: int = 11) -> np.ndarray:
    """Return grey edge detectors at `count` orientations, in the order of their angle.

    Neighbours in channel look for almost the same edge, so they compete under LRN. Returns
    float32 (count, 3, size, size), each with zero sum, its absolute values summing to 1.
    """
    at = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(at, at, indexing="ij")
    blob = np.exp(-(x**2 + y**2) / (2 * (size / 5) ** 2))
    filters = []
    for angle in 2 * np.pi * np.arange(count) / count:
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / (0.8 * size))
        edge = blob * wave
        edge -= edge.mean()
        filters.append(np.repeat(edge[None] / np.abs(edge).sum() / 3, 3, axis=0))
    return np.stack(filters).astype(np.float32)


def before_and_after(
    photo: np.ndarray, filters: np.ndarray | None = None, side: int = 227, **lrn: Any
) -> dict[str, np.ndarray]:
    """Return a photo's first feature maps before and after LRN.

    photo: uint8 (H, W, 3); its central square is scaled to `side`. filters: (K, 3, h, w), such as
    the learned ones; default `oriented_filters()`. lrn: arguments of ops.local_response_norm, the
    paper's by default. Returns image: uint8 (side, side, 3); before, after: float32 (K, H', W'),
    after ReLU, stride 4; factor: what LRN multiplied by, NaN where before is 0.
    """
    filters = oriented_filters() if filters is None else np.ascontiguousarray(filters)
    image = square(photo, side)
    pixels = torch.from_numpy(image)
    x = augment.to_input(pixels[None], pixels.float().mean(dim=(0, 1))).contiguous()
    before = F.relu(ops.conv2d(x, torch.from_numpy(filters).float(), stride=4))
    after = ops.local_response_norm(before, **lrn)
    maps = {"before": before[0], "after": after[0], "factor": (after / before)[0]}
    return {"image": image} | {name: tensor.numpy() for name, tensor in maps.items()}
