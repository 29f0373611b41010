"""A ball in a valley with two weights: the update rule of 2012 where it can be watched."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["BOTTOM", "CURVATURES", "START", "Roll", "loss", "roll"]

BOTTOM = (4.0, 1.0)  # where the loss is 0
CURVATURES = (1.0, 100.0)  # along the valley and across it
START = (-4.0, 2.0)
FAR = 1e3  # a ball that is this far away doesn't come back


def loss(w: np.ndarray) -> np.ndarray:
    """Return the loss at points w (..., 2): half of curvature times squared distance, summed."""
    away = np.asarray(w, dtype=np.float64) - BOTTOM
    return 0.5 * (np.asarray(CURVATURES) * away**2).sum(axis=-1)


@dataclass(frozen=True)
class Roll:
    """The way of a ball. path: (S + 1, 2), from the start on; shorter where it flew away.

    losses: (S + 1,). arrived: steps until the loss stays below 1% of the first, None if it never
    does. escaped: whether the ball flew away. swings: how often it crossed the valley's floor.
    """

    path: np.ndarray
    losses: np.ndarray
    arrived: int | None
    escaped: bool
    swings: int


def roll(
    rate: float = 0.01, momentum: float = 0.9, decay: float = 5e-4, steps: int = 120
) -> Roll:
    """Roll the ball by the rule of 2012: v <- momentum v - rate (g + decay w), w <- w + v [P §5].

    g is the gradient of `loss`. Arguments as in `optim.SGD2012`; steps: at most.
    Raises ValueError for a negative rate or decay, or a momentum outside 0 to 1.
    """
    if rate < 0 or decay < 0 or not 0 <= momentum < 1:
        raise ValueError(
            f"rate is {rate}, momentum {momentum}, decay {decay}; rate and decay must be 0 or "
            "more, momentum at least 0 and below 1."
        )
    (wx, wy), (vx, vy), path = START, (0.0, 0.0), [START]
    for _ in range(steps):
        vx = momentum * vx - rate * (CURVATURES[0] * (wx - BOTTOM[0]) + decay * wx)
        vy = momentum * vy - rate * (CURVATURES[1] * (wy - BOTTOM[1]) + decay * wy)
        wx, wy = wx + vx, wy + vy
        path.append((wx, wy))
        if not math.hypot(wx, wy) < FAR:
            break
    points = np.array(path)
    losses = loss(points)
    above = np.flatnonzero(losses > 0.01 * losses[0])
    arrived = int(above[-1]) + 1 if len(above) and above[-1] + 1 < len(losses) else None
    side = np.sign(points[:, 1] - BOTTOM[1])
    swings = int((side[1:] * side[:-1] < 0).sum())
    return Roll(points, losses, arrived, len(points) <= steps, swings)
