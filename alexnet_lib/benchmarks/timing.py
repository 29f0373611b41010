"""Timing side by side: contestants in turn, ratios, bytes moved, and this machine's own rates."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Rows", "bytes_moved", "compare", "figure", "machine_rates", "resident"]

Rows = list[dict[str, Any]]  # what was timed, the times of each contestant, and the figures


def compare(
    contestants: dict[str, Callable[[], Any]], rounds: int = 7, device: str = "cpu"
) -> dict[str, dict[str, float]]:
    """Time functions in turn, A B C A B C ..., so that a drifting machine treats all alike.

    contestants: name -> function; the first is the one the others are compared with.
    rounds: counted rounds, after one that isn't. Returns for each name the median, least and most
    seconds and `ratio`: the median over rounds of its time divided by the first one's.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, function in contestants.items():
            _wait(device)
            started = time.perf_counter()
            function()
            _wait(device)
            if turn:
                times[name].append(time.perf_counter() - started)
    first = times[next(iter(contestants))]
    return {
        name: {
            "median": statistics.median(seconds),
            "least": min(seconds),
            "most": max(seconds),
            "ratio": statistics.median(
                mine / theirs for mine, theirs in zip(seconds, first, strict=True)
            ),
        }
        for name, seconds in times.items()
    }


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def figure(what: str, value: float, least: float | None = None, most: float | None = None) -> dict:
    """Return a ratio that was measured beside the one wanted: at least or at most so much."""
    wanted = f"at least {least}" if most is None else f"at most {most}"
    met = value >= least if most is None else value <= most
    return {"what": what, "value": value, "wanted": wanted, "met": bool(met)}


class _Traffic(TorchDispatchMode):
    """Adds up the bytes of all tensors that go into and come out of torch's operations."""

    total = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        if not function.is_view:
            for leaf in tree_leaves((arguments, named, result)):
                if isinstance(leaf, torch.Tensor):
                    self.total += leaf.nbytes
        return result


def bytes_moved(function: Callable[[], Any]) -> int:
    """Return the bytes that torch's operations read and write in a call, backward included.

    It is the least: every operation reads what it is given and writes what it returns once.
    """
    with _Traffic() as traffic:
        function()
    return traffic.total


def machine_rates(device: str = "cpu", rounds: int = 5) -> dict[str, float]:
    """Measure this machine's limits: `matmul` in FLOP/s in float32, `copy` in bytes/s moved."""
    side = 2048
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    x = torch.randn(1 << 24, device=device)
    y, c = torch.empty_like(x), torch.empty_like(a)
    times = compare(
        {"matmul": lambda: torch.mm(a, b, out=c), "copy": lambda: y.copy_(x)}, rounds, device
    )
    return {
        "matmul": 2 * side**3 / times["matmul"]["least"],
        "copy": 2 * x.nbytes / times["copy"]["least"],
    }


def resident(field: str) -> int | None:
    """Return a field of Linux's account of this process's memory, bytes; None elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return None
