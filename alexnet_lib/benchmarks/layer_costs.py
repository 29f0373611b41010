"""What each layer of a network costs in time, against its arithmetic, as chapter 07 shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .. import architectures, models, records, shapes

__all__ = [
    "GROUPS", "load", "measure", "pooling_layouts", "run", "sentence", "share", "shares",
]

BATCHES = (1, 32)
#: What stages are called together, by kind, where they have no arithmetic of their own to speak of.
GROUPS = {"relu": "ReLU", "lrn": "LRN", "max_pool": "pooling", "dropout": "dropout at test"}


@torch.no_grad()
def measure(net: models.Net, x: torch.Tensor, rounds: int) -> list[dict[str, Any]]:
    """Time a network's layers one by one in its forward pass, on one thread.

    net: a Net in eval mode. x: (N, C, H, W) as it takes them. rounds: counted passes, after one
    that isn't; in each all stages are timed in turn, so that a drifting machine treats all alike.
    Timed is what the processor spends, not the clock, so that other programs count for little.
    Poolings are torch's own here, not this library's, for which not every machine has a compiler.
    Returns one row a stage but flatten, which only looks at the same numbers another way: stage,
    kind, macs (of one picture), milliseconds (of one picture, the median) and least.
    """
    times: dict[str, list[float]] = {layer.name: [] for layer in net.spec.layers}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for number in range(rounds + 1):
            y = x.clone()
            for layer in net.spec.layers:
                module = net.stage(layer.name)
                if layer.kind == "max_pool":
                    module = partial(nn.MaxPool2d.forward, module)
                started = time.process_time()
                y = module(y)
                if number:
                    times[layer.name].append((time.process_time() - started) / len(x))
    finally:
        torch.set_num_threads(threads)
    rows = []
    for row in shapes.walk(net.spec):
        if row.kind != "flatten":
            spent = sorted(times[row.name])
            rows.append({
                "stage": row.name, "kind": row.kind, "macs": row.macs,
                "milliseconds": float(f"{1000 * spent[len(spent) // 2]:.4g}"),
                "least": float(f"{1000 * spent[0]:.4g}"),
            })  # fmt: skip
    return rows


@torch.no_grad()
def pooling_layouts(batch: int, rounds: int) -> dict[str, float]:
    """Time torch's first pooling on one thread in two memory layouts, with the same maxima.

    batch: pictures at once. rounds: counted ones, in turn, after one that isn't. Putting the
    numbers into a layout isn't timed. Returns layout -> milliseconds of one picture, the median:
    "maps", where each map's numbers lie together, PyTorch's usual layout, and "channels_last",
    where the channels of each place do.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 96, 55, 55, generator=generator).relu()
    ways = {
        "maps": partial(F.max_pool2d, x, 3, 2),
        "channels_last": partial(F.max_pool2d, x.to(memory_format=torch.channels_last), 3, 2),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for number in range(rounds + 1):
            for name, pool in ways.items():
                started = time.process_time()
                pool()
                if number:
                    times[name].append((time.process_time() - started) / batch)
    finally:
        torch.set_num_threads(threads)
    middle = rounds // 2
    return {name: float(f"{1000 * sorted(each)[middle]:.4g}") for name, each in times.items()}


def run(rounds: int = 21, batch_size: int | None = None) -> dict[str, Any]:
    """Time the paper's network with one picture and with many; returns what the record keeps.

    rounds: counted passes. batch_size: of a single size instead of both in BATCHES.
    """
    net = models.alexnet("paper", seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    batches = {}
    for batch in BATCHES if batch_size is None else (batch_size,):
        x = 60 * torch.randn(batch, 3, 227, 227, generator=generator)
        batches[str(batch)] = measure(net, x, rounds)
    return {
        "network": "paper", "classes": 1000, "threads_used": 1, "rounds": rounds,
        "time": "processor time of one picture's forward pass, median over the rounds",
        "batches": batches,
        "pooling": {
            "stage": "pool1", "batch": BATCHES[-1],
            "milliseconds": pooling_layouts(BATCHES[-1], rounds),
        },
    }  # fmt: skip


def load() -> dict[str, Any]:
    """Return the record that ships; FileNotFoundError with the command that makes it."""
    return records.read("layer_costs")


def share(rows: list[Mapping[str, Any]], cost: str) -> dict[str, float]:
    """Return the share of a cost, 0 to 1, by layer with weights, and of the others by their kind.

    rows: of `measure`. cost: "macs", "milliseconds" or "least".
    """
    shares: dict[str, float] = {}
    total = sum(row[cost] for row in rows)
    for row in rows:
        name = GROUPS.get(row["kind"], row["stage"])
        shares[name] = shares.get(name, 0.0) + row[cost] / total
    return dict(sorted(shares.items(), key=lambda item: item[0] in GROUPS.values()))


def shares(record: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the shares of five costs: parameters, MACs, memory, time with 1 and 32 pictures.

    record: of `run`. Returns cost -> name -> share, as `share` gives them. Memory counts
    what all stages put out for one picture, 4 bytes a number, but for ReLU and dropout, which need
    no room of their own; the picture itself isn't counted.
    """
    walked = {row.name: row for row in shapes.walk(architectures.network(record["network"]))}
    found = {}
    for cost, name in (("parameters", "parameters"), ("MACs", "macs"), ("memory", "bytes")):
        rows = [
            {"stage": row.name, "kind": row.kind, cost: getattr(row, name)}
            for row in walked.values() if row.kind != "flatten"
        ]  # fmt: skip
        for row in rows:
            if cost == "memory" and row["kind"] in ("relu", "dropout"):
                row[cost] = 0
        found[cost] = share(rows, cost)
    for batch, rows in record["batches"].items():
        pictures = "1 picture" if batch == "1" else f"{batch} pictures"
        found[f"time, {pictures}"] = share(rows, "milliseconds")
    return found


def sentence(record: Mapping[str, Any]) -> str:
    """Say in a few lines what a record found: the share of the arithmetic and of the time."""
    batches = record["batches"]
    heads = "".join(f"{'time, batch ' + batch:>16}" for batch in batches)
    lines = [f"{'share of':16}{'MACs':>8}{heads}"]
    macs = share(next(iter(batches.values())), "macs")
    times = {batch: share(rows, "milliseconds") for batch, rows in batches.items()}
    for name in macs:
        spent = "".join(f"{100 * each[name]:>15.1f}%" for each in times.values())
        lines.append(f"{name:16}{100 * macs[name]:>7.1f}%{spent}")
    for batch, rows in batches.items():
        spent = sum(row["milliseconds"] for row in rows)
        speed = sum(row["macs"] for row in rows) / spent / 1e6
        lines.append(f"batch {batch}: {spent:.1f} ms a picture, {speed:.1f} billion MACs a second")
    pooling = record["pooling"]["milliseconds"]
    lines.append(
        f"pool1 as above: {pooling['maps']:.2f} ms a picture; with the channels side by side in "
        f"memory: {pooling['channels_last']:.2f} ms"
    )
    return "\n".join(lines)
