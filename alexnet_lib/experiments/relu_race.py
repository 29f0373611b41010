"""ReLU against tanh: epochs to a training error, each at its fastest rate, nothing regularized.

As in Figure 1 of the paper: no weight decay, no dropout, no mirrored pictures, one constant rate,
chosen for each network by itself "to make training as fast as possible" [P §3.1].
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import architectures, augment, datasets, models, optim
from ..architectures import NetworkSpec
from ..batches import Batches
from ..datasets import ImageSet
from .arms import (
    NOT_SEARCHED,
    SEARCH_SEED,
    Inputs,
    ResultCache,
    Say,
    epochs_to,
    run_arms,
    search_lrs,
    spread,
    train_epoch,
    unfinished,
)

__all__ = [
    "INITIAL_STD", "NARROW", "RECIPE", "WIDE", "Arm", "Setting", "epochs_needed", "fastest_lrs",
    "run", "run_wide", "sentence", "train_to_target",
]

MOMENTUM = 0.9
BATCH_SIZE = 64
RECIPE = (
    f"batch {BATCH_SIZE}, momentum {MOMENTUM:g}, one constant rate; no weight decay, no dropout, "
    "no mirrored or cropped pictures; mean image subtracted, divided by one standard deviation; "
    "biases start at 0; the error is measured after each epoch on all training images, with the "
    "weights held still"
)
#: How the first weights are drawn: what it is, and each layer's std from its fan-in.
INITIAL_STD: dict[str, tuple[str, Callable[[int], float]]] = {
    "by fan-in": ("std sqrt(1 / fan-in)", lambda fan_in: fan_in**-0.5),
    "fixed": ("std .01 in every layer", lambda fan_in: 0.01),
}


@dataclass(frozen=True)
class Arm:
    """A network and how its first weights are drawn, a name in INITIAL_STD; biases start at 0."""

    spec: NetworkSpec
    initialization: str

    def build(self, seed: int) -> models.Net:
        """Return the network with its first weights."""
        net = models.blueprint(self.spec).to_empty(device="cpu")
        rule = INITIAL_STD[self.initialization][1]
        layers = [layer.name for layer in self.spec.layers if layer.kind in ("conv", "fc")]
        std = {name: rule(net.stage(name).weight[0].numel()) for name in layers}
        return net.initialize(seed, biases=dict.fromkeys(layers, 0.0), weight_std=std)


def train_to_target(
    arm: Arm, lr: float, seed: int, train: ImageSet, target: float, cap: int,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Train until the training error is at most `target`, or for `cap` epochs.

    The error is measured after each epoch, over all the training images, with the weights held
    still. Pixels are divided by one standard deviation, so that inputs are about 1. Returns seed,
    rate, train_error (from before training on), epochs (see `epochs_to`), diverged, seconds.
    """
    started = time.monotonic()
    net = arm.build(seed)
    mean, side = augment.mean_image(train.images), arm.spec.input_size
    inputs = Inputs(train, side, mean)
    batches = Batches(train, side, BATCH_SIZE, mean, None, seed, flip=False)
    optimizer = optim.SGD2012(net.parameters(), lr, MOMENTUM, weight_decay=0.0)
    errors, diverged = [inputs.error_and_loss(net)[0]], False
    while errors[-1] > target and len(errors) <= cap and not diverged:
        losses = train_epoch(net, batches, len(errors) - 1, optimizer, inputs.scale)
        diverged = not np.isfinite(losses[-1])
        errors.append(1.0 if diverged else inputs.error_and_loss(net)[0])
        say(f"epoch {len(errors) - 1}: {100 * errors[-1]:.0f}%")
    return {
        "seed": seed, "rate": lr, "train_error": [round(error, 4) for error in errors],
        "epochs": epochs_to(target, errors), "diverged": diverged,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def epochs_needed(run: Mapping[str, Any]) -> str:
    """Say how many epochs a run needed, "more than N" where it wasn't there after N."""
    if run["epochs"] is None:
        return f"more than {len(run['train_error']) - 1}"
    return f"{run['epochs']:.1f}"


def fastest_lrs(
    arms: Mapping[str, Arm], lrs: Sequence[float], train: ImageSet, target: float, cap: int,
    cache: ResultCache, say: Say = lambda text: None,
) -> dict[str, dict[str, Any]]:
    """Find the rate of a list that takes each network to the target in the fewest epochs.

    The middle rates run first, and each later run ends where the best so far ended. Returns for
    each arm rates, races (one run a rate, see `train_to_target`) and best: the rate; where none
    reached the target, the one with the lowest error.
    """
    limits = dict.fromkeys(arms, cap)

    def work(arm: str, lr: float, seed: int, say: Say) -> dict[str, Any]:
        return train_to_target(arms[arm], lr, seed, train, target, limits[arm], say)

    def score(arm: str, found: Mapping[str, Any]) -> tuple[float, float]:
        if found["epochs"] is not None:
            limits[arm] = min(limits[arm], max(1, int(np.ceil(found["epochs"]))))
        return found["epochs"] or float("inf"), min(found["train_error"])

    order = sorted(lrs, key=lambda lr: abs(np.log(lr / np.median(lrs))))
    found = search_lrs(arms, order, work, score, cache, say)
    return {
        arm: {
            "rates": list(lrs), "seed": SEARCH_SEED, "best": best,
            "races": [results[lr] for lr in lrs],
        }
        for arm, (best, results) in found.items()
    }  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """What is compared: kernels of the three convolutions, pictures, rates, most epochs, arms.

    name: of the experiment. arms: name -> activation, how the first weights are drawn (a name in
    INITIAL_STD).
    """

    name: str
    channels: tuple[int, int, int]
    images: int
    lrs: tuple[float, ...]
    cap: int
    arms: Mapping[str, tuple[str, str]]


NARROW = Setting(
    "relu", (16, 16, 32), 3000, (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08), 40,
    {
        "ReLU": ("relu", "by fan-in"),
        "tanh": ("tanh", "by fan-in"),
        "ReLU, std .01": ("relu", "fixed"),
        "tanh, std .01": ("tanh", "fixed"),
    },
)  # fmt: skip
WIDE = Setting(
    "relu_wide", (32, 32, 64), 10_000, (0.0025, 0.005, 0.01, 0.02), 40,
    {"ReLU": ("relu", "by fan-in"), "tanh": ("tanh", "by fan-in")},
)  # fmt: skip
SMALL_LRS = {"ReLU": 0.01, "tanh": 0.02}  # as searched on CIFAR-10
RATIOS = {  # name -> the slower one in the paper, the faster one
    "tanh over ReLU": ("tanh", "ReLU"),
    "tanh over ReLU, both std .01": ("tanh, std .01", "ReLU, std .01"),
}


def run(
    small: bool, seeds: tuple[int, ...], say: Say, setting: Setting = NARROW
) -> dict[str, Any]:
    """Repeat Figure 1: epochs to 25% training error on CIFAR-10, ReLU and tanh.

    setting: NARROW, with first weights scaled by fan-in and, once more, with AlexNet's std of .01;
    or WIDE, with twice the kernels and more pictures. Without CIFAR-10 on this machine, and in
    the small version, Fashion-MNIST takes its place, down to 15%. A run that doesn't get there
    counts as `cap` epochs, so that the mean is a lower bound.
    """
    cifar = not small and datasets.found()["cifar10"] is not None
    name, target = ("cifar10", 0.25) if cifar else ("fashion_mnist", 0.15)
    train = datasets.load(name, "train", limit=1500 if small else setting.images, progress=False)
    size, colours = train.images.shape[2:]
    channels, cap = NARROW.channels if small else setting.channels, setting.cap
    arms = {
        arm: Arm(
            architectures.small_network(size, colours, 10, channels, activation), initialization
        )
        for arm, (activation, initialization) in setting.arms.items()
        if arm in SMALL_LRS or not small
    }
    about = {
        "network": f"small_network, {channels} kernels of 5 x 5, four layers with weights",
        "data": train.name, "data_note": train.note, "train_images": len(train),
        "target": target, "cap": cap, "recipe": RECIPE,
    }  # fmt: skip
    cache = ResultCache(None if small else unfinished(setting.name), about)
    search = {arm: {"best": SMALL_LRS.get(arm), "note": NOT_SEARCHED} for arm in arms}
    if not small:
        search = fastest_lrs(arms, setting.lrs, train, target, cap, cache, say)

    def work(arm: str, lr: float, seed: int, say: Say) -> dict[str, Any]:
        return train_to_target(arms[arm], lr, seed, train, target, cap, say)

    lrs = {arm: found["best"] for arm, found in search.items()}
    found = {}
    for arm, runs in run_arms(arms, lrs, seeds, work, cache, say).items():
        found[arm] = {
            "initialization": INITIAL_STD[arms[arm].initialization][0], "rate": lrs[arm],
            "runs": runs, "unfinished": sum(run["epochs"] is None for run in runs),
            **spread("epochs", [cap if run["epochs"] is None else run["epochs"] for run in runs]),
        }  # fmt: skip
    ratios = {
        name: _ratio(found[slow], found[fast], cap)
        for name, (slow, fast) in RATIOS.items()
        if slow in arms
    }
    every = [run for each in search.values() for run in each.get("races", [])]
    every += [run for arm in found.values() for run in arm["runs"]]
    return {
        **about, "search": search, "arms": found, "ratios": ratios,
        "paper": "six times, on CIFAR-10 to 25% training error [P §3.1, Fig. 1]",
        "race_seconds": round(sum(run["seconds"] for run in every), 1),  # of all, resumed or not
    }  # fmt: skip


def run_wide(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Do `run` with WIDE."""
    return run(small, seeds, say, WIDE)


def _ratio(slow: Mapping[str, Any], fast: Mapping[str, Any], cap: int) -> dict[str, Any]:
    """Return how many times the epochs of `fast` the network `slow` needs, seed by seed.

    bound: "more than" where runs of `slow` were cut off at the cap, "less than" where runs of
    `fast` were, "unknown" for both, else "".
    """
    pairs = zip(slow["runs"], fast["runs"], strict=True)
    each = [(one["epochs"] or cap) / (other["epochs"] or cap) for one, other in pairs]
    bound = {
        (False, False): "", (True, False): "more than", (False, True): "less than",
        (True, True): "unknown",
    }[slow["unfinished"] > 0, fast["unfinished"] > 0]  # fmt: skip
    return {"each": [round(value, 3) for value in each], "bound": bound, **spread("ratio", each)}


def sentence(record: Mapping[str, Any]) -> str:
    """Say what `run` found, a line an arm and a line a ratio."""
    lines = [
        f"Epochs to {100 * record['target']:.0f}% training error on {record['train_images']:,} "
        f"images ({record['data_note']}), by seed:"
    ]
    for name, arm in record["arms"].items():
        each = ", ".join(map(epochs_needed, arm["runs"]))
        least = "at least " if arm["unfinished"] else ""
        lines.append(
            f"  {name:<13}  {each}; mean {least}{arm['epochs_mean']:.1f}  (rate {arm['rate']:g})"
        )
    for name, ratio in record["ratios"].items():
        std = ratio["ratio_std"]
        spread_of = "" if std is None else f", standard deviation {std:.2f}"
        bound = f"{ratio['bound']} " if ratio["bound"] else ""
        lines.append(f"{name}: {bound}{ratio['ratio_mean']:.2f} times the epochs{spread_of}")
    lines.append(f"The paper, tanh over ReLU: {record['paper']}")
    return "\n".join(lines)
