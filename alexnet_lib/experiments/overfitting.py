"""Against overfitting: one small network on few pictures, with and without the paper's remedies.

Few pictures and many weights, so that the network can learn its training set by heart. Every arm
changes one thing; for a seed all start from the same weights and visit the pictures in one order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .. import architectures, augment, datasets, evaluation, models, optim, shapes
from ..architectures import LayerSpec, NetworkSpec
from ..batches import Batches, random_seed
from ..datasets import ImageSet
from . import paper_claims
from .arms import (
    NOT_SEARCHED,
    Inputs,
    ResultCache,
    Say,
    aside,
    compare,
    epochs_to,
    percent,
    points,
    run_arms,
    search_held_out,
    seeds_in_words,
    setting,
    spread,
    train_epoch,
    unfinished,
)

__all__ = [
    "ARMS", "TARGETS", "Arm", "network", "run", "sentence", "shuffled_labels", "ten_view_error",
    "train_arm",
]

@dataclass(frozen=True)
class Arm:
    """What one arm switches on: random crops and mirror images, colour noise, dropout."""

    crops: bool = False
    colour: bool = False
    dropout: bool = False


ARMS = {
    "plain": Arm(),
    "crops and flips": Arm(crops=True),
    "colour noise": Arm(colour=True),
    "dropout": Arm(dropout=True),
    "all": Arm(crops=True, colour=True, dropout=True),
}
STORED, SIDE = 32, 28  # pixels: of the pictures, and of what the network sees
CHANNELS, UNITS, KEEP = (16, 32), 256, 0.5
COLOUR_STD = 0.1
EVERY = 2  # epochs between two measurements
BATCH_SIZE, MOMENTUM, WEIGHT_DECAY = 64, 0.9, 0.0005
LR_FALLS = 0.75  # after this share of the run the rate is divided by 10
LRS = (0.005, 0.01, 0.02, 0.04)
SMALL_LRS = dict.fromkeys(ARMS, 0.01)
TARGETS = (1.0, 0.5, 0.2)  # training losses: the iterations to each are counted
LEARNED_BY_HEART = 0.01  # training error
EPOCHS, SEARCH_EPOCHS, HELD_OUT = 60, 20, 500
CAP = 90  # epochs, of a run on shuffled labels
RECIPE = (
    f"batch {BATCH_SIZE}, momentum {MOMENTUM:g}, decay {WEIGHT_DECAY:g}; the rate divided by 10 "
    f"after {100 * LR_FALLS:.0f}% of the run; mean image subtracted, divided by one standard "
    "deviation; first weights with std sqrt(2 / fan-in), biases 0; errors and losses are measured "
    f"every {EVERY} epochs on centre crops, with the weights held still and dropout off"
)


def network(dropout: bool, side: int = SIDE, channels: int = 3, classes: int = 10) -> NetworkSpec:
    """Return two convolutions of 5 x 5 and AlexNet's end in small: fc6, fc7 and fc8.

    conv1 has stride 2, like AlexNet's more than 1; max-pooling follows it alone.
    dropout: after fc6 and fc7, in the form of 2012. Both networks draw the same first weights.
    """
    body = architectures.small_network(side, channels, classes, CHANNELS)
    layers = [replace(layer, stride=2) if layer.name == "conv1" else layer
              for layer in body.layers if layer.name not in ("pool2", "fc")]  # fmt: skip
    for number in (6, 7):
        layers += [
            LayerSpec(f"fc{number}", "fc", channels=UNITS), LayerSpec(f"relu{number}", "relu"),
        ]
        if dropout:
            layers.append(LayerSpec(f"drop{number}", "dropout", keep=KEEP))
    return replace(body, layers=(*layers, LayerSpec("fc8", "fc", channels=classes)))


def shuffled_labels(images: ImageSet, seed: int) -> ImageSet:
    """Return the same pictures with their labels dealt out anew: nothing is left to understand."""
    order = np.random.default_rng(random_seed("labels", seed)).permutation(len(images))
    return replace(images, labels=np.array(images.labels)[order])


@torch.no_grad()
def ten_view_error(net: models.Net, test: ImageSet, mean: torch.Tensor, scale: float) -> float:
    """Return the error when the probabilities of ten views are averaged [P §4.1].

    mean: of the training images, (H, W, 3); scale: what pixels are divided by after that.
    """
    net.eval()
    wrong = 0
    for start in range(0, len(test), 100):
        pictures = torch.from_numpy(np.array(test.images[start : start + 100]))
        views = augment.ten_crop(pictures, SIDE).flatten(0, 1)
        probabilities = net(augment.to_input(views, mean) / scale).softmax(1)
        answers = probabilities.unflatten(0, (-1, 10)).mean(dim=1).argmax(1).numpy()
        wrong += int((answers != test.labels[start : start + 100]).sum())
    return wrong / len(test)


def train_arm(
    arm: Arm, lr: float, seed: int, epochs: int, train: ImageSet, test: ImageSet,
    say: Say = lambda text: None, until: float | None = None, ten_views: bool = False,
) -> dict[str, Any]:
    """Train one network once.

    epochs: a multiple of EVERY. lr: the learning rate, divided by 10 after LR_FALLS of the
    run; constant where `until`, a training error that ends the run early, is given. Returns seed,
    rate, diverged, seconds, and train_error, test_error (shares), train_loss and test_loss: before
    training and every EVERY epochs; a loss that isn't finite ends the run as an error of 1.
    ten_views: also ten_view_error of the finished network.
    """
    started = time.monotonic()
    evaluation.check_fit(models.blueprint(network(arm.dropout)), train)
    net = models.Net(network(arm.dropout)).initialize(seed, he=True)
    mean = augment.mean_image(train.images)
    colour = (*augment.colour_components(train.images), COLOUR_STD) if arm.colour else None
    seen = train
    if not arm.crops:  # the centre alone, always the same
        seen = replace(train, images=augment.centre_crop(
            torch.from_numpy(np.array(train.images)), SIDE).numpy())  # fmt: skip
    batches = Batches(seen, SIDE, BATCH_SIZE, augment.centre_crop(mean, SIDE), colour, seed,
                      flip=arm.crops)  # fmt: skip
    measured = {"train": Inputs(train, SIDE, mean)}
    scale = measured["train"].scale
    measured["test"] = Inputs(test, SIDE, mean, scale)
    optimizer = optim.SGD2012(net.parameters(), lr, MOMENTUM, weight_decay=WEIGHT_DECAY)
    curves: dict[str, list[float]] = {
        f"{split}_{what}": [] for split in measured for what in ("error", "loss")
    }
    diverged = False

    def lr_at(epoch: int, step: int) -> float:
        return lr / 10 if until is None and epoch >= LR_FALLS * epochs else lr

    for epoch in range(epochs + 1):
        if epoch % EVERY == 0:
            for split, pictures in measured.items():
                error, loss = pictures.error_and_loss(net)
                diverged |= not np.isfinite(loss)
                curves[f"{split}_error"].append(1.0 if diverged else round(error, 4))
                curves[f"{split}_loss"].append(0.0 if diverged else float(f"{loss:.3g}"))
            say(f"epoch {epoch}: {100 * curves['train_error'][-1]:.0f}%")
            learned = until is not None and curves["train_error"][-1] <= until
            if diverged or learned or epoch == epochs:
                break
        losses = train_epoch(net, batches, epoch, optimizer, scale, lr_at)
        diverged |= not np.isfinite(losses[-1])
    if diverged:
        curves = {name: values + values[-1:] * (epochs // EVERY + 1 - len(values))
                  for name, values in curves.items()}  # fmt: skip
    ten = {"ten_view_error": round(ten_view_error(net, test, mean, scale), 4)} if ten_views else {}
    seconds = round(time.monotonic() - started, 1)
    return {"seed": seed, "rate": lr, **curves, **ten, "diverged": diverged, "seconds": seconds}


def run(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train every arm once a seed, and the plain one on shuffled labels besides.

    The small version takes rendered shapes, which need no download.
    """
    name, count, held_out = ("shapes", 300, 200) if small else ("cifar10", 2000, 2000)
    train = datasets.load(name, "train", size=STORED, limit=count, progress=False)
    test = datasets.load(name, "test" if not small else "val", size=STORED, limit=held_out,
                         progress=False)  # fmt: skip
    epochs, cap = (4, 4) if small else (EPOCHS, CAP)
    settings = {
        "network": f"{CHANNELS} kernels of 5 x 5, conv1 with stride 2, fc6 and fc7 of {UNITS}, fc8",
        "parameters": shapes.totals(network(dropout=True)).parameters,
        "stored_side": STORED, "side": SIDE, **setting(train, test, epochs),
        "measured_every": EVERY, "recipe": RECIPE,
    }  # fmt: skip
    cache = ResultCache(None if small else unfinished("overfitting"), settings)
    search: dict[str, Any] = {"best": SMALL_LRS, "note": NOT_SEARCHED}
    if not small:
        kept, rest = aside(train, HELD_OUT)

        def searched(arm: str, lr: float, seed: int, say: Say) -> dict[str, Any]:
            return train_arm(ARMS[arm], lr, seed, SEARCH_EPOCHS, rest, kept, say)

        search = search_held_out(ARMS, LRS, SEARCH_EPOCHS, HELD_OUT, searched, cache, say)

    def whole(arm: str, lr: float, seed: int, say: Say) -> dict[str, Any]:
        return train_arm(ARMS[arm], lr, seed, epochs, train, test, say, ten_views=True)

    def on_shuffled(arm: str, lr: float, seed: int, say: Say) -> dict[str, Any]:
        labels = shuffled_labels(train, seed)
        return train_arm(ARMS["plain"], lr, seed, cap, labels, test, say, LEARNED_BY_HEART)

    best = search["best"]
    runs = run_arms(ARMS, best, seeds, whole, cache, say)
    arm = "shuffled labels"
    shuffled = run_arms([arm], {arm: best["plain"]}, seeds, on_shuffled, cache, say)[arm]
    measures = {
        "final_test_error": lambda run: run["test_error"][-1],
        "train_error_after": lambda run: run["train_error"][-1],
        "gap": lambda run: run["test_error"][-1] - run["train_error"][-1],
        "final_train_loss": lambda run: run["train_loss"][-1],
        "final_test_loss": lambda run: run["test_loss"][-1],
        "ten_view_error": lambda run: run["ten_view_error"],
        "ten_views_minus_centre": lambda run: run["ten_view_error"] - run["test_error"][-1],
    }
    return {
        **settings, "search": search, **compare(runs, best, measures),
        "iterations": _iterations(runs, -(-len(train) // BATCH_SIZE)),
        "shuffled_labels": _shuffled(shuffled, runs["plain"], cap), "paper": _paper_says(),
        "run_seconds": round(sum(run["seconds"] for run in cache.results.values()), 1),
    }  # fmt: skip


def _paper_says() -> str:
    colour, views, all_views = (
        paper_claims.by_key(key).values for key in ("colour_gain", "ten_views", "ilsvrc2010")
    )
    return (
        f"colour noise: over {colour['top1_points']:g} point of top-1 error [P §4.1]; ten views "
        f"{all_views['top1_error_percent']}%, centre crop {views['top1_error_percent']}% "
        "[S params-145-2010:178-180]; dropout roughly doubles the iterations [P §4.2]"
    )


def _iterations(runs: Mapping[str, Sequence[dict[str, Any]]], steps: int) -> dict[str, Any]:
    """Return the updates each arm needs to training losses, and dropout's over plain's."""
    arms = {
        name: {
            f"{target:g}": [
                None if epochs is None else round(epochs * EVERY * steps)
                for epochs in (epochs_to(target, run["train_loss"]) for run in each)
            ]
            for target in TARGETS
        }
        for name, each in runs.items()
    }
    ratios = {}
    for target in arms["plain"]:
        pairs = list(zip(arms["dropout"][target], arms["plain"][target], strict=True))
        if all(one and other for one, other in pairs):
            values = [one / other for one, other in pairs]
            ratios[target] = {
                "each": [round(value, 3) for value in values], **spread("ratio", values)
            }
    return {"steps_an_epoch": steps, "arms": arms, "dropout_over_plain": ratios}


def _shuffled(
    shuffled: Sequence[dict[str, Any]], plain: Sequence[dict[str, Any]], cap: int
) -> dict[str, Any]:
    """Return the runs on shuffled labels, and the epochs to a training error with either labels."""
    def needed(each: Sequence[dict[str, Any]]) -> list[float | None]:
        found = [epochs_to(LEARNED_BY_HEART, run["train_error"]) for run in each]
        return [None if epochs is None else round(EVERY * epochs, 1) for epochs in found]

    return {
        "target": LEARNED_BY_HEART, "cap": cap, "runs": list(shuffled),
        "epochs": needed(shuffled), "epochs_true_labels": needed(plain),
    }  # fmt: skip


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record found: errors, spread, iterations, shuffled labels."""
    lines = [
        f"After {record['epochs']} epochs on {record['train_images']:,} images from "
        f"{record['data_note']}; {seeds_in_words(record['seeds'])}; errors in %:",
        f"  {'':15} {'train':>12} {'test':>12} {'ten views':>12}",
    ]
    for name, arm in record["arms"].items():
        cells = [
            percent(arm, what)
            for what in ("train_error_after", "final_test_error", "ten_view_error")
        ]
        lines.append(f"  {name:15} {' '.join(f'{cell:>12}' for cell in cells)}  "
                     f"(rate {arm['rate']:g})")  # fmt: skip
    for name in ARMS:
        found = record["differences"].get(f"{name} minus plain")
        if found:
            lines.append(f"{name} minus plain: test error {points(found)}")
    for target, ratio in record["iterations"]["dropout_over_plain"].items():
        lines.append(f"Iterations to a training loss of {target}, dropout over plain: "
                     f"{ratio['ratio_mean']:.1f}")  # fmt: skip
    shuffled = record["shuffled_labels"]
    lines.append(
        f"Epochs to {100 * shuffled['target']:.0f}% training error, by seed: "
        f"{_epochs(shuffled['epochs_true_labels'], record['epochs'])} with the right labels, "
        f"{_epochs(shuffled['epochs'], shuffled['cap'])} with shuffled ones"
    )
    return "\n".join(lines)


def _epochs(each: Sequence[float | None], cap: int) -> str:
    return ", ".join(f"over {cap}" if one is None else f"{one:.0f}" for one in each)
