"""Experiments by name: seeded, small enough for a laptop, and kept as records.

`run(name)` does one and writes data/records/<name>.json; `load(name)` reads what is there;
`run(name, small=True)` does a version of some seconds and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from .. import architectures, augment, datasets, models, records
from .._errors import unknown_name
from ..analysis import signal_propagation
from ..analysis.signal_propagation import lrn_maps
from ..architectures import LayerSpec
from ..benchmarks import layer_costs
from . import arms as arms_experiment
from . import (
    cifar_claims,
    faulty_training,
    figure1,
    hand_made_features,
    low_rank_classifier,
    overfitting,
    relu_race,
    small_alexnet,
    weight_decay,
)
from . import pooling as pooling_experiment

__all__ = ["EXPERIMENTS", "Experiment", "load", "lrn_maps", "run", "summary"]

Say = Callable[[str], None]


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
        _unfinished(name).unlink(missing_ok=True)
    return record


def _unfinished(name: str) -> Path:
    """Return the file in which an experiment that takes long keeps what is done so far."""
    return records.root() / "runs" / "experiments" / f"{name}.json"


def load(name: str) -> dict[str, Any]:
    """Return the record of an experiment; FileNotFoundError with the command that makes it."""
    return records.read(_known(name).name)


def summary(record: Mapping[str, Any]) -> str:
    """Say in a sentence or a few lines what a record of `run` found."""
    return _known(record["experiment"]).sentence(record)


# Local response normalization, with and without

LRN = LayerSpec("lrn", "lrn", size=5, alpha=1e-4, beta=0.75, k=2.0, convention="paper")
LRN_CHANNELS = (16, 16, 32)
RATES = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008)
SMALL_RATES = {"without LRN": 0.002, "rescaled only": 0.004, "with LRN": 0.004}  # as searched


def _lrn_ablation(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train the small network without LRN, with it, and with its constant factor alone.

    While neighbours are weak LRN multiplies everything by k ** -beta = .59, which by itself lets
    a network bear a higher rate. With alpha at 0 that is all it does: a control.
    """
    arms = {
        "without LRN": architectures.small_network(channels=LRN_CHANNELS),
        "rescaled only": architectures.small_network(
            channels=LRN_CHANNELS, lrn=replace(LRN, alpha=0.0)
        ),
        "with LRN": architectures.small_network(channels=LRN_CHANNELS, lrn=LRN),
    }
    train = datasets.load("fashion_mnist", "train", limit=1500 if small else None)
    test = datasets.load("fashion_mnist", "test", limit=500 if small else None)
    epochs = 2 if small else 5
    search: dict[str, Any] = {"best": SMALL_RATES, "note": "not searched in the small version"}
    if not small:
        search = arms_experiment.search_rates(arms, RATES, train, say=say)
    compared = arms_experiment.compare_arms(arms, search["best"], seeds, epochs, train, test, say)
    return {
        "network": f"small_network, {LRN_CHANNELS} kernels of 5 x 5",
        "data": train.name, "data_note": f"{train.note}; {test.note}",
        "train_images": len(train), "test_images": len(test), "epochs": epochs,
        "recipe": arms_experiment.RECIPE, "search": search, **compared,
        "paper": "-1.4 points top-1 and -1.2 top-5 on ImageNet; on CIFAR-10 from 13% to 11% "
        "[P §3.3]",
    }  # fmt: skip


def _lrn_sentence(record: Mapping[str, Any]) -> str:
    count = len(record["seeds"])
    lines = [
        f"Test error after {record['epochs']} epochs on {record['train_images']:,} images, {count} "
        f"{'seed' if count == 1 else 'seeds'}:"
    ]
    for name, arm in record["arms"].items():
        error = 100 * arm["final_test_error_mean"]
        lines.append(f"  {name:<13}  {error:.2f}%  (rate {arm['rate']:g})")
    for name, gap in record["differences"].items():
        std = gap["difference_std"]
        spread = "" if std is None else f", standard deviation {100 * std:.2f}"
        lines.append(f"{name}: {100 * gap['difference_mean']:+.2f} points{spread}")
    return "\n".join(lines)


def _lrn_cifar10(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train the small network, four layers with weights, on CIFAR-10 without LRN and with it."""
    name = "fashion_mnist" if small else "cifar10"
    train = datasets.load(name, "train", size=32, limit=600 if small else 3000)
    test = datasets.load(name, "test", size=32, limit=300 if small else 2000)
    pictures = {"input_size": 32, "input_channels": train.images.shape[3]}
    arms = {
        "without LRN": architectures.small_network(**pictures, channels=LRN_CHANNELS),
        "with LRN": architectures.small_network(**pictures, channels=LRN_CHANNELS, lrn=LRN),
    }
    epochs = 1 if small else 12
    search: dict[str, Any] = {"best": SMALL_RATES, "note": "not searched in the small version"}
    if not small:
        search = arms_experiment.search_rates(
            arms, RATES[1:4], train, epochs=4, held_out=800, say=say
        )
    compared = arms_experiment.compare_arms(arms, search["best"], seeds, epochs, train, test, say)
    return {
        "network": f"small_network, {LRN_CHANNELS} kernels of 5 x 5",
        "data": train.name, "data_note": train.note,
        "train_images": len(train), "test_images": len(test), "epochs": epochs,
        "recipe": arms_experiment.RECIPE, "search": search, **compared,
        "paper": "on CIFAR-10 from 13% to 11% [P §3.3]",
    }  # fmt: skip


# Initialization: what of a picture reaches the last layer, and what comes back

def _picture_sets(small: bool) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    """Return name -> (uint8 (N, 227, 227, 3), labels (N,), what they are)."""
    shapes = datasets.load("shapes", "train", size=227, limit=8 if small else 24)
    sets = {"shapes": (shapes.images, shapes.labels, shapes.note)}
    if small:
        return sets
    photos = np.stack(
        [signal_propagation.square(datasets.photo(name), 256) for name in datasets.PHOTOS]
    )
    crops = augment.ten_crop(torch.from_numpy(photos), 227)[:, :5].flatten(0, 1).numpy()
    note = f"{len(photos)} photos, five crops of each; a photo's number is its class"
    sets["photos"] = (crops, np.arange(len(crops)) // 5, note)
    try:
        val = datasets.load("imagenette", "val", size=256, limit=24)
    except FileNotFoundError:
        return sets  # it doesn't ship; the other sets say the same
    middle = np.asarray(val.images)[:, 14:241, 14:241]
    return sets | {"imagenette": (middle, val.labels, f"{val.note}, {len(val)} of val")}


def _initialization(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Measure every initialization on every set of pictures, and average over the seeds."""
    chosen = ("printed", "source2012") if small else tuple(signal_propagation.INITIALIZATIONS)
    sets = _picture_sets(small)
    inputs = {}
    for name, (images, labels, _) in sets.items():
        pictures = torch.from_numpy(np.array(images))
        x = augment.to_input(pictures, augment.mean_image(images))
        inputs[name] = (x.contiguous(), torch.from_numpy(np.array(labels)))
    net = models.Net(architectures.network("paper", 10))
    layers: dict[str, dict[str, Any]] = {name: {} for name in sets}
    for setting in chosen:
        rows: dict[str, list] = {name: [] for name in sets}
        for seed in seeds:
            net.initialize(seed, **signal_propagation.INITIALIZATIONS[setting][1])
            for name, (x, labels) in inputs.items():
                say(f"{setting}, seed {seed}, {name}")
                rows[name].append(signal_propagation.forward_signal(net, x, labels))
        for name, each in rows.items():
            layers[name][setting] = [_mean_row(same) for same in zip(*each, strict=True)]
    return {
        "network": "paper", "classes": 10,
        "initializations": {name: signal_propagation.INITIALIZATIONS[name][0] for name in chosen},
        "pictures": {
            name: {"note": note, "images": len(labels), "layers": layers[name]}
            for name, (_, labels, note) in sets.items()
        },
    }  # fmt: skip


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average one layer's row over the seeds, to four digits."""
    numbers = [key for key in rows[0] if key != "layer"]
    means = {key: float(f"{np.mean([row[key] for row in rows]):.4g}") for key in numbers}
    return {"layer": rows[0]["layer"], **means}


def _initialization_lines(record: Mapping[str, Any]) -> str:
    lines = ["The logits' standard deviation across images; conv1's gradient over its weights:"]
    for name, measured in record["pictures"].items():
        lines.append(f"{name} ({measured['note']})")
        for setting, rows in measured["layers"].items():
            logits, gradient = rows[-1]["across_images"], rows[0]["gradient_over_weight"]
            about = record["initializations"][setting]
            lines.append(f"  {logits:<10.3g} {gradient:<10.3g} {about}")
    return "\n".join(lines)


# ReLU against tanh, in a module of its own


def _relu(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return relu_race.relu_race(small, seeds, _unfinished("relu"), say)


def _layer_costs(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return layer_costs.run(small, say)


def _shipped_network(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return low_rank_classifier.ship(small, say)


def _shipped_sentence(record: Mapping[str, Any]) -> str:
    return (
        f"The network that ships names {record['top1']:.1%} of {record['val_images']:,} photos "
        f"({record['data_note']}) rightly, {record['top5']:.1%} with five guesses, centre crop; "
        f"its fully connected layers, of rank {record['rank']}, take "
        f"{record['stored_bytes'] / 1e6:.1f} MB."
    )


def _relu_wide(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return relu_race.relu_race(small, seeds, _unfinished("relu_wide"), say, relu_race.WIDE)


def _overfitting(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return overfitting.run(small, seeds, _unfinished("overfitting"), say)


def _figure1(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return figure1.experiment(small, seeds, _unfinished("figure1"), say)


def _cifar_claims(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return cifar_claims.experiment(small, seeds, _unfinished("cifar_claims"), say)


# The clinic, in a module of its own


def _clinic(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    return faulty_training.run(small, seeds, _unfinished("clinic"), say)


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "lrn_ablation",
            "Does local response normalization lower the test error of a small network?",
            15, (0, 1, 2, 3, 4), _lrn_ablation, _lrn_sentence,
        ),
        Experiment(
            "pooling",
            "Do overlapping pooling windows lower the test error of a small network?",
            30, (0, 1, 2, 3, 4), pooling_experiment.run, pooling_experiment.sentence,
        ),
        Experiment(
            "initialization",
            "How much of a picture reaches the last layer before any training?",
            6, (0, 1), _initialization, _initialization_lines,
        ),
        Experiment(
            "relu",
            "How many epochs do ReLU and tanh need to the same training error?",
            35, (0, 1, 2), _relu, relu_race.relu_sentence,
        ),
        Experiment(
            "layer_costs",
            "How does each layer's time compare with its arithmetic?",
            1, (0,), _layer_costs, layer_costs.sentence,
        ),
        Experiment(
            "lrn_cifar10",
            "And on CIFAR-10, does LRN lower the test error of a small network?",
            4, (0, 1, 2), _lrn_cifar10, _lrn_sentence,
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
            60, (0, 1), _relu_wide, relu_race.relu_sentence,
        ),
        Experiment(
            "shipped_network",
            "How often is the network that ships right, on photos that it has never seen?",
            15, (0,), _shipped_network, _shipped_sentence,
        ),
        Experiment(
            "features",
            "How do pixels, features made by hand and learned features fare with more pictures?",
            20, (0, 1, 2), hand_made_features.run, hand_made_features.sentence,
        ),
        Experiment(
            "overfitting",
            "What keeps a network with many weights from learning few pictures by heart?",
            25, (0, 1, 2, 3, 4), _overfitting, overfitting.sentence,
        ),
        Experiment(
            "clinic",
            "What do the signals, gradients and updates of AlexNet look like, fault by fault?",
            15, (0,), _clinic, faulty_training.sentence,
        ),
        Experiment(
            "weight_decay",
            "Does a weight decay of .0005 lower the training error of a small network?",
            4, (0, 1, 2, 3, 4), weight_decay.run, weight_decay.sentence,
        ),
        Experiment(
            "figure1",
            "Does ReLU need a sixth of tanh's epochs, with the network and the input of 2011?",
            2500, (0, 1, 2, 3, 4), _figure1, figure1.sentence,
        ),
        Experiment(
            "cifar_claims",
            "What are the paper's ideas worth on CIFAR-10, each arm at its own best rate?",
            5000, (0, 1, 2, 3, 4), _cifar_claims, cifar_claims.sentence,
        ),
    )
}  # fmt: skip
