"""Side-by-side timings: ours and the usual way in turn, ratios first, a record at the end."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision import models as torchvision_models
from torchvision import transforms

from . import (
    augment,
    datasets,
    image_folders,
    launching,
    models,
    networks,
    ops,
    optim,
    records,
    sharding,
    tower_runs,
)
from .paper import unknown_name
from .shards import cores as shard_cores

__all__ = ["BENCHMARKS", "compare", "run"]

Rows = list[dict[str, Any]]  # what was timed, and the times of each contestant


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


def _forward_backward(layer: Callable, x: torch.Tensor, g: torch.Tensor) -> Callable[[], None]:
    def once() -> None:
        x.grad = None
        layer(x).backward(g)

    return once


def lrn(device: str = "cpu", rounds: int = 7, batch_size: int = 64) -> Rows:
    """LRN forward and backward, at layer 1's and layer 2's shape, in both memory layouts."""
    rows = []
    for C, side in ((96, 55), (256, 27)):
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(batch_size, C, side, side, device=device).contiguous(
                memory_format=layout
            )
            x, g = x.requires_grad_(), torch.randn_like(x)
            with torch.no_grad():
                copy = torch.empty_like(x)
            result = compare(
                {
                    "alexnet_lib": _forward_backward(lambda x: ops.local_response_norm(x), x, g),
                    "nn.LocalResponseNorm": _forward_backward(
                        nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), x, g
                    ),
                    "one copy of the tensor": lambda copy=copy, x=x: copy.copy_(x.detach()),
                },
                rounds,
                device,
            )
            name = "channels_last" if layout == torch.channels_last else "NCHW"
            rows.append(
                {"what": f"LRN, ({batch_size}, {C}, {side}, {side}), {name}", "times": result}
            )
    return rows


class _BuiltinLRN(nn.Module):
    """The same normalization by torch's module, tower by tower."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups, self.norm = groups, nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.norm(part) for part in x.chunk(self.groups, dim=1)], dim=1)


def _training_step(model: nn.Module, size: int, batch_size: int, device: str) -> Callable[[], None]:
    model.to(device, memory_format=torch.channels_last).train()
    optimizer = optim.SGD2012(optim.parameter_groups(model), lr=1e-6)
    x = torch.randn(batch_size, 3, size, size, device=device).to(memory_format=torch.channels_last)
    y = torch.zeros(batch_size, dtype=torch.long, device=device)

    def once() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return once


def step(device: str = "cpu", rounds: int = 5, batch_size: int = 32) -> Rows:
    """One training step of the whole network: our LRN, torch's, none, and torchvision's net."""
    builtin = models.alexnet("paper", seed=0)
    for stage in ("lrn1", "lrn2"):
        setattr(builtin.features, stage, _BuiltinLRN(groups=2))
    without = models.alexnet("paper", seed=0)
    for stage in ("lrn1", "lrn2"):
        setattr(without.features, stage, nn.Identity())
    size = networks.network("paper").input_size
    networks_in_turn = {
        "alexnet_lib": (models.alexnet("paper", seed=0), size),
        "with nn.LocalResponseNorm": (builtin, size),
        "without LRN": (without, size),
        "torchvision's AlexNet": (torchvision_models.alexnet(weights=None), 224),
    }
    result = compare(
        {
            name: _training_step(model, side, batch_size, device)
            for name, (model, side) in networks_in_turn.items()
        },
        rounds,
        device,
    )
    for times in result.values():
        times["images_per_second"] = batch_size / times["median"]
    return [{"what": f"training step, batch {batch_size}", "times": result}]


def inputs(device: str = "cpu", rounds: int = 5, batch_size: int = 64) -> Rows:
    """A batch of random crops and flips: cut from packed pixels, or decoded one by one."""
    photos = sorted((records.root() / "data" / "photos").glob("*.jpg"))
    paths = [photos[i % len(photos)] for i in range(batch_size)]
    packed = torch.from_numpy(
        np.stack([np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in paths])
    )
    usual = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.RandomCrop(227),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
        ]
    )
    result = compare(
        {
            "packed pixels": lambda: augment.random_crops(packed, 227),
            "PIL and torchvision": lambda: torch.stack(
                [usual(Image.open(path).convert("RGB")) for path in paths]
            ),
        },
        rounds,
        device,
    )
    return [{"what": f"input, batch {batch_size}, crops of 227, one process", "times": result}]


def shards(device: str = "cpu", rounds: int = 5, batch_size: int = 128) -> Rows:
    """Random batches from packed shards, raw and JPEG, and how fast pictures are packed."""
    photos = sorted((records.root() / "data" / "photos").glob("*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), 1024
        for number in range(count):
            with Image.open(photos[number % len(photos)]) as photo:
                picture = photo.convert("RGB").resize((500, 375), box=(number % 16, 0, *photo.size))
            path = folder / "pictures" / f"class{number % 2}" / f"{number:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, quality=90)
        paths = sorted((folder / "pictures").rglob("*.jpg"))
        packing, readers = {}, {}
        for kind, quality in (("raw shards", None), ("JPEG shards", 90)):
            started = time.perf_counter()
            (out,) = sharding.pack(
                folder / "pictures", folder / kind, quality=quality, shard_size=256, workers=1,
                split="train", progress=False,
            )
            seconds = time.perf_counter() - started
            images = datasets.load(out, "train").images
            packing[kind] = {"images_per_second": len(images) / seconds}
            readers[kind] = lambda images=images: images[_chosen(len(images), batch_size)]
        readers["image files, by Pillow"] = lambda: [
            image_folders.read_image(paths[i], 256) for i in _chosen(count, batch_size)
        ]
        result = compare(readers, rounds)
    for times in result.values():
        times["images_per_second"] = batch_size / times["median"]
    what = f"a random batch of {batch_size} pictures of 256 px, from memory"
    return [{"what": what, "times": result, "packing": packing, "cores": shard_cores()}]


def _chosen(count: int, batch_size: int) -> np.ndarray:
    return np.random.default_rng().choice(count, batch_size, replace=False)


def towers(device: str = "cpu", rounds: int = 5, batch_size: int = 32) -> Rows:
    """The network in two processes, as two towers and data parallel, beside one process.

    On the CPU whatever the device, since two processes on GPUs need two of them and torchrun.
    Each row also holds what the towers' memory came to at batch 128: see `tower_runs.memory`.
    """
    ranks = launching.launch(_race, 2, (batch_size, rounds), seconds=1800)
    result = ranks[0]
    for times in result.values():
        times["images_per_second"] = batch_size / times["median"]
    alone = "one process, 1 thread, half the batch"
    result[alone]["images_per_second"] = batch_size / 2 / result[alone]["median"]
    what = f"training step on 2 cores, batch {batch_size}"
    return [{"what": what, "times": result, "memory": tower_runs.memory(seconds=600)}]


def _race(batch_size: int, rounds: int) -> dict[str, dict[str, float]]:
    return compare(tower_runs.race(batch_size), rounds)


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
    for name, times in row["times"].items():
        speed = (
            f"{times['images_per_second']:8.1f} images/s" if "images_per_second" in times else ""
        )
        lines.append(
            f"  {name:40} {times['ratio']:6.2f} x   {1000 * times['median']:9.1f} ms "
            f"({1000 * times['least']:.1f} to {1000 * times['most']:.1f}) {speed}"
        )
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
