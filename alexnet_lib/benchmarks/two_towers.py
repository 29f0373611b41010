"""Two towers at work, for a notebook or a benchmark: started, measured, compared, and ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from .. import architectures, augment, models, optim, shapes
from .. import parallel as parallel_module
from ..batches import random_seed
from ..datasets import rendered
from ..distributed import launch
from ..distributed.process_group import Ranks
from ..models import Net
from ..parallel import Team
from ..towers import TowerNet
from . import timing
from .timing import Rows

__all__ = ["activation_bytes", "contestants", "memory", "pictures", "run", "towers"]

RATE = 1e-3


def pictures(spec, batch_size: int, step: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rendered shapes as a network takes them: float32 (N, C, H, W), and labels (N,)."""
    side = spec.input_size
    images = torch.from_numpy(rendered.render_many(batch_size, side, "train", seed=step))
    x = augment.to_input(images, images.float().mean(dim=(0, 1, 2)))
    return x, torch.arange(batch_size) % min(spec.layers[-1].channels, len(rendered.CLASSES))


class _Trainee:
    """A network with its optimizer; `net` is what computes, perhaps a wrapped one."""

    def __init__(
        self, model: Net | TowerNet, double: bool = False, team: Team = parallel_module.ALONE
    ):
        kind = torch.float64 if double else torch.float32
        self.model = model.to(dtype=kind, memory_format=torch.channels_last).train()
        self.kind, self.net = kind, team.wrap(self.model)
        self.optimizer = optim.SGD2012(optim.parameter_groups(model), RATE)

    def step(
        self, x: torch.Tensor, y: torch.Tensor, seed: int = 0, step: int = 0
    ) -> tuple[torch.Tensor, float]:
        """Train on one batch; returns the logits and the loss (0 on the tower without logits)."""
        torch.manual_seed(random_seed("dropout", seed, 0, step))
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.net(x.to(self.kind))
        loss = F.cross_entropy(logits, y) if logits.numel() else logits.sum()
        loss.backward()
        self.optimizer.step()
        return logits.detach(), loss.item()


def _team(towers: int = 2) -> Team:
    """Return the team of the ranks that `launch` started."""
    return parallel_module.form(Ranks(dist.get_rank(), dist.get_world_size()), towers)


def run(
    variant: str = "paper", batch_size: int = 4, steps: int = 2, seed: int = 0, *,
    num_classes: int = 10, overlap: bool = True, double: bool = False, compare: bool = True,
    threads: int = 1, seconds: float = 120.0,
) -> list[dict[str, Any]]:
    """Train a network for some steps in two processes, one tower each; return what each measured.

    variant: paper or source2012. batch_size: rendered pictures a step. overlap: compute while
    tensors cross. double: float64. compare: do the same steps with the whole network in one
    process, from the same seed. threads: of torch, in each process. seconds: for all of it.
    Each rank's dict holds rank; parameters; seconds, one a step; and exchanged, one row a
    crossing: reader, direction, shape sent, bytes sent and seconds waited, of the last step.
    Rank 0's holds besides: losses, one a step; logits (N, classes) of the first step; and
    differences: for outputs, loss, gradients and weights, a step, the largest difference from one
    process as a share of the largest value there.
    Raises RankError with a rank's own traceback; see `launch.launch`.
    """
    arguments = (variant, num_classes, batch_size, steps, seed, overlap, double, compare)
    return launch.launch(_run, 2, arguments, threads=threads, seconds=seconds)


def _run(
    variant: str, num_classes: int, batch_size: int, steps: int, seed: int, overlap: bool,
    double: bool, compare: bool,
) -> dict[str, Any]:
    team, spec = _team(), architectures.network(variant, num_classes)
    team.link.overlap = overlap
    towers = _Trainee(team.build(spec, seed), double)
    whole = _Trainee(models.build(spec, seed), double) if compare and team.first else None
    report: dict[str, Any] = {
        "rank": team.ranks.rank, "seconds": [],
        "parameters": sum(p.numel() for p in towers.model.parameters()),
    }
    if team.first:
        report |= {"losses": [], "differences": {}}
    for step in range(steps):
        team.link.forget()
        x, y = pictures(spec, batch_size, step)
        dist.barrier()
        started = time.perf_counter()
        logits, loss = towers.step(x, y, seed, step)
        report["seconds"].append(time.perf_counter() - started)
        parameters = dict(towers.model.named_parameters())
        gradients = team.whole(towers.model, {n: p.grad for n, p in parameters.items()})
        weights = team.whole(towers.model, parameters)
        if not team.first:
            continue
        report["losses"].append(loss)
        report.setdefault("logits", logits.numpy())
        if whole is not None:
            theirs = whole.step(x, y, seed, step)
            for name, value in _differences(
                (logits, loss, gradients, weights), theirs, whole.model
            ).items():
                report["differences"].setdefault(name, []).append(value)
    report["exchanged"] = [
        {
            "reader": reader, "direction": way, "shape": team.link.shapes.get((reader, way), ()),
            "bytes": team.link.sent[reader, way], "waited": seconds,
        }
        for (reader, way), seconds in team.link.waited.items()
    ]
    return report


def _differences(ours: tuple, theirs: tuple, whole: nn.Module) -> dict[str, float]:
    """Return how far logits, loss, gradients and weights lie apart, as shares of the largest."""
    (logits, loss, gradients, weights), (expected, expected_loss) = ours, theirs
    named = dict(whole.named_parameters())
    return {
        "outputs": _apart(logits, expected),
        "loss": abs(loss - expected_loss) / abs(expected_loss),
        "gradients": max(_apart(gradients[name], p.grad) for name, p in named.items()),
        "weights": max(_apart(weights[name], p.detach()) for name, p in named.items()),
    }


def _apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30)).item()


def memory(
    variant: str = "paper", batch_size: int = 128, num_classes: int = 1000, *, threads: int = 1,
    seconds: float = 300.0,
) -> list[dict[str, Any]]:
    """Measure what each tower holds while training, beside what the sizes of its layers say.

    Returns for each rank, in bytes: weights, momentum and gradients, as its tensors hold them;
    outputs, of the input and the layers that `shapes.tower_activation_bytes` counts; calculated,
    what all four come to by `shapes`; kept, what autograd keeps of a forward pass, which is more
    (places of the maxima, the other tower's half); and peak, by which the process grew at most
    (None where the system doesn't tell).
    """
    arguments = (variant, num_classes, batch_size)
    return launch.launch(_memory, 2, arguments, threads=threads, seconds=seconds)


def _memory(variant: str, num_classes: int, batch_size: int) -> dict[str, Any]:
    team, spec = _team(), architectures.network(variant, num_classes)
    x, y = pictures(spec, 1)
    _Trainee(team.build(spec, 0)).step(x, y)  # what torch loads on first use isn't the network's
    del x, y
    before = timing.resident("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    model = _Trainee(team.build(spec, 0))
    x, y = pictures(spec, batch_size)
    for step in range(2):
        model.step(x, y, step=step)
    peak = timing.resident("VmHWM")
    parameters = list(model.model.parameters())
    bytes_of = {
        "weights": parameters,
        "momentum": [model.optimizer.state[p]["velocity"] for p in parameters],
        "gradients": [p.grad for p in parameters],
    }
    held = {name: sum(t.nbytes for t in tensors) for name, tensors in bytes_of.items()}
    held |= {"outputs": _output_bytes(model.model, x), "kept": activation_bytes(model.model, x)}
    tower = team.tower
    weights = 4 * shapes.tower_parameters(spec)[tower]
    calculated = 3 * weights + batch_size * shapes.tower_activation_bytes(spec)[tower]
    grown = None if before is None or peak is None else peak - before
    return held | {"rank": team.ranks.rank, "peak": grown, "calculated": calculated}


@torch.no_grad()
def _output_bytes(model: TowerNet, x: torch.Tensor) -> int:
    """Return the bytes of the input and of the outputs of conv, fc, LRN and pooling stages."""
    sizes = [x.nbytes]
    handles = [
        model.stage(layer.name).register_forward_hook(lambda *given: sizes.append(given[2].nbytes))
        for layer in model.spec.layers
        if layer.kind in (*shapes.WEIGHTED, "lrn", "max_pool", "average_pool")
    ]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return sum(sizes)


def activation_bytes(model: nn.Module, x: torch.Tensor) -> int:
    """Return the bytes that autograd keeps of one forward pass for the backward pass.

    Memory that tensors share is counted once, weights not at all.
    """
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = model(x)
    y.sum().backward()  # two towers go backward together, or wait for each other for ever
    return sum(kept.values())


def contestants(batch_size: int = 32, num_classes: int = 1000) -> dict[str, Callable[[], None]]:
    """Return training steps to be timed in turn, by both of the ranks that `launch` started.

    Each waits for the other rank at its start and end. One process has two threads, and the other
    rank sleeps; two processes have one thread each.
    """
    pair, data = _team(2), _team(1)
    spec = architectures.network("paper", num_classes)
    x, y = pictures(spec, batch_size)
    share = slice(*data.share(batch_size))
    towers = _Trainee(pair.build(spec, 0))
    parallel = _Trainee(models.build(spec, 0), team=data)
    compressed = _Trainee(
        models.build(spec, 0), team=parallel_module.form(data.ranks, 1, compress=True)
    )
    alone = _Trainee(models.build(spec, 0)) if pair.first else None

    def together(step: Callable[[], Any], threads: int = 1) -> Callable[[], None]:
        def once() -> None:
            torch.set_num_threads(threads)
            dist.barrier()
            step()
            dist.barrier()

        return once

    def half_alone() -> None:
        if alone is not None:
            alone.step(x[share], y[share])

    def towers_in_turn() -> None:
        pair.link.overlap = False
        towers.step(x, y)
        pair.link.overlap = True

    return {
        "one process, 2 threads": together(lambda: alone and alone.step(x, y), 2),
        "two towers, 1 thread each": together(lambda: towers.step(x, y)),
        "two towers that wait for each exchange": together(towers_in_turn),
        "data parallel, 1 thread each": together(lambda: parallel.step(x[share], y[share])),
        "data parallel, gradients as bfloat16": together(
            lambda: compressed.step(x[share], y[share])
        ),
        "one process, 1 thread, half the batch": together(half_alone),
    }


def towers(device: str = "cpu", rounds: int = 5, batch_size: int = 32) -> Rows:
    """The network in two processes, as two towers and data parallel, beside one process.

    On the CPU whatever the device, since two processes on GPUs need two of them and torchrun.
    Each row also holds what the towers' memory came to at batch 128: see `memory`.
    """
    ranks = launch.launch(_compared, 2, (batch_size, rounds), seconds=1800)
    result = ranks[0]
    for times in result.values():
        times["images_per_second"] = batch_size / times["median"]
    alone = "one process, 1 thread, half the batch"
    result[alone]["images_per_second"] = batch_size / 2 / result[alone]["median"]
    what = f"training step on 2 cores, batch {batch_size}"
    return [{"what": what, "times": result, "memory": memory(seconds=600)}]


def _compared(batch_size: int, rounds: int) -> dict[str, dict[str, float]]:
    return timing.compare(contestants(batch_size), rounds)
