"""AlexNet in miniature, for small pictures: what a layer, a second tower and a vote are worth.

Five convolutions in two towers, overlapping pooling and a fully connected layer, small enough
for a minute of one core, and the arms that the paper's claims on depth, towers and averaging need.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import augment, datasets, models, optim, records, shapes
from ..architectures import LayerSpec, NetworkSpec
from ..batches import Batches
from ..datasets import ImageSet
from . import arms as arms_experiment
from .result_cache import Kept

__all__ = [
    "RECIPE", "depth", "depth_arms", "ensemble", "ensemble_sentence", "miniature", "probabilities",
    "sentence", "tower_arms", "train", "two_towers",
]

Say = Callable[[str], None]

VIEW = 28  # pixels of a crop out of 32: 5 x 5 places, mirrored
CHANNELS = (16, 32, 48, 48, 48)
HALF = (8, 16, 24, 24, 48)  # half the kernels, conv5 kept whole as in [S layers-145-half.cfg]
UNITS = 128
BATCH_SIZE, MOMENTUM, DECAY = 64, 0.9, 5e-4
RATES = (0.005, 0.01)
RECIPE = (
    "batch 64, momentum .9, decay .0005; the rate divided by 10 after 60% and again after 85% of "
    "the run; random crops of 28 from 32 pixels, mirrored at random; He initialization, biases 0; "
    "pixels divided by one standard deviation; no LRN, no dropout"
)


def miniature(channels: Sequence[int] = CHANNELS, groups: int = 2) -> NetworkSpec:
    """Return five convolutions in the paper's order, for 28 x 28 pixels and ten classes.

    channels: kernels of conv1 to conv5. groups: 2 for two towers, which talk at conv3 and fc6, 1
    for one.
    """
    one, two, three, four, five = channels
    conv = [
        LayerSpec("conv1", "conv", channels=one, kernel=5, padding=2),
        LayerSpec("conv2", "conv", channels=two, kernel=3, padding=1, groups=groups),
        LayerSpec("conv3", "conv", channels=three, kernel=3, padding=1),
        LayerSpec("conv4", "conv", channels=four, kernel=3, padding=1, groups=groups),
        LayerSpec("conv5", "conv", channels=five, kernel=3, padding=1, groups=groups),
    ]
    stages: list[LayerSpec] = []
    for number, layer in enumerate(conv, start=1):
        stages += [layer, LayerSpec(f"relu{number}", "relu")]
        if number in (1, 2, 5):
            stages.append(LayerSpec(f"pool{number}", "max_pool", kernel=3, stride=2))
    stages += [
        LayerSpec("flatten", "flatten"),
        LayerSpec("fc6", "fc", channels=UNITS), LayerSpec("relu6", "relu"),
        LayerSpec("fc8", "fc", channels=10),
    ]
    return NetworkSpec("miniature", VIEW, tuple(stages), 3, source="this course")


def depth_arms() -> dict[str, NetworkSpec]:
    """Return the whole miniature, and it without conv3, and without conv4.

    Without conv5 would be the same network as without conv4: the two have equal shapes here.
    """
    whole = miniature()
    arms = {"all five": whole}
    for number in (3, 4):
        gone = (f"conv{number}", f"relu{number}")
        layers = tuple(layer for layer in whole.layers if layer.name not in gone)
        arms[f"without conv{number}"] = replace(whole, layers=layers)
    return arms


def tower_arms() -> dict[str, NetworkSpec]:
    """Return one tower with half the kernels, and two towers [P §3.2]."""
    return {"one tower": miniature(HALF, groups=1), "two towers": miniature()}


def train(
    spec: NetworkSpec, rate: float, seed: int, epochs: int, images: ImageSet
) -> tuple[models.Net, float]:
    """Train a miniature once; returns the network, in eval mode, and the last epoch's mean loss.

    images: uint8 pictures of 28 pixels or more. The network takes the scale 0 to 255 afterwards,
    as all do: the division of the pixels is moved into conv1's weights. A loss that isn't finite
    ends the run and is returned as it is.
    """
    net = models.build(spec, seed)
    net.initialize(seed, he=True)
    mean = augment.mean_image(images.images)
    sample = torch.from_numpy(np.array(images.images[:500]))
    scale = float(augment.to_input(sample, mean).std())
    batches = Batches(images, VIEW, BATCH_SIZE, mean, None, seed)
    optimizer = optim.SGD2012(optim.parameter_groups(net, DECAY, 1.0, False), rate, MOMENTUM)
    net.train().to(memory_format=torch.channels_last)
    total, losses = epochs * len(batches), []
    for epoch in range(epochs):
        for step, (x, y) in enumerate(batches.epoch(epoch)):
            share = (epoch * len(batches) + step) / total
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.1 ** ((share >= 0.6) + (share >= 0.85))
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(x / scale), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                return net.eval(), losses[-1]
    with torch.no_grad():
        net.stage("conv1").weight /= scale
    return net.eval(), float(np.mean(losses[-len(batches):]))


@torch.no_grad()
def probabilities(
    net: models.Net, pictures: np.ndarray, mean: torch.Tensor, ten_crop: bool = False
) -> np.ndarray:
    """Return what a network says of pictures (N, H, W, 3): (N, classes), float32, rows sum to 1.

    ten_crop: the mean over ten views [P §4.1], else the centre alone.
    """
    cut = augment.ten_crop if ten_crop else augment.centre_crop
    side, parts = net.spec.input_size, []
    for start in range(0, len(pictures), 200):
        some = torch.from_numpy(np.array(pictures[start : start + 200]))
        views = cut(some, side).reshape(-1, side, side, 3)
        said = net(augment.to_input(views, mean)).softmax(1)
        parts.append(said.unflatten(0, (len(some), -1)).mean(dim=1))
    return torch.cat(parts).numpy()


class Workshop:
    """Finished miniatures, shared by the three experiments and kept, so that a stop costs little.

    small: a version of some seconds, on rendered shapes. path: where results are kept, or None.
    """

    def __init__(self, small: bool, path: Path | None, say: Say) -> None:
        name, count, held = ("shapes", 600, 200) if small else ("cifar10", 3000, 2000)
        self.small, self.say = small, say
        self.images = datasets.load(name, "train", size=32, limit=count)
        self.test = datasets.load(name, "val" if small else "test", size=32, limit=held)
        self.epochs, self.search_epochs = (3, 1) if small else (12, 5)
        self.mean = augment.mean_image(self.images.images)
        self.kept = Kept(None if small else path, {
            "epochs": self.epochs, "images": count, "test": held, "recipe": RECIPE,
            "channels": list(CHANNELS),
        })

    def error(self, said: np.ndarray, images: ImageSet) -> float:
        """Return the share of pictures whose likeliest class isn't the right one."""
        return round(float((said.argmax(axis=1) != np.array(images.labels)).mean()), 5)

    def _rate_error(self, spec: NetworkSpec, rate: float) -> float:
        """Return the error on 1000 training pictures that were kept aside."""
        order = np.random.default_rng(arms_experiment.SEARCH_SEED).permutation(len(self.images))
        aside, rest = (self.images.subset(np.sort(part)) for part in (order[:1000], order[1000:]))
        net, loss = train(spec, rate, arms_experiment.SEARCH_SEED, self.search_epochs, rest)
        if not np.isfinite(loss):
            return 1.0
        return self.error(probabilities(net, aside.images, self.mean), aside)

    def search(self, arms: Mapping[str, NetworkSpec]) -> dict[str, Any]:
        """Choose each arm's rate from RATES, as `arms.search_rates` does."""
        if self.small:
            best = dict.fromkeys(arms, 0.01)
            return {"best": best, "note": "not searched in the small version"}
        errors: dict[str, list[float]] = {}
        for arm, spec in arms.items():
            errors[arm] = []
            for rate in RATES:
                self.say(f"choosing the rate: {rate:g}, {arm}")
                key = f"search {_key(spec)} {rate:g}"
                found = self.kept.get(key, lambda: {"error": self._rate_error(spec, rate)})  # noqa: B023
                errors[arm].append(found["error"])
        return {
            "rates": list(RATES), "epochs": self.search_epochs, "seed": arms_experiment.SEARCH_SEED,
            "held_out_images": 1000, "held_out_error": errors,
            "best": {arm: RATES[int(np.argmin(values))] for arm, values in errors.items()},
        }

    def run(self, arm: str, spec: NetworkSpec, rate: float, seed: int) -> dict[str, Any]:
        """Train one miniature, or take the kept one: errors, and what it says of the test set."""

        def work() -> dict[str, Any]:
            self.say(f"{arm}, seed {seed}")
            net, loss = train(spec, rate, seed, self.epochs, self.images)
            if not np.isfinite(loss):
                return {"seed": seed, "diverged": True}
            centre = probabilities(net, self.test.images, self.mean)
            ten = probabilities(net, self.test.images, self.mean, ten_crop=True)
            learned = probabilities(net, self.images.images, self.mean)
            return {
                "seed": seed, "diverged": False, "train_loss": round(loss, 4),
                "train_error": self.error(learned, self.images),
                "said": {"centre": _packed(centre), "ten": _packed(ten)},
            }

        return self.kept.get(f"{_key(spec)} {rate:g} {seed}", work)

    def about(self, arms: Mapping[str, NetworkSpec]) -> dict[str, Any]:
        """Return what a record says of the networks and the data."""
        return {
            "network": f"miniature, {CHANNELS} kernels, {VIEW} px, {UNITS} units in fc6",
            "parameters": {name: shapes.totals(spec).parameters for name, spec in arms.items()},
            "data": self.images.name, "data_note": self.images.note,
            "train_images": len(self.images), "test_images": len(self.test),
            "epochs": self.epochs, "recipe": RECIPE,
        }

    def compare(self, arms: Mapping[str, NetworkSpec], seeds: Sequence[int]) -> dict[str, Any]:
        """Return what `arms.compare_arms` returns, measured on the centre crop."""
        search = self.search(arms)
        results, final = {}, {}
        for arm, spec in arms.items():
            runs = [self.run(arm, spec, search["best"][arm], seed) for seed in seeds]
            errors = [
                1.0 if run["diverged"] else
                self.error(_unpacked(run["said"]["centre"]), self.test) for run in runs
            ]
            learned = [run.get("train_error", 1.0) for run in runs]
            final[arm] = np.array(errors)
            results[arm] = {
                "rate": search["best"][arm],
                "runs": [
                    {"seed": seed, "test_error": [error], "train_error_after": after}
                    for seed, error, after in zip(seeds, errors, learned, strict=True)
                ],
                **arms_experiment.spread("final_test_error", errors),
                **arms_experiment.spread("train_error_after", learned),
            }
        differences = {}
        for one, other in itertools.combinations(arms, 2):
            each = final[other] - final[one]
            spread = arms_experiment.spread("difference", each)
            differences[f"{other} minus {one}"] = {"each": each.round(5).tolist(), **spread}
        return {**self.about(arms), "search": search, "arms": results, "differences": differences}


def _key(spec: NetworkSpec) -> str:
    parts = [f"{s.name}:{s.channels}/{s.groups}" for s in spec.layers if s.kind in shapes.WEIGHTED]
    return " ".join(parts)


def _packed(said: np.ndarray) -> str:
    return base64.b64encode(said.astype(np.float16).tobytes()).decode()


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.float16).reshape(-1, 10).astype(np.float32)


def _kept_in() -> Path:
    return records.root() / "runs" / "experiments" / "miniatures.json"


def depth(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Leave out conv3 or conv4 and train anew [P §7]."""
    found = Workshop(small, _kept_in(), say).compare(depth_arms(), seeds)
    return found | {"paper": "removing any middle layer costs about 2 points of top-1 [P §7]"}


def two_towers(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Compare two towers with one that has half the kernels of conv1 to conv4 [P §3.2]."""
    found = Workshop(small, _kept_in(), say).compare(tower_arms(), seeds)
    return found | {"paper": "two towers against one: -1.7 points top-1 and -1.2 top-5 [P §3.2]"}


def ensemble(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Average the probabilities of all seeds' networks, and of ten views [P §4.1, §6].

    Returns single: view -> error of each seed's network, mean and std; together: view -> error of
    the average; ten_views: ten views minus centre, seed by seed; votes: the average of the first
    n networks, n from 1 on.
    """
    shop = Workshop(small, _kept_in(), say)
    arms = {"two towers": miniature()}
    search = shop.search(arms)
    rate = search["best"]["two towers"]
    runs = [shop.run("two towers", arms["two towers"], rate, seed) for seed in seeds]
    said = {
        view: np.array([_unpacked(run["said"][view]) for run in runs if not run["diverged"]])
        for view in ("centre", "ten")
    }
    single = {view: [shop.error(one, shop.test) for one in each] for view, each in said.items()}
    votes = [shop.error(said["centre"][:n].mean(axis=0), shop.test) for n in
             range(1, len(said["centre"]) + 1)]
    gains = np.array(single["ten"]) - np.array(single["centre"])
    alone = np.array(single["centre"])
    return {
        **shop.about(arms),
        "search": search,
        "single": {
            view: {"each": each, **arms_experiment.spread("error", each)}
            for view, each in single.items()
        },
        "together": {view: shop.error(each.mean(axis=0), shop.test) for view, each in said.items()},
        "votes": votes,
        "ten_views": {
            "each": gains.round(5).tolist(),
            **arms_experiment.spread("difference", gains),
        },
        "averaging": {
            "each": (votes[-1] - alone).round(5).tolist(),
            **arms_experiment.spread("difference", votes[-1] - alone),
        },
        "paper": "five networks 38.1% against 40.7% for one; ten views 37.5% against 39.0% "
        "[P §4.1, §6]",
    }


def _points(gap: Mapping[str, Any]) -> str:
    std = gap["difference_std"]
    spread = "" if std is None else f", standard deviation {100 * std:.1f}"
    return f"{100 * gap['difference_mean']:+.1f} points{spread}"


def _head(record: Mapping[str, Any]) -> str:
    count = len(record["seeds"])
    return (
        f"After {record['epochs']} epochs on {record['train_images']:,} images from "
        f"{record['data_note']}; {count} {'seed' if count == 1 else 'seeds'}; test error:"
    )


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record of `depth` or `two_towers` found."""
    lines = [_head(record)]
    for name, arm in record["arms"].items():
        lines.append(
            f"  {name:<14} {100 * arm['final_test_error_mean']:.1f}%  training error "
            f"{100 * arm['train_error_after_mean']:.1f}%  {record['parameters'][name]:,} "
            f"parameters  (rate {arm['rate']:g})"
        )
    lines += [f"{name}: {_points(gap)}" for name, gap in record["differences"].items()]
    return "\n".join(lines)


def ensemble_sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record of `ensemble` found."""
    names = {"centre": "centre crop", "ten": "ten views"}
    lines = [_head(record)]
    for view, name in names.items():
        alone = 100 * record["single"][view]["error_mean"]
        lines.append(
            f"  {name:<12} one network {alone:.1f}%, all together "
            f"{100 * record['together'][view]:.1f}%"
        )
    lines.append(f"ten views minus centre crop: {_points(record['ten_views'])}")
    lines.append(f"together minus one network: {_points(record['averaging'])}")
    return "\n".join(lines)
