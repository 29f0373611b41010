"""LRN and the training step timed on a GPU: as launched from Python, and as one CUDA graph.

A step of AlexNet at batch 128 takes some milliseconds on a fast GPU, and launching its kernels
takes as long. So each contestant is timed twice: "eager", by events around calls in a row as a
training loop makes them, and "graph", the same captured once and replayed, which is what the
kernels alone take. Rounds take turns, medians are kept.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import architectures, models, ops, training
from ..architectures import NetworkSpec
from ..datasets import ImageSet
from ..paper import RECIPES
from . import step
from .step import BEST, OURS, SHIPPED, TORCHVISION, WITHOUT

__all__ = ["JOBS", "loop", "lrn", "run", "steps", "timed"]

Once = Callable[[], Any]
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FORMS = {"channels_last": torch.channels_last, "NCHW": torch.contiguous_format}
LAYER_1, LAYER_2 = (128, 96, 55, 55), (128, 256, 27, 27)
RIVALS = (OURS, BEST, SHIPPED, TORCHVISION, WITHOUT)


def _milliseconds(once: Once, calls: int, device: str) -> float:
    if device != "cuda":
        started = time.perf_counter()
        for _ in range(calls):
            once()
        return 1000 * (time.perf_counter() - started) / calls
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        once()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / calls


def _graph(once: Once) -> Once:
    """Return the replay of a captured call."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            once()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        once()
    return graph.replay


def timed(
    contestants: Mapping[str, Callable[[], Once]], device: str, seconds: float, calls: int = 5,
    rounds: int = 5,
) -> dict[str, dict[str, Any]]:
    """Time contestants; returns for each eager and graph, in ms: median, least and most.

    contestants: name -> function that builds it and returns one call. One that fails is kept with
    its error. seconds: after so many no contestant but the first is built, and it's left out: a
    first call compiles kernels and tries algorithms, for seconds. The graph is left out on a CPU.
    """
    found: dict[str, dict[str, Any]] = {}
    ready: list[tuple[str, str, Once]] = []
    began = time.monotonic()
    for name, build in contestants.items():
        if found and time.monotonic() - began > seconds:
            break
        found[name] = {}
        try:
            once = build()
            for _ in range(3):
                once()
            ready.append((name, "eager", once))
            if device == "cuda":
                torch.cuda.synchronize()
                ready.append((name, "graph", _graph(once)))
        except Exception as error:
            found[name]["error"] = f"{type(error).__name__}: {error}"[:300]
            if device == "cuda":
                torch.cuda.synchronize()
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds + 1):
        for name, how, once in ready:
            took = _milliseconds(once, calls, device)
            if turn:
                times.setdefault((name, how), []).append(took)
    for (name, how), each in times.items():
        values = (statistics.median(each), min(each), max(each))
        found[name][how] = [float(f"{value:.4g}") for value in values]
    return found


def lrn(
    device: str, seconds: float, shape: Sequence[int], kind: str, layout: str,
    compiled: bool = False,
) -> dict[str, Any]:
    """Time LRN forward and backward on (N, C, H, W) of a type in TYPES and a layout in FORMS.

    "5 passes" is what no LRN goes below: a copy, and a sum of two tensors. compiled: torch.compile
    of its module beside ours, and nothing else.
    """
    x = torch.randn(shape, device=device, dtype=TYPES[kind]).relu().mul_(20)
    x = x.contiguous(memory_format=FORMS[layout]).requires_grad_()
    g, values = torch.randn_like(x), x.detach()
    shipped = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)

    def both(layer: Callable) -> Once:
        return lambda: torch.autograd.grad(layer(x), x, g)

    contestants: dict[str, Callable[[], Once]] = {
        OURS: lambda: both(ops.local_response_norm),
        "nn.LocalResponseNorm": lambda: both(shipped),
        "5 passes": lambda: lambda: (values.clone(), torch.add(values, g)),
        "ours, with the ReLU before it": lambda: both(
            lambda x: ops.local_response_norm(x, relu=True)
        ),
    }
    if compiled:
        contestants = {OURS: contestants[OURS], "nn.LocalResponseNorm, compiled": lambda: both(
            torch.compile(shipped, dynamic=False)
        )}  # fmt: skip
    return {
        "what": f"LRN, {tuple(shape)}, {kind}, {layout}", "bytes": values.nbytes,
        "milliseconds": timed(contestants, device, seconds),
    }  # fmt: skip


def steps(
    device: str, seconds: float, precision: str, batch_size: int, compiled: bool = False,
    names: Sequence[str] = RIVALS, calls: int = 5,
) -> dict[str, Any]:
    """Time the training step of ours and its rivals on a ready batch; images/s beside them."""
    def build(name: str) -> Once:
        once = step.training_step(name, batch_size, device, compiled)

        def half() -> None:
            with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
                once()

        return half if precision == "bfloat16" else once

    contestants = {name: lambda name=name: build(name) for name in names}
    with training.numerics(torch.device(device), precision):
        times = timed(contestants, device, seconds, calls)
    speed = {
        name: {how: round(1000 * batch_size / row[how][0]) for how in row if how != "error"}
        for name, row in times.items()
    }
    if device == "cuda":
        torch.cuda.empty_cache()
    return {
        "what": f"training step, batch {batch_size}, {precision}", "compiled": compiled,
        "milliseconds": times, "images_per_second": speed,
    }  # fmt: skip


def loop(
    device: str, seconds: float, recipe: str, spec: NetworkSpec | None = None, count: int = 4096
) -> dict[str, Any]:
    """Return the images/s of `training.fit` with pictures on the device: crops, flips, colour
    noise, counting; two epochs of `count` pictures after a first one."""
    spec = spec or architectures.network("paper", 10)
    side, batch_size, ends = round(1.13 * spec.input_size), min(128, count // 2), []
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    train = ImageSet(pixels, np.arange(count) % 10, [str(n) for n in range(10)], "noise", "train")
    training.fit(
        models.build(spec, seed=0), train, None, RECIPES[recipe], epochs=3, lr=1e-6,
        batch_size=batch_size, device=device, on_epoch=lambda run: ends.append(time.monotonic()),
    )
    return {
        "what": f"training.fit, recipe {recipe}, batch {batch_size}", "pictures": count,
        "images_per_second": round(2 * count / (ends[-1] - ends[0])),
    }  # fmt: skip


#: Weight, kind of row, function, what it's called with: in order of worth, compiling last.
JOBS: tuple[tuple[int, str, Callable[..., dict[str, Any]], tuple], ...] = (
    (1, "lrn", lrn, (LAYER_1, "bfloat16", "channels_last")),
    (4, "steps", steps, ("tf32", 128)),
    (4, "steps", steps, ("bfloat16", 128)),
    (1, "lrn", lrn, (LAYER_1, "float32", "channels_last")),
    (1, "lrn", lrn, (LAYER_2, "bfloat16", "channels_last")),
    (1, "loops", loop, ("paper2012",)),
    (1, "loops", loop, ("modern",)),
    (1, "lrn", lrn, (LAYER_1, "bfloat16", "NCHW")),
    (3, "steps", steps, ("bfloat16", 256)),
    (2, "lrn", lrn, (LAYER_1, "bfloat16", "channels_last", True)),
    (4, "steps", steps, ("bfloat16", 128, True, (OURS, BEST))),
)
SMALL = (
    (1, "lrn", lrn, ((2, 8, 6, 6), "float32", "NCHW")),
    (1, "steps", steps, ("float32", 1, False, (OURS,), 1)),
    (1, "loops", loop, ("paper2012", architectures.small_network(12, 3, 10, (4, 4)), 16)),
)


def run(
    device: str, seconds: float, small: bool = False,
    keep: Callable[[dict[str, list]], None] = lambda found: None,
) -> dict[str, list[dict[str, Any]]]:
    """Do JOBS; returns their rows by kind: lrn, steps and loops.

    seconds: for all; each job gets the share of what is left that its weight says, what it leaves
    goes to those after it, and what isn't begun by then has no row. keep: called after each.
    """
    found: dict[str, list[dict[str, Any]]] = {"lrn": [], "steps": [], "loops": []}
    jobs, end = SMALL if small else JOBS, time.monotonic() + seconds
    for at, (weight, kind, work, given) in enumerate(jobs):
        left = end - time.monotonic()
        if left <= 0:
            break
        share = left * weight / sum(job[0] for job in jobs[at:])
        try:
            row = work(device, share, *given)
        except Exception as error:  # the others may still work
            row = {"what": f"{work.__name__} {given}", "error": f"{type(error).__name__}: {error}"}
        found[kind].append(row)
        keep(found)
    return found
