"""The training step timed beside its rivals: LRN as shipped, no LRN, torchvision's network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torchvision import models as torchvision_models

from .. import architectures, models, optim, shapes, training
from ..datasets import ImageSet
from ..distributed import launch
from ..kernels.allocator import kept
from ..paper import RECIPES
from .timing import Rows, compare, figure, machine_rates, resident

__all__ = ["BuiltinLRN", "loop_overhead", "peak_memory", "profiled", "step"]

OURS, SHIPPED, WITHOUT = "alexnet_lib", "with nn.LocalResponseNorm", "without LRN"
PLAIN = "the same in torch's own modules"
TORCHVISION = "torchvision's AlexNet"
BEST = f"{TORCHVISION}, channels_last, fused SGD"
Step = Callable[[], None]


class BuiltinLRN(nn.Module):
    """The same normalization by torch's module, tower by tower."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups, self.norm = groups, nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.norm(part) for part in x.chunk(self.groups, dim=1)], dim=1)


def _network(norm: nn.Module | None, plain: bool = False) -> nn.Module:
    """Return the paper's network, with another LRN, and plain: with torch's layers for ours."""
    model = models.alexnet("paper", seed=0)
    for stage in ("lrn1", "lrn2") if norm is not None else ():
        setattr(model.features, stage, norm)
    for stage, layer in list(model.features.named_children()) if plain else ():
        window = (getattr(layer, name, None) for name in ("kernel_size", "stride", "padding"))
        if isinstance(layer, models.MaxPool2d):
            setattr(model.features, stage, nn.MaxPool2d(*window))
        elif isinstance(layer, models.Conv2d):
            channels = layer.in_channels, layer.out_channels
            other = nn.Conv2d(*channels, *window, groups=layer.groups)
            other.load_state_dict(layer.state_dict())
            setattr(model.features, stage, other)
    return model


def training_step(name: str, batch_size: int, device: str = "cpu", compiled: bool = False) -> Step:
    """Return one training step of a contestant on random pictures.

    name: one of the constants above. All but torchvision's network as it comes are in
    channels_last. SHIPPED exchanges our LRN alone; PLAIN has none of our layers, and torch's own
    fused SGD. compiled: run the network through torch.compile; the first step then takes minutes.
    """
    ours = name in (OURS, SHIPPED, WITHOUT)
    if name.startswith(TORCHVISION):
        model = torchvision_models.alexnet(weights=None)
    else:
        norm = {SHIPPED: BuiltinLRN(2), PLAIN: BuiltinLRN(2), WITHOUT: nn.Identity()}.get(name)
        model = _network(norm, plain=name == PLAIN)
    form = torch.contiguous_format if name == TORCHVISION else torch.channels_last
    model.to(device, memory_format=form).train()
    if ours:
        optimizer = optim.SGD2012(optim.parameter_groups(model), lr=1e-6)
    else:
        fused = None if name == TORCHVISION else True
        parameters = model.parameters()
        optimizer = torch.optim.SGD(parameters, 1e-6, 0.9, weight_decay=5e-4, fused=fused)
    size = 224 if name.startswith(TORCHVISION) else architectures.network("paper").input_size
    x = torch.randn(batch_size, 3, size, size, device=device).to(memory_format=form)
    y = torch.zeros(batch_size, dtype=torch.long, device=device)
    forward = torch.compile(model) if compiled else model

    def once() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(forward(x), y).backward()
        optimizer.step()

    return once


@kept()
def step(
    device: str = "cpu", rounds: int = 5, batch_size: int = 64, compiled: bool = True
) -> Rows:
    """One training step of each network in turn, the loop's overhead, and the memory of each.

    Freed memory is kept for all of them, as `training.fit` does. compiled: also time PLAIN and
    BEST under torch.compile, where it works here.
    """
    contestants = {
        name: training_step(name, batch_size, device)
        for name in (OURS, PLAIN, SHIPPED, WITHOUT, TORCHVISION, BEST)
    }
    missing = []
    for name in (PLAIN, BEST) if compiled else ():
        once = training_step(name, batch_size, device, compiled=True)
        try:
            once()
            contestants[f"{name}, compiled"] = once
        except Exception as error:  # whatever goes wrong in a compiler on this machine
            missing.append(f"{name}, compiled: {type(error).__name__}")
    times = compare(contestants, rounds, device)
    del contestants
    ratio = {name: row["ratio"] for name, row in times.items()}
    best = min(ratio[name] for name in ratio if name.startswith(BEST))
    rates = machine_rates(device)
    flops = training_flops() * batch_size
    rates["share_of_matmul"] = flops / rates["matmul"] / times[OURS]["median"]
    for row in times.values():
        row["images_per_second"] = batch_size / row["median"]
    figures = [
        figure(f"{PLAIN} / ours", ratio[PLAIN], 2.2),
        figure(f"ours {SHIPPED} / ours", ratio[SHIPPED], 2.2),
        figure("ours / without LRN", 1 / ratio[WITHOUT], most=1.2),
        figure(f"{TORCHVISION} as it comes / ours", ratio[TORCHVISION], 1.1),
        figure(f"{TORCHVISION} at its best / ours", best, 0.85),
    ]
    row = {"what": f"training step, batch {batch_size}", "figures": figures, "times": times}
    row |= {"rates": rates, "missing": missing, "profile": profiled(OURS, batch_size, device)}
    loop = loop_overhead(rounds, batch_size, device)
    figures.append(figure("time of the loop's step / of the bare step", loop, most=1.02))
    if device == "cpu":
        memory = {name: peak_memory(name, batch_size) for name in (OURS, PLAIN, TORCHVISION)}
        row["peak_memory"] = memory
        if None not in memory.values():
            share = memory[OURS] / memory[PLAIN]
            figures.append(figure("peak memory, ours / in torch's own modules", share, most=1.0))
    return [row]


def profiled(name: str, batch_size: int, device: str = "cpu", shown: int = 10) -> dict[str, float]:
    """Return torch's operations that take most of a contestant's step, and each one's share."""
    once = training_step(name, batch_size, device)
    once()
    on_gpu = device == "cuda"
    kinds = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]
    with profile(activities=kinds) as seen:
        for _ in range(3):
            once()
    taken = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    times = {event.key: getattr(event, taken) for event in seen.key_averages()}
    largest = sorted(times, key=times.get, reverse=True)[:shown]
    return {operation: times[operation] / sum(times.values()) for operation in largest}


def training_flops() -> float:
    """Return the operations of a training step for one picture: 2 for each multiplication and
    addition, three passes, but no slope for the pictures themselves."""
    rows = shapes.walk(architectures.network("paper"))
    first = next(row.macs for row in rows if row.macs)
    return 2.0 * (3 * sum(row.macs for row in rows) - first)


def loop_overhead(rounds: int = 5, batch_size: int = 64, device: str = "cpu") -> float:
    """Return how long a step of `training.fit` takes over the same step alone, on a ready batch.

    The loop reads, crops and counts; blocks of three steps of each take turns.
    """
    block = 3
    steps = block * (rounds + 1)
    spec = architectures.network("paper", 2)
    pictures = np.random.default_rng(0).integers(
        0, 256, (steps * batch_size, 256, 256, 3), dtype=np.uint8
    )
    train = ImageSet(pictures, np.arange(len(pictures)) % 2, ["a", "b"], "noise", "train")
    model, alone = models.build(spec, seed=0), models.build(spec, seed=0)
    alone.to(device, memory_format=torch.channels_last).train()
    optimizer = optim.SGD2012(optim.parameter_groups(alone), lr=1e-6)
    x = torch.randn(batch_size, 3, spec.input_size, spec.input_size, device=device)
    x = x.to(memory_format=torch.channels_last)
    y = torch.zeros(batch_size, dtype=torch.long, device=device)
    loops, bares, times = [], [], [time.perf_counter()]

    def on_step(run) -> None:
        if (run.epoch * steps + run.step) % block:
            return
        loops.append(_now(device) - times[-1])
        started = _now(device)
        for _ in range(block):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(alone(x), y).backward()
            optimizer.step()
        bares.append(_now(device) - started)
        times.append(_now(device))

    recipe = RECIPES["paper2012"]
    training.fit(
        model, train, None, recipe, epochs=1, batch_size=batch_size, device=device, on_step=on_step,
        lr=1e-6,
    )
    pairs = list(zip(loops, bares, strict=True))[1:]  # the first holds the loop's start
    return median(loop / bare for loop, bare in pairs)


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory(name: str, batch_size: int = 64) -> int | None:
    """Return by how many bytes a fresh process grows at most in two training steps of a contestant.

    None where the system doesn't tell.
    """
    (peak,) = launch.launch(_peak, 1, (name, batch_size), threads=2, seconds=600)
    return peak


def _peak(name: str, batch_size: int) -> int | None:
    training_step(name, 2)()  # what torch loads on first use isn't the network's
    before, most = resident("VmRSS"), 0
    if before is None:
        return None
    once, done = training_step(name, batch_size), threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, resident("VmRSS"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with kept():
        for _ in range(2):
            once()
    done.set()
    watcher.join()
    return most - before
