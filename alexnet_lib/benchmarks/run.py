"""Side-by-side timings: ours and the usual way in turn, ratios first, a record at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import ops, records
from .._errors import unknown_name
from ..distributed import launch
from ..kernels import dispatch
from ..kernels import lrn as lrn_kernel
from . import two_towers
from .input import inputs, shards
from .step import step
from .timing import Rows, bytes_moved, compare, figure

__all__ = ["BENCHMARKS", "compare", "run"]


def _forward_backward(layer: Callable, x: torch.Tensor, g: torch.Tensor) -> Callable[[], None]:
    def once() -> None:
        x.grad = None
        layer(x).backward(g)

    return once


def lrn(
    device: str = "cpu", rounds: int = 7, batch_size: int = 64, compiled: bool = True
) -> Rows:
    """LRN forward and backward, at layer 1's and layer 2's shape, in both memory layouts.

    compiled: also time nn.LocalResponseNorm under torch.compile, where it works here. "5 passes"
    is what no LRN goes below: x read, y written, x and g read, the slope written, each result
    into fresh memory as every operation's. "in the cache" is ours on one picture over and over, as
    often as each thread has pictures to do: the arithmetic alone, on every thread at its best.
    """
    rows = []
    for C, side in ((96, 55), (256, 27)):
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(batch_size, C, side, side, device=device).relu()
            x = x.contiguous(memory_format=layout).requires_grad_()
            name = "channels_last" if layout == torch.channels_last else "NCHW"
            what = f"LRN, ({batch_size}, {C}, {side}, {side}), {name}"
            rows.append({"what": what} | _lrn_row(x, rounds, device, compiled))
    return rows


def _lrn_row(x: torch.Tensor, rounds: int, device: str, compiled: bool) -> dict[str, Any]:
    g, values, ours = torch.randn_like(x), x.detach(), "alexnet_lib"
    shipped, fast = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), ops.local_response_norm
    portable, traced = "portable, without a compiler", "nn.LocalResponseNorm, compiled"
    contestants = {
        ours: _forward_backward(lambda x: fast(x), x, g),
        "nn.LocalResponseNorm": _forward_backward(shipped, x, g),
        portable: lambda: lrn_kernel.portable_passes(values, g, 1, 2, 2, 1e-4, 0.75, 2.0),
        "5 passes": lambda: (values.clone(), torch.add(values, g)),
    }
    if device == "cpu" and dispatch.compiled():
        contestants["ours, in the cache"] = _arithmetic(values, g)
    moved = {name: bytes_moved(contestants[name]) / x.nbytes for name in list(contestants)[:2]}
    missing = []
    if compiled:
        torch.compiler.reset()
        once = _forward_backward(torch.compile(shipped, dynamic=False), x, g)
        try:
            once()
            contestants[traced] = once
        except Exception as error:  # whatever goes wrong in a compiler on this machine
            missing.append(f"{traced}: {type(error).__name__}")
    times = compare(contestants, rounds, device)
    figures = [figure("nn.LocalResponseNorm / ours", times["nn.LocalResponseNorm"]["ratio"], 6)]
    if traced in times:
        figures.append(figure(f"{traced} / ours", times[traced]["ratio"], 1.3))
    figures.append(figure("ours / 5 passes", 1 / times["5 passes"]["ratio"], most=1.5))
    slower = times["nn.LocalResponseNorm"]["ratio"] / times[portable]["ratio"]
    figures.append(figure("nn.LocalResponseNorm / portable", slower, 2))
    return {"figures": figures, "times": times, "passes": moved, "missing": missing}


def _arithmetic(x: torch.Tensor, g: torch.Tensor) -> Callable[[], None]:
    small, arriving = x[:1].clone(), g[:1].clone()  # in x's layout
    share = math.ceil(len(x) / torch.get_num_threads())

    def once() -> None:
        for _ in range(share):
            lrn_kernel.compiled_passes(small, arriving, 1, 2, 2, 1e-4, 0.75, 2.0, threads=1)

    return once


def towers(device: str = "cpu", rounds: int = 5, batch_size: int = 32) -> Rows:
    """The network in two processes, as two towers and data parallel, beside one process.

    On the CPU whatever the device, since two processes on GPUs need two of them and torchrun.
    Each row also holds what the towers' memory came to at batch 128: see `two_towers.memory`.
    """
    ranks = launch.launch(_race, 2, (batch_size, rounds), seconds=1800)
    result = ranks[0]
    for times in result.values():
        times["images_per_second"] = batch_size / times["median"]
    alone = "one process, 1 thread, half the batch"
    result[alone]["images_per_second"] = batch_size / 2 / result[alone]["median"]
    what = f"training step on 2 cores, batch {batch_size}"
    return [{"what": what, "times": result, "memory": two_towers.memory(seconds=600)}]


def _race(batch_size: int, rounds: int) -> dict[str, dict[str, float]]:
    return compare(two_towers.race(batch_size), rounds)


BENCHMARKS: dict[str, Callable[..., Rows]] = {
    "lrn": lrn,
    "step": step,
    "input": inputs,
    "shards": shards,
    "towers": towers,
}


def run(
    name: str = "all", device: str = "cpu", out: str | Path = "runs/bench", **options: int
) -> Path:
    """Run one benchmark or "all", print its table, write a record and return its path.

    device: cpu or cuda. out: a .json file, or a folder for <name>.json. options: rounds and
    batch_size of the benchmark. The sliders of the demos are timed by `slider_times`.
    Raises ValueError for an unknown benchmark, with the nearest name.
    """
    if name not in (*BENCHMARKS, "all"):
        raise unknown_name("benchmark", name, [*BENCHMARKS, "sliders", "all"])
    rows = []
    for chosen in BENCHMARKS if name == "all" else [name]:
        for row in BENCHMARKS[chosen](device, **options):
            rows.append(row)
            print(_table(row), flush=True)
    record = {
        "command": f"python -m alexnet_lib bench {name}",
        "device": device,
        "rows": rows,
        "threads": torch.get_num_threads(),
        "environment": records.environment(),
    }
    out = Path(out)
    return records.write(out if out.suffix == ".json" else out / f"{name}.json", record)


def _table(row: dict[str, Any]) -> str:
    lines = [row["what"]]
    for said in row.get("figures", ()):
        verdict = "" if said["met"] else "   not reached"
        lines.append(f"  {said['value']:6.2f}  {said['what']} ({said['wanted']}){verdict}")
    for name, times in row["times"].items():
        speed = (
            f"{times['images_per_second']:8.1f} images/s" if "images_per_second" in times else ""
        )
        lines.append(
            f"  {name:40} {times['ratio']:6.2f} x   {1000 * times['median']:9.1f} ms "
            f"({1000 * times['least']:.1f} to {1000 * times['most']:.1f}) {speed}"
        )
    for name, passes in row.get("passes", {}).items():
        lines.append(f"  {name} moves {passes:.0f} times the tensor's bytes")
    if "rates" in row:
        rates = row["rates"]
        lines.append(
            f"  this machine: {rates['matmul'] / 1e9:.0f} GFLOP/s in matrix products, "
            f"{rates['copy'] / 1e9:.1f} GB/s copying; the step's products, one by one, would take "
            f"{rates['share_of_matmul']:.0%} of its time at that rate"
        )
    for name, share in row.get("profile", {}).items():
        lines.append(f"  {share:5.1%} of our step: {name}")
    for name, peak in row.get("peak_memory", {}).items():
        if peak is not None:
            lines.append(f"  peak memory, {name}: {peak / 2**20:.0f} MiB")
    lines += [f"  could not be timed: {what}" for what in row.get("missing", ())]
    for kind, packed in row.get("packing", {}).items():
        lines.append(f"  packed into {kind}, one process: {packed['images_per_second']:.0f}/s")
    for rank in row.get("memory", ()):
        trained = sum(rank[kind] for kind in ("weights", "momentum", "gradients"))
        sizes = {
            "calculated": rank["calculated"], "tensors": trained + rank["outputs"],
            "with what autograd keeps": trained + rank["kept"], "process grew by": rank["peak"],
        }
        said = [f"{what} {size / 2**20:.0f} MiB" for what, size in sizes.items() if size]
        lines.append(f"  memory of rank {rank['rank']}, batch 128: {', '.join(said)}")
    return "\n".join(lines)
