"""Windows apart and windows that overlap: the same small network, pooled in three ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import architectures, datasets, shapes
from ..architectures import NetworkSpec
from ..datasets import ImageSet
from . import paper_claims
from .arms import (
    RECIPE,
    Say,
    ablation,
    differences,
    percent,
    points,
    seeds_in_words,
    setting,
    spread,
)

__all__ = ["ARMS", "networks_to_compare", "run", "sentence"]

ARMS = {"z=2, s=2": (2, 2), "z=3, s=3": (3, 3), "z=3, s=2": (3, 2)}  # window, stride
APART, OVERLAPPING = "z=2, s=2", "z=3, s=2"  # the two that the paper compares
SIDE = 32  # pixels: under ceil z=2 s=2 and z=3 s=2 then give maps of the same sizes
CHANNELS = (16, 16, 32)
LRS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.006)
SMALL_LRS = dict.fromkeys(ARMS, 0.003)


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


def run(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train the three networks, each at its own rate, once a seed; return what was measured.

    same_rate: the overlapping arm once more at the rate of z=2, s=2, where its own is another.
    """
    train, test = _images(small)
    arms = networks_to_compare(train.images.shape[3])
    epochs, given = (3, SMALL_LRS) if small else (50, None)
    compared = ablation(arms, train, test, seeds, epochs, lrs=LRS, given=given,
                        search_epochs=30, held_out=800, say=say)  # fmt: skip
    best, same_rate = compared["search"]["best"], None
    if best[OVERLAPPING] != best[APART]:  # a lower rate alone raises the training error
        arm, lr = {OVERLAPPING: arms[OVERLAPPING]}, {OVERLAPPING: best[APART]}
        control = ablation(arm, train, test, seeds, epochs, lrs=LRS, given=lr, say=say)
        same_rate = control["arms"][OVERLAPPING]
    gaps = {
        name: np.array([run["test_error"][-1] - run["train_error_after"] for run in arm["runs"]])
        for name, arm in compared["arms"].items()
    }
    overfitting = {
        "arms": {name: spread("gap", values) for name, values in gaps.items()},
        "differences": differences(gaps),
    }
    printed = paper_claims.by_key("overlapping_pooling").values
    return {
        "network": f"small_network, {CHANNELS} kernels of 5 x 5, pooling with ceil",
        "maps": {name: _maps(spec) for name, spec in arms.items()},
        "parameters": {name: shapes.totals(spec).parameters for name, spec in arms.items()},
        **setting(train, test, epochs), "recipe": RECIPE, **compared, "overfitting": overfitting,
        "same_rate": same_rate,
        "paper": f"{OVERLAPPING} against {APART}: -{printed['top1_points']:g} points top-1 and "
        f"-{printed['top5_points']:g} top-5 [P §3.4]",
    }  # fmt: skip


def _maps(spec: NetworkSpec) -> list[int]:
    return [row.output[1] for row in shapes.walk(spec) if row.kind == "max_pool"]


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record found: errors, spread, and what overlap changed."""
    lines = [
        f"After {record['epochs']} epochs on {record['train_images']:,} images from "
        f"{record['data_note']}; {seeds_in_words(record['seeds'])}; errors in %:",
        f"  {'':9} {'train':>14} {'test':>14} {'test - train':>13}   maps      parameters",
    ]
    for name, arm in record["arms"].items():
        gap = record["overfitting"]["arms"][name]["gap_mean"]
        maps = ", ".join(map(str, record["maps"][name]))
        lines.append(
            f"  {name:9} {percent(arm, 'train_error_after'):>14} "
            f"{percent(arm, 'final_test_error'):>14} {100 * gap:>13.1f}   {maps:<9} "
            f"{record['parameters'][name]:,}  (rate {arm['rate']:g})"
        )
    for name, gap in record["differences"].items():
        lines.append(f"{name}: test error {points(gap)}")
    control = record["same_rate"]
    if control is not None:
        learned, tested = (
            percent(control, what) for what in ("train_error_after", "final_test_error")
        )
        lines.append(f"{OVERLAPPING} at rate {control['rate']:g}: train {learned}, test {tested}")
    return "\n".join(lines)
