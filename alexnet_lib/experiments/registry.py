"""Experiments by name: seeded, small enough for a laptop, and kept as records.

`run(name)` does one and writes data/records/<name>.json; `load(name)` reads what is there;
`run(name, small=True)` does a version of some seconds and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .. import records
from .._errors import unknown_name
from . import (
    cifar_claims,
    faulty_training,
    figure1,
    hand_made_features,
    initialization,
    low_rank_classifier,
    lrn,
    overfitting,
    pooling,
    relu_race,
    small_alexnet,
    weight_decay,
)
from .arms import Say, unfinished

__all__ = ["EXPERIMENTS", "Experiment", "load", "run", "summary"]


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    question: what it asks, in one sentence. minutes: of the whole version, on two cores. seeds:
    of its runs. work(small, seeds, say) does it and returns the results; say tells where it is.
    sentence: says what a record found.
    """

    name: str
    question: str
    minutes: float
    seeds: tuple[int, ...]
    work: Callable[[bool, tuple[int, ...], Say], dict[str, Any]]
    sentence: Callable[[Mapping[str, Any]], str]


def _known(name: str) -> Experiment:
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]


def run(
    name: str, *, small: bool = False, seeds: Sequence[int] | None = None, progress: bool = True,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Do an experiment and return its record.

    name: a name in EXPERIMENTS. small: a version of some seconds, for one seed. seeds: other ones
    than the experiment's own. progress: say on stderr where it is. out: the .json file to write;
    by default the record that ships is replaced, and a small version isn't written.
    Raises ValueError for an unknown name or no seeds; OSError where the record can't be written.
    """
    experiment = _known(name)
    seeds = experiment.seeds[: 1 if small else None] if seeds is None else tuple(seeds)
    if not seeds:
        raise ValueError("seeds is empty; give at least one, such as seeds=[0].")
    started = time.perf_counter()
    with tqdm(desc=name, disable=not progress, bar_format="{desc} [{elapsed}]{postfix}") as bar:
        results = experiment.work(small, seeds, bar.set_postfix_str)
    record = {
        "experiment": name,
        "question": experiment.question,
        "command": f"python -m alexnet_lib experiment {name}",
        "small": small,
        "seeds": list(seeds),
        **results,
        "seconds": round(time.perf_counter() - started, 1),
        "threads": torch.get_num_threads(),
        "environment": records.environment(),
    }
    if out is not None or not small:
        records.write(name if out is None else out, record)
        unfinished(name).unlink(missing_ok=True)
    return record


def load(name: str) -> dict[str, Any]:
    """Return the record of an experiment; FileNotFoundError with the command that makes it."""
    return records.read(_known(name).name)


def summary(record: Mapping[str, Any]) -> str:
    """Say in a sentence or a few lines what a record of `run` found."""
    return _known(record["experiment"]).sentence(record)


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "lrn_ablation",
            "Does local response normalization lower the test error of a small network?",
            15, (0, 1, 2, 3, 4), lrn.run, lrn.sentence,
        ),
        Experiment(
            "pooling",
            "Do overlapping pooling windows lower the test error of a small network?",
            30, (0, 1, 2, 3, 4), pooling.run, pooling.sentence,
        ),
        Experiment(
            "initialization",
            "How much of a picture reaches the last layer before any training?",
            6, (0, 1), initialization.run, initialization.sentence,
        ),
        Experiment(
            "relu",
            "How many epochs do ReLU and tanh need to the same training error?",
            35, (0, 1, 2), relu_race.run, relu_race.sentence,
        ),
        Experiment(
            "lrn_cifar10",
            "And on CIFAR-10, does LRN lower the test error of a small network?",
            4, (0, 1, 2), lrn.run_cifar10, lrn.sentence,
        ),
        Experiment(
            "depth",
            "What does a small AlexNet lose without one of its middle convolutions?",
            3, (0, 1, 2), small_alexnet.depth, small_alexnet.sentence,
        ),
        Experiment(
            "two_towers",
            "Do two towers err less than one tower with half the kernels?",
            2, (0, 1, 2), small_alexnet.two_towers, small_alexnet.sentence,
        ),
        Experiment(
            "ensemble",
            "What are the votes of several networks, and of ten views, worth?",
            2, (0, 1, 2, 3, 4), small_alexnet.ensemble, small_alexnet.ensemble_sentence,
        ),
        Experiment(
            "relu_wide",
            "And with twice the kernels, on three times as many pictures?",
            60, (0, 1), relu_race.run_wide, relu_race.sentence,
        ),
        Experiment(
            "shipped_network",
            "How often is the network that ships right, on photos that it has never seen?",
            15, (0,), low_rank_classifier.run, low_rank_classifier.sentence,
        ),
        Experiment(
            "features",
            "How do pixels, features made by hand and learned features fare with more pictures?",
            20, (0, 1, 2), hand_made_features.run, hand_made_features.sentence,
        ),
        Experiment(
            "overfitting",
            "What keeps a network with many weights from learning few pictures by heart?",
            25, (0, 1, 2, 3, 4), overfitting.run, overfitting.sentence,
        ),
        Experiment(
            "clinic",
            "What do the signals, gradients and updates of AlexNet look like, fault by fault?",
            15, (0,), faulty_training.run, faulty_training.sentence,
        ),
        Experiment(
            "weight_decay",
            "Does a weight decay of .0005 lower the training error of a small network?",
            4, (0, 1, 2, 3, 4), weight_decay.run, weight_decay.sentence,
        ),
        Experiment(
            "figure1",
            "Does ReLU need a sixth of tanh's epochs, with the network and the input of 2011?",
            2500, (0, 1, 2, 3, 4), figure1.experiment, figure1.sentence,
        ),
        Experiment(
            "cifar_claims",
            "What are the paper's ideas worth on CIFAR-10, each arm at its own best rate?",
            5000, (0, 1, 2, 3, 4), cifar_claims.experiment, cifar_claims.sentence,
        ),
    )
}  # fmt: skip
