"""AlexNet trained from the same weights on the same photos, each time with one fault: chapter 09.

Every run keeps the loss of each step and, every few steps and for every layer with weights, what
goes forward, what comes back and how far the weights move.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import architectures, augment, datasets, models, optim
from ..architectures import LayerSpec, NetworkSpec
from ..batches import Batches
from ..datasets import ImageSet
from ..paper import RECIPES
from .arms import ResultCache, Say, take_step, unfinished
from .faults import FAULTS, LETTERS, Fault, find

__all__ = [
    "MEASURES", "chart", "optimizer_of", "run", "sentence", "small_spec", "train_with_fault",
]

#: What is measured of each layer, one number a look.
MEASURES: dict[str, str] = {
    "mean": "mean of the outputs, after ReLU",
    "across": "how much the outputs differ from picture to picture: standard deviation",
    "dead": "share of the units that answer to no picture of the batch",
    "gradient": "norm of the gradient over the norm of the weights",
    "update": "norm of the step over the norm of the weights",
    "weight": "norm of the weights, in units of what it was at the start",
}
BLOCK = 5  # steps whose losses `chart` averages
CLASSES = ("parachute", "English springer", "cassette player")
IMAGES, HELD_OUT = 600, 60
STEPS, BATCH_SIZE, LOOK_EVERY, LR = 40, 16, 8, 0.0005
RECIPE = (
    "the recipe quick_look, not from 2012: first weights about as wide as He et al. (2015) worked "
    "out, the last layer small, biases 0; momentum .9, decay .0005, one constant rate; "
    "random crops and mirrored pictures"
)


def small_spec() -> NetworkSpec:
    """Return a little AlexNet for 28 x 28 grey pictures with the same names of layers."""
    widths = (12, 24, 24, 24, 24)
    stages: list[LayerSpec] = []
    for number, width in enumerate(widths, start=1):
        kernel = 5 if number < 3 else 3
        stages.append(LayerSpec(f"conv{number}", "conv", width, kernel, padding=kernel // 2))
        stages.append(LayerSpec(f"relu{number}", "relu"))
        if number in (1, 2, 5):
            stages.append(LayerSpec(f"pool{number}", "max_pool", kernel=3, stride=2))
    stages.append(LayerSpec("flatten", "flatten"))
    for number in (6, 7):
        stages.append(LayerSpec(f"fc{number}", "fc", channels=64))
        stages.append(LayerSpec(f"relu{number}", "relu"))
        stages.append(LayerSpec(f"drop{number}", "dropout", keep=0.5))
    stages.append(LayerSpec("fc8", "fc", channels=3))
    return NetworkSpec("small", 28, tuple(stages), 1, source="this course")


def _weighted(spec: NetworkSpec) -> list[str]:
    return [layer.name for layer in spec.layers if layer.kind in ("conv", "fc")]


def _begin(net: models.Net, fault: Fault, seed: int) -> None:
    """Draw the first weights: the same random numbers for all faults, scaled by layer."""
    names, small = _weighted(net.spec), net.spec.name == "small"
    biases = dict.fromkeys(names, 0.0)
    if fault.start == "printed":
        biases |= dict.fromkeys(("conv2", "conv4", "conv5", "fc6", "fc7"), 1.0)
    std = dict.fromkeys(names, 0.01)
    if fault.start == "quick":
        std |= RECIPES["quick_look"].weight_std
        if small:
            fan_in = {name: net.stage(name).weight[0].numel() for name in names}
            std = {name: (2 / count) ** 0.5 for name, count in fan_in.items()} | {"fc8": 0.02}
    biases |= dict.fromkeys(fault.silenced, -1000.0)
    net.initialize(seed, biases=biases, weight_std=std)


class _Look:
    """Watches one step: hooks on every layer with weights, then the gradients and the updates."""

    def __init__(self, net: models.Net, first: Mapping[str, float]) -> None:
        self.net, self.first, self.names = net, first, _weighted(net.spec)
        self.rows: dict[str, dict[str, float]] = {}

    def __enter__(self) -> _Look:
        self.handles = [
            self.net.stage(name).register_forward_hook(self._hook(name)) for name in self.names
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _hook(self, name: str) -> Callable:
        def hook(module, inputs, output) -> None:
            y = output.detach() if name == self.names[-1] else output.detach().relu()
            units = y.flatten(2).amax(dim=(0, 2)) if y.dim() == 4 else y.amax(dim=0)
            dead = 0.0 if name == self.names[-1] else (units <= 0).float().mean().item()
            across = y.var(dim=0).mean().sqrt().item()
            self.rows[name] = {"mean": y.mean().item(), "across": across, "dead": dead}

        return hook

    def after(self, velocity: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
        """Add what came back and how far the weights moved; call it after the optimizer's step."""
        for name in self.names:
            weight = self.net.stage(name).weight
            norm = weight.detach().norm().item()
            step = velocity(weight)
            self.rows[name] |= {
                "gradient": 0.0 if weight.grad is None else weight.grad.norm().item() / norm,
                "update": 0.0 if step is None else step.norm().item() / norm,
                "weight": norm / self.first[name],
            }


def _rounded(value: float, digits: int = 3) -> float | None:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


@torch.no_grad()
def _test(net: models.Net, batches: Sequence, fault: Fault) -> dict[str, Any]:
    """Test on held-out pictures, twice: loss and top-1 of the first time, answers that changed."""
    net.train(fault.dropout_at_test)
    answers, losses, labels = [[], []], [], []
    for x, y in batches:
        for time_asked in (0, 1):
            logits = net(x)
            answers[time_asked].append(logits.argmax(1))
            if time_asked == 0:
                losses.append(F.cross_entropy(logits, y, reduction="sum").item())
        labels.append(y)
    first, again, right = (torch.cat(parts) for parts in (*answers, labels))
    return {
        "images": len(right), "loss": _rounded(sum(losses) / len(right), 4),
        "top1": round((first == right).float().mean().item(), 4),
        "changed_answers": round((first != again).float().mean().item(), 4),
    }  # fmt: skip


def train_with_fault(
    fault: Fault, spec: NetworkSpec, train: ImageSet, test: ImageSet, seed: int = 0,
    steps: int = STEPS, batch_size: int = BATCH_SIZE, lr: float = LR,
    look_every: int = LOOK_EVERY, pixel_scale: float = 1.0, say: Say = lambda text: None,
) -> dict[str, Any]:
    """Train for some steps with one fault and return what was measured.

    spec: the network. train, test: pictures of the same classes. lr: the healthy learning rate.
    With the same seed every fault gets the same weights (but for their scale), pictures, crops
    and dropout masks. Returns loss, of each step's batch before it is learned from; looks: the
    steps that were looked at; layers: name -> measure in MEASURES -> one number a look; test, see
    the record; stopped: the step whose loss wasn't finite any more, or None.
    """
    started = time.monotonic()
    net = models.Net(spec)
    _begin(net, fault, seed)
    first = {name: net.stage(name).weight.detach().norm().item() for name in _weighted(spec)}
    optimizer = optimizer_of(net, fault, lr * fault.lr_factor)
    mean = augment.mean_image(train.images)
    mean = mean if fault.subtract_mean else torch.zeros_like(mean)
    batches = Batches(train, spec.input_size, batch_size, mean, seed=seed, drop_last=True)
    if fault.shuffle_labels:
        labels = np.random.default_rng(seed).permutation(np.array(train.labels))
        batches.labels = torch.from_numpy(labels)
    found: dict[str, Any] = {"loss": [], "looks": [], "stopped": None}
    layers: dict[str, dict[str, list]] = {
        name: {measure: [] for measure in MEASURES} for name in first
    }
    look, tested = _Look(net, first), None
    net.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            say(f"{fault.name}, step {step + 1} of {steps}")
            x, y = batches.get(*divmod(step, len(batches)))
            looking = step % look_every == 0 or step == steps - 1
            with look if looking else nullcontext():
                loss = take_step(net, optimizer, pixel_scale * x, y)
            if not math.isfinite(loss):
                found["stopped"] = step + 1
                break
            found["loss"].append(_rounded(loss, 4))
            if looking:
                found["looks"].append(step + 1)
                look.after(lambda weight: optimizer.state.get(weight, {}).get("velocity"))
                for name, row in look.rows.items():
                    for measure, value in row.items():
                        layers[name][measure].append(_rounded(value))
        asked = Batches(test, spec.input_size, 20, mean, flip=False, drop_last=False)
        if found["stopped"] is None:
            parts = (asked.get(0, i) for i in range(len(asked)))
            tested = _test(net, [(pixel_scale * x, y) for x, y in parts], fault)
    return {**found, "layers": layers, "test": tested,
            "seconds": round(time.monotonic() - started, 1)}  # fmt: skip


def optimizer_of(net: models.Net, fault: Fault, lr: float) -> optim.SGD2012:
    """Return the rule of 2012 for a network's parameters, with the fault in it."""
    groups = optim.parameter_groups(net, weight_decay=RECIPES["quick_look"].weight_decay)
    held = {id(p) for name in fault.frozen for p in net.stage(name).parameters()}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in held]
    if fault.growth:
        groups[0]["weight_decay"] = -fault.growth / lr
    optimizer = optim.SGD2012([{**group, "weight_decay": 0.0} for group in groups], lr=lr)
    for group, asked in zip(optimizer.param_groups, groups, strict=True):
        group["weight_decay"] = asked["weight_decay"]  # SGD2012 refuses the wrong sign
    return optimizer


def run(small: bool, seeds: Sequence[int], say: Say) -> dict[str, Any]:
    """Train with every fault and return the record: AlexNet on photos, or in the small version a
    little network on Fashion-MNIST.

    seeds: the first one counts.
    """
    seed, name = seeds[0], "fashion_mnist" if small else "imagenette"
    classes = ("Trouser", "Bag", "Ankle boot") if small else CLASSES
    size = 28 if small else 256
    train = datasets.load(name, "train", size=size, limit=IMAGES, classes=classes)
    test = datasets.load(name, "test" if small else "val", size=size, limit=HELD_OUT,
                         classes=classes)  # fmt: skip
    spec = small_spec() if small else architectures.network("paper", len(classes))
    lr, scale = (0.02, 1 / 80) if small else (LR, 1.0)
    settings = {
        "network": spec.name, "input_size": spec.input_size, "classes": list(classes),
        "data": train.name, "data_note": train.note, "train_images": len(train),
        "test_images": len(test), "steps": STEPS, "batch_size": BATCH_SIZE, "rate": lr,
        "seed": seed, "recipe": RECIPE,
    }  # fmt: skip
    cache = ResultCache(None if small else unfinished("clinic"), settings)
    found = {
        fault.name: cache.get(
            fault.name,
            lambda fault=fault: train_with_fault(
                fault, spec, train, test, seed, STEPS, lr=lr, pixel_scale=scale, say=say
            ),
        )
        for fault in FAULTS.values()
    }
    spent = round(sum(each["seconds"] for each in found.values()), 1)  # of all, resumed or not
    return {**settings, "measures": MEASURES, "patients": found, "patient_seconds": spent}


def sentence(record: Mapping[str, Any]) -> str:
    """Say how each run fared, without naming faults: the healthy one, then letter by letter."""
    chance = 1 / len(record["classes"])
    lines = [
        f"{record['network']} network, {len(record['classes'])} classes (chance {chance:.0%}, loss "
        f"{-math.log(chance):.2f}), {record['steps']} steps of {record['batch_size']}; median loss "
        "of the last half:"
    ]
    for letter, name in {"healthy": "healthy", **LETTERS}.items():
        found = record["patients"][name]
        last = found["loss"][len(found["loss"]) // 2 :]
        told = f"loss {np.median(last):.2f}" if last else "no finite loss at all"
        if found["stopped"] is not None:
            told = f"the loss wasn't finite from step {found['stopped']} on"
        elif found["test"] is not None:
            told += f", {found['test']['top1']:.0%} of {found['test']['images']} new photos right"
        lines.append(f"  {letter:<8} {told}")
    return "\n".join(lines)


def chart(record: Mapping[str, Any], who: str, look: int = -1) -> str:
    """Return what one look saw as a table: a row a measure, a column a layer.

    record: of `run`. who: a letter, or the name of a fault. look: which of the steps that were
    looked at; with the last come the losses of the whole run and the test.
    """
    found = record["patients"][find(who).name]
    blocks = [found["loss"][start : start + BLOCK] for start in range(0, len(found["loss"]), BLOCK)]
    losses = [f"{np.mean(block):.3g}" for block in blocks]
    head = "the healthy network" if who == "healthy" else f"patient {who}"
    lines = [
        f"{head}, step {found['looks'][look]}",
        f"loss, mean of {BLOCK} steps (chance {math.log(len(record['classes'])):.2f}): "
        + ", ".join(losses)
        + (f"; not finite at step {found['stopped']}" if found["stopped"] else ""),
        " " * 9 + "".join(f"{name:>9}" for name in found["layers"]),
    ]
    for measure in MEASURES:
        values = [layer[measure][look] for layer in found["layers"].values()]
        cells = (("not finite" if value is None else f"{value:.2g}") for value in values)
        lines.append(f"{measure:9}" + "".join(f"{cell:>9}" for cell in cells))
    if look not in (-1, len(found["looks"]) - 1):
        del lines[1]  # the losses of the whole run
    elif found["test"] is not None:
        lines.append(
            f"test on {found['test']['images']} new photos: {found['test']['top1']:.0%} right, "
            f"loss {found['test']['loss']:.2f}; asked twice, "
            f"{found['test']['changed_answers']:.0%} of the answers change"
        )
    return "\n".join(lines)
