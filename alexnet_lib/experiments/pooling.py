"""Windows apart and windows that overlap: the same small network, pooled in three ways."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import architectures, datasets, shapes
from ..architectures import NetworkSpec
from ..datasets import ImageSet
from . import arms as arms_experiment

__all__ = ["ARMS", "networks_to_compare", "run", "sentence"]

ARMS = {"z=2, s=2": (2, 2), "z=3, s=3": (3, 3), "z=3, s=2": (3, 2)}  # window, stride
APART, OVERLAPPING = "z=2, s=2", "z=3, s=2"  # the two that the paper compares
SIDE = 32  # pixels: under ceil z=2 s=2 and z=3 s=2 then give maps of the same sizes
CHANNELS = (16, 16, 32)
RATES = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.006)
SMALL_RATES = dict.fromkeys(ARMS, 0.003)


def networks_to_compare(input_channels: int) -> dict[str, NetworkSpec]:
    """Return the three networks by arm.

    They pool with ceil, as in 2012 [S layer.py:1004]: then s=2 gives maps of 16, 8 and 4 with
    either window, and the fully connected layers are equal. With s=3 the maps are 11, 4 and 2.
    """
    arms = {}
    for name, (kernel, stride) in ARMS.items():
        spec = architectures.small_network(
            SIDE, input_channels, channels=CHANNELS, pool_kernel=kernel, pool_stride=stride
        )
        layers = tuple(
            replace(layer, rounding="ceil") if layer.kind == "max_pool" else layer
            for layer in spec.layers
        )
        arms[name] = replace(spec, layers=layers)
    return arms


def _images(small: bool) -> tuple[ImageSet, ImageSet]:
    """Return training and test images: CIFAR-10, in the small version what ships."""
    name, train, test = ("fashion_mnist", 1500, 500) if small else ("cifar10", 3000, 4000)
    return (
        datasets.load(name, "train", size=SIDE, limit=train),
        datasets.load(name, "test", size=SIDE, limit=test),
    )


def run(small: bool, seeds: tuple[int, ...], say: Callable[[str], None]) -> dict[str, Any]:
    """Train the three networks, each at its own rate, once a seed; return what was measured.

    same_rate: the overlapping arm once more at the rate of z=2, s=2, where its own is another.
    """
    train, test = _images(small)
    arms = networks_to_compare(train.images.shape[3])
    epochs = 3 if small else 50
    search: dict[str, Any] = {"best": SMALL_RATES, "note": "not searched in the small version"}
    if not small:
        search = arms_experiment.search_rates(arms, RATES, train, epochs=30, held_out=800, say=say)
    compared = arms_experiment.compare_arms(arms, search["best"], seeds, epochs, train, test, say)
    same_rate = None
    rate = search["best"][APART]
    if search["best"][OVERLAPPING] != rate:  # a lower rate alone raises the training error
        arm, rates = {OVERLAPPING: arms[OVERLAPPING]}, {OVERLAPPING: rate}
        control = arms_experiment.compare_arms(arm, rates, seeds, epochs, train, test, say)
        same_rate = control["arms"][OVERLAPPING]
    return {
        "network": f"small_network, {CHANNELS} kernels of 5 x 5, pooling with ceil",
        "maps": {name: _maps(spec) for name, spec in arms.items()},
        "parameters": {name: shapes.totals(spec).parameters for name, spec in arms.items()},
        "data": train.name, "data_note": train.note,
        "train_images": len(train), "test_images": len(test), "epochs": epochs,
        "recipe": arms_experiment.RECIPE, "search": search, **compared,
        "overfitting": _overfitting(compared["arms"]), "same_rate": same_rate,
        "paper": "z=3, s=2 against z=2, s=2: -0.4 points top-1 and -0.3 top-5 [P §3.4]",
    }  # fmt: skip


def _maps(spec: NetworkSpec) -> list[int]:
    return [row.output[1] for row in shapes.walk(spec) if row.kind == "max_pool"]


def _overfitting(arms: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last test error minus the last training error, by arm, and its differences."""
    each = {
        name: np.array([run["test_error"][-1] - run["train_error_after"] for run in arm["runs"]])
        for name, arm in arms.items()
    }
    differences = {
        f"{other} minus {one}": arms_experiment.spread("difference", each[other] - each[one])
        for one, other in itertools.combinations(each, 2)
    }
    return {
        "arms": {name: arms_experiment.spread("gap", values) for name, values in each.items()},
        "differences": differences,
    }


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record found: errors, spread, and what overlap changed."""
    count = len(record["seeds"])
    lines = [
        f"After {record['epochs']} epochs on {record['train_images']:,} images from "
        f"{record['data_note']}; {count} {'seed' if count == 1 else 'seeds'}; errors in %:",
        f"  {'':9} {'train':>14} {'test':>14} {'test - train':>13}   maps      parameters",
    ]
    for name, arm in record["arms"].items():
        gap = record["overfitting"]["arms"][name]
        cells = [
            _percent(arm["train_error_after_mean"], arm["train_error_after_std"]),
            _percent(arm["final_test_error_mean"], arm["final_test_error_std"]),
            _percent(gap["gap_mean"], None),
        ]
        maps = ", ".join(map(str, record["maps"][name]))
        lines.append(
            f"  {name:9} {cells[0]:>14} {cells[1]:>14} {cells[2]:>13}   {maps:<9} "
            f"{record['parameters'][name]:,}  (rate {arm['rate']:g})"
        )
    for name, gap in record["differences"].items():
        lines.append(f"{name}: test error {_points(gap)}")
    control = record["same_rate"]
    if control is not None:
        learned = _percent(control["train_error_after_mean"], control["train_error_after_std"])
        tested = _percent(control["final_test_error_mean"], control["final_test_error_std"])
        lines.append(f"{OVERLAPPING} at rate {control['rate']:g}: train {learned}, test {tested}")
    return "\n".join(lines)


def _percent(mean: float, std: float | None) -> str:
    return f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


def _points(gap: Mapping[str, Any]) -> str:
    std = gap["difference_std"]
    spread = "" if std is None else f", standard deviation {100 * std:.1f}"
    return f"{100 * gap['difference_mean']:+.1f} points{spread}"
