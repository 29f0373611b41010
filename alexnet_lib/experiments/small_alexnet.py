"""AlexNet in miniature, for small pictures: what a layer, a second tower and a vote are worth.

Five convolutions in two towers, overlapping pooling and a fully connected layer, small enough
for a minute of one core, and the arms that the paper's claims on depth, towers and averaging need.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .. import augment, datasets, evaluation, models, optim, shapes
from ..architectures import LayerSpec, NetworkSpec
from ..batches import Batches
from ..datasets import ImageSet
from . import paper_claims
from .arms import (
    NOT_SEARCHED,
    ResultCache,
    Say,
    aside,
    compare,
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
    "RECIPE", "depth", "depth_arms", "ensemble", "ensemble_sentence", "miniature", "sentence",
    "tower_arms", "train", "two_towers",
]

VIEW = 28  # pixels of a crop out of 32: 5 x 5 places, mirrored
CHANNELS = (16, 32, 48, 48, 48)
HALF = (8, 16, 24, 24, 48)  # half the kernels, conv5 kept whole as in [S layers-145-half.cfg]
UNITS = 128
BATCH_SIZE, MOMENTUM, DECAY = 64, 0.9, 5e-4
LRS = (0.005, 0.01)
SEARCH_EPOCHS, HELD_OUT = 5, 1000
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
    spec: NetworkSpec, lr: float, seed: int, epochs: int, images: ImageSet
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
    optimizer = optim.SGD2012(optim.parameter_groups(net, DECAY, 1.0, False), lr, MOMENTUM)
    net.train().to(memory_format=torch.channels_last)

    def lr_at(epoch: int, step: int) -> float:
        share = (epoch * len(batches) + step) / (epochs * len(batches))
        return lr * 0.1 ** ((share >= 0.6) + (share >= 0.85))

    for epoch in range(epochs):
        losses = train_epoch(net, batches, epoch, optimizer, scale, lr_at)
        if not np.isfinite(losses[-1]):
            return net.eval(), losses[-1]
    with torch.no_grad():
        net.stage("conv1").weight /= scale
    return net.eval(), float(np.mean(losses))


def _error(said: np.ndarray, images: ImageSet) -> float:
    """Return the share of pictures whose likeliest class isn't the right one."""
    return round(float((said.argmax(axis=1) != np.array(images.labels)).mean()), 5)


def _images(small: bool) -> tuple[ImageSet, ImageSet]:
    """Return training and test images: CIFAR-10, in the small version what is rendered."""
    name, train, test = ("shapes", 600, 200) if small else ("cifar10", 3000, 2000)
    return (
        datasets.load(name, "train", size=32, limit=train),
        datasets.load(name, "val" if small else "test", size=32, limit=test),
    )


def _compared(
    name: str, arms: Mapping[str, NetworkSpec], small: bool, seeds: Sequence[int], say: Say,
    more: Callable[[models.Net, ImageSet, torch.Tensor], dict[str, Any]] = lambda *_: {},
) -> dict[str, Any]:
    """Search the arms' rates, train each once a seed, and compare them on centre crops.

    name: of the experiment. more: what a run says besides of its network on the test set, whose
    mean image comes last.
    """
    images, test = _images(small)
    epochs, mean = 3 if small else 12, augment.mean_image(images.images)
    about = {
        "network": f"miniature, {CHANNELS} kernels, {VIEW} px, {UNITS} units in fc6",
        "parameters": {arm: shapes.totals(spec).parameters for arm, spec in arms.items()},
        **setting(images, test, epochs), "recipe": RECIPE,
    }  # fmt: skip
    cache = ResultCache(None if small else unfinished(name), about)
    search: dict[str, Any] = {"best": dict.fromkeys(arms, 0.01), "note": NOT_SEARCHED}
    if not small:
        kept, rest = aside(images, HELD_OUT)

        def searched(arm: str, lr: float, seed: int, say: Say) -> dict[str, Any]:
            net, loss = train(arms[arm], lr, seed, SEARCH_EPOCHS, rest)
            said = evaluation.probabilities(net, kept, mean)
            return {"test_error": [_error(said, kept) if np.isfinite(loss) else 1.0]}

        search = search_held_out(arms, LRS, SEARCH_EPOCHS, HELD_OUT, searched, cache, say)

    def whole(arm: str, lr: float, seed: int, say: Say) -> dict[str, Any]:
        net, loss = train(arms[arm], lr, seed, epochs, images)
        if not np.isfinite(loss):
            return {"seed": seed, "test_error": [1.0], "train_error_after": 1.0}
        error, learned = (
            _error(evaluation.probabilities(net, which, mean), which) for which in (test, images)
        )
        return {
            "seed": seed, "test_error": [error], "train_error_after": learned,
            **more(net, test, mean),
        }  # fmt: skip

    runs = run_arms(arms, search["best"], seeds, whole, cache, say)
    measures = {
        "final_test_error": lambda run: run["test_error"][-1],
        "train_error_after": lambda run: run["train_error_after"],
    }
    return {**about, "search": search, **compare(runs, search["best"], measures)}


def depth(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Leave out conv3 or conv4 and train anew [P §7]."""
    cost = paper_claims.by_key("depth").values["top1_points"]
    return _compared("depth", depth_arms(), small, seeds, say) | {
        "paper": f"removing any middle layer costs about {cost:g} points of top-1 [P §7]"
    }


def two_towers(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Compare two towers with one that has half the kernels of conv1 to conv4 [P §3.2]."""
    gain = paper_claims.by_key("two_gpus").values
    return _compared("two_towers", tower_arms(), small, seeds, say) | {
        "paper": f"two towers against one: -{gain['top1_points']:g} points top-1 and "
        f"-{gain['top5_points']:g} top-5 [P §3.2]"
    }


def ensemble(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Average the probabilities of all seeds' networks, and of ten views [P §4.1, §6].

    Returns single: view -> error of each seed's network, mean and std; together: view -> error of
    the average; ten_views: ten views minus centre, seed by seed; votes: the average of the first
    n networks, n from 1 on.
    """
    arm, ten_crop = "two towers", {"centre": False, "ten": True}

    def more(net: models.Net, test: ImageSet, mean: torch.Tensor) -> dict[str, Any]:
        return {
            view: _packed(evaluation.probabilities(net, test, mean, ten))
            for view, ten in ten_crop.items()
        }

    _, test = _images(small)
    found = _compared("ensemble", {arm: miniature()}, small, seeds, say, more)
    del found["differences"]
    runs = [run for run in found.pop("arms")[arm]["runs"] if "centre" in run]
    said = {view: np.array([_unpacked(run[view]) for run in runs]) for view in ten_crop}
    single = {view: [_error(one, test) for one in each] for view, each in said.items()}
    votes = [
        _error(said["centre"][:n].mean(axis=0), test) for n in range(1, len(said["centre"]) + 1)
    ]
    alone, ten = np.array(single["centre"]), np.array(single["ten"])
    gains = {"ten_views": ten - alone, "averaging": votes[-1] - alone}
    views, one, five = (
        paper_claims.by_key(key).values for key in ("ten_views", "ilsvrc2012", "ensemble")
    )
    all_views = paper_claims.by_key("ilsvrc2010").values
    return {
        **found,
        "single": {view: {"each": each, **spread("error", each)} for view, each in single.items()},
        "together": {view: _error(each.mean(axis=0), test) for view, each in said.items()},
        "votes": votes,
        **{
            name: {"each": each.round(5).tolist(), **spread("difference", each)}
            for name, each in gains.items()
        },
        "paper": f"five networks {five['five_top1_error_percent']}% against "
        f"{one['top1_error_percent']}% for one; ten views {all_views['top1_error_percent']}% "
        f"against {views['top1_error_percent']}% [P §4.1, §6]",
    }


def _packed(said: np.ndarray) -> str:
    return base64.b64encode(said.astype(np.float16).tobytes()).decode()


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.float16).reshape(-1, 10).astype(np.float32)


def _head(record: Mapping[str, Any]) -> str:
    return (
        f"After {record['epochs']} epochs on {record['train_images']:,} images from "
        f"{record['data_note']}; {seeds_in_words(record['seeds'])}; test error:"
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
    lines += [f"{name}: {points(gap)}" for name, gap in record["differences"].items()]
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
    lines.append(f"ten views minus centre crop: {points(record['ten_views'])}")
    lines.append(f"together minus one network: {points(record['averaging'])}")
    return "\n".join(lines)
