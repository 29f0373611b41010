"""With and without local response normalization: a small network, on what ships and on CIFAR-10."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import architectures, datasets
from ..architectures import LayerSpec
from . import paper_claims
from .arms import RECIPE, Say, ablation, points, seeds_in_words, setting

__all__ = ["LRN", "run", "run_cifar10", "sentence"]

LRN = LayerSpec("lrn", "lrn", size=5, alpha=1e-4, beta=0.75, k=2.0, convention="paper")
CHANNELS = (16, 16, 32)
NETWORK = f"small_network, {CHANNELS} kernels of 5 x 5"
LRS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008)
SMALL_LRS = {"without LRN": 0.002, "rescaled only": 0.004, "with LRN": 0.004}  # as searched


def run(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train the small network without LRN, with it, and with its constant factor alone.

    While neighbours are weak LRN multiplies everything by k ** -beta = .59, which by itself lets
    a network bear a higher rate. With alpha at 0 that is all it does: a control.
    """
    lrns = {"without LRN": None, "rescaled only": replace(LRN, alpha=0.0), "with LRN": LRN}
    arms = {
        name: architectures.small_network(channels=CHANNELS, lrn=lrn) for name, lrn in lrns.items()
    }
    train = datasets.load("fashion_mnist", "train", limit=1500 if small else None)
    test = datasets.load("fashion_mnist", "test", limit=500 if small else None)
    epochs, given = (2, SMALL_LRS) if small else (5, None)
    compared = ablation(arms, train, test, seeds, epochs, lrs=LRS, given=given, say=say)
    printed = paper_claims.by_key("lrn").values
    return {
        "network": NETWORK, **setting(train, test, epochs),
        "data_note": f"{train.note}; {test.note}", "recipe": RECIPE, **compared,
        "paper": f"-{printed['top1_points']:g} points top-1 and -{printed['top5_points']:g} top-5 "
        f"on ImageNet; {_on_cifar10()}",
    }  # fmt: skip


def run_cifar10(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train the small network, four layers with weights, on CIFAR-10 without LRN and with it."""
    name = "fashion_mnist" if small else "cifar10"
    train = datasets.load(name, "train", size=32, limit=600 if small else 3000)
    test = datasets.load(name, "test", size=32, limit=300 if small else 2000)
    arms = {
        name: architectures.small_network(32, train.images.shape[3], channels=CHANNELS, lrn=lrn)
        for name, lrn in (("without LRN", None), ("with LRN", LRN))
    }
    epochs, given = (1, SMALL_LRS) if small else (12, None)
    compared = ablation(arms, train, test, seeds, epochs, lrs=LRS[1:4], given=given,
                        search_epochs=4, held_out=800, say=say)  # fmt: skip
    return {
        "network": NETWORK, **setting(train, test, epochs), "recipe": RECIPE, **compared,
        "paper": _on_cifar10(),
    }  # fmt: skip


def _on_cifar10() -> str:
    printed = paper_claims.by_key("lrn_cifar10").values
    without, with_lrn = printed["without_error_percent"], printed["with_error_percent"]
    return f"on CIFAR-10 from {without:g}% to {with_lrn:g}% [P §3.3]"


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record found: each arm's test error, and the differences."""
    lines = [
        f"Test error after {record['epochs']} epochs on {record['train_images']:,} images, "
        f"{seeds_in_words(record['seeds'])}:"
    ]
    for name, arm in record["arms"].items():
        error = 100 * arm["final_test_error_mean"]
        lines.append(f"  {name:<13}  {error:.2f}%  (rate {arm['rate']:g})")
    lines += [f"{name}: {points(gap, 2)}" for name, gap in record["differences"].items()]
    return "\n".join(lines)
