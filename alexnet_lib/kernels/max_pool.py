"""Max-pooling on the CPU that keeps one byte a window, and whose way back is free of jumps.

torch keeps the place of each winner in 8 bytes and scatters the slopes to them. `c/pool.c` keeps
the place within the window, and values and slopes are torch's to the bit.
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from .build import Pools, run

__all__ = ["max_pool", "takes"]

LARGEST = 15  # pixels: a place in a window of 16 x 16 or less fits one byte


def takes(x: torch.Tensor, kernel: int) -> bool:
    """Tell whether `max_pool` takes x (N, C, H, W): float32 on the CPU.

    Small maps, and what `torch.compile` traces, are left to torch.
    """
    return (
        x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() >= 4096
        and kernel <= LARGEST and not torch.compiler.is_compiling()
    )


def max_pool(
    x: torch.Tensor, kernel: int, stride: int, padding: int, out: tuple[int, int]
) -> torch.Tensor:
    """Return the largest value of each window; out: (H', W'). See `ops.max_pool2d`."""
    return _MaxPool.apply(x, kernel, stride, padding, *out)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, kernel, stride, padding, height, width):
        channels_last = not x.is_contiguous() and x.is_contiguous(
            memory_format=torch.channels_last
        )
        ctx.form = torch.channels_last if channels_last else torch.contiguous_format
        source = x.contiguous(memory_format=ctx.form)
        N, C, H, W = x.shape
        y = torch.empty((N, C, height, width), memory_format=ctx.form)
        winners = torch.empty_like(y, dtype=torch.uint8)
        ctx.shape = x.shape
        ctx.pools = Pools(N, C, H, W, height, width, kernel, stride, padding, channels_last)
        ctx.save_for_backward(winners)
        _run("pool_forward", ctx.pools, source, y, winners)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (winners,) = ctx.saved_tensors
        g = g.contiguous(memory_format=ctx.form)
        dx = torch.empty(ctx.shape, memory_format=ctx.form)
        _run("pool_backward", ctx.pools, g, winners, dx)
        return dx, *[None] * 5


def _run(name: str, pools: Pools, *tensors: torch.Tensor) -> None:
    run(name, pools, [t.data_ptr() for t in tensors], pools.images, torch.get_num_threads())
