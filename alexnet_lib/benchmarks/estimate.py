"""What a training run will take, before it starts: time, memory, disk, from its throughput."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .. import architectures, models, records, shapes, training
from ..architectures import NetworkSpec
from ..datasets import ImageSet
from ..paper import Recipe
from ..runs import Run

__all__ = [
    "Estimate", "byte_words", "duration", "estimate", "measure_throughput", "recorded_throughput",
]

FORWARD_SHARE = 1 / 3  # of a training step's arithmetic; backward takes the rest
FLOAT = 4  # bytes
MOST_STEPS = 40  # that are timed


@dataclass(frozen=True)
class Estimate:
    """What a run takes.

    steps: of an epoch. seconds: of an epoch, evaluation included, None where no throughput is
    known. weights: bytes of weights, gradients and momentum, and of scratch, the largest layer once
    more for the update in the making. maps: bytes that a batch leaves behind in every layer for the
    way back. pictures: bytes of pictures held in memory. checkpoint: bytes on disk; for a moment
    twice as many, as the old one goes when the new one is whole. packed: bytes of pictures that are
    still to be written to disk.
    """

    steps: int
    seconds: float | None
    weights: int
    scratch: int
    maps: int
    pictures: int
    checkpoint: int
    packed: int

    @property
    def memory(self) -> int:
        """All bytes of memory together; Python and torch themselves come on top."""
        return self.weights + self.maps + self.pictures

    @property
    def disk(self) -> int:
        """All bytes that the disk must have free."""
        return 2 * self.checkpoint + self.packed

    def sentence(self, epochs: int, batch_size: int, source: str = "") -> str:
        """Say it in words. source: of the throughput, for the end of a clause."""
        steps = f"{self.steps:,} step{'s' * (self.steps > 1)} an epoch"
        if self.seconds is None:
            time = f"{steps}; how long one takes, Measure will tell."
        elif epochs == 1:
            steps = steps.removesuffix(" an epoch")
            time = f"Time: about {duration(self.seconds)} for {steps}{source}."
        else:
            time = (
                f"Time: about {duration(self.seconds)} an epoch, "
                f"{duration(self.seconds * epochs)} in all, {steps}{source}."
            )
        held = f", {byte_words(self.pictures)} the pictures" if self.pictures else ""
        packed = f", and {byte_words(self.packed)} for the pictures" if self.packed else ""
        return (
            f"{time} Memory: about {byte_words(self.memory)}, of which "
            f"{byte_words(self.weights - self.scratch)} weights, gradients and momentum, "
            f"{byte_words(self.scratch)} scratch room for the largest layer, "
            f"{byte_words(self.maps)} the maps of {batch_size} pictures{held}. "
            f"Disk: {byte_words(2 * self.checkpoint)} for checkpoints, two while saving{packed}."
        )


def estimate(
    spec: NetworkSpec, train: int, val: int, batch_size: int, side: int, *,
    throughput: float | None = None, held: bool = True, packed: bool = True,
) -> Estimate:
    """Calculate what a run takes.

    train, val: pictures. side: of a picture as it is kept, pixels. throughput: training images a
    second, None if not known; evaluating a picture counts a third. held: the pictures lie in
    memory, as rendered ones do. packed: none is still to be packed onto the disk.
    Raises ValueError for less than one picture or a batch of none.
    """
    for name, value in (("train", train), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1.")
    totals = shapes.totals(spec)
    largest = max(row.parameters for row in shapes.walk(spec))
    pictures = (train + val) * side * side * spec.input_channels
    return Estimate(
        steps=-(-train // batch_size),
        seconds=None if throughput is None else (train + FORWARD_SHARE * val) / throughput,
        weights=FLOAT * (3 * totals.parameters + largest),
        scratch=FLOAT * largest,
        maps=min(batch_size, train) * totals.bytes_with_input,
        pictures=pictures if held else 0,
        checkpoint=2 * FLOAT * totals.parameters,
        packed=0 if packed else pictures,
    )


def recorded_throughput(spec: NetworkSpec) -> float:
    """Return the images a second of the shipped run of the paper's network, on its machine.

    For another network it is scaled by the multiplications of a picture, which is a rough guess.
    """
    run = records.read("imagenette_paper")
    seen = len(run["epochs"]) * (run["train_images"] + FORWARD_SHARE * run["val_images"])
    paper = shapes.totals(architectures.network("paper", run["classes"])).macs
    return seen / run["seconds"] * paper / shapes.totals(spec).macs


def measure_throughput(
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

    still = replace(recipe, lr=1e-9)  # noise teaches nothing, and its loss must stay a number
    training.fit(
        models.build(spec, seed=0), pictures, None, still, epochs=MOST_STEPS,
        batch_size=batch_size, device=device, on_step=watch,
    )
    return batch_size * (len(times) - 1) / max(times[-1] - times[0], 1e-9)


def duration(seconds: float) -> str:
    """Return seconds in words with two digits: "40 s", "12 minutes", "3.4 hours", "5.1 days"."""
    for name, unit, least in (("days", 86_400, 2 * 86_400), ("hours", 3_600, 2 * 3_600),
                              ("minutes", 60, 120)):  # fmt: skip
        if seconds >= least:
            value = seconds / unit
            return f"{value:.1f} {name}" if value < 10 else f"{value:,.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else "1 s"


def byte_words(count: int) -> str:
    """Return bytes in words: "683 MB", "1.9 GB"."""
    for name, unit in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= unit:
            value = count / unit
            return f"{value:.1f} {name}" if value < 10 and name != "MB" else f"{value:,.0f} {name}"
    return f"{max(1, round(count / 1e3)) if count else 0} KB"
