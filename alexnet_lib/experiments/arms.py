"""Networks that differ in one thing, compared fairly: paired by seed, each at its best rate.

For a seed every arm starts from the same weights, as far as the arms have the same layers, and
sees the same images in the same order, so that differences mean more than either error does.

What the experiments share: one loop for those that `training.fit` doesn't fit, one search of
rates, one comparison of arms over seeds, finished runs kept in a file, and words for results.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import augment, models, records, training
from ..architectures import NetworkSpec
from ..batches import Batches, random_seed
from ..datasets import ImageSet
from ..paper import Recipe

__all__ = [
    "GAINS", "NOT_SEARCHED", "RECIPE", "SEARCH_SEED", "Inputs", "ResultCache", "Say", "ablation",
    "aside", "compare", "differences", "epochs_to", "lrn_factors", "lrn_factors_of", "percent",
    "points", "run_arms", "search_held_out", "search_lrs", "seeds_in_words", "setting", "spread",
    "take_step", "train_arm", "train_epoch", "unfinished",
]

Say = Callable[[str], None]
Results = dict[str, Any]
Work = Callable[[str, float, int, Say], Results]  # of an arm, its learning rate, a seed

SEARCH_SEED = 1000  # not among the seeds that are compared
NOT_SEARCHED = "not searched in the small version"
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


def unfinished(name: str) -> Path:
    """Return the file in which an experiment that takes long keeps what is done so far."""
    return records.root() / "runs" / "experiments" / f"{name}.json"


class ResultCache:
    """Finished results in a JSON file, so that an experiment that was stopped can go on.

    path: the file, such as `unfinished` names it, or None to keep nothing. settings: everything
    that the results depend on; results kept under other settings are dropped.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, dict(settings)
        self.results: dict[str, Results] = {}
        if path is not None and path.exists():
            before = records.read(path)
            if before["settings"] == self.settings:
                self.results = before.get("results", {})

    def get(self, key: str, work: Callable[[], Results]) -> Results:
        """Return what is kept under `key`, or work it out now and keep it."""
        if key not in self.results:
            self.results[key] = work()
            if self.path is not None:
                records.write(self.path, {"settings": self.settings, "results": self.results})
        return self.results[key]


# One loop


def take_step(
    net: models.Net, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
) -> float:
    """Learn from one batch: x (N, C, H, W), labels y (N,). Returns its loss before the update.

    A loss that isn't finite is returned, and nothing is learned from it.
    """
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(net(x), y)
    if torch.isfinite(loss):
        loss.backward()
        optimizer.step()
    return loss.item()


def train_epoch(
    net: models.Net, batches: Batches, epoch: int, optimizer: torch.optim.Optimizer,
    scale: float = 1.0, lr_at: Callable[[int, int], float] | None = None,
) -> list[float]:
    """Train for one epoch, or until a loss isn't finite; returns the loss of each step.

    scale: what pixels are divided by. lr_at: the rate by epoch and step; by default the
    optimizer's own. Masks of dropout depend on the seed of the batches, epoch and step.
    """
    losses = []
    for step, (x, y) in enumerate(batches.epoch(epoch)):
        if lr_at is not None:
            for group in optimizer.param_groups:
                group["lr"] = lr_at(epoch, step)
        torch.manual_seed(random_seed("dropout", batches.seed, epoch, step))
        losses.append(take_step(net, optimizer, x / scale, y))
        if not np.isfinite(losses[-1]):
            break
    return losses


class Inputs:
    """Pictures ready to be measured: their centre crops as a network takes them, and labels.

    images: an ImageSet. side: of the crops, pixels. mean: of the training images. scale: what
    pixels are divided by, by default the standard deviation of these inputs; see `scale`.
    """

    def __init__(
        self, images: ImageSet, side: int, mean: torch.Tensor, scale: float | None = None
    ) -> None:
        crops = augment.centre_crop(torch.from_numpy(np.array(images.images)), side)
        inputs = augment.to_input(crops, mean)
        self.scale = inputs.std().item() if scale is None else scale
        self.inputs = inputs / self.scale  # (N, C, H, W)
        self.labels = torch.from_numpy(np.array(images.labels))

    @torch.no_grad()
    def error_and_loss(self, net: models.Net) -> tuple[float, float]:
        """Return the share of wrong answers and the mean cross-entropy."""
        net.eval()
        wrong, loss = 0, 0.0
        for x, y in zip(self.inputs.split(256), self.labels.split(256), strict=True):
            logits = net(x)
            wrong += int((logits.argmax(1) != y).sum())
            loss += F.cross_entropy(logits, y, reduction="sum").item()
        net.train()
        return wrong / len(self.labels), loss / len(self.labels)


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


# One search of learning rates, one comparison


def search_lrs(
    arms: Iterable[str], lrs: Iterable[float], work: Work,
    score: Callable[[str, Results], Any], cache: ResultCache, say: Say,
) -> dict[str, tuple[float, dict[float, Results]]]:
    """Try rates for each arm: arm -> the one whose score is least, and rate -> its results.

    lrs: in the order in which they are tried; of equals the first is best. work: trains an arm
    once. score: of an arm and its results, asked as soon as they are there. cache: keeps them.
    """
    found = {}
    for arm in arms:
        results, scores = {}, {}
        for lr in lrs:
            told = _prefixed(say, f"{arm}, choosing the rate: {lr:g}, ")
            once = _once(work, arm, lr, SEARCH_SEED, told)
            results[lr] = cache.get(f"{arm}, rate {lr:g}, search", once)
            scores[lr] = score(arm, results[lr])
        found[arm] = min(scores, key=scores.get), results
    return found


def aside(train: ImageSet, held_out: int) -> tuple[ImageSet, ImageSet]:
    """Return so many training images that are kept aside for the search, and the others."""
    order = np.random.default_rng(SEARCH_SEED).permutation(len(train))
    kept, rest = (train.subset(np.sort(part)) for part in (order[:held_out], order[held_out:]))
    return kept, rest


def search_held_out(
    arms: Iterable[str], lrs: Sequence[float], epochs: int, held_out: int, work: Work,
    cache: ResultCache, say: Say,
) -> dict[str, Any]:
    """Choose each arm's rate from one list, by the error on training images kept aside.

    work: trains an arm on the other images; its last `test_error` is the one on those of `aside`.
    Returns rates, held_out_error (arm -> one error a rate) and best (arm -> rate).
    """
    def score(arm: str, results: Results) -> float:
        return results["test_error"][-1]

    found = search_lrs(arms, lrs, work, score, cache, say)
    errors = {
        arm: [score(arm, results[lr]) for lr in lrs] for arm, (_, results) in found.items()
    }
    return {
        "rates": list(lrs), "epochs": epochs, "seed": SEARCH_SEED, "held_out_images": held_out,
        "held_out_error": errors, "best": {arm: best for arm, (best, _) in found.items()},
    }  # fmt: skip


def run_arms(
    arms: Iterable[str], lrs: Mapping[str, float], seeds: Sequence[int], work: Work,
    cache: ResultCache, say: Say,
) -> dict[str, list[Results]]:
    """Train every arm once a seed, at its rate: arm -> one result a seed."""
    runs: dict[str, list[Results]] = {}
    for arm in arms:
        runs[arm] = []
        for seed in seeds:
            once = _once(work, arm, lrs[arm], seed, _prefixed(say, f"{arm}, seed {seed}, "))
            runs[arm].append(cache.get(f"{arm}, rate {lrs[arm]:g}, seed {seed}", once))
    return runs


def _once(work: Work, arm: str, lr: float, seed: int, say: Say) -> Callable[[], Results]:
    def once() -> Results:
        say("")
        return work(arm, lr, seed, say)

    return once


def _prefixed(say: Say, prefix: str) -> Say:
    return lambda text: say(prefix + text if text else prefix.removesuffix(", "))


def compare(
    runs: Mapping[str, Sequence[Results]], lrs: Mapping[str, float],
    measures: Mapping[str, Callable[[Results], float]],
) -> dict[str, Any]:
    """Return what a record keeps of a comparison.

    runs: arm -> one result a seed. measures: name -> a number of a result; `final_test_error` is
    among them. Returns arms: name -> rate, runs, mean and std of each measure; and differences: of
    the final test errors, see `differences`.
    """
    values = {
        arm: {name: np.array([measure(run) for run in each]) for name, measure in measures.items()}
        for arm, each in runs.items()
    }
    arms: dict[str, Any] = {}
    for arm, each in runs.items():
        arms[arm] = {"rate": lrs[arm], "runs": list(each)}
        for name in measures:
            arms[arm] |= spread(name, values[arm][name])
    final = {arm: found["final_test_error"] for arm, found in values.items()}
    return {"arms": arms, "differences": differences(final)}


def differences(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return "B minus A" -> each, mean and std of the difference between two arms, seed by seed.

    values: arm -> (S,) one number a seed.
    """
    found = {}
    for one, other in itertools.combinations(values, 2):
        each = values[other] - values[one]
        found[f"{other} minus {one}"] = {
            "each": each.round(5).tolist(), **spread("difference", each),
        }  # fmt: skip
    return found


def spread(name: str, values: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    """Return {name}_mean and {name}_std, the sample standard deviation, None for one value."""
    values = np.asarray(values, dtype=np.float64)
    std = round(float(values.std(ddof=1)), 5) if len(values) > 1 else None
    return {f"{name}_mean": round(float(values.mean()), 5), f"{name}_std": std}


# Small networks trained by `training.fit`


def _recipe(net: models.Net, lr: float) -> Recipe:
    std = {name: gain / net.stage(name).weight[0].numel() ** 0.5 for name, gain in GAINS.items()}
    return Recipe(
        "small_network", batch_size=64, lr=lr, schedule="step", milestones=(0.6, 0.85),
        weight_std=std, biases=dict.fromkeys(std, 0.0), colour_noise=0.0,
        source=RECIPE,
    )


def train_arm(
    spec: NetworkSpec, lr: float, seed: int, epochs: int, train: ImageSet, test: ImageSet,
    changes: Mapping[str, Any] | None = None,
) -> tuple[Results, models.Net]:
    """Train a `architectures.small_network` once; returns its results and the network.

    lr: the learning rate. changes: fields of the Recipe that this arm has otherwise. The
    results hold train_error and test_error, shares from 0 to 1 after each epoch, and `diverged`:
    a loss that isn't finite counts as an error of 1 from there on.
    """
    net = models.Net(spec)
    rows: list[dict[str, float]] = []
    diverged = False
    try:
        training.fit(
            net, train, test, replace(_recipe(net, lr), **(changes or {})), epochs=epochs,
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


def ablation(
    arms: Mapping[str, NetworkSpec], train: ImageSet, test: ImageSet, seeds: Sequence[int],
    epochs: int, *, lrs: Sequence[float], given: Mapping[str, float] | None = None,
    search_epochs: int = 2, held_out: int = 1000,
    changes: Mapping[str, Mapping[str, Any]] | None = None, say: Say = lambda text: None,
) -> dict[str, Any]:
    """Compare small networks: search each arm's rate, train it once a seed.

    lrs: to search among. given: arm -> rate, to search nothing. changes: arm -> fields of the
    Recipe that it has otherwise. Returns search, see `search_held_out`, and what `compare` does:
    of each run the results of `train_arm` with `train_error_after`, of the finished network on the
    training images, and `lrn_factor`, from `lrn_factors`.
    """
    cache, changes = ResultCache(None, {}), changes or {}
    search: dict[str, Any] = {"best": given, "note": NOT_SEARCHED}
    if given is None:
        kept, rest = aside(train, held_out)

        def searched(arm: str, lr: float, seed: int, say: Say) -> Results:
            return train_arm(arms[arm], lr, seed, search_epochs, rest, kept, changes.get(arm))[0]

        search = search_held_out(arms, lrs, search_epochs, len(kept), searched, cache, say)

    def whole(arm: str, lr: float, seed: int, say: Say) -> Results:
        run, net = train_arm(arms[arm], lr, seed, epochs, train, test, changes.get(arm))
        after = training.evaluate(net, train, augment.mean_image(train.images))
        learned = 1.0 if run["diverged"] else round(1 - after["top1"], 4)
        return run | {"train_error_after": learned, "lrn_factor": lrn_factors(net, test)}

    runs = run_arms(arms, search["best"], seeds, whole, cache, say)
    measures = {
        "final_test_error": lambda run: run["test_error"][-1],
        "train_error_after": lambda run: run["train_error_after"],
    }
    return {"search": search, **compare(runs, search["best"], measures)}


def setting(train: ImageSet, test: ImageSet, epochs: int) -> dict[str, Any]:
    """Return what a record says of the data and of the length of a run."""
    return {
        "data": train.name, "data_note": train.note, "train_images": len(train),
        "test_images": len(test), "epochs": epochs,
    }  # fmt: skip


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


# Results in words


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Return "1 seed" or "3 seeds"."""
    return f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}"


def percent(found: Mapping[str, Any], measure: str) -> str:
    """Return a share as "12.3 ± 0.4" per cent, from what `spread` made of it."""
    mean, std = found[f"{measure}_mean"], found[f"{measure}_std"]
    return f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


def points(difference: Mapping[str, Any], digits: int = 1) -> str:
    """Return one of `differences` as "-0.4 points, standard deviation 0.2"."""
    std = difference["difference_std"]
    of = "" if std is None else f", standard deviation {100 * std:.{digits}f}"
    return f"{100 * difference['difference_mean']:+.{digits}f} points{of}"
