"""LRN timed beside its rivals: torch's own module, the same compiled, and five passes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .. import ops
from ..kernels import dispatch
from ..kernels import lrn as lrn_kernel
from .timing import Rows, bytes_moved, compare, figure

__all__ = ["lrn"]


def _forward_backward(layer: Callable, x: torch.Tensor, g: torch.Tensor) -> Callable[[], None]:
    def once() -> None:
        x.grad = None
        layer(x).backward(g)

    return once


def lrn(
    device: str = "cpu", rounds: int = 7, batch_size: int = 64, compiled: bool = True
) -> Rows:
    """LRN forward and backward, at layer 1's and layer 2's shape, in both memory layouts.

    compiled: also time nn.LocalResponseNorm under torch.compile, where it works here. "5 passes"
    is what no LRN goes below: x read, y written, x and g read, the slope written, each result
    into fresh memory as every operation's. "in the cache" is ours on one picture over and over, as
    often as each thread has pictures to do: the arithmetic alone, on every thread at its best.
    """
    rows = []
    for C, side in ((96, 55), (256, 27)):
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(batch_size, C, side, side, device=device).relu()
            x = x.contiguous(memory_format=layout).requires_grad_()
            name = "channels_last" if layout == torch.channels_last else "NCHW"
            what = f"LRN, ({batch_size}, {C}, {side}, {side}), {name}"
            rows.append({"what": what} | _lrn_row(x, rounds, device, compiled))
    return rows


def _lrn_row(x: torch.Tensor, rounds: int, device: str, compiled: bool) -> dict[str, Any]:
    g, values, ours = torch.randn_like(x), x.detach(), "alexnet_lib"
    shipped, fast = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), ops.local_response_norm
    portable, traced = "portable, without a compiler", "nn.LocalResponseNorm, compiled"
    contestants = {
        ours: _forward_backward(lambda x: fast(x), x, g),
        "nn.LocalResponseNorm": _forward_backward(shipped, x, g),
        portable: lambda: lrn_kernel.portable_passes(values, g, 1, 2, 2, 1e-4, 0.75, 2.0),
        "5 passes": lambda: (values.clone(), torch.add(values, g)),
    }
    if device == "cpu" and dispatch.compiled():
        contestants["ours, in the cache"] = _arithmetic(values, g)
    moved = {name: bytes_moved(contestants[name]) / x.nbytes for name in list(contestants)[:2]}
    missing = []
    if compiled:
        torch.compiler.reset()
        once = _forward_backward(torch.compile(shipped, dynamic=False), x, g)
        try:
            once()
            contestants[traced] = once
        except Exception as error:  # whatever goes wrong in a compiler on this machine
            missing.append(f"{traced}: {type(error).__name__}")
    times = compare(contestants, rounds, device)
    figures = [figure("nn.LocalResponseNorm / ours", times["nn.LocalResponseNorm"]["ratio"], 6)]
    if traced in times:
        figures.append(figure(f"{traced} / ours", times[traced]["ratio"], 1.3))
    figures.append(figure("ours / 5 passes", 1 / times["5 passes"]["ratio"], most=1.5))
    slower = times["nn.LocalResponseNorm"]["ratio"] / times[portable]["ratio"]
    figures.append(figure("nn.LocalResponseNorm / portable", slower, 2))
    return {"figures": figures, "times": times, "passes": moved, "missing": missing}


def _arithmetic(x: torch.Tensor, g: torch.Tensor) -> Callable[[], None]:
    small, arriving = x[:1].clone(), g[:1].clone()  # in x's layout
    share = math.ceil(len(x) / torch.get_num_threads())

    def once() -> None:
        for _ in range(share):
            lrn_kernel.compiled_passes(small, arriving, 1, 2, 2, 1e-4, 0.75, 2.0, threads=1)

    return once
