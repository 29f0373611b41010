"""Small networks that differ in one thing, compared fairly: paired by seed, each at its best rate.

For a seed every arm starts from the same weights, as far as the arms have the same layers, and
sees the same images in the same order, so that differences mean more than either error does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .. import augment, models, training
from ..architectures import NetworkSpec
from ..datasets import ImageSet
from ..paper import Recipe

__all__ = [
    "GAINS", "RECIPE", "compare_arms", "lrn_factors", "lrn_factors_of", "search_rates", "spread",
    "train_arm",
]

Say = Callable[[str], None]

SEARCH_SEED = 1000  # not among the seeds that are compared
# AlexNet's own initial gain of each layer, std * sqrt(fan-in), carried over by fan-in [P §5].
GAINS = {
    "conv1": 0.01 * 363**0.5,
    "conv2": 0.01 * 1200**0.5,
    "conv3": 0.01 * 2304**0.5,
    "fc": 0.01 * 4096**0.5,
}
RECIPE = (
    "batch 64, momentum .9, decay .0005; the rate divided by 10 after 60% and again after 85% of "
    "the run; every second image or so mirrored; AlexNet's initial gains, biases 0"
)


def _recipe(net: models.Net, rate: float) -> Recipe:
    std = {name: gain / net.stage(name).weight[0].numel() ** 0.5 for name, gain in GAINS.items()}
    return Recipe(
        "small_network", batch_size=64, rate=rate, schedule="step", milestones=(0.6, 0.85),
        weight_std=std, biases=dict.fromkeys(std, 0.0), colour_noise=0.0,
        source=RECIPE,
    )


def train_arm(
    spec: NetworkSpec, rate: float, seed: int, epochs: int, train: ImageSet, test: ImageSet,
    changes: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], models.Net]:
    """Train a `architectures.small_network` once; returns its results and the network.

    rate: the learning rate. changes: fields of the Recipe that this arm has otherwise. The
    results hold train_error and test_error, shares from 0 to 1 after each epoch, and `diverged`:
    a loss that isn't finite counts as an error of 1 from there on.
    """
    net = models.Net(spec)
    rows: list[dict[str, float]] = []
    diverged = False
    try:
        training.fit(
            net, train, test, replace(_recipe(net, rate), **(changes or {})), epochs=epochs,
            seed=seed,
            on_epoch=lambda run: rows.append(run.epochs[-1]),
        )
    except ValueError as error:
        if "the loss is" not in str(error):
            raise
        diverged = True
    missing = [1.0] * (epochs - len(rows))
    results = {
        "seed": seed,
        "train_error": [round(1 - row["train_top1"], 4) for row in rows] + missing,
        "test_error": [round(1 - row["val_top1"], 4) for row in rows] + missing,
        "diverged": diverged,
    }
    return results, net


def search_rates(
    arms: Mapping[str, NetworkSpec], rates: Sequence[float], train: ImageSet,
    epochs: int = 2, held_out: int = 1000, say: Say = lambda text: None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Choose each arm's rate from one list, by the error on training images kept aside.

    changes: arm -> fields of the Recipe that it has otherwise.

    Returns rates, held_out_error (arm -> one error a rate) and best (arm -> rate).
    """
    order = np.random.default_rng(SEARCH_SEED).permutation(len(train))
    kept, rest = (train.subset(np.sort(part)) for part in (order[:held_out], order[held_out:]))
    errors: dict[str, list[float]] = {arm: [] for arm in arms}
    for rate in rates:
        for arm, spec in arms.items():
            say(f"choosing the rate: {rate:g}, {arm}")
            other = (changes or {}).get(arm)
            results, _ = train_arm(spec, rate, SEARCH_SEED, epochs, rest, kept, other)
            errors[arm].append(results["test_error"][-1])
    return {
        "rates": list(rates), "epochs": epochs, "seed": SEARCH_SEED, "held_out_images": len(kept),
        "held_out_error": errors,
        "best": {arm: rates[int(np.argmin(values))] for arm, values in errors.items()},
    }


def compare_arms(
    arms: Mapping[str, NetworkSpec], rates: Mapping[str, float], seeds: Sequence[int], epochs: int,
    train: ImageSet, test: ImageSet, say: Say = lambda text: None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Train every arm at its rate once a seed; changes as in `search_rates`.

    Returns arms: name -> rate, runs (one a seed, see `train_arm`, with `train_error_after`, of the
    finished network on the training images, and `lrn_factor` from `lrn_factors`), mean and std of
    final_test_error and train_error_after; and differences: "B minus A" -> each, mean and std of
    the difference between two arms' final test errors, seed by seed.
    """
    results: dict[str, Any] = {}
    final: dict[str, np.ndarray] = {}
    for arm, spec in arms.items():
        runs = []
        for seed in seeds:
            say(f"{arm}, seed {seed}")
            own = (changes or {}).get(arm)
            run, net = train_arm(spec, rates[arm], seed, epochs, train, test, own)
            after = training.evaluate(net, train, augment.mean_image(train.images))
            learned = 1.0 if run["diverged"] else round(1 - after["top1"], 4)
            runs.append(
                run | {"train_error_after": learned, "lrn_factor": lrn_factors(net, test)}
            )
        final[arm] = np.array([run["test_error"][-1] for run in runs])
        measured = spread("final_test_error", final[arm])
        measured |= spread("train_error_after", [run["train_error_after"] for run in runs])
        results[arm] = {"rate": rates[arm], "runs": runs, **measured}
    differences = {}
    for one, other in itertools.combinations(arms, 2):
        each = final[other] - final[one]
        measured = {"each": each.round(4).tolist(), **spread("difference", each)}
        differences[f"{other} minus {one}"] = measured
    return {"arms": results, "differences": differences}


def spread(name: str, values: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    """Return {name}_mean and {name}_std, the sample standard deviation, None for one value."""
    values = np.asarray(values, dtype=np.float64)
    std = round(float(values.std(ddof=1)), 5) if len(values) > 1 else None
    return {f"{name}_mean": round(float(values.mean()), 5), f"{name}_std": std}


def lrn_factors(net: models.Net, images: ImageSet) -> dict[str, list[float]]:
    """Return what each LRN multiplies the active units by: 5%, 50% and 95% quantile.

    With k = 2 and beta = .75 a factor of .59 says that it only rescales; less, that neighbours
    are active enough to count. Empty for a network without LRN.
    """
    pictures = torch.from_numpy(np.array(images.images[:200]))
    return lrn_factors_of(net, augment.to_input(pictures, augment.mean_image(images.images)))


@torch.no_grad()
def lrn_factors_of(net: models.Net, x: torch.Tensor) -> dict[str, list[float]]:
    """Return the same over prepared inputs, (N, C, H, W)."""
    factors: dict[str, list[float]] = {}
    net.eval()
    for name, module in net.features.named_children():
        before, x = x, module(x)
        if isinstance(module, models.LRN):
            active = before > 0
            shares = (x[active] / before[active]).cpu().numpy()
            quantiles = np.quantile(shares, [0.05, 0.5, 0.95]) if len(shares) else [1.0] * 3
            factors[name] = [round(float(value), 4) for value in quantiles]
    return factors
