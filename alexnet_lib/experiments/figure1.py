"""Figure 1 of the paper [P §3.1]: how many epochs ReLU and tanh take to 25% training error.

The network is cuda-convnet's of 2011 (layers-19pct.cfg): convolutions of 5 x 5 with 32, 32 and 64
kernels, pooling of 3 x 3 with stride 2 (largest value, average, average), one fully connected
layer. It stands there with pool1 before the first ReLU; largest values and rising functions can
change places, so that is the same as ReLU before pool1. No weight decay, no crops or flips, no
dropout; batch 128, momentum .9, one constant rate, biases at twice the rate as in that file.

What is compared, the cells: pixels of 0 to 255 minus the mean image ("raw") or divided by one
standard deviation of all pixels ("divided"); first weights with the standard deviations of the
file, .0001, .01, .01, .01 ("cuda-convnet") or 1 / sqrt(fan-in) ("fan-in"); ReLU, tanh, and sigmoid
in the first pair. Then single causes: conv1's rate alone divided by 1,000, and ReLU with a gain of
sqrt(2).

The rules, fixed before the numbers, but for the second part of rule 3: it was added once a first
call had been cut off and its unfinished searches had been seen, before any chosen rate had run
through. So the cells that it concerns have a coarser search than the others.

1. A run's number is the epochs until the training error, counted during the epoch, falls to the
   target, on a straight line between two epochs. What isn't there after `cap` epochs is "more
   than cap".
2. Each cell's rate is searched alone. First rates at a factor of three, one search seed; the best
   is the one with the fewest epochs, or where none gets there the lowest error. While the best
   stands at an end of the list the list grows there, down to 1e-5 and up to 1; while none leaves
   chance it grows downwards. Then the best and its neighbours at a factor of sqrt(3), three search
   seeds each: the fewest epochs on average win. A seed that diverged rules its rate out.
3. Searching stops a run early when it can't win any more: when another rate was there in fewer
   epochs; when it's 10 points behind the best of its cell at the same epoch, from epoch 10 on; or
   when it is still at chance (within 5 points) after 20 epochs.
   Added later: a search that was cut off goes on where it stood. A cell that was being refined is
   refined; one that was still searched is refined on a ladder of sqrt(3), one place down to two
   places up from the rate that led, with one search seed; one at chance goes on downwards from the
   lowest rate.
4. The chosen rate then runs with seeds that the search hasn't seen; nothing is stopped but what is
   at chance after 20 epochs in a cell where the whole search was. All these runs are recorded.
5. The idea "ReLU is faster" is borne out in a cell pair if every seed of ReLU needs fewer epochs
   than every seed of tanh. The input is the cause of the paper's factor if tanh's epochs over
   ReLU's fall by half or more when the input alone is divided; the first weights are, if they
   fall so when these alone are changed; the step in conv1 is, if tanh on raw input with conv1's
   rate divided by 1,000 needs at most half of the epochs that it needs without.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .. import datasets, records, training
from ..architectures import LayerSpec, NetworkSpec
from ..datasets import ImageSet
from . import sweep
from .arms import Say, unfinished
from .sweep import Data, Result, Run, View

__all__ = [
    "CELLS", "Cell", "Plan", "SMALL", "experiment", "network", "paired_ratios", "ratios", "run",
    "saturation", "sentence",
]

BATCH_SIZE = 128
CUDA_CONVNET_STD = {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc": 0.01}
LOWEST, HIGHEST = 1e-5, 1.0
CHANCE_EPOCHS, BEHIND_EPOCHS, BEHIND = 20, 10, 0.1
WATCHED = (0, 1, 5, -1)
SECONDS_BETWEEN_WRITES = 8.0


@dataclass(frozen=True)
class Cell:
    """One network and one way to feed and start it. conv1_lr: factor on conv1's rate."""

    name: str
    activation: str
    divided: bool
    weights: str  # cuda-convnet, fan-in, or fan-in with ReLU's gain
    conv1_lr: float = 1.0
    seeds: int = 3


CELLS = (
    Cell("raw, cuda-convnet, ReLU", "relu", False, "cuda-convnet", seeds=5),
    Cell("raw, cuda-convnet, tanh", "tanh", False, "cuda-convnet", seeds=5),
    Cell("divided, fan-in, ReLU", "relu", True, "fan-in"),
    Cell("divided, fan-in, tanh", "tanh", True, "fan-in"),
    Cell("divided, cuda-convnet, ReLU", "relu", True, "cuda-convnet"),
    Cell("divided, cuda-convnet, tanh", "tanh", True, "cuda-convnet"),
    Cell("raw, cuda-convnet, tanh, conv1 slow", "tanh", False, "cuda-convnet", conv1_lr=1e-3),
    Cell("raw, fan-in, ReLU", "relu", False, "fan-in"),
    Cell("raw, fan-in, tanh", "tanh", False, "fan-in"),
    Cell("raw, cuda-convnet, sigmoid", "sigmoid", False, "cuda-convnet"),
    Cell("divided, fan-in with gain, ReLU", "relu", True, "fan-in with gain"),
    Cell("raw, cuda-convnet, ReLU, conv1 slow", "relu", False, "cuda-convnet", conv1_lr=1e-3),
)


@dataclass(frozen=True)
class Plan:
    """How much is done. at_once: no new cell is begun while so many networks train."""

    channels: tuple[int, int, int] = (32, 32, 64)
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    target: float = 0.25
    cap: int = 60
    search_seeds: tuple[int, ...] = (1000, 1001, 1002)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    at_once: int = 32
    cells: tuple[str, ...] = tuple(cell.name for cell in CELLS)


SMALL = Plan(
    (8, 8, 16), (0.003, 0.01), target=0.45, cap=3, search_seeds=(1000,), seeds=(0,),
    cells=tuple(cell.name for cell in CELLS[:3]),
)  # fmt: skip


def network(
    activation: str, size: int = 32, colours: int = 3, classes: int = 10,
    channels: tuple[int, int, int] = (32, 32, 64),
) -> NetworkSpec:
    """Return cuda-convnet's network with this activation: relu, tanh or sigmoid."""
    stages: list[LayerSpec] = []
    for number, width in enumerate(channels, start=1):
        kind = "max_pool" if number == 1 else "average_pool"
        stages += [
            LayerSpec(f"conv{number}", "conv", channels=width, kernel=5, padding=2),
            LayerSpec(f"{activation}{number}", activation),
            LayerSpec(f"pool{number}", kind, kernel=3, stride=2, rounding="ceil"),
        ]
    stages += [LayerSpec("flatten", "flatten"), LayerSpec("fc", "fc", channels=classes)]
    return NetworkSpec(
        f"cuda-convnet, {activation}", size, tuple(stages), colours, source="layers-19pct.cfg"
    )


@torch.no_grad()
def saturation(result: Result, data: Data, count: int = 1000) -> dict[str, Any]:
    """Measure how far a network's units are saturated, on the first `count` training pictures.

    Returns for each activation: saturated, the share of values that are flat (|tanh| above .99,
    sigmoid outside .01 to .99, a ReLU at 0); dead, the share of units that are so for every
    picture; and spread, the standard deviation of what goes into it.
    """
    net, found, handles = result.net, {}, []

    def listen(name: str, kind: str) -> Callable:
        def hook(module, inputs, output) -> None:
            x = inputs[0].float()
            flat = {
                "tanh": lambda: x.tanh().abs() > 0.99,
                "sigmoid": lambda: (x.sigmoid() - 0.5).abs() > 0.49,
                "relu": lambda: x <= 0,
            }[kind]()
            found[name] = {
                "saturated": flat.float().mean(), "dead": flat.all(0).float().mean(),
                "spread": x.std(),
            }  # fmt: skip

        return hook

    for layer in net.spec.layers:
        if layer.kind in ("relu", "tanh", "sigmoid"):
            module = net.stage(layer.name)
            if layer.kind == "relu":
                module.inplace = False  # the hook reads what went in
            handles.append(module.register_forward_hook(listen(layer.name, layer.kind)))
    x = data.images[:count].float().sub_(data.mean).mul_(result.run.view.scale).permute(0, 3, 1, 2)
    net.eval()(x)
    net.train()
    for handle in handles:
        handle.remove()
    for layer in net.spec.layers:
        if layer.kind == "relu":
            net.stage(layer.name).inplace = True
    return {
        name: {key: sweep.rounded(float(value), 4) for key, value in values.items()}
        for name, values in found.items()
    }


@dataclass
class _Race:
    """Where one cell stands: search, refine, compare or done."""

    cell: Cell
    spec: NetworkSpec
    view: View
    plan: Plan
    std: dict[str, float]
    stage: str = "waiting"
    rates: list[float] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=dict)  # stage -> names of its runs
    lr: float | None = None
    by_chance: bool = False
    reason: dict[str, str] = field(default_factory=dict)
    before: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # rows of a cut search

    def _new(self, stage: str, rates: Sequence[float], seeds: Sequence[int]) -> list[Run]:
        runs = [
            Run(
                f"{self.cell.name}: {stage}, lr {lr:.3g}, seed {seed}", self.spec, lr, seed,
                self.plan.cap, self.view, self.std, bias_lr=2.0,
                lr_factors={"conv1": self.cell.conv1_lr}, target=self.plan.target,
                watch=WATCHED if stage == "compare" and seed == self.plan.seeds[0] else (),
            )
            for lr in rates for seed in seeds
        ]  # fmt: skip
        self.stage = stage
        self.runs.setdefault(stage, []).extend(run.name for run in runs)
        return runs

    def begin(self) -> list[Run]:
        """Return the first runs of the search."""
        self.rates = list(self.plan.rates)
        return self._new("search", self.rates, self.plan.search_seeds[:1])

    def go_on_from(self, cell: Mapping[str, Any]) -> list[Run]:
        """Return the runs with which a cell of an earlier record goes on."""
        self.before = {key: list(cell[key]) for key in ("search", "refine")}
        self.rates = sorted({*self.plan.rates, *(row["lr"] for row in cell["search"])})
        seeds = self.plan.search_seeds
        if cell["stage"] in ("compare", "done"):
            self.lr = cell["lr"]
            return self._new("compare", [self.lr], self._compared())
        rows = [row for row in cell["search"] if row["train_error"]]
        best = min(rows, key=lambda row: (
            row["epochs_to_target"] or math.inf, min(row["train_error"])
        ))  # fmt: skip
        if min(best["train_error"]) > 1 - 1 / self.spec.layers[-1].channels - 0.05:
            lower = [_rate_beside(min(self.rates), -step) for step in (1, 2, 3, 4)]
            lower = [lr for lr in lower if lr >= LOWEST]
            self.rates = sorted({*self.rates, *lower})
            return self._new("search", lower, seeds[:1])
        powers, seeds = ((-1, 0, 1, 2), seeds[:1]) if cell["stage"] == "search" else (
            (-1, 0, 1), seeds
        )
        near = [float(f"{best['lr'] * 3 ** (power / 2):.3g}") for power in powers]
        return self._new("refine", near, seeds)

    def _compared(self) -> tuple[int, ...]:
        return self.plan.seeds[: self.cell.seeds]

    def to_stop(self, results: Mapping[str, Result]) -> set[str]:
        """Return the names of runs that can't win any more, by rule 3."""
        mine = [results[name] for name in self.runs.get(self.stage, ())]
        chance = 1 - 1 / self.spec.layers[-1].channels - 0.05
        stop: dict[str, str] = {}
        limit = self._limit(mine)
        for result in mine:
            if result.status != "running" or not result.epochs:
                continue
            name, epochs, error = result.run.name, result.epochs, result.train_error[-1]
            stuck = epochs >= CHANCE_EPOCHS and min(result.train_error) > chance
            if stuck and (self.stage != "compare" or self.by_chance):
                stop[name] = f"at chance after {epochs} epochs"
            if self.stage == "compare":
                continue
            if epochs >= limit:
                stop[name] = "another rate was faster"
            best = min(other.train_error[epochs - 1] for other in mine if other.epochs >= epochs)
            if self.stage == "search" and epochs >= BEHIND_EPOCHS and error > best + BEHIND:
                stop[name] = "10 points behind another rate"
        self.reason |= stop
        return set(stop)

    def _limit(self, mine: Sequence[Result]) -> float:
        """Return the epochs after which a run of this stage has lost."""
        there = [
            self._score(group)[0] for group in _by_rate(mine).values()
            if all(r.status == "reached" for r in group)
        ]  # fmt: skip
        return math.ceil(min(there)) if there else math.inf

    def _score(self, group: Sequence[Result]) -> tuple[float, float]:
        """Return mean epochs to the target, infinite where one diverged or none got there, and
        the mean of the lowest errors."""
        if any(r.status == "diverged" for r in group):
            return math.inf, math.inf
        each = [r.epochs_to(self.plan.target) for r in group]
        error = statistics.mean(min(r.train_error, default=1.0) for r in group)
        if all(value is None for value in each):
            return math.inf, error
        pairs = zip(group, each, strict=True)
        return statistics.mean(r.epochs if to is None else to for r, to in pairs), error

    def go_on(self, results: Mapping[str, Result]) -> list[Run]:
        """Return the runs of the next stage once the present one is over."""
        mine = [results[name] for name in self.runs.get(self.stage, ())]
        if self.stage in ("waiting", "done") or any(r.status == "running" for r in mine):
            return []
        if self.stage == "compare" or any(r.status == "cut" for r in mine):
            self.stage = "done" if self.stage == "compare" else self.stage
            return []
        groups = _by_rate(mine)
        scores = {lr: self._score(group) for lr, group in groups.items()}
        best = min(scores, key=scores.get)
        if self.stage == "search":
            chance = 1 - 1 / self.spec.layers[-1].channels - 0.05
            self.by_chance = scores[best][1] > chance
            low, high = min(self.rates), max(self.rates)
            further = None
            if (best == low or self.by_chance) and low > LOWEST:
                further = _rate_beside(low, -1)
            elif best == high and high < HIGHEST:
                further = _rate_beside(high, 1)
            if further is not None:
                self.rates.append(further)
                return self._new("search", [further], self.plan.search_seeds[:1])
            if not self.by_chance:
                near = [float(f"{best * f:.3g}") for f in (3**-0.5, 1, 3**0.5)]
                return self._new("refine", near, self.plan.search_seeds)
        self.lr = best
        return self._new("compare", [best], self._compared())

    def record(self, results: Mapping[str, Result]) -> dict[str, Any]:
        """Return what was found in this cell so far."""
        def kept(stage: str) -> list[dict[str, Any]]:
            rows = []
            for result in (results[name] for name in self.runs.get(stage, ())):
                to = result.epochs_to(self.plan.target)
                row = result.record()
                row["epochs_to_target"] = None if to is None else round(to, 3)
                reason = self.reason.get(result.run.name)
                rows.append(row | ({"reason": reason} if reason else {}))
            return rows

        return {
            **asdict(self.cell), "std": self.std, "stage": self.stage,
            "finished": self.stage == "done", "lr": self.lr, "at_chance": self.by_chance,
            **{key: self.before.get(key, []) + kept(key) for key in ("search", "refine")},
            "runs": kept("compare"),
        }


def _rate_beside(lr: float, steps: int) -> float:
    """Return the rate so many places further on the ladder .001, .003, .01, .03 ..."""
    place = round(2 * math.log10(lr)) + steps
    return float(f"{'31'[place % 2 == 0]}e{place // 2}")


def _by_rate(results: Sequence[Result]) -> dict[float, list[Result]]:
    groups: dict[float, list[Result]] = {}
    for result in results:
        groups.setdefault(result.run.lr, []).append(result)
    return groups


def run(
    train: ImageSet, device: str = "cpu", plan: Plan | None = None, *, precision: str = "tf32",
    deadline: float = math.inf, path: Path | None = None, earlier: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Do Figure 1 over these training pictures; returns the record, and writes it as it grows.

    deadline: on time.monotonic()'s clock. path: of the record, written as cells get
    further. earlier: the record of a call that was cut off; cells finished there with these seeds
    are taken over, and the others go on by rule 3.
    """
    plan = plan or Plan()
    data, began = Data(train, device), time.monotonic()
    std = data.std()
    size, colours = train.images.shape[2:]
    known = (earlier or {}).get("cells", {})
    seeds = {cell.name: set(plan.seeds[: cell.seeds]) for cell in CELLS}
    done = {
        name: cell for name, cell in known.items()
        if name not in plan.cells or cell["finished"]
        and seeds[name] <= {row["seed"] for row in cell["runs"]}
    }
    where = sweep.environments(earlier)
    races = []
    for cell in CELLS:
        if cell.name not in plan.cells or cell.name in done:
            continue
        spec = network(cell.activation, size, colours, len(train.classes), plan.channels)
        gain = 2**0.5 if cell.weights == "fan-in with gain" else 1.0
        start = CUDA_CONVNET_STD
        if cell.weights != "cuda-convnet":
            start = {k: float(f"{v:.6g}") for k, v in sweep.fan_in_std(spec, gain).items()}
        view = View(scale=1 / std if cell.divided else 1.0)
        races.append(_Race(cell, spec, view, plan, dict(start)))
    seen: dict[str, list[dict[str, Any]]] = {}
    written_at = [time.monotonic()]
    about: dict[str, Any] = {}

    def observe(result: Result) -> None:
        found = {"epoch": result.epochs, "layers": saturation(result, data)}
        seen.setdefault(result.run.name.partition(":")[0], []).append(found)

    def written(results: Mapping[str, Result]) -> dict[str, Any]:
        cells = dict(done)
        for race in races:
            if race.stage != "waiting":
                name = race.cell.name
                cells[name] = race.record(results) | {"saturation": seen.get(name, [])}
        cells = {cell.name: cells[cell.name] for cell in CELLS if cell.name in cells}
        record = {
            "experiment": "figure1",
            "network": "layers-19pct of cuda-convnet: 5x5 convolutions, pooling 3/2",
            "data": train.name, "data_note": train.note, "train_images": len(train),
            "input_std": round(std, 4), "rules": __doc__, "plan": asdict(plan), "momentum": 0.9,
            "bias_lr": 2.0, "cells": cells, "seconds": round(time.monotonic() - began, 1),
            **about, **where,
        }  # fmt: skip
        if path is not None:
            records.write(path, record)
        return record

    def on_epoch(results: dict[str, Result]) -> tuple[set[str], list[Run]]:
        stop = set().union(*(race.to_stop(results) for race in races))
        for name in stop:
            results[name].status = "stopped"
        new = [run for race in races for run in race.go_on(results)]
        running = sum(r.status == "running" for r in results.values()) + len(new)
        for race in races:
            if race.stage == "waiting" and running < plan.at_once:
                new += race.begin()
                running += len(plan.rates)
        if new and time.monotonic() - written_at[0] > SECONDS_BETWEEN_WRITES:
            written_at[0] = time.monotonic()
            written({**results, **{run.name: Result(run, None) for run in new}})
        return stop, new

    first: list[Run] = []
    for race in races:
        if race.cell.name in known:
            first += race.go_on_from(known[race.cell.name])
    for race in races:
        if race.stage == "waiting" and len(first) < plan.at_once:
            first += race.begin()
    results = {}
    if first:
        results = sweep.train(
            first, data, batch_size=min(BATCH_SIZE, len(train)), precision=precision,
            deadline=deadline, on_epoch=on_epoch, observe=observe, say=say, about=about,
        )
    return written(results)


def experiment(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Do Figure 1, or go on with it where the last call or the record that ships stands.

    small: some rendered pictures, three cells, seconds.
    """
    device = str(training.choose_device())
    if small:
        train = datasets.load("shapes", "train", size=16, limit=80)
        return run(train, device, replace(SMALL, seeds=seeds), say=say)
    train = datasets.load("cifar10", "train", size=32, progress=False)
    path = unfinished("figure1")
    begun = [name for name in (path, records.folder() / "figure1.json") if name.exists()]
    earlier = records.read(begun[0]) if begun else None
    return run(train, device, replace(Plan(), seeds=seeds), path=path, earlier=earlier, say=say)


def _best(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run of an unfinished cell that is furthest: there first, or lowest."""
    rows = [row for key in ("search", "refine", "runs") for row in cell[key] if row["train_error"]]
    return min(rows, key=lambda row: (
        row["epochs_to_target"] or math.inf, min(row["train_error"])
    ))  # fmt: skip


def _epochs(cell: Mapping[str, Any]) -> tuple[float, bool]:
    """Return a cell's epochs, and whether that is all: the mean over the seeds if it's finished,
    else those of the run that is furthest, a lower bound where the target isn't reached."""
    rows = cell["runs"] if cell["finished"] else [_best(cell)]
    each = [row["epochs_to_target"] or row["epochs"] for row in rows]
    return statistics.mean(each), all(row["epochs_to_target"] for row in rows)


def ratios(record: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return tanh's epochs over ReLU's for each pair of cells, and "more than " where tanh wasn't
    there, else "". A pair whose ReLU isn't finished, or wasn't there, is left out."""
    cells, found = record["cells"], {}
    for name, cell in cells.items():
        other = cells.get(name.replace("ReLU", "tanh"))
        if "ReLU" not in name or other is None or not cell["finished"]:
            continue
        (slow, there), (fast, fast_there) = _epochs(other), _epochs(cell)
        if fast_there:
            found[name] = slow / fast, "" if there else "more than "
    return found


def paired_ratios(record: Mapping[str, Any]) -> list[float]:
    """Return tanh's epochs over ReLU's by seed, with the paper's pixels and first weights.

    A seed that didn't reach the target counts with the epochs that it ran, a lower bound.
    """
    each = [
        {row["seed"]: row["epochs_to_target"] or row["epochs"] for row in cell["runs"]}
        for cell in (record["cells"][f"raw, cuda-convnet, {kind}"] for kind in ("tanh", "ReLU"))
    ]
    return [each[0][seed] / each[1][seed] for seed in sorted(each[0].keys() & each[1].keys())]


def sentence(record: Mapping[str, Any]) -> str:
    """Say what `run` found: a line a cell, then a line for each pair of ReLU and tanh."""
    target = 100 * record["plan"]["target"]
    lines = [
        f"Epochs of {record['train_images']:,} images to {target:.0f}% training error "
        f"({record['data_note']}), by seed:"
    ]
    for name, cell in record["cells"].items():
        if cell["finished"]:
            each = [
                f"{row['epochs_to_target']:.1f}" if row["epochs_to_target"] else
                f"more than {row['epochs']}" for row in cell["runs"]
            ]  # fmt: skip
            least = "" if _epochs(cell)[1] else "at least "
            said = f"{', '.join(each)}; mean {least}{_epochs(cell)[0]:.1f}  (lr {cell['lr']:g})"
        else:
            row = _best(cell)
            said = (
                f"unfinished; {row['epochs_to_target']:.1f}" if row["epochs_to_target"] else
                f"unfinished; at {100 * min(row['train_error']):.1f}% after {row['epochs']}"
            ) + f"  (lr {row['lr']:g}, the best of the search)"
        lines.append(f"  {name:<35}  {said}")
    for name, (times, bound) in ratios(record).items():
        done = record["cells"][name.replace("ReLU", "tanh")]["finished"]
        lines.append(
            f"tanh over ReLU, {name.replace(', ReLU', '')}: {bound}{times:.1f} times the epochs"
            f"{'' if done else ', as far as the search got'}"
        )
    lines.append("The paper, tanh over ReLU: six times [P §3.1, Fig. 1]")
    return "\n".join(lines)
