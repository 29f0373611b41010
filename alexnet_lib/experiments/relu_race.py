"""Networks that race to a training error: each at its fastest rate, without regularization.

As in Figure 1 of the paper: no weight decay, no dropout, no mirrored pictures, one constant rate,
chosen for each network by itself "to make training as fast as possible" [P §3.1].
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import architectures, augment, datasets, models, optim
from ..architectures import NetworkSpec
from ..batches import Batches
from ..datasets import ImageSet
from .arms import spread
from .result_cache import Kept

__all__ = [
    "INITIAL_STD", "NARROW", "RECIPE", "WIDE", "Kept", "Racer", "Track", "epochs_to", "needed",
    "race_seeds", "relu_race", "relu_sentence", "run_race", "search_rate",
]

Say = Callable[[str], None]

SEARCH_SEED = 1000  # not among the seeds that are compared
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
class Racer:
    """A network and how its first weights are drawn, a name in INITIAL_STD; biases start at 0."""

    spec: NetworkSpec
    initialization: str

    def build(self, seed: int) -> models.Net:
        """Return the network with its first weights."""
        net = models.blueprint(self.spec).to_empty(device="cpu")
        rule = INITIAL_STD[self.initialization][1]
        stages = [layer.name for layer in self.spec.layers if layer.kind in ("conv", "fc")]
        std = {name: rule(net.stage(name).weight[0].numel()) for name in stages}
        return net.initialize(seed, biases=dict.fromkeys(stages, 0.0), weight_std=std)


def epochs_to(target: float, errors: Sequence[float]) -> float | None:
    """Return the epochs until the error falls to `target`, None if it never does.

    errors: after each epoch, from 0 (before training) on. Between two epochs the error is taken
    to fall along a straight line.
    """
    for epoch, error in enumerate(errors):
        if error <= target:
            if epoch == 0:
                return 0.0
            before = errors[epoch - 1]
            return epoch - 1 + (before - target) / (before - error)
    return None


@torch.no_grad()
def _error(net: models.Net, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of pictures that the network gets wrong."""
    wrong = 0
    for x, y in zip(inputs.split(256), labels.split(256), strict=True):
        wrong += int((net(x).argmax(1) != y).sum())
    return wrong / len(labels)


def run_race(
    racer: Racer, rate: float, seed: int, train: ImageSet, target: float, cap: int,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Train until the training error is at most `target`, or for `cap` epochs.

    The error is measured after each epoch, over all the training images, with the weights held
    still. Pixels are divided by one standard deviation, so that inputs are about 1. Returns seed,
    rate, train_error (from before training on), epochs (see `epochs_to`), diverged, seconds.
    """
    started = time.monotonic()
    net = racer.build(seed)
    mean = augment.mean_image(train.images)
    inputs = augment.to_input(torch.from_numpy(np.array(train.images)), mean)
    scale = inputs.std()
    inputs /= scale
    labels = torch.from_numpy(np.array(train.labels))
    batches = Batches(train, racer.spec.input_size, BATCH_SIZE, mean, None, seed, flip=False)
    optimizer = optim.SGD2012(net.parameters(), rate, MOMENTUM, weight_decay=0.0)
    errors, diverged = [_error(net, inputs, labels)], False
    while errors[-1] > target and len(errors) <= cap and not diverged:
        for x, y in batches.epoch(len(errors) - 1):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(x / scale), y)
            loss.backward()
            optimizer.step()
            diverged |= not torch.isfinite(loss).item()
        errors.append(1.0 if diverged else _error(net, inputs, labels))
        say(f"epoch {len(errors) - 1}: {100 * errors[-1]:.0f}%")
    return {
        "seed": seed, "rate": rate, "train_error": [round(error, 4) for error in errors],
        "epochs": epochs_to(target, errors), "diverged": diverged,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def needed(race: Mapping[str, Any]) -> str:
    """Say how many epochs a race needed, "more than N" where it wasn't there after N."""
    if race["epochs"] is None:
        return f"more than {len(race['train_error']) - 1}"
    return f"{race['epochs']:.1f}"


def search_rate(
    racer: Racer, rates: Sequence[float], train: ImageSet, target: float, cap: int,
    kept: Kept, key: str, say: Say = lambda text: None,
) -> dict[str, Any]:
    """Find the rate of a list that takes a network to the target in the fewest epochs.

    The middle rates run first, and each later race ends where the best so far ended. Returns
    rates, races (one a rate, see `run_race`) and best: the rate; where none reached the target,
    the one with the lowest error.
    """
    races: dict[float, dict[str, Any]] = {}
    limit = cap
    for rate in sorted(rates, key=lambda rate: abs(np.log(rate / np.median(rates)))):
        told = _prefixed(say, f"{key}, choosing the rate: {rate:g}, ")
        work = partial(run_race, racer, rate, SEARCH_SEED, train, target, limit, told)
        races[rate] = kept.get(f"{key}, rate {rate:g}, seed {SEARCH_SEED}", work)
        if races[rate]["epochs"] is not None:
            limit = min(limit, max(1, int(np.ceil(races[rate]["epochs"]))))
    best = min(races, key=lambda rate: (
        races[rate]["epochs"] or float("inf"), min(races[rate]["train_error"])
    ))  # fmt: skip
    return {
        "rates": list(rates), "seed": SEARCH_SEED, "best": best,
        "races": [races[rate] for rate in rates],
    }


def _prefixed(say: Say, prefix: str) -> Say:
    return lambda text: say(prefix + text)


def race_seeds(
    racer: Racer, rate: float, seeds: Sequence[int], train: ImageSet, target: float, cap: int,
    kept: Kept, key: str, say: Say = lambda text: None,
) -> dict[str, Any]:
    """Race a network at one rate, once a seed; another network sees the same pictures in order.

    Returns initialization, rate, runs (see `run_race`), unfinished: the number of runs that were
    not there after `cap` epochs, and epochs_mean and _std, in which such a run counts as `cap`,
    so that the mean is a lower bound.
    """
    runs = []
    for seed in seeds:
        told = _prefixed(say, f"{key}, seed {seed}, ")
        work = partial(run_race, racer, rate, seed, train, target, cap, told)
        runs.append(kept.get(f"{key}, rate {rate:g}, seed {seed}", work))
    return {
        "initialization": INITIAL_STD[racer.initialization][0], "rate": rate, "runs": runs,
        "unfinished": sum(run["epochs"] is None for run in runs),
        **spread("epochs", [cap if run["epochs"] is None else run["epochs"] for run in runs]),
    }  # fmt: skip


# Figure 1 of the paper


@dataclass(frozen=True)
class Track:
    """What is raced over: kernels of the three convolutions, pictures, rates, longest race, arms.

    arms: name -> activation, how the first weights are drawn (a name in INITIAL_STD).
    """

    channels: tuple[int, int, int]
    images: int
    rates: tuple[float, ...]
    cap: int
    arms: Mapping[str, tuple[str, str]]


NARROW = Track(
    (16, 16, 32), 3000, (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08), 40,
    {
        "ReLU": ("relu", "by fan-in"),
        "tanh": ("tanh", "by fan-in"),
        "ReLU, std .01": ("relu", "fixed"),
        "tanh, std .01": ("tanh", "fixed"),
    },
)  # fmt: skip
WIDE = Track(
    (32, 32, 64), 10_000, (0.0025, 0.005, 0.01, 0.02), 40,
    {"ReLU": ("relu", "by fan-in"), "tanh": ("tanh", "by fan-in")},
)  # fmt: skip
SMALL_RATES = {"ReLU": 0.01, "tanh": 0.02}  # as searched on CIFAR-10
RATIOS = {  # name -> the slower one in the paper, the faster one
    "tanh over ReLU": ("tanh", "ReLU"),
    "tanh over ReLU, both std .01": ("tanh, std .01", "ReLU, std .01"),
}


def relu_race(
    small: bool, seeds: tuple[int, ...], partial_path: Path, say: Say, track: Track = NARROW
) -> dict[str, Any]:
    """Repeat Figure 1: epochs to 25% training error on CIFAR-10, ReLU and tanh.

    track: NARROW, with first weights scaled by fan-in and, once more, with AlexNet's std of .01;
    or WIDE, with twice the kernels and more pictures. Without CIFAR-10 on this machine, and in
    the small version, Fashion-MNIST takes its place, down to 15%. partial_path: where finished
    races are kept until the record is written.
    """
    cifar = not small and datasets.found()["cifar10"] is not None
    name, target = ("cifar10", 0.25) if cifar else ("fashion_mnist", 0.15)
    train = datasets.load(name, "train", limit=1500 if small else track.images, progress=False)
    size, colours = train.images.shape[2:]
    channels = NARROW.channels if small else track.channels
    racers = {
        arm: Racer(
            architectures.small_network(size, colours, 10, channels, activation), initialization
        )
        for arm, (activation, initialization) in track.arms.items()
        if arm in SMALL_RATES or not small
    }
    settings = {
        "network": f"small_network, {channels} kernels of 5 x 5, four layers with weights",
        "data": train.name, "data_note": train.note, "train_images": len(train),
        "target": target, "cap": track.cap, "recipe": RECIPE,
    }  # fmt: skip
    kept = Kept(None if small else partial_path, settings)
    search: dict[str, Any] = {}
    arms: dict[str, Any] = {}
    for arm, racer in racers.items():
        if small:
            search[arm] = {"best": SMALL_RATES[arm], "note": "not searched in the small version"}
        else:
            search[arm] = search_rate(
                racer, track.rates, train, target, track.cap, kept, arm, say
            )
        rate = search[arm]["best"]
        arms[arm] = race_seeds(racer, rate, seeds, train, target, track.cap, kept, arm, say)
    ratios = {
        name: _ratio(arms[slow], arms[fast], track.cap)
        for name, (slow, fast) in RATIOS.items()
        if slow in arms
    }
    paper_says = "six times, on CIFAR-10 to 25% training error [P §3.1, Fig. 1]"
    races = [race for found in search.values() for race in found.get("races", [])]
    races += [run for arm in arms.values() for run in arm["runs"]]
    return {
        **settings, "search": search, "arms": arms, "ratios": ratios, "paper": paper_says,
        "race_seconds": round(sum(race["seconds"] for race in races), 1),  # of all, resumed or not
    }  # fmt: skip


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


def relu_sentence(record: Mapping[str, Any]) -> str:
    """Say what `relu_race` found, a line an arm and a line a ratio."""
    lines = [
        f"Epochs to {100 * record['target']:.0f}% training error on {record['train_images']:,} "
        f"images ({record['data_note']}), by seed:"
    ]
    for name, arm in record["arms"].items():
        each = ", ".join(map(needed, arm["runs"]))
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
