"""The update rule of 2012 in one pass over memory, where torch's operations take four."""

from __future__ import annotations

import torch

from .build import Step, run

__all__ = ["takes", "update"]


def takes(w: torch.Tensor, g: torch.Tensor, v: torch.Tensor) -> bool:
    """Tell whether `update` takes these: large float32 on the CPU, alike in memory."""
    return (
        all(t.device.type == "cpu" and t.dtype == torch.float32 for t in (w, g, v))
        and w.stride() == g.stride() == v.stride() and w.numel() >= 4096
        and (w.is_contiguous() or w.is_contiguous(memory_format=torch.channels_last))
    )


def update(
    w: torch.Tensor, g: torch.Tensor, v: torch.Tensor, momentum: float, lr: float, decay: float
) -> None:
    """Do v <- momentum v - lr g - lr decay w and w <- w + v in place, to the bit as torch."""
    step = Step(momentum, -lr, -lr * decay)
    run("sgd_step", step, [t.data_ptr() for t in (w, g, v)], w.numel(), torch.get_num_threads())
