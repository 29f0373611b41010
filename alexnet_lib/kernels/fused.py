"""Modules in a row, in which a ReLU right before an LRN is left to it, to the same result."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["FusedSequential"]


class FusedSequential(nn.Sequential):
    """torch's Sequential, where a module with `takes_relu` does the ReLU before it as well.

    Such a module's forward takes relu=True; that saves five passes over layer 1's maps in training.
    Where someone listens to either of the two by a hook, both run as they stand.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        modules = list(self)
        folded = False  # whether the ReLU before this module was left to it
        for module, following in zip(modules, [*modules[1:], None], strict=True):
            if _takes_over(module, following):
                folded = True
                continue
            x = module(x, relu=True) if folded else module(x)
            folded = False
        return x


def _takes_over(module: nn.Module, following: nn.Module | None) -> bool:
    if type(module) is not nn.ReLU or not getattr(type(following), "takes_relu", False):
        return False
    return not any(
        each._forward_hooks or each._forward_pre_hooks or each._backward_hooks
        or each._backward_pre_hooks
        for each in (module, following)
    )
