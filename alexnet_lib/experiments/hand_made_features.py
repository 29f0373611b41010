"""Three ways from pixels to a class: no features, features made by hand, features learned.

The first two end in the same linear classifier, its decay searched for each number of pictures;
the third is a small network at one fixed rate. All get the same pictures, also mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import architectures, augment, datasets, training
from ..analysis import hog
from ..datasets import ImageSet
from .arms import NOT_SEARCHED, RECIPE, Say, seeds_in_words, train_arm

__all__ = ["ARMS", "LinearClassifier", "represent", "run", "sentence"]

#: The arms: what the linear classifier reads, or that a network learns its own features.
ARMS = ("raw pixels", "made by hand", "learned")
CELL = 4  # pixels: 7 x 7 cells of a 28 x 28 picture
SIZES = {80: 60, 400: 30, 2000: 10, 8000: 5}  # training images -> the network's epochs
SMALL_SIZES = {80: 60, 400: 30}
DECAYS = (1e-3, 1e-2, 1e-1)  # for the linear classifier
LR = 0.002  # for the network: what the experiment "lrn_ablation" found for it without LRN
CHANNELS = (16, 16, 32)
ITERATIONS = 80
HELD_OUT = 0.25  # of the training images, for choosing the constant


class LinearClassifier:
    """A softmax over weighted sums of features, fitted with L2 decay; no randomness in it.

    rows: (N, F) features. labels: (N,) whole numbers below `classes`. decay: times the sum of
    squared weights, added to the mean loss.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, classes: int, decay: float) -> None:
        self.mean, self.scale = rows.mean(axis=0), max(float(rows.std()), 1e-12)
        x, y = self._input(rows), torch.from_numpy(np.asarray(labels, dtype=np.int64))
        self.weight = torch.zeros(rows.shape[1], classes, requires_grad=True)
        self.bias = torch.zeros(classes, requires_grad=True)
        search = torch.optim.LBFGS(
            [self.weight, self.bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe"
        )

        def loss() -> torch.Tensor:
            search.zero_grad()
            value = F.cross_entropy(x @ self.weight + self.bias, y)
            value = value + decay * self.weight.square().sum()
            value.backward()
            return value

        search.step(loss)

    def _input(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((rows - self.mean) / self.scale).astype(np.float32))

    @torch.no_grad()
    def error(self, rows: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of rows that get another class than their label."""
        said = (self._input(rows) @ self.weight + self.bias).argmax(dim=1).numpy()
        return float((said != labels).mean())


def represent(arm: str, images: np.ndarray) -> np.ndarray:
    """Return what the linear classifier reads of uint8 images (N, H, W, C): (N, F)."""
    brightness = hog.grey(images)
    if arm == "raw pixels":
        return brightness.reshape(len(brightness), -1)
    return hog.features(brightness, cell=CELL)


class _Linear:
    """The first two arms: what the classifier reads is computed once for all pictures."""

    def __init__(self, arm: str, train: ImageSet, test: ImageSet) -> None:
        images = np.asarray(train.images)
        self.rows = represent(arm, images)
        self.mirrored = represent(arm, images[:, :, ::-1])
        self.test_rows = represent(arm, np.asarray(test.images))
        self.train, self.test = train, test

    def error(self, decay: float, chosen: np.ndarray, kept: np.ndarray | None = None) -> float:
        """Train on the chosen images, and return the error on those kept, or on the test set."""
        labels = self.train.labels
        fitted = LinearClassifier(
            np.concatenate([self.rows[chosen], self.mirrored[chosen]]),
            np.tile(labels[chosen], 2),
            len(self.train.classes),
            decay,
        )
        if kept is None:
            return fitted.error(self.test_rows, self.test.labels)
        return fitted.error(self.rows[kept], labels[kept])


def _network_error(images: ImageSet, test: ImageSet, seed: int, epochs: int) -> float:
    spec = architectures.small_network(channels=CHANNELS)
    few = test.subset(np.arange(10))  # what is asked after each epoch, and not used
    results, net = train_arm(spec, LR, seed, epochs, images, few)
    if results["diverged"]:
        return 1.0
    return 1 - training.evaluate(net, test, augment.mean_image(images.images))["top1"]


def run(small: bool, seeds: Sequence[int], say: Say) -> dict[str, Any]:
    """Measure every arm at every number of training images, once a seed.

    A seed draws which images are trained on, and the network's first weights. At the full set
    the classifier has no spread: every seed draws the same images. The classifier's
    decay is chosen by the error on a quarter of the first seed's images, kept aside; the network
    has one rate throughout.
    """
    train = datasets.load("fashion_mnist", "train", limit=1000 if small else None)
    test = datasets.load("fashion_mnist", "test", limit=500 if small else None)
    sizes = SMALL_SIZES if small else SIZES
    drawn = {size: [_draw(train, size, seed) for seed in seeds] for size in sizes}
    arms: dict[str, Any] = {}
    for arm in ARMS[:2]:
        say(f"{arm}: features")
        linear, decays, errors = _Linear(arm, train, test), [], []
        for size, draws in drawn.items():
            say(f"{arm}, {size} images")
            decay = DECAYS[1]
            if not small:
                rest, kept = _split(draws[0], seeds[0])
                decay = min(DECAYS, key=lambda choice: linear.error(choice, rest, kept))
            decays.append(decay)
            if size == len(train):  # every seed draws all of them, and nothing else is random
                draws = draws[:1]
            found = [round(linear.error(decay, chosen), 4) for chosen in draws]
            errors.append(found * (len(seeds) // len(found)))
        arms[arm] = {"decay": decays, "test_error": errors}
    errors = []
    for size, epochs in sizes.items():
        errors.append([])
        for seed, chosen in zip(seeds, drawn[size], strict=True):
            say(f"{ARMS[2]}, {size} images, seed {seed}")
            found = _network_error(train.subset(chosen), test, seed, epochs)
            errors[-1].append(round(found, 4))
    arms[ARMS[2]] = {"rate": LR, "epochs": list(sizes.values()), "test_error": errors}
    return {
        "data": train.name, "data_note": f"{train.note}; {test.note}",
        "train_images": list(sizes), "test_images": len(test),
        "network": f"small_network, {CHANNELS} kernels of 5 x 5; {RECIPE}",
        "by_hand": f"{hog.BINS} directions, cells of {CELL} x {CELL} pixels, blocks of "
        f"{hog.BLOCK} x {hog.BLOCK} cells",
        "search": {"decays": list(DECAYS), "held_out": HELD_OUT, "note": "rate not searched"}
        if not small else {"note": NOT_SEARCHED},
        "arms": arms,
    }  # fmt: skip


def _draw(images: ImageSet, size: int, seed: int) -> np.ndarray:
    """Return which `size` of the images a seed draws, as many of each class."""
    rng = np.random.default_rng(seed)
    each = size // len(images.classes)
    chosen = [
        rng.permutation(np.flatnonzero(images.labels == number))[:each]
        for number in range(len(images.classes))
    ]
    return np.sort(np.concatenate(chosen))


def _split(chosen: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images to train on and those kept aside."""
    order = np.random.default_rng(1000 + seed).permutation(chosen)
    kept = round(HELD_OUT * len(chosen))
    return np.sort(order[kept:]), np.sort(order[:kept])


def sentence(record: Mapping[str, Any]) -> str:
    """Say in a table what a record found: the test error by arm and number of images."""
    spread = " ± standard deviation" if len(record["seeds"]) > 1 else ""
    lines = [
        f"Test error in % on {record['test_images']:,} images, mean of "
        f"{seeds_in_words(record['seeds'])}{spread}:",
        "  trained on    " + "".join(f"{size:>13,}" for size in record["train_images"]),
    ]
    for arm, measured in record["arms"].items():
        cells = "".join(f"{_cell(errors):>13}" for errors in measured["test_error"])
        lines.append(f"  {arm:14}{cells}")
    return "\n".join(lines)


def _cell(errors: Sequence[float]) -> str:
    spread = f" ± {100 * np.std(errors, ddof=1):.1f}" if len(errors) > 1 else ""
    return f"{100 * np.mean(errors):.1f}{spread}"
