"""With and without weight decay: does it lower the training error, as the paper says?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import architectures, datasets
from . import arms as arms_experiment

__all__ = ["DECAYS", "run", "sentence"]

DECAYS = {"without decay": 0.0, "decay .0005": 5e-4}  # the second is the paper's [P §5]
WITHOUT, WITH = DECAYS
CHANNELS = (16, 16, 32)
RATES = (0.0005, 0.001, 0.002, 0.004, 0.008)
SMALL_RATE = 0.004


def run(small: bool, seeds: tuple[int, ...], say: Callable[[str], None]) -> dict[str, Any]:
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
    spec = architectures.small_network(size, colours, 10, CHANNELS)
    arms = dict.fromkeys(DECAYS, spec)
    changes = {arm: {"weight_decay": decay} for arm, decay in DECAYS.items()}
    epochs = 2 if small else 12
    search: dict[str, Any] = {
        "best": dict.fromkeys(DECAYS, SMALL_RATE), "note": "not searched in the small version",
    }  # fmt: skip
    if not small:
        search = arms_experiment.search_rates(
            arms, RATES, train, epochs=5, held_out=600, say=say, changes=changes
        )
    compared = arms_experiment.compare_arms(
        arms, search["best"], seeds, epochs, train, test, say, changes
    )
    learned = {
        arm: np.array([one["train_error_after"] for one in compared["arms"][arm]["runs"]])
        for arm in DECAYS
    }
    each = learned[WITH] - learned[WITHOUT]
    return {
        "network": f"small_network, {CHANNELS} kernels of 5 x 5",
        "data": train.name, "data_note": train.note,
        "train_images": len(train), "test_images": len(test), "epochs": epochs,
        "recipe": arms_experiment.RECIPE, "decays": DECAYS, "search": search, **compared,
        "training_differences": {
            f"{WITH} minus {WITHOUT}": {
                "each": each.round(4).tolist(), **arms_experiment.spread("difference", each),
            },
        },
        "paper": "this small amount isn't merely a regularizer: it reduces the training error "
        "[P §5]",
    }  # fmt: skip


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record found: training and test errors, and the differences."""
    count = len(record["seeds"])
    lines = [
        f"After {record['epochs']} epochs on {record['train_images']:,} pictures "
        f"(of: {record['data_note']}); {count} {'seed' if count == 1 else 'seeds'}; errors in %:"
    ]
    for name, arm in record["arms"].items():
        learned = _percent(arm["train_error_after_mean"], arm["train_error_after_std"])
        tested = _percent(arm["final_test_error_mean"], arm["final_test_error_std"])
        lines.append(f"  {name:14} train {learned}, test {tested}  (rate {arm['rate']:g})")
    rates = ", ".join(f"{rate:g}" for rate in record["search"].get("rates", ()))
    if rates:
        lines.append(f"each with the best of the rates {rates}")
    for what, key in (("training", "training_differences"), ("test", "differences")):
        for name, gap in record[key].items():
            std = gap["difference_std"]
            spread = "" if std is None else f", standard deviation {100 * std:.1f}"
            mean = 100 * gap["difference_mean"]
            lines.append(f"{name}, {what} error: {mean:+.1f} points{spread}")
    return "\n".join(lines)


def _percent(mean: float, std: float | None) -> str:
    return f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")
