"""Many networks trained at once: on a GPU one training step of all of them is one CUDA graph.

A small network leaves most of a GPU idle, because its kernels are short. So every network of a
sweep runs on a stream of its own, and the step of all is captured once and replayed. On the CPU,
and where capturing fails, the same functions run one after the other.

What is paired: a seed draws the first weights, and for each epoch the order of the pictures, the
places of crops, the flips and the colour noise; all networks of one seed get the same ones. What
isn't: the masks of dropout, which come from torch's generator of the device. The pictures that
fill no whole batch are left out of an epoch; the next epoch has a new order.

The update is that of 2012, v <- momentum v - lr (g + weight_decay w), w <- w + v, with the rate in
a tensor, so that a schedule needs no new graph. Biases don't decay. Networks that are done leave
the graph, and others may join it: it's captured anew.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .. import augment, models, records
from ..architectures import NetworkSpec
from ..batches import random_seed
from ..datasets import ImageSet
from ..optim import CosineSchedule, StepSchedule
from ..training import numerics
from . import arms

__all__ = [
    "Data", "Result", "Run", "View", "environments", "evaluate", "fan_in_std", "inputs", "rounded",
    "train",
]

STREAMS = 24
ALIGNED = 64  # values: every parameter starts at a multiple, as cuDNN likes its pointers
WASTE = 1 / 6  # capture anew once this share of the networks in the graph is done


@dataclass(frozen=True)
class View:
    """What becomes of a picture before a network sees it.

    scale: factor on the pixels after the mean image is subtracted. crops: a square at a random
    place instead of the central one. flips: mirrored with probability 1/2. colour: standard
    deviation of the colour noise of [P §4.1], 0 for none.
    """

    scale: float = 1.0
    crops: bool = False
    flips: bool = False
    colour: float = 0.0


@dataclass(frozen=True)
class Run:
    """One network to train. The name is unique in a sweep.

    weight_std, biases: of the first weights, by layer, instead of what the network's stages say;
    he: He initialization and zero biases for the other layers. bias_lr: factor on the rate of the
    biases; lr_factors: on the rate of single layers. schedule: None for a constant lr, else its
    `lr(share of the run)` is the rate, and lr is only said. target: stop once the training error
    during an epoch is at most this. moments: steps, from 0, before which the first layer's weights
    are copied. watch: numbers of finished epochs after which `observe` is called, and -1 at the
    end.
    """

    name: str
    spec: NetworkSpec
    lr: float
    seed: int
    epochs: int
    view: View = View()
    weight_std: Mapping[str, float] = field(default_factory=dict)
    biases: Mapping[str, float] = field(default_factory=dict)
    he: bool = False
    bias_lr: float = 1.0
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: StepSchedule | CosineSchedule | None = None
    label_smoothing: float = 0.0
    target: float | None = None
    moments: frozenset[int] = frozenset()
    watch: tuple[int, ...] = ()

    def lr_at(self, share: float) -> float:
        """Return the rate at a share of the run, 0 to 1."""
        return self.lr if self.schedule is None else self.schedule.lr(share)


@dataclass(eq=False)
class Result:
    """What a run has measured: errors are shares of 0 to 1, one value an epoch.

    train_error and train_loss are taken during the epoch, while the weights move. status:
    running, finished, reached (the target), diverged, stopped (by the caller) or cut (no time).
    test: what `evaluate` said at the end. net: the network, with its weights as they stand.
    """

    run: Run
    net: models.Net
    train_error: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    test_error: list[tuple[int, float]] = field(default_factory=list)
    test: dict[str, float] = field(default_factory=dict)
    status: str = "running"
    seconds: float = 0.0
    taken: dict[int, torch.Tensor] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.train_error)

    def epochs_to(self, target: float) -> float | None:
        """Return the epochs until the training error falls to `target`, None if it never did.

        The error of an epoch counts as measured at its end; between two of them it falls along a
        straight line, from chance before the first.
        """
        classes = self.run.spec.layers[-1].channels
        return arms.epochs_to(target, [1 - 1 / classes, *self.train_error])

    def record(self) -> dict[str, Any]:
        """Return what a record keeps of the run."""
        return {
            "name": self.run.name, "lr": self.run.lr, "seed": self.run.seed, "status": self.status,
            "epochs": self.epochs, "train_error": [round(e, 4) for e in self.train_error],
            "train_loss": [float(f"{loss:.4g}") for loss in self.train_loss],
            **({"test_by_epoch": self.test_error} if self.test_error else {}),
            **({"test": self.test} if self.test else {}), "seconds": round(self.seconds, 1),
        }  # fmt: skip


class Data:
    """Pictures on a device: uint8 images (N, H, W, C), labels (N,), and what views need of them.

    like: the training set whose mean and colours are to be used, such as for test pictures.
    """

    def __init__(self, images: ImageSet, device: str = "cpu", like: Data | None = None) -> None:
        pixels = torch.from_numpy(images.images.copy())
        self.set, self.device = images, torch.device(device)
        self.images = pixels.to(self.device)
        self.labels = torch.from_numpy(images.labels.copy()).to(self.device)
        self.classes = len(images.classes)
        if like is not None:
            self.mean, self.values, self.vectors = like.mean, like.values, like.vectors
            return
        total = sum(part.sum(0, dtype=torch.double) for part in self.images.split(500))
        self.mean = (total / len(self)).float()  # (H, W, C)
        self.values = self.vectors = None
        if images.images.shape[3] == 3:
            values, vectors = augment.colour_components(images.images)
            self.values, self.vectors = values.to(self.device), vectors.to(self.device)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def std(self) -> float:
        """Return the standard deviation of all pixels after the mean image is subtracted."""
        total = 0.0
        for part in self.images.split(1000):
            total += float((part.float() - self.mean).square().mean(dtype=torch.double)) * len(part)
        return math.sqrt(total / len(self))


def fan_in_std(spec: NetworkSpec, gain: float = 1.0) -> dict[str, float]:
    """Return gain / sqrt(fan-in) for every layer with weights."""
    net = models.blueprint(spec)
    layers = [layer.name for layer in spec.layers if layer.kind in ("conv", "fc")]
    return {name: gain * net.stage(name).weight[0].numel() ** -0.5 for name in layers}


class _Order:
    """The random numbers of one seed's epoch, for all its steps, on the device."""

    def __init__(self, steps: int, batch_size: int, device: torch.device) -> None:
        shape = (steps, batch_size)
        self.chosen = torch.zeros(shape, dtype=torch.long, device=device)
        self.uniform = torch.zeros(*shape, 3, device=device)  # top, left, mirrored
        self.normal = torch.zeros(*shape, 3, device=device)  # colour

    def draw(self, seed: int, epoch: int, count: int) -> None:
        generator = torch.Generator().manual_seed(random_seed("sweep", seed, epoch))
        order = torch.randperm(count, generator=generator)
        self.chosen.copy_(order[: self.chosen.numel()].view_as(self.chosen))
        self.uniform.copy_(torch.rand(self.uniform.shape, generator=generator))
        self.normal.copy_(torch.randn(self.normal.shape, generator=generator))


def inputs(
    data: Data, view: View, size: int, chosen: torch.Tensor, uniform: torch.Tensor | None = None,
    normal: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return float32 (B, C, size, size) of the chosen pictures; no value leaves the device.

    uniform, normal: (B, 3) random numbers, where the view needs them.
    """
    H, W = data.images.shape[1:3]
    if (H, W) == (size, size) and not view.flips:
        pixels = data.images.index_select(0, chosen)
    else:
        steps = torch.arange(size, device=chosen.device)
        tops, lefts = (
            (uniform[:, axis] * (side - size + 1)).long().clamp_(max=side - size)
            if view.crops else torch.full_like(chosen, (side - size) // 2)
            for axis, side in ((0, H), (1, W))
        )
        columns = steps.expand(len(chosen), -1)
        if view.flips:
            columns = torch.where(uniform[:, 2, None] < 0.5, steps.flip(0), steps)
        rows, columns = tops[:, None] + steps, lefts[:, None] + columns
        pixels = data.images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
    x = pixels.float().sub_(augment.centre_crop(data.mean, size)).permute(0, 3, 1, 2)
    if view.colour:
        shifts = (normal * view.colour * data.values.sqrt()) @ data.vectors.T
        x = x.add_(shifts[:, :, None, None]).div_(1 + view.colour)
    return x if view.scale == 1 else x.mul_(view.scale)


@torch.no_grad()
def evaluate(
    net: models.Net, data: Data, view: View, batch_size: int = 500, ten_crop: bool = False,
    autocast: bool = False,
) -> dict[str, float | None]:
    """Measure a network on the central crops of pictures, or on ten views of each.

    Returns error and loss (of the mean probabilities), and top5_error where there are more than
    five classes.
    """
    was_training, benchmark = net.training, torch.backends.cudnn.benchmark
    net.eval()
    torch.backends.cudnn.benchmark = False  # it isn't worth it for some batches
    size, cut = net.spec.input_size, augment.ten_crop if ten_crop else augment.centre_crop
    mean = augment.centre_crop(data.mean, size)
    sums = torch.zeros(3, dtype=torch.double, device=data.device)
    step = max(1, batch_size // 10) if ten_crop else batch_size
    for images, labels in zip(data.images.split(step), data.labels.split(step), strict=True):
        views = cut(images, size).reshape(-1, size, size, images.shape[3])
        x = views.float().sub_(mean).mul_(view.scale).permute(0, 3, 1, 2)
        with _autocast(autocast):
            logits = net(x).float()
        shares = logits.softmax(1).unflatten(0, (len(labels), -1)).mean(1)
        best = shares.topk(min(5, shares.shape[1])).indices == labels[:, None]
        loss = -shares.gather(1, labels[:, None]).clamp_min(1e-12).log().sum()
        sums += torch.stack([best[:, 0].sum(), best.sum(), loss]).double()
    net.train(was_training)
    torch.backends.cudnn.benchmark = benchmark
    top1, top5, loss = (sums / len(data)).tolist()
    more = {"top5_error": round(1 - top5, 4)} if data.classes > 5 else {}
    return {"error": round(1 - top1, 4), **more, "loss": rounded(loss)}


def rounded(value: float, digits: int = 5) -> float | None:
    """Return a number with so many digits, None for one that JSON doesn't know."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def environments(earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a record says of this machine, and of those on which it was begun."""
    here, before = records.environment(), []
    if earlier is not None:
        before = [*earlier.get("earlier_environments", []), earlier["environment"]]
        before = [each for each in before if each != here]
    return {"environment": here} | ({"earlier_environments": before} if before else {})


def _autocast(on: bool) -> Any:
    """bfloat16 on the GPU; without its cache, which a graph must not hold."""
    return torch.autocast("cuda", torch.bfloat16, cache_enabled=False) if on else nullcontext()


@cache
def _streams() -> list[torch.cuda.Stream]:
    """Return the streams of all sweeps: libraries keep memory for each."""
    return [torch.cuda.Stream() for _ in range(STREAMS)]


class _Sweep:
    """The networks that are being trained, their parameters side by side, and the graph."""

    def __init__(self, data: Data, batch_size: int, precision: str) -> None:
        if not 1 <= batch_size <= len(data):
            raise ValueError(f"batch_size is {batch_size}; choose 1 to {len(data)}.")
        self.data, self.batch_size, self.device = data, batch_size, data.device
        self.autocast = precision == "bfloat16" and self.device.type == "cuda"
        self.steps = len(data) // batch_size
        self.at = torch.zeros(1, dtype=torch.long, device=self.device)  # the step in the epoch
        self.active: list[Result] = []
        self.started: dict[str, int] = {}  # the sweep's epoch in which a run had its first
        self.orders: dict[tuple[int, int], _Order] = {}
        self.on_gpu = self.device.type == "cuda"
        self.streams = _streams() if self.on_gpu else []
        self.capture, self.graph, self.problem = self.on_gpu, None, ""

    def build(self, run: Run) -> Result:
        """Return a run's network with its first weights, on the device."""
        net = models.build(run.spec).initialize(
            run.seed, dict(run.biases), run.he, dict(run.weight_std)
        )
        net.to(self.device, memory_format=torch.channels_last).train()
        return Result(run, net)

    @torch.no_grad()
    def arrange(self, results: list[Result]) -> None:
        """Put the parameters of these networks side by side, biases first, and keep velocities."""
        kept = {
            r.run.name: self.velocity[i] for i, r in enumerate(self.active) if r in results
        }
        sizes = [_sizes(r.net) for r in results]
        middle = max(biases for biases, _ in sizes)
        width = middle + max(weights for _, weights in sizes)
        shape = (len(results), width)
        values, gradients, velocity = (torch.zeros(shape, device=self.device) for _ in range(3))
        old_middle = getattr(self, "middle", 0)
        for i, result in enumerate(results):
            biases, weights = sizes[i]
            name = result.run.name
            if name in kept:
                velocity[i, :biases] = kept[name][:biases]
                velocity[i, middle : middle + weights] = kept[name][
                    old_middle : old_middle + weights
                ]
            for module, key, view in _views(result.net, values[i], middle):
                view.copy_(getattr(module, key))
                setattr(module, key, nn.Parameter(view))
        self.values, self.gradients, self.velocity = values, gradients, velocity
        self.middle, self.active, self.graph = middle, results, None
        column = (len(results), 1)
        given = {"device": self.device}
        runs = [r.run for r in results]
        self.bias_lr = torch.tensor([run.bias_lr for run in runs], **given).view(column)
        self.momentum = torch.tensor([run.momentum for run in runs], **given).view(column)
        self.decay = torch.tensor([run.weight_decay for run in runs], **given).view(column)
        self.decays = any(run.weight_decay for run in runs)
        self.rates = torch.zeros(self.steps, *column, **given)
        self.sums = torch.zeros(2, len(results), dtype=torch.double, device=self.device)
        self.logits = torch.zeros(len(results), self.batch_size, self.data.classes, **given)
        self.slopes = [
            [view for _, _, view in _views(r.net, self.gradients[i], middle)]
            for i, r in enumerate(results)
        ]
        keys = {(r.run.seed, self.started[r.run.name]) for r in results}
        self.orders = {  # those that no run follows any more are let go
            key: self.orders.get(key) or _Order(self.steps, self.batch_size, self.device)
            for key in sorted(keys)
        }

    def key(self, result: Result) -> tuple[int, int]:
        """Return which order of pictures a run follows."""
        return result.run.seed, self.started[result.run.name]

    def one(self, i: int, x: torch.Tensor, y: torch.Tensor) -> None:
        """Do the forward and backward pass of network i and keep its logits and gradients."""
        result = self.active[i]
        run, parameters = result.run, _parameters(result.net)
        with _autocast(self.autocast):
            logits = result.net(x)
        loss = F.cross_entropy(logits.float(), y, label_smoothing=run.label_smoothing)
        gradients = torch.autograd.grad(loss, [p for _, p in parameters])
        with torch.no_grad():
            torch._foreach_copy_(self.slopes[i], list(gradients))
            for (stage, _), slope in zip(parameters, self.slopes[i], strict=True):
                if run.lr_factors.get(stage, 1) != 1:
                    slope.mul_(run.lr_factors[stage])
            self.logits[i].copy_(logits.detach())

    def step(self) -> None:
        """Do one step of all networks."""
        drawn = {
            key: [t.index_select(0, self.at)[0] for t in (o.chosen, o.uniform, o.normal)]
            for key, o in self.orders.items()
        }
        targets = {key: self.data.labels.index_select(0, t[0]) for key, t in drawn.items()}
        wanted = {(self.key(r), r.run.view, r.run.spec.input_size) for r in self.active}
        given = {
            (key, view, size): inputs(self.data, view, size, *drawn[key])
            for key, view, size in wanted
        }
        main = torch.cuda.current_stream() if self.on_gpu else None
        for stream in self.streams:
            stream.wait_stream(main)
        for i, result in enumerate(self.active):
            key = self.key(result)
            x, y = given[key, result.run.view, result.run.spec.input_size], targets[key]
            side = self.streams[i % STREAMS] if self.on_gpu else None
            with torch.cuda.stream(side) if self.on_gpu else nullcontext():
                self.one(i, x, y)
        for stream in self.streams:
            main.wait_stream(stream)
        self.finish_step(torch.stack([targets[self.key(r)] for r in self.active]))

    @torch.no_grad()
    def finish_step(self, labels: torch.Tensor) -> None:
        """Count losses and hits, then update all networks. labels: (networks, B)."""
        losses = F.cross_entropy(self.logits.flatten(0, 1), labels.flatten(), reduction="none")
        self.sums[0] += losses.view(labels.shape).sum(1)
        self.sums[1] += (self.logits.argmax(2) == labels).sum(1)
        w, g, v, middle = self.values, self.gradients, self.velocity, self.middle
        if self.decays:
            g[:, middle:].addcmul_(w[:, middle:], self.decay)
        g[:, :middle].mul_(self.bias_lr)
        v.mul_(self.momentum).addcmul_(g, self.rates.index_select(0, self.at)[0], value=-1)
        w.add_(v)
        self.at.add_(1)

    def prepare(self) -> None:
        """Capture the step, after a first one that changes nothing, in which libraries warm up."""
        if not self.capture:
            return
        self.graph, moving = None, (self.values, self.velocity, self.sums)
        before = [tensor.clone() for tensor in moving]
        try:
            for _ in range(2):
                self.at.zero_()
                self.step()
                torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.step()
            self.graph = graph
        except Exception:
            self.problem = traceback.format_exc(limit=6)
            torch.cuda.synchronize()
            self.capture = False  # plain steps from here on
        for tensor, value in zip(moving, before, strict=True):
            tensor.copy_(value)

    def epoch(self, now: int, deadline: float = math.inf) -> list[list[float]] | None:
        """Train all networks for an epoch; returns mean losses and shares of hits.

        None where the deadline came first, which only plain steps look at.
        """
        for (seed, start), order in self.orders.items():
            order.draw(seed, now - start, len(self.data))
        done = [now - self.started[r.run.name] for r in self.active]
        rates = torch.zeros(self.steps, len(self.active), 1)
        for i, result in enumerate(self.active):
            run = result.run
            if run.schedule is None:
                rates[:, i] = run.lr
                continue
            shares = [(done[i] + step / self.steps) / run.epochs for step in range(self.steps)]
            rates[:, i, 0] = torch.tensor([run.lr_at(share) for share in shares])
        self.rates.copy_(rates)
        self.sums.zero_()
        self.at.zero_()
        moments = [
            (done[i] * self.steps, i) for i, r in enumerate(self.active) if r.run.moments
        ]
        for step in range(self.steps):
            for first, i in moments:
                self.observe_filters(first + step, i)
            if self.graph is None:
                if time.monotonic() > deadline:
                    return None
                self.step()
            else:
                self.graph.replay()
        for first, i in moments:
            if done[i] + 1 == self.active[i].run.epochs:
                self.observe_filters(first + self.steps, i)
        return (self.sums / (self.steps * self.batch_size)).tolist()

    def observe_filters(self, step: int, i: int) -> None:
        """Copy the first layer's weights of network i where its run asks for it."""
        result = self.active[i]
        if step in result.run.moments:
            first = next(m for m in result.net.modules() if isinstance(m, nn.Conv2d))
            result.taken[step] = first.weight.detach().clone()


def _parameters(net: models.Net) -> list[tuple[str, nn.Parameter]]:
    """Return (stage, parameter) for all parameters, in one order."""
    stages = {path: stage for stage, path in models.stage_paths(net.spec).items()}
    return [(stages[name.rpartition(".")[0]], p) for name, p in net.named_parameters()]


def _sizes(net: models.Net) -> tuple[int, int]:
    """Return the values that a network's biases and weights need, each in whole units."""
    sizes = [0, 0]
    for name, p in net.named_parameters():
        sizes[not name.endswith("bias")] += -(-p.numel() // ALIGNED) * ALIGNED
    return sizes[0], sizes[1]


def _views(
    net: models.Net, row: torch.Tensor, middle: int
) -> Iterable[tuple[nn.Module, str, torch.Tensor]]:
    """Yield (module, name, view of the row) for each parameter; kernels lie in channels_last."""
    at = [0, middle]
    for name, p in list(net.named_parameters()):
        part = 0 if name.endswith("bias") else 1
        flat = row[at[part] : at[part] + p.numel()]
        at[part] += -(-p.numel() // ALIGNED) * ALIGNED
        if p.dim() == 4:
            K, C, h, w = p.shape
            view = flat.view(K, h, w, C).permute(0, 3, 1, 2)
        else:
            view = flat.view(p.shape)
        path, _, key = name.rpartition(".")
        yield net.get_submodule(path), key, view


@torch.no_grad()
def _own_weights(net: models.Net) -> None:
    """Give a network that leaves the sweep parameters of its own."""
    for module in net.modules():
        for key, p in list(module.named_parameters(recurse=False)):
            setattr(module, key, nn.Parameter(p.detach().clone()))


def train(
    runs: Sequence[Run], data: Data, *, test: Data | None = None, batch_size: int = 128,
    precision: str = "tf32", deadline: float = math.inf, test_every: int = 0,
    on_epoch: Callable[[dict[str, Result]], tuple[set[str], list[Run]]] | None = None,
    observe: Callable[[Result], None] | None = None, say: Callable[[str], None] | None = None,
    about: dict[str, Any] | None = None,
) -> dict[str, Result]:
    """Train networks at once; returns their results by name.

    data: the training pictures, on the device that trains. test: measured at the end of each run
    that isn't diverged, and every `test_every` epochs. precision: float32, tf32 or bfloat16 (on a
    GPU; a CPU always computes in float32). deadline: on time.monotonic()'s clock; no epoch is
    begun that would end later, and what is cut off says so. on_epoch: called with all results
    after each epoch of the sweep; returns the names of runs to stop, and runs to add. observe:
    see `Run.watch`. about: gets precision, images_per_second, whether a graph was used, and why
    not.
    Raises ValueError for two runs of one name, and for networks that don't fit the pictures.
    """
    sweep = _Sweep(data, batch_size, precision)
    results: dict[str, Result] = {}
    say, told = say or (lambda text: None), False
    waiting, now, last, images, began = list(runs), 0, 0.0, 0, time.monotonic()

    def leave(result: Result, status: str) -> None:
        result.status = status
        _own_weights(result.net)
        if test is not None and status != "diverged":
            result.test = evaluate(result.net, test, result.run.view, autocast=sweep.autocast)
        if observe is not None and -1 in result.run.watch:
            observe(result)

    with numerics(data.device, precision):
        while True:
            running = [r for r in sweep.active if r.status == "running"]
            if waiting or not running or len(running) <= (1 - WASTE) * len(sweep.active):
                for run in waiting:
                    _check(run, data, results)
                    sweep.started[run.name] = now
                    results[run.name] = sweep.build(run)
                    running.append(results[run.name])
                    if observe is not None and 0 in run.watch:
                        observe(results[run.name])
                waiting = []
                if not running:
                    break
                sweep.arrange(running)
                sweep.prepare()
                if sweep.problem and not told:
                    say(f"the step could not be captured: {sweep.problem}")
                    told = True
            start = time.monotonic()
            done = None if start + last > deadline else sweep.epoch(now, deadline)
            if done is None:
                for result in running:
                    leave(result, "cut")
                break
            losses, hits = done
            now, took = now + 1, time.monotonic() - start
            last = took
            images += len(running) * sweep.steps * batch_size
            for result, loss, share in zip(sweep.active, losses, hits, strict=True):
                if result.status != "running":
                    continue
                result.seconds += took / len(running)
                if not math.isfinite(loss):
                    leave(result, "diverged")
                    continue
                result.train_error.append(1 - share)
                result.train_loss.append(loss)
                run, epochs = result.run, result.epochs
                if run.target is not None and 1 - share <= run.target:
                    leave(result, "reached")
                elif epochs >= run.epochs:
                    leave(result, "finished")
                elif test is not None and test_every and epochs % test_every == 0:
                    measured = evaluate(result.net, test, run.view, autocast=sweep.autocast)
                    result.test_error.append((epochs, measured["error"]))
                if observe is not None and epochs in run.watch:
                    observe(result)
            say(
                f"epoch {now}: {len(running)} networks, {took:.2f} s, "
                f"{len(running) * sweep.steps * batch_size / took:,.0f} images/s"
            )
            if on_epoch is not None:
                stop, waiting = on_epoch(results)
                for name in stop:
                    if results[name].status == "running":
                        leave(results[name], "stopped")
    if about is not None:
        about |= {
            "precision": precision if sweep.on_gpu else "float32",
            "batch_size": batch_size, "steps_an_epoch": sweep.steps,
            "images_per_second": round(images / max(time.monotonic() - began, 1e-9), 1),
            "one_graph": sweep.graph is not None, "graph_problem": sweep.problem,
        }
    return results


def _check(run: Run, data: Data, results: Mapping[str, Result]) -> None:
    if run.name in results:
        raise ValueError(f"two runs are called {run.name!r}; give each a name of its own.")
    H, W, C = data.images.shape[1:]
    spec = run.spec
    units = spec.layers[-1].channels
    if C != spec.input_channels or min(H, W) < spec.input_size or units != data.classes:
        raise ValueError(
            f"{run.name!r} takes {spec.input_channels} x {spec.input_size} pixels and has {units} "
            f"classes; the pictures are {C} x {H} x {W} of {data.classes} classes."
        )
