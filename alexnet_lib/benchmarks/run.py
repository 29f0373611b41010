"""Benchmarks by name: ours and the usual way in turn, ratios first, a record at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import records
from .._errors import unknown_name
from . import layer_costs
from .input import inputs, shards
from .lrn import lrn
from .step import step
from .timing import Rows
from .two_towers import towers

__all__ = ["BENCHMARKS", "run"]

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

    name: one of BENCHMARKS; "layers", see `layer_costs`, is not among all. device: cpu or cuda.
    out: a .json file, or a folder for <name>.json. options: rounds and batch_size of the benchmark.
    The sliders of the demos are timed by `sliders.measure`.
    Raises ValueError for an unknown benchmark, with the nearest name.
    """
    if name not in (*BENCHMARKS, "layers", "all"):
        raise unknown_name("benchmark", name, [*BENCHMARKS, "layers", "sliders", "all"])
    if name == "layers":
        device, results = "cpu", layer_costs.run(**options)
        print(layer_costs.sentence(results), flush=True)
    else:
        results = {"rows": []}
        for chosen in BENCHMARKS if name == "all" else [name]:
            for row in BENCHMARKS[chosen](device, **options):
                results["rows"].append(row)
                print(_table(row), flush=True)
    record = {
        "command": f"python -m alexnet_lib bench {name}",
        "device": device,
        **results,
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
