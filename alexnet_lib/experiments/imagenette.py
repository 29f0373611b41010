"""AlexNet trained long on Imagenette: settings by a split, one run of 90 epochs, one evaluation.

The recipe is that of 2012 as adapted in `paper.RECIPES["paper2012_small_data"]`, with the batch of
2012, 128, and with every epoch's last, incomplete batch left out. The rate and the decay are chosen
on a split of the training set: each candidate trains on nine tenths for 16 epochs, with the same
schedule squeezed, and the lowest error on the tenth held out wins. Then the whole training set, and
the validation photos once, centre crop and ten views.

The rates fall at fixed shares of a run, so the number of epochs is part of the recipe; it is chosen
before the run from the time there is, 40 at least.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import architectures, models, pretrained, records
from ..architectures import LayerSpec, NetworkSpec
from ..datasets import ImageSet, folders
from ..optim import CosineSchedule, StepSchedule
from ..paper import RECIPES
from ..runs import recipe_settings
from . import low_rank_classifier, sweep
from .sweep import Data, Result, Run, View

__all__ = ["CANDIDATES", "fit_head", "more", "run", "ship", "variants"]

BASE = RECIPES["paper2012_small_data"]
VIEW = View(crops=True, flips=True, colour=0.1)
MILESTONES = (0.6, 0.85)
MOMENTS = 60
LONG, LEAST, SEARCHED = 90, 40, 16  # epochs
RANKS = (32, 64)
SEARCH_SEED = 1000
#: Candidates of the search: rate, weight decay.
CANDIDATES = ((0.01, 5e-4), (0.02, 5e-4), (0.005, 5e-4), (0.01, 2e-3))


def _recipe_run(
    name: str, spec: NetworkSpec, lr: float, decay: float, epochs: int, seed: int = 0,
    **options: Any,
) -> Run:
    layers = {layer.name for layer in spec.layers}
    std = {layer: value for layer, value in BASE.weight_std.items() if layer in layers}
    biases = {layer: value for layer, value in BASE.biases.items() if layer in layers}
    settings = {
        "view": VIEW, "weight_std": std, "biases": biases, "bias_lr": BASE.bias_lr,
        "weight_decay": decay, "schedule": StepSchedule(lr, MILESTONES),
    }  # fmt: skip
    return Run(name, spec, lr, seed, epochs, **(settings | options))


def split(train: ImageSet, share: float = 0.1) -> tuple[ImageSet, ImageSet]:
    """Return a training set without a share of each class, and that share."""
    held_out = folders.balanced_indices(train.labels, max(1, int(share * len(train))))
    rest = np.setdiff1d(np.arange(len(train)), held_out)
    return train.subset(rest), train.subset(np.asarray(held_out))


def search(
    train: ImageSet, spec: NetworkSpec, epochs: int, device: str, batch_size: int,
    precision: str, deadline: float, say: Callable[[str], None],
) -> dict[str, Any]:
    """Try the candidates on nine tenths of the training set; returns what each came to."""
    rest, held_out = split(train)
    data = Data(rest, device)
    about: dict[str, Any] = {}
    runs = [
        _recipe_run(f"lr {lr:g}, decay {decay:g}", spec, lr, decay, epochs, SEARCH_SEED)
        for lr, decay in CANDIDATES
    ]
    results = sweep.train(
        runs, data, test=Data(held_out, device, like=data), batch_size=batch_size, say=say,
        precision=precision, deadline=deadline, about=about,
    )
    rows = [results[run.name].record() | {"weight_decay": run.weight_decay} for run in runs]
    done = [row for row in rows if "test" in row]
    best = min(done, key=lambda row: row["test"]["error"]) if done else None
    return {
        "epochs_planned": epochs, "epochs": max(row["epochs"] for row in rows),
        "held_out": len(held_out), "seed": SEARCH_SEED, "candidates": rows,
        "best": {key: best[key] for key in ("lr", "weight_decay")} if best else
        {"lr": CANDIDATES[0][0], "weight_decay": CANDIDATES[0][1]}, **about,
    }  # fmt: skip


@torch.no_grad()
def _features(net: models.Net, data: Data, views: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the convolutions' outputs (views * N, units), float16, and labels, on the device."""
    kept, labels, size = [], [], net.spec.input_size
    order = torch.arange(len(data), device=data.device)
    draw = torch.Generator().manual_seed(0)
    for _ in range(views):
        for chosen in order.split(256):
            uniform = torch.rand(len(chosen), 3, generator=draw).to(data.device)
            view = replace(VIEW, colour=0.0)
            x = sweep.inputs(data, view, size, chosen, uniform, uniform)
            kept.append(net.features(x).flatten(1).half())
            labels.append(data.labels[chosen])
    return torch.cat(kept), torch.cat(labels)


def fit_head(
    net: models.Net, data: Data, rank: int, views: int = 6, epochs: int = 4,
    batch_size: int = 256, say: Callable[[str], None] = print,
) -> nn.Sequential:
    """Return a classifier with fc6 and fc7 of low rank that stands in for the network's own.

    It starts from the largest singular values of the network's own layers and is trained on the
    outputs of the convolutions, which stay as they are. See `low_rank_classifier.thin_classifier`.
    """
    net.eval()
    thin = low_rank_classifier.thin_classifier(net.spec, rank).to(data.device)
    with torch.no_grad():
        for name, layer in net.classifier.named_children():
            if not isinstance(layer, nn.Linear):
                continue
            target = getattr(thin, name)
            if isinstance(target, nn.Linear):
                target.load_state_dict(layer.state_dict())
                continue
            U, S, V = torch.svd_lowrank(layer.weight.float(), min(rank + 16, *layer.weight.shape))
            root, most = S[:rank].sqrt(), min(rank, len(S))
            target.up.weight.zero_()[:, :most] = U[:, :rank] * root
            target.down.weight.zero_()[:most] = (V[:, :rank] * root).T
            target.up.bias.copy_(layer.bias)
    inputs, labels = _features(net, data, views)
    weights = [p for p in thin.parameters() if p.dim() > 1]
    others = [p for p in thin.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 1.0}, {"params": others, "weight_decay": 0.0}],
        lr=2e-4,
    )  # fmt: skip
    batch_size = min(batch_size, len(labels))
    total = epochs * (len(labels) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    thin.train()
    for epoch in range(epochs):
        order = torch.randperm(len(labels), device=data.device)
        losses = []
        for step in range(len(labels) // batch_size):
            chosen = order[step * batch_size : (step + 1) * batch_size]
            loss = F.cross_entropy(thin(inputs[chosen].float()), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        say(f"head of rank {rank}, epoch {epoch + 1}: loss {torch.stack(losses).mean():.3f}")
    return thin.eval()


@torch.no_grad()
def _halved(module: nn.Module) -> None:
    """Round a module's parameters to float16, as they are stored."""
    for p in module.parameters():
        p.copy_(p.half().float())


def _views_of(net: models.Net, val: Data) -> dict[str, dict[str, float]]:
    return {
        "centre": sweep.evaluate(net, val, VIEW),
        "ten_views": sweep.evaluate(net, val, VIEW, 500, ten_crop=True),
    }


def _moments(result: Result) -> dict[str, np.ndarray]:
    """Return the copied first layers as pictures: see `runs.FilterMoments`."""
    steps, pictures = sorted(result.taken), []
    for step in steps:
        w = result.taken[step].float().cpu().permute(0, 2, 3, 1).numpy()
        largest = max(np.abs(w).max(), np.finfo(np.float32).tiny)
        pictures.append(np.round(127.5 + 127.5 * w / largest).astype(np.uint8))
    if not pictures:
        return {}
    stacked = np.stack(pictures)
    changes = np.diff(stacked, axis=0, prepend=np.zeros_like(stacked[:1]))
    return {"moments.steps": np.array(steps), "moments.changes": changes}


def _arrays(prefix: str, module: nn.Module) -> dict[str, np.ndarray]:
    return {
        f"{prefix}.{name}": p.detach().half().contiguous().cpu().numpy()
        for name, p in module.named_parameters()
    }


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays in one step, uncompressed: that would take a GPU's seconds."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        np.savez(file, **arrays)
    os.replace(partial, path)


def epochs_for(seconds: float, epoch_seconds: float) -> int:
    """Return how many epochs to plan: as many as fit, LEAST to LONG."""
    return max(LEAST, min(LONG, int(0.85 * seconds / max(epoch_seconds, 1e-9))))


def _epoch_seconds(run: Run, data: Data, batch_size: int, precision: str) -> float:
    """Return how long the epochs of a run take after its first."""
    ends: list[float] = []

    def on_epoch(results: Mapping[str, Result]) -> tuple[set[str], list[Run]]:
        ends.append(time.monotonic())
        return set(), []

    sweep.train([run], data, batch_size=batch_size, precision=precision, on_epoch=on_epoch)
    return (ends[-1] - ends[0]) / max(1, len(ends) - 1)


def run(
    train: ImageSet, val: ImageSet, device: str, out: Path, *, seconds: float,
    small: bool = False, precision: str = "tf32", say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Search, train `paper` on the whole training set, evaluate once, make the thin heads.

    out: folder for imagenette_long.json and imagenette_long.npz: convolutions, heads and mean in
    float16, and `moments.changes`. seconds: for all of it; the search gets a quarter.
    """
    began, batch_size = time.monotonic(), min(128, len(train) // 2)
    spec = _small_spec(train) if small else architectures.network("paper", len(train.classes))
    record: dict[str, Any] = {
        "network": spec.name, "data": train.name, "data_note": train.note,
        "train_images": len(train), "val_images": len(val), "recipe": recipe_settings(BASE),
        "departures": f"batch {batch_size}, rates divided by 10 after {MILESTONES} of the run, "
        "incomplete batches left out; rate and decay from the search",
        "classes": list(train.classes), "environment": records.environment(),
    }  # fmt: skip

    def keep(**more: Any) -> None:
        record.update(more, seconds=round(time.monotonic() - began, 1))
        records.write(out / "imagenette_long.json", record)

    short = 2 if small else SEARCHED
    found = search(
        train, spec, short, device, batch_size, precision, began + seconds / 3, say
    )
    keep(search=found)
    data = Data(train, device)
    _empty(device)
    probe = _recipe_run("probe", spec, 1e-5, 0.0, 3)
    per_epoch = _epoch_seconds(probe, data, batch_size, precision)
    left = seconds - (time.monotonic() - began)
    epochs = 2 if small else epochs_for(0.7 * left, per_epoch)
    say(f"{per_epoch:.2f} s an epoch, {left:.0f} s left: {epochs} epochs")
    steps = epochs * (len(train) // batch_size)
    moments = np.round(np.linspace(0, 1, MOMENTS) ** 2 * steps).astype(int).tolist()
    best = found["best"]
    chosen = _recipe_run(
        "paper", spec, best["lr"], best["weight_decay"], epochs, moments=frozenset(moments)
    )
    about: dict[str, Any] = {}
    result = sweep.train(
        [chosen], data, batch_size=batch_size, precision=precision, say=say, about=about,
        deadline=began + 0.95 * seconds,
    )["paper"]
    keep(run=result.record() | about | {"epochs_planned": epochs})
    val_data = Data(val, device, like=data)
    result.net.eval()
    arrays = _arrays("features", result.net.features) | _moments(result)
    arrays["mean"] = data.mean.cpu().numpy().astype(np.float16)
    _save(out / "imagenette_long.npz", arrays)
    keep(evaluation=_views_of(result.net, val_data))
    say(f"validation: {record['evaluation']}")
    _halved(result.net.features)
    shipped, own = {}, result.net.classifier
    for rank in RANKS:
        if time.monotonic() - began > seconds - 5 and not small:
            break
        result.net.classifier = own
        thin = fit_head(result.net, data, rank, *((1, 1) if small else ()), say=say)
        _halved(thin)
        result.net.classifier = thin
        shipped[str(rank)] = _views_of(result.net, val_data)
        arrays |= _arrays(f"head{rank}", thin)
        _save(out / "imagenette_long.npz", arrays)
        keep(heads=shipped)
        say(f"rank {rank}: {shipped[str(rank)]}")
    return record


def _empty(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()


def _small_spec(train: ImageSet) -> NetworkSpec:
    """A network with AlexNet's stages for small pictures."""
    side, colours = train.images.shape[2:]
    spec = architectures.small_network(side - 4, colours, len(train.classes), (4, 6))
    *stages, last = spec.layers
    hidden = (
        LayerSpec("fc6", "fc", channels=16), LayerSpec("relu6", "relu"),
        LayerSpec("drop6", "dropout", keep=0.5),
    )  # fmt: skip
    return replace(spec, layers=(*stages, *hidden, last))


def variants(classes: int, lr: float, decay: float, epochs: int) -> list[Run]:
    """Return the other runs, in order of worth: a labelled modern recipe, the source's order,
    without LRN, 2x2 pooling, and a second seed of the paper's."""
    paper = architectures.network("paper", classes)
    two = tuple(
        replace(layer, kernel=2) if layer.kind == "max_pool" else layer for layer in paper.layers
    )
    without = tuple(layer for layer in paper.layers if layer.kind != "lrn")
    modern, lr = RECIPES["modern"], RECIPES["modern"].lr
    source = architectures.network("source2012", classes)
    return [
        Run(
            "modern recipe: cosine, label smoothing, He", paper, lr, 0, epochs, VIEW,
            modern.weight_std, he=True, weight_decay=modern.weight_decay,
            schedule=CosineSchedule(lr, modern.warmup), label_smoothing=0.1,
        ),
        _recipe_run("source2012", source, lr, decay, epochs),
        _recipe_run("without LRN", replace(paper, layers=without), lr, decay, epochs),
        _recipe_run("2x2 pooling", replace(paper, layers=two), lr, decay, epochs),
        _recipe_run("paper, seed 1", paper, lr, decay, epochs, 1),
        _recipe_run("without LRN, lr / 2", replace(paper, layers=without), lr / 2, decay, epochs),
    ]  # fmt: skip


def more(
    train: ImageSet, val: ImageSet, device: str, out: Path, *, seconds: float,
    found: Mapping[str, Any] | None = None, small: bool = False, precision: str = "tf32",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train the variants of `variants` at once and evaluate each at its end.

    found: the record of `run`, for the rate, the decay, the epochs and the speed. As many run, in
    order, as fit into the seconds, one at least.
    """
    began, batch_size = time.monotonic(), min(128, len(train) // 2)
    best = (found or {}).get("search", {}).get("best", {"lr": 0.01, "weight_decay": 5e-4})
    speed = (found or {}).get("run", {}).get("images_per_second", 12_000)
    epochs = 2 if small else (found or {}).get("run", {}).get("epochs_planned", LONG)
    if small:
        spec = _small_spec(train)
        runs = [_recipe_run("small", spec, 0.001, 5e-4, epochs)]
    else:
        fitting = int(0.85 * seconds * speed / len(train))  # epochs of all runs together
        epochs = min(epochs, max(LEAST, fitting))
        runs = variants(len(train.classes), best["lr"], best["weight_decay"], epochs)
        runs = runs[: max(1, fitting // epochs)]
    data, about = Data(train, device), {}
    results = sweep.train(
        runs, data, batch_size=batch_size, precision=precision, say=say, about=about,
        deadline=began + 0.93 * seconds,
    )
    val_data = Data(val, device, like=data)
    record = {"data_note": train.note, "environment": records.environment(), **about, "runs": {}}
    for name, result in results.items():
        row = result.record() | {"epochs_planned": epochs}
        if result.status in ("finished", "cut") and result.train_error:
            row["evaluation"] = _views_of(result.net, val_data)
        record["runs"][name] = row
        record["seconds"] = round(time.monotonic() - began, 1)
        records.write(out / "imagenette_modern.json", record)
        say(f"{name}: {row.get('evaluation')}")
    return record


def ship(folder: str | Path, rank: int = RANKS[0], to: str | Path | None = None) -> list[Path]:
    """Pack what `run` left in a folder as `pretrained` reads it, in 8 bits; returns the files.

    rank: of the head that is to ship. to: data/filters by default.
    """
    folder, to = Path(folder), Path(to or pretrained.filters_folder())
    about = {"classes": records.read(folder / "imagenette_long.json")["classes"]}
    about["data"] = "imagenette"
    with np.load(folder / "imagenette_long.npz") as kept:
        arrays = {name: kept[name] for name in kept.files}
    head = {"mean": arrays["mean"].astype(np.float32).mean(axis=(0, 1))}  # (3,)
    parts = {"features.": {}, f"head{rank}.": head}
    for start, part in parts.items():
        for name, value in arrays.items():
            if name.startswith(start):
                part |= pretrained.packed(name.removeprefix(start), value.astype(np.float32))
    moments = {key: arrays[f"moments.{key}"] for key in ("steps", "changes")}
    return [
        pretrained.store_weights(to / "imagenette_long.npz", parts["features."], about),
        pretrained.store_weights(to / "imagenette_long_head.npz", head, about | {"rank": rank}),
        pretrained.write_arrays(to / "imagenette_long_moments.npz", moments),
    ]
