"""With and without weight decay: does it lower the training error, as the paper says?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import architectures, datasets
from . import paper_claims
from .arms import RECIPE, Say, ablation, differences, percent, points, seeds_in_words, setting

__all__ = ["DECAYS", "run", "sentence"]

DECAYS = {
    "without decay": 0.0, "decay .0005": paper_claims.by_key("weight_decay").values["weight_decay"],
}  # fmt: skip
CHANNELS = (16, 16, 32)
LRS = (0.0005, 0.001, 0.002, 0.004, 0.008)
SMALL_LRS = dict.fromkeys(DECAYS, 0.004)


def run(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train a small network with and without decay, each at its own rate, once a seed.

    Of the results `train_error_after`, the finished network's error on all its training images
    without mirroring, is what the paper's sentence is about; `training_differences` holds it
    seed by seed. On Fashion-MNIST, which ships.
    """
    limits = (1500, 500) if small else (3000, 2000)
    train, test = (
        datasets.load("fashion_mnist", split, limit=limit)
        for split, limit in zip(("train", "test"), limits, strict=True)
    )
    size, colours = train.images.shape[2:]
    arms = dict.fromkeys(DECAYS, architectures.small_network(size, colours, 10, CHANNELS))
    epochs, given = (2, SMALL_LRS) if small else (12, None)
    compared = ablation(
        arms, train, test, seeds, epochs, lrs=LRS, given=given, search_epochs=5, held_out=600,
        changes={arm: {"weight_decay": decay} for arm, decay in DECAYS.items()}, say=say,
    )
    learned = {
        name: np.array([one["train_error_after"] for one in arm["runs"]])
        for name, arm in compared["arms"].items()
    }
    return {
        "network": f"small_network, {CHANNELS} kernels of 5 x 5",
        **setting(train, test, epochs), "recipe": RECIPE, "decays": DECAYS, **compared,
        "training_differences": differences(learned),
        "paper": "this small amount isn't merely a regularizer: it reduces the training error "
        "[P §5]",
    }  # fmt: skip


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record found: training and test errors, and the differences."""
    lines = [
        f"After {record['epochs']} epochs on {record['train_images']:,} pictures "
        f"(of: {record['data_note']}); {seeds_in_words(record['seeds'])}; errors in %:"
    ]
    for name, arm in record["arms"].items():
        learned, tested = percent(arm, "train_error_after"), percent(arm, "final_test_error")
        lines.append(f"  {name:14} train {learned}, test {tested}  (rate {arm['rate']:g})")
    lrs = ", ".join(f"{lr:g}" for lr in record["search"].get("rates", ()))
    if lrs:
        lines.append(f"each with the best of the rates {lrs}")
    for what, key in (("training", "training_differences"), ("test", "differences")):
        lines += [f"{name}, {what} error: {points(gap)}" for name, gap in record[key].items()]
    return "\n".join(lines)
