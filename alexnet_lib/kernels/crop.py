"""Crops cut straight out of packed pictures on a CPU, in C: no picture is copied whole."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from .build import Crops, run

__all__ = ["cut", "pointers", "takes"]


def takes(images: Any) -> bool:
    """Tell whether `cut` takes pictures: uint8 (N, H, W, C), an array or shards."""
    return images.dtype == np.uint8


def pointers(images: Any, chosen: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return where the chosen pictures lie in memory, int64, and what must live until they're read.

    images: see `takes`. chosen: 0 to N - 1. What doesn't lie in one piece, such as JPEG shards, is
    read first.
    Raises IndexError for a picture that isn't there.
    """
    mapped = images.mapped(chosen) if hasattr(images, "mapped") else None  # raw shards
    if mapped is not None:
        return mapped
    if not (isinstance(images, np.ndarray) and images.flags.c_contiguous):
        images, chosen = np.ascontiguousarray(images[chosen]), np.arange(len(chosen))
    chosen = np.asarray(chosen, dtype=np.int64)
    if len(chosen) and not (0 <= chosen.min() and chosen.max() < len(images)):
        raise IndexError(f"pictures {chosen.min()} to {chosen.max()} of {len(images)}, from 0 on.")
    return images.ctypes.data + chosen * math.prod(images.shape[1:]), images


def cut(
    starts: np.ndarray, shape: tuple[int, int, int], size: int, tops: torch.Tensor,
    lefts: torch.Tensor, mirrored: torch.Tensor,
) -> torch.Tensor:
    """Cut a square from each picture, some of them mirrored.

    starts: from `pointers`. shape: of each picture, (H, W, C). tops, lefts: int64, the squares'
    corners, inside. mirrored: bool. Returns uint8 (N, size, size, C).
    """
    _, W, C = shape
    squares = torch.empty(len(starts), size, size, C, dtype=torch.uint8)
    places = [tensor.contiguous() for tensor in (tops, lefts, mirrored)]
    given = [starts.ctypes.data, *(tensor.data_ptr() for tensor in places), squares.data_ptr()]
    run("crop", Crops(W, C, size), given, len(starts), torch.get_num_threads())
    return squares
