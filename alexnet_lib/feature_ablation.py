"""Three ways from pixels to a class: no features, features made by hand, features learned.

The first two end in the same linear classifier, its decay searched for each number of pictures;
the third is a small network at one fixed rate. All get the same pictures, also mirrored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from . import ablations, augment, datasets, networks, orientations, training
from .packing import ImageSet

__all__ = ["ARMS", "LinearClassifier", "represent", "run", "sentence"]

Say = Callable[[str], None]

#: The arms: what the linear classifier reads, or that a network learns its own features.
ARMS = ("raw pixels", "made by hand", "learned")
CELL = 4  # pixels: 7 x 7 cells of a 28 x 28 picture
SIZES = {80: 60, 400: 30, 2000: 12, 8000: 6}  # training images -> the network's epochs
SMALL_SIZES = {80: 60, 400: 30}
DECAYS = (1e-3, 1e-2, 1e-1)  # for the linear classifier
RATE = 0.002  # for the network: what the experiment "lrn_ablation" found for it without LRN
CHANNELS = (16, 16, 32)
ITERATIONS = 100
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
    brightness = orientations.grey(images)
    if arm == "raw pixels":
        return brightness.reshape(len(brightness), -1)
    return orientations.features(brightness, cell=CELL)


def _linear_error(
    arm: str, decay: float, train: ImageSet, test: ImageSet, seed: int, epochs: int
) -> float:
    images = np.asarray(train.images)
    both = np.concatenate([images, images[:, :, ::-1]])
    fitted = LinearClassifier(
        represent(arm, both), np.tile(train.labels, 2), len(train.classes), decay
    )
    return fitted.error(represent(arm, np.asarray(test.images)), test.labels)


def _network_error(
    arm: str, rate: float, train: ImageSet, test: ImageSet, seed: int, epochs: int
) -> float:
    spec = networks.small_network(channels=CHANNELS)
    few = test.subset(np.arange(10))  # what is asked after each epoch, and not used
    results, net = ablations.train_arm(spec, rate, seed, epochs, train, few)
    if results["diverged"]:
        return 1.0
    return 1 - training.evaluate(net, test, augment.mean_image(train.images))["top1"]


def run(small: bool, seeds: Sequence[int], say: Say) -> dict[str, Any]:
    """Measure every arm at every number of training images, once a seed.

    A seed draws which images are trained on, and the network's first weights. The arm's constant
    is chosen by the error on a quarter of the first seed's images, kept aside; the network has
    one rate throughout.
    """
    train = datasets.load("fashion_mnist", "train")
    test = datasets.load("fashion_mnist", "test", limit=500 if small else None)
    sizes = SMALL_SIZES if small else SIZES
    arms: dict[str, Any] = {arm: {"constants": [], "test_error": []} for arm in ARMS}
    for size, epochs in sizes.items():
        drawn = [_draw(train, size, seed) for seed in seeds]
        for arm in ARMS:
            measure = _network_error if arm == "learned" else _linear_error
            choices = (RATE,) if arm == "learned" else DECAYS
            constant = choices[len(choices) // 2]
            if not small and len(choices) > 1:
                rest, kept = _split(drawn[0], seeds[0])
                found = []
                for choice in choices:
                    say(f"{size} images, {arm}: trying {choice:g}")
                    found.append(measure(arm, choice, rest, kept, seeds[0], epochs))
                constant = choices[int(np.argmin(found))]
            errors = []
            for seed, images in zip(seeds, drawn, strict=True):
                say(f"{size} images, {arm}, seed {seed}")
                errors.append(round(measure(arm, constant, images, test, seed, epochs), 4))
            arms[arm]["constants"].append(constant)
            arms[arm]["test_error"].append(errors)
    return {
        "data": train.name, "data_note": f"{train.note}; {test.note}",
        "train_images": list(sizes), "test_images": len(test), "epochs": list(sizes.values()),
        "network": f"small_network, {CHANNELS} kernels of 5 x 5; {ablations.RECIPE}",
        "by_hand": f"{orientations.BINS} directions, cells of {CELL} x {CELL} pixels, blocks of "
        f"{orientations.BLOCK} x {orientations.BLOCK} cells",
        "search": {"decays": list(DECAYS), "held_out": HELD_OUT, "rate": f"{RATE:g}, not searched"}
        if not small else {"note": "not searched in the small version"},
        "arms": arms,
    }  # fmt: skip


def _draw(images: ImageSet, size: int, seed: int) -> ImageSet:
    """Return `size` of the images, as many of each class, drawn by the seed."""
    rng = np.random.default_rng(seed)
    each = size // len(images.classes)
    chosen = [
        rng.permutation(np.flatnonzero(images.labels == number))[:each]
        for number in range(len(images.classes))
    ]
    return images.subset(np.sort(np.concatenate(chosen)))


def _split(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    order = np.random.default_rng(1000 + seed).permutation(len(images))
    kept = round(HELD_OUT * len(images))
    return images.subset(np.sort(order[kept:])), images.subset(np.sort(order[:kept]))


def sentence(record: Mapping[str, Any]) -> str:
    """Say in a table what a record found: the test error by arm and number of images."""
    count = len(record["seeds"])
    lines = [
        f"Test error in % on {record['test_images']:,} images, mean of {count} "
        f"{'seed' if count == 1 else 'seeds'}{' ± standard deviation' if count > 1 else ''}:",
        "  trained on    " + "".join(f"{size:>13,}" for size in record["train_images"]),
    ]
    for arm, measured in record["arms"].items():
        cells = "".join(f"{_cell(errors):>13}" for errors in measured["test_error"])
        lines.append(f"  {arm:14}{cells}")
    return "\n".join(lines)


def _cell(errors: Sequence[float]) -> str:
    spread = f" ± {100 * np.std(errors, ddof=1):.1f}" if len(errors) > 1 else ""
    return f"{100 * np.mean(errors):.1f}{spread}"
