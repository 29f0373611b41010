"""How many images a second this machine trains on, measured in a few steps of the real loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import models, training
from ..architectures import NetworkSpec
from ..datasets import ImageSet
from ..paper import Recipe
from ..runs import Run

__all__ = ["measure"]

MOST_STEPS = 40


def measure(
    spec: NetworkSpec, recipe: Recipe, batch_size: int, side: int, device: str = "auto",
    seconds: float = 4.0, stop: Callable[[], bool] | None = None,
) -> float:
    """Train on noise for a moment and return images a second.

    spec, recipe, batch_size, device: of the run that is planned. side: of its pictures, pixels.
    The first step, which is slower, doesn't count; then steps are timed until `seconds` are over,
    at least one. stop: asked after each step; True ends it, with what has been timed by then.
    Errors as `training.fit` has them.
    """
    classes = [str(number) for number in range(spec.layers[-1].channels)]
    shape = (batch_size, side, side, spec.input_channels)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    labels = np.arange(batch_size, dtype=np.int64) % len(classes)
    pictures = ImageSet(noise, labels, classes, "noise", "train")
    times: list[float] = []

    def watch(run: Run) -> bool:
        times.append(time.perf_counter())
        asked = stop is not None and stop()
        return len(times) > 1 and (asked or times[-1] - times[0] >= seconds)

    still = replace(recipe, rate=1e-9)  # noise teaches nothing, and its loss must stay a number
    training.fit(
        models.build(spec, seed=0), pictures, None, still, epochs=MOST_STEPS,
        batch_size=batch_size, device=device, on_step=watch,
    )
    return batch_size * (len(times) - 1) / max(times[-1] - times[0], 1e-9)
