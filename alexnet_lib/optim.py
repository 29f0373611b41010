"""The update rule of 2012 and the ways to lower its rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ._errors import unknown_name
from .kernels import sgd as sgd_kernel
from .kernels.dispatch import serves
from .paper import Recipe

__all__ = [
    "CosineSchedule",
    "DiarySchedule",
    "PlateauSchedule",
    "SGD2012",
    "StepSchedule",
    "parameter_groups",
    "schedule",
]


class SGD2012(torch.optim.Optimizer):
    """Stochastic gradient descent as in [P §5]: v <- m v - lr (g + decay w), w <- w + v.

    The decay is scaled by the rate, and the rate enters the velocity, so a change of rate leaves
    the velocity as it was (torch.optim.SGD multiplies the whole velocity by the new rate).

    params: parameters or groups, see `parameter_groups`. lr: the learning rate, at least 0.
    momentum: m, from 0 to below 1. weight_decay: at least 0. lr_factor: multiplies lr, for one
    group. nesterov: look ahead along the velocity; not from 2012.
    """

    def __init__(
        self, params: Iterable, lr: float = 0.01, momentum: float = 0.9,
        weight_decay: float = 5e-4, lr_factor: float = 1.0, nesterov: bool = False,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not 0 <= momentum < 1:
            raise ValueError(
                f"lr is {lr}, momentum {momentum}, weight_decay {weight_decay}; lr and "
                "weight_decay must be 0 or more, momentum at least 0 and below 1."
            )
        defaults = {
            "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "lr_factor": lr_factor,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr = group["lr"] * group["lr_factor"]
            momentum, decay = group["momentum"], group["weight_decay"]
            for w in group["params"]:
                if w.grad is None:
                    continue
                state = self.state[w]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(w)
                v = state["velocity"]
                if not group["nesterov"] and serves(sgd_kernel.takes, w, w.grad, v):
                    sgd_kernel.update(w, w.grad, v, momentum, lr, decay)
                    continue
                v.mul_(momentum).add_(w.grad, alpha=-lr)
                if decay:
                    v.add_(w, alpha=-lr * decay)
                if group["nesterov"]:
                    w.mul_(1 - lr * decay).add_(v, alpha=momentum).add_(w.grad, alpha=-lr)
                else:
                    w.add_(v)
        return loss


def parameter_groups(
    model: nn.Module, weight_decay: float = 5e-4, bias_lr: float = 1.0, decay_biases: bool = False
) -> list[dict[str, Any]]:
    """Split a model's parameters into weights, which decay, and biases, which don't.

    bias_lr: multiplies the rate of the biases (2 in Caffe and cuda-convnet's examples).
    Returns two groups for SGD2012, each with a "name".
    """
    weights = [p for name, p in model.named_parameters() if not name.endswith("bias")]
    biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
    return [
        {"params": weights, "name": "weights", "weight_decay": weight_decay},
        {
            "params": biases, "name": "biases", "lr_factor": bias_lr,
            "weight_decay": weight_decay if decay_biases else 0.0,
        },
    ]


@dataclass
class StepSchedule:
    """Divide the rate by `factor` at each milestone, a share of the run from 0 to 1."""

    initial: float
    milestones: Sequence[float] = ()
    factor: float = 10.0

    def lr(self, progress: float) -> float:
        """Return the rate at `progress`, the share of the run that is done."""
        return self.initial / self.factor ** sum(progress >= share for share in self.milestones)


@dataclass
class CosineSchedule:
    """Rise linearly over the share `warmup` of the run, then fall along a cosine to zero."""

    initial: float
    warmup: float = 0.0

    def lr(self, progress: float) -> float:
        """Return the rate at `progress`, the share of the run that is done."""
        if progress < self.warmup:
            return self.initial * max(progress, 1e-3) / self.warmup
        along = (progress - self.warmup) / (1 - self.warmup)
        return self.initial * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))


@dataclass
class PlateauSchedule:
    """Divide the rate by `factor` when the error hasn't improved for `patience` epochs [P §5].

    At most `reductions` times, as in the paper ("three times prior to termination").
    """

    initial: float
    factor: float = 10.0
    patience: int = 5
    reductions: int = 3
    best: float = math.inf
    waited: int = 0
    reduced: int = 0

    def lr(self, progress: float) -> float:
        """Return the rate now; it depends on what `observe` has seen, not on progress."""
        return self.initial / self.factor**self.reduced

    def observe(self, error: float) -> None:
        """Take in the validation error of an epoch."""
        if error < self.best:
            self.best, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.patience and self.reduced < self.reductions:
            self.reduced, self.waited = self.reduced + 1, 0


@dataclass
class DiarySchedule:
    """Follow a diary of (epoch, lr): each rate holds from its epoch on.

    In 2012 the rate was changed by hand and noted in the file [S layer-params-145-2010.cfg].
    """

    entries: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("the diary is empty; give at least one (epoch, lr).")
        self.entries = sorted((float(epoch), float(lr)) for epoch, lr in self.entries)

    def lr_at(self, epoch: float) -> float:
        """Return the rate at an epoch, counted from 0 and in fractions."""
        past = [lr for start, lr in self.entries if start <= epoch]
        return past[-1] if past else self.entries[0][1]


def schedule(recipe: Recipe) -> StepSchedule | PlateauSchedule | CosineSchedule:
    """Return the schedule that a recipe asks for; ValueError for one that doesn't exist."""
    if recipe.schedule == "step":
        return StepSchedule(recipe.lr, recipe.milestones, recipe.factor)
    if recipe.schedule == "plateau":
        return PlateauSchedule(recipe.lr, recipe.factor, recipe.patience)
    if recipe.schedule == "cosine":
        return CosineSchedule(recipe.lr, recipe.warmup)
    raise unknown_name("schedule", recipe.schedule, ("step", "plateau", "cosine"))
