"""The one place that decides whether a fast path does a call; each kernel says what it takes.

On a CPU the kernels are C, where there is a compiler; on a CUDA GPU they are Triton. Everything
else, and everything where ALEXNET_KERNELS=portable is set, goes through torch's own operations.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .build import compiled_library

__all__ = ["compiled", "serves"]


def compiled() -> bool:
    """Tell whether the C kernels are there and wanted; builds them on first use."""
    return os.environ.get("ALEXNET_KERNELS") != "portable" and compiled_library() is not None


def serves(takes: Callable[..., bool], *given: Any) -> bool:
    """Tell whether a kernel does a call. takes: the kernel's own word on what is given to it.

    The first thing given says where the call runs.
    """
    if os.environ.get("ALEXNET_KERNELS") == "portable" or not takes(*given):
        return False
    return getattr(given[0], "is_cuda", False) or compiled()
