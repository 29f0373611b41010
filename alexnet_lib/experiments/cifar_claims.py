"""The ledger's claims on CIFAR-10, with a network of the size of cuda-convnet's 13% and 11% ones.

The network follows layers-conv-local-11pct.cfg: two convolutions of 5 x 5 with 64 kernels, then
two layers of 3 x 3 with 64 and 32 kernels, then ten outputs; 24 x 24 crops of the 32 x 32 pictures,
mirrored at random; pixels of 0 to 255 minus the mean image, and the file's first weights, so that
LRN sees values as large as it did then (its factors are measured). What is changed: the layers of
3 x 3 are convolutions here, locally connected ones there; LRN stands after ReLU and before pooling,
with the paper's constants and its window of 5, in the file after pool1 and before pool2 with a
window of 9; all weights decay by .004 and not the later layers alone; the rate falls by tens after
.7 and .9 of the run.

The rules, fixed before the numbers. Each arm's rate is searched on 45,000 pictures with the whole
schedule, one search seed: the lowest error on the 5,000 held out wins, rates lie a factor of two
apart, and while the best stands at an end of the list the list grows there, at most three times.
Then the arm trains on all 50,000 with five seeds that the search hasn't seen, and each run is
measured once on the 10,000 test pictures. A claim's number is the mean of the paired differences
with its two-sided 95% interval by Student's t; a run that diverged is kept as such, and its pair
has no number. Correction for many claims is left to the reader of the record.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import datasets, records, training
from ..architectures import LayerSpec, NetworkSpec
from ..datasets import ImageSet, folders
from ..optim import StepSchedule
from . import paper_claims, sweep
from .arms import Say, lrn_factors_of, unfinished
from .sweep import Data, Result, Run, View

__all__ = [
    "ARMS", "CLAIMS", "Arm", "Claim", "Plan", "SMALL", "compare", "experiment", "network", "run",
    "sentence",
]

BATCH_SIZE, SEARCH_SEED, MOST_GROWTH = 128, 1000, 3
MILESTONES = (0.7, 0.9)
PARTS = ("train", "test")
STD = {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.04, "conv4": 0.04, "fc5": 0.01, "fc": 0.01}
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306}
LRN = LayerSpec("lrn", "lrn", size=5, alpha=1e-4, beta=0.75, k=2.0, convention="paper")


@dataclass(frozen=True)
class Arm:
    """What is different from the first arm; see `network`. decay: of the weights."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    crops: bool = True
    flips: bool = True
    colour: float = 0.0
    decay: float = 0.004


WITH = "with LRN"
ARMS = (
    Arm(WITH),
    Arm("without LRN", {"lrn": None}),
    Arm("rescaled only", {"lrn": replace(LRN, alpha=0.0)}),
    Arm("2x2 pooling", {"pool": 2}),
    Arm("no crops, no flips", crops=False, flips=False),
    Arm("no decay", decay=0.0),
    Arm("fc of 512", {"hidden": 512}),
    Arm("fc of 512, dropout", {"hidden": 512, "keep": 0.5}),
    Arm("two towers", {"groups": (1, 2, 1, 2), "lrn": replace(LRN, groups=2)}),
    Arm("one tower of half the width", {"widths": (32, 32, 32, 32)}),
    Arm("colour noise", colour=0.1),
    Arm("alpha divided", {"lrn": replace(LRN, convention="source2012")}),
    Arm("towers never talk", {"groups": (1, 2, 2, 2), "lrn": replace(LRN, groups=2)}),
    Arm("LRN before ReLU", {"lrn_first": True}),
    Arm("without conv3", {"without": "conv3"}),
    Arm("without conv4", {"without": "conv4"}),
    Arm("without conv2", {"without": "conv2"}),
    Arm("decay .0005", decay=0.0005),
)


@dataclass(frozen=True)
class Claim:
    """worse minus better is what the paper says is above zero; paper: its number, in points.

    measure: test (centre crop), ten_views, or train (training pictures, weights still).
    """

    name: str
    worse: str
    better: str
    paper: float | None = None
    measure: str = "test"


def _points(key: str) -> float:
    return paper_claims.by_key(key).values["top1_points"]


ON_CIFAR10 = paper_claims.by_key("lrn_cifar10").values
CLAIMS = (
    Claim("LRN", "without LRN", WITH,
          ON_CIFAR10["without_error_percent"] - ON_CIFAR10["with_error_percent"]),
    Claim("LRN against its constant factor", "rescaled only", WITH),
    Claim("overlapping pooling", "2x2 pooling", WITH, _points("overlapping_pooling")),
    Claim("crops and flips", "no crops, no flips", WITH),
    Claim("dropout", "fc of 512", "fc of 512, dropout"),
    Claim("colour noise", WITH, "colour noise", _points("colour_gain")),
    Claim("weight decay and the training error", "no decay", WITH, measure="train"),
    Claim("weight decay and the test error", "no decay", WITH),
    Claim("little weight decay and the training error", "no decay", "decay .0005",
          measure="train"),
    Claim("two towers against one of half the width", "one tower of half the width",
          "two towers", _points("two_gpus")),
    Claim("towers against one device", "two towers", WITH),
    Claim("towers that talk", "towers never talk", "two towers"),
    Claim("alpha undivided", "alpha divided", WITH),
    Claim("ReLU before LRN", "LRN before ReLU", WITH),
    Claim("conv2", "without conv2", WITH),
    Claim("conv3", "without conv3", WITH),
    Claim("conv4", "without conv4", WITH),
)


@dataclass(frozen=True)
class Plan:
    """How much is done. wave: arms that are searched and compared together."""

    epochs: int = 15
    rates: tuple[float, ...] = (0.0005, 0.001, 0.002)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    held_out: int = 5000
    wave: int = 6
    crop: int = 24
    widths: tuple[int, int, int, int] = (64, 64, 64, 32)
    arms: tuple[str, ...] = tuple(arm.name for arm in ARMS)


SMALL = Plan(2, (0.001, 0.002), (0, 1), 20, 3, 12, (4, 4, 4, 4), tuple(a.name for a in ARMS[:4]))


def network(
    crop: int = 24, colours: int = 3, classes: int = 10,
    widths: tuple[int, int, int, int] = (64, 64, 64, 32), lrn: LayerSpec | None = LRN,
    lrn_first: bool = False, pool: int = 3, groups: tuple[int, int, int, int] = (1, 1, 1, 1),
    hidden: int = 0, keep: float = 1.0, without: str = "",
) -> NetworkSpec:
    """Return the network of an arm.

    lrn: after the ReLU of the first two convolutions, None for none; lrn_first: before it. pool:
    side of the pooling windows, 3 or 2, with stride 2 and the same sizes either way. groups: of
    each convolution. hidden: units of a fully connected layer before the last, 0 for none, with
    dropout that keeps so much. without: a convolution to leave out.
    """
    stages: list[LayerSpec] = []
    for number, (width, count) in enumerate(zip(widths, groups, strict=True), start=1):
        kernel = 5 if number <= 2 else 3
        conv = LayerSpec(
            f"conv{number}", "conv", channels=width, kernel=kernel, padding=kernel // 2,
            groups=count,
        )
        relu = LayerSpec(f"relu{number}", "relu")
        if f"conv{number}" != without:
            norm = [replace(lrn, name=f"lrn{number}")] if lrn is not None and number <= 2 else []
            stages += [conv, *norm, relu] if lrn_first else [conv, relu, *norm]
        if number <= 2:
            stages.append(LayerSpec(
                f"pool{number}", "max_pool", kernel=pool, stride=2, rounding="ceil"
            ))  # fmt: skip
    stages.append(LayerSpec("flatten", "flatten"))
    if hidden:
        stages += [LayerSpec("fc5", "fc", channels=hidden), LayerSpec("relu5", "relu")]
        if keep < 1:
            stages.append(LayerSpec("drop5", "dropout", keep=keep))
    stages.append(LayerSpec("fc", "fc", channels=classes))
    return NetworkSpec("cifar", crop, tuple(stages), colours, source="layers-conv-local-11pct")


def _run(arm: Arm, plan: Plan, train: ImageSet, lr: float, seed: int, compared: bool) -> Run:
    widths = {"widths": plan.widths}
    if "widths" in arm.options:  # half of the plan's, but for the last, as in [P §3.2]
        widths = {"widths": (*(w // 2 for w in plan.widths[:3]), plan.widths[3])}
    spec = network(
        plan.crop, train.images.shape[3], len(train.classes), **{**arm.options, **widths}
    )
    layers = {layer.name for layer in spec.layers}
    std = {name: value for name, value in STD.items() if name in layers}
    return Run(
        f"{arm.name}: {'compare' if compared else 'search'}, lr {lr:.3g}, seed {seed}", spec, lr,
        seed, plan.epochs, View(crops=arm.crops, flips=arm.flips, colour=arm.colour), std,
        bias_lr=2.0, weight_decay=arm.decay, schedule=StepSchedule(lr, MILESTONES),
        watch=(-1,) if compared else (),
    )  # fmt: skip


def _search(
    arms: Sequence[Arm], plan: Plan, train: ImageSet, device: str, **options: Any
) -> dict[str, dict[str, Any]]:
    """Search the rates of some arms together; returns lr, whether it's done, and the runs."""
    held_out = folders.balanced_indices(train.labels, plan.held_out)
    rest = train.subset(np.setdiff1d(np.arange(len(train)), held_out))
    data = Data(rest, device)
    test = Data(train.subset(np.asarray(held_out)), device, like=data)
    rates = {arm.name: sorted(plan.rates) for arm in arms}
    grown = dict.fromkeys(rates, 0)

    def error(result: Result) -> float:
        return result.test.get("error", math.inf)

    def of(arm: Arm, results: Mapping[str, Result]) -> list[Result]:
        names = [_run(arm, plan, train, lr, SEARCH_SEED, False).name for lr in rates[arm.name]]
        return [results[name] for name in names if name in results]

    def on_epoch(results: dict[str, Result]) -> tuple[set[str], list[Run]]:
        new = []
        for arm in arms:
            mine, tried = of(arm, results), rates[arm.name]
            if any(r.status in ("running", "cut") for r in mine) or len(mine) < len(tried):
                continue
            best = min(mine, key=error).run.lr
            beyond = {tried[0]: tried[0] / 2, tried[-1]: tried[-1] * 2}.get(best)
            if beyond is None or grown[arm.name] >= MOST_GROWTH:
                continue
            grown[arm.name] += 1
            rates[arm.name] = sorted([*tried, beyond])
            new.append(_run(arm, plan, train, beyond, SEARCH_SEED, False))
        return set(), new

    first = [_run(arm, plan, train, lr, SEARCH_SEED, False) for arm in arms for lr in plan.rates]
    results = sweep.train(first, data, test=test, on_epoch=on_epoch, **options)
    found = {}
    for arm in arms:
        mine = of(arm, results)
        done = not any(r.status in ("running", "cut") for r in mine)
        best = min(mine, key=error)
        found[arm.name] = {
            "lr": best.run.lr if done else None, "searched": done,
            "rates": rates[arm.name], "search": [r.record() for r in mine],
        }  # fmt: skip
    return found


def _interval(each: Sequence[float]) -> dict[str, Any]:
    """Return mean and the two-sided 95% interval of some differences."""
    mean = statistics.mean(each)
    if len(each) < 2:
        return {"mean": round(mean, 3), "interval": None}
    reach = STUDENT.get(len(each), 2.262) * statistics.stdev(each) / math.sqrt(len(each))
    return {"mean": round(mean, 3), "interval": [round(mean - reach, 3), round(mean + reach, 3)]}


def compare(arms: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each claim's paired differences in points of error, worse minus better, by seed."""
    keys = {"test": "error", "ten_views": "ten_views_error", "train": "train_error"}
    rows = []
    for claim in CLAIMS:
        both = [arms.get(name, {}).get("runs", []) for name in (claim.worse, claim.better)]
        key = keys[claim.measure]
        errors = [
            {row["seed"]: row["test"][key] for row in runs if key in row.get("test", {})}
            for runs in both
        ]
        seeds = sorted(errors[0].keys() & errors[1].keys())
        each = [100 * (errors[0][seed] - errors[1][seed]) for seed in seeds]
        if each:
            rows.append({
                **asdict(claim), "seeds": seeds, "each": [round(d, 3) for d in each],
                **_interval(each),
            })  # fmt: skip
    return rows


def run(
    train: ImageSet, test: ImageSet, device: str = "cpu", plan: Plan | None = None, *,
    precision: str = "bfloat16", deadline: float = math.inf, path: Path | None = None,
    earlier: Mapping[str, Any] | None = None, say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Search and compare all arms, some at a time in order of worth; returns the record.

    deadline: on time.monotonic()'s clock. path: of the record, written after each part. earlier:
    the record of a call that was cut off; arms finished there, and rates found, are taken over.
    """
    plan, began = plan or Plan(), time.monotonic()
    arms: dict[str, dict[str, Any]] = {
        name: dict(found) for name, found in (earlier or {}).get("arms", {}).items()
        if found.get("searched")
    }
    data = Data(train, device)
    test_data = Data(test, device, like=data)
    options = {
        "batch_size": min(BATCH_SIZE, len(train) // 4), "precision": precision,
        "deadline": deadline, "say": say,
    }  # fmt: skip
    abouts: list[dict[str, Any]] = []

    def keep() -> dict[str, Any]:
        record = {
            "experiment": "cifar_claims",
            "network": "as layers-conv-local-11pct, with convolutions for local layers",
            "data": train.name, "data_note": train.note, "train_images": len(train),
            "test_images": len(test), "rules": __doc__, "plan": asdict(plan), "momentum": 0.9,
            "bias_lr": 2.0, "arms": arms, "claims": compare(arms), "sweeps": abouts,
            "seconds": round(time.monotonic() - began, 1), **sweep.environments(earlier),
        }  # fmt: skip
        if path is not None:
            records.write(path, record)
        return record

    def observe(result: Result) -> None:
        if result.status == "diverged":
            return
        view = result.run.view
        still = sweep.evaluate(result.net, data, view)
        ten = sweep.evaluate(result.net, test_data, view, ten_crop=True)
        result.test |= {
            "train_error": still["error"], "train_loss": still["loss"],
            "ten_views_error": ten["error"],
        }  # fmt: skip
        if result.run.seed == plan.seeds[0]:
            chosen = torch.arange(min(500, len(data)), device=data.device)
            x = sweep.inputs(data, View(), plan.crop, chosen)
            factors[result.run.name] = lrn_factors_of(result.net, x)

    factors: dict[str, dict[str, list[float]]] = {}
    chosen = [arm for arm in ARMS if arm.name in plan.arms]
    for start in range(0, len(chosen), plan.wave):
        if time.monotonic() > deadline:
            break
        wave = chosen[start : start + plan.wave]
        unsearched = [arm for arm in wave if not arms.get(arm.name, {}).get("searched")]
        if unsearched:
            about: dict[str, Any] = {"what": "search"}
            arms |= _search(unsearched, plan, train, device, about=about, **options)
            abouts.append(about)
            keep()
        ready = [
            arm for arm in wave
            if arms[arm.name]["searched"] and not arms[arm.name].get("finished")
        ]
        if not ready or time.monotonic() > deadline:
            continue
        about = {"what": "compare"}
        runs = {
            arm.name: [_run(arm, plan, train, arms[arm.name]["lr"], seed, True)
                       for seed in plan.seeds]
            for arm in ready
        }  # fmt: skip
        results = sweep.train(
            [run for each in runs.values() for run in each], data, test=test_data,
            test_every=max(1, plan.epochs // 5), observe=observe, about=about, **options,
        )
        abouts.append(about)
        for name, each in runs.items():
            mine = [results[run.name] for run in each]
            arms[name]["finished"] = not any(r.status == "cut" for r in mine)
            if arms[name]["finished"]:
                arms[name]["runs"] = [r.record() for r in mine]
                arms[name]["lrn_factors"] = factors.get(mine[0].run.name, {})
            else:
                arms[name]["cut"] = [r.record() for r in mine]
        keep()
    return keep()


def experiment(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Do all arms, or go on with them where the last call stands.

    small: some rendered pictures, four arms, seconds.
    """
    device, plan = str(training.choose_device()), replace(SMALL if small else Plan(), seeds=seeds)
    if small:
        train, test = (datasets.load("shapes", part, size=16, limit=80) for part in PARTS)
        return run(train, test, device, plan, say=say)
    train, test = (datasets.load("cifar10", part, size=32, progress=False) for part in PARTS)
    path = unfinished("cifar_claims")
    earlier = records.read(path) if path.exists() else None
    return run(train, test, device, plan, path=path, earlier=earlier, say=say)


def sentence(record: Mapping[str, Any]) -> str:
    """Say what `run` found, a line a claim."""
    lines = [
        f"Error, worse minus better, in points with its 95% interval ({record['data_note']}, "
        f"{record['test_images']:,} test images):"
    ]
    for row in record["claims"]:
        between = row["interval"] and f" [{row['interval'][0]:+.2f}, {row['interval'][1]:+.2f}]"
        paper = "" if row["paper"] is None else f"; the paper {row['paper']:g}"
        where = "training error" if row["measure"] == "train" else "test error"
        lines.append(
            f"  {row['name']}: {row['mean']:+.2f}{between or ''}, {len(row['each'])} seeds, "
            f"{where}{paper}"
        )
    return "\n".join(lines)
