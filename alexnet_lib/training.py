"""Training and evaluation: one readable loop, resumable at every step."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from . import augment, checkpoints, optim, records
from .batches import Batches, random_seed
from .models import Net
from .packing import ImageSet
from .paper import RECIPES, Recipe, unknown_name

__all__ = ["Run", "choose_device", "evaluate", "fit", "recipe_of"]

CHECKPOINT_SECONDS = 600  # a stop without warning costs at most this much work
LOG_COLUMNS = ("epoch", "step", "rate", "train_loss", "train_top1", "val_loss", "val_top1", "val_top5", "seconds")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called auto, cpu, cuda or mps; ValueError where it isn't there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = name.split(":")[0]
    if kind not in available:
        raise unknown_name("device", name, ("auto", *available))
    if not available[kind]:
        raise ValueError(f"device {name!r} isn't available on this machine; use --device cpu.")
    return torch.device(name)


def recipe_of(name: str) -> Recipe:
    """Return the recipe called `name`; ValueError with the nearest name for an unknown one."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]


def check_fit(model: Net, images: ImageSet) -> None:
    """Raise ValueError unless the network can take these images and has as many classes."""
    units = model.spec.layers[-1].channels
    if units != len(images.classes):
        raise ValueError(
            f"the network has {units} classes, {images.name} has {len(images.classes)}; build it "
            f"with num_classes={len(images.classes)}."
        )
    H, W, C = images.images.shape[1:]
    if C != model.spec.input_channels:
        raise ValueError(f"the network takes {model.spec.input_channels} channels, the images have {C}.")
    if min(H, W) < model.spec.input_size:
        raise ValueError(
            f"the network takes {model.spec.input_size} x {model.spec.input_size} pixels, the images "
            f"have {H} x {W}; load them with size={model.spec.input_size} or more."
        )


@torch.no_grad()
def evaluate(
    model: Net, images: ImageSet, mean: torch.Tensor, ten_crop: bool = False,
    batch_size: int = 128, device: str | torch.device = "cpu",
) -> dict[str, Any]:
    """Measure a network on a set, every image once.

    ten_crop: average the softmax probabilities of ten views [P §4.1], else the centre crop.
    Returns top1 and top5 (shares right, 0 to 1), loss, count, and predictions (N,) as a list.
    """
    check_fit(model, images)
    was_training = model.training
    model.eval()
    size, loss, right, ranks = model.spec.input_size, 0.0, [], []
    step = max(1, batch_size // 10) if ten_crop else batch_size
    for start in range(0, len(images), step):
        pictures = torch.from_numpy(np.array(images.images[start : start + step])).to(device)
        labels = torch.from_numpy(np.asarray(images.labels[start : start + step])).to(device)
        cut = augment.ten_crop(pictures, size) if ten_crop else augment.centre_crop(pictures, size)
        x = augment.to_input(cut.flatten(0, 1) if ten_crop else cut, mean)
        probabilities = model(x).float().softmax(1)
        if ten_crop:
            probabilities = probabilities.unflatten(0, (-1, 10)).mean(dim=1)
        loss += -probabilities.gather(1, labels[:, None]).clamp_min(1e-12).log().sum().item()
        ranked = probabilities.argsort(dim=1, descending=True)
        ranks += (ranked == labels[:, None]).int().argmax(dim=1).tolist()
        right += ranked[:, 0].tolist()
    model.train(was_training)
    ranks = np.array(ranks)
    return {
        "top1": float((ranks == 0).mean()), "top5": float((ranks < 5).mean()),
        "loss": loss / len(images), "count": len(images), "predictions": right,
    }


@dataclass
class Run:
    """The state of a run: where it stands and what it has measured so far.

    epoch, step: the next step to do. diary: (epoch, rate) entries that override the recipe's
    schedule from there on. epochs: one row an epoch, as in log.csv. losses: one a step.
    status: "running", "stopped" or "finished".
    """

    folder: Path | None
    recipe: Recipe
    total_epochs: int
    seed: int = 0
    epoch: int = 0
    step: int = 0
    diary: list[list[float]] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    hits: int = 0
    seconds: float = 0.0
    status: str = "running"
    about: dict[str, Any] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of this run, as plain data."""
        kept = ("total_epochs", "seed", "epoch", "step", "diary", "epochs", "losses", "hits", "seconds")
        return {name: getattr(self, name) for name in kept} | {"recipe": asdict(self.recipe)}

    def record(self) -> dict[str, Any]:
        """Return the run as a record: see `records`."""
        best = max(self.epochs, key=lambda row: row["val_top1"], default=None)
        return {
            **self.about, "status": self.status, "recipe": asdict(self.recipe), "seed": self.seed,
            "diary": self.diary, "seconds": round(self.seconds, 1), "epochs": self.epochs,
            "best": best, "losses": [round(loss, 4) for loss in self.losses],
            "environment": records.environment(),
        }


def _rate(run: Run, plan, steps: int) -> float:
    """Return the learning rate of the next step: the diary's, where it has an entry, else the plan's."""
    now = run.epoch + run.step / steps
    if run.diary and now >= run.diary[0][0]:
        return optim.DiarySchedule([tuple(entry) for entry in run.diary]).rate_at(now)
    return plan.rate(now / run.total_epochs)


def _write_log(folder: Path, rows: list[dict[str, float]]) -> None:
    partial = folder / "log.csv.partial"
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, LOG_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, folder / "log.csv")


class _FilterMoments:
    """Pictures of the first layer's filters at `count` moments, dense at first, as uint8."""

    def __init__(self, folder: Path, count: int, total_steps: int) -> None:
        self.path = folder / "conv1_moments.npz"
        share = np.linspace(0, 1, count) ** 2
        self.steps = set(np.round(share * total_steps).astype(int).tolist())
        self.taken: dict[int, np.ndarray] = {}
        if self.path.exists():
            with np.load(self.path) as saved:
                self.taken = dict(zip(saved["steps"].tolist(), saved["filters"], strict=True))

    def observe(self, step: int, weight: torch.Tensor) -> None:
        if step not in self.steps or step in self.taken:
            return
        w = weight.detach().float().cpu().permute(0, 2, 3, 1).numpy()  # (K, h, w, C)
        self.taken[step] = np.round(127.5 + 127.5 * w / np.abs(w).max()).astype(np.uint8)
        partial = self.path.with_suffix(".partial.npz")
        steps = sorted(self.taken)
        np.savez_compressed(partial, steps=steps, filters=np.stack([self.taken[s] for s in steps]))
        os.replace(partial, self.path)


def _start(
    model: Net, train: ImageSet, recipe: Recipe, out: Path | None, resume: bool, epochs: int,
    seed: int, rate: float | None, device: torch.device, optimizer,
) -> tuple[Run, dict[str, torch.Tensor], dict[str, Any] | None]:
    """Begin a new run or take up the one in `out`; returns the run, its input statistics and the
    schedule's state."""
    if resume:
        state = checkpoints.load(out, device)
        kept, mine = state["run"]["recipe"], asdict(recipe)
        # a checkpoint keeps tuples as lists or tuples alike
        differing = [key for key in mine if key in kept and list_like(kept[key]) != list_like(mine[key])]
        if differing:
            raise ValueError(
                f"the run in {out} was started with another recipe ({', '.join(differing)} differ); "
                "resume it with the same one, or start anew in another folder."
            )
        if state["classes"] != list(train.classes):
            raise ValueError(
                f"the run in {out} was trained on the classes {state['classes']}, {train.name} has "
                f"{list(train.classes)}; resume it on the same data."
            )
        try:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"the checkpoint in {out} doesn't fit this network: {error}") from error
        fields = {key: value for key, value in state["run"].items() if key != "recipe"}
        run = Run(out, recipe, **fields)
        run.total_epochs = epochs
        if rate is not None:
            run.diary.append([run.epoch + run.step / max(1, state["steps"]), rate])
        return run, state["input"], state["schedule"]
    if out is not None and (out / "checkpoint.pt").exists():
        raise FileExistsError(
            f"{out} already holds a run; go on with it by --resume, or choose another --out."
        )
    statistics = {"mean": augment.mean_image(train.images)}
    if recipe.colour_noise and train.images.shape[3] == 3:
        values, vectors = augment.colour_components(train.images)
        statistics |= {"values": values, "vectors": vectors}
    diary = [] if rate is None else [[0.0, rate]]
    return Run(out, recipe, epochs, seed, diary=diary), statistics, None


def list_like(value: Any) -> Any:
    """Return tuples as lists, so that settings compare equal however they were stored."""
    return list(value) if isinstance(value, tuple) else value


def fit(
    model: Net, train: ImageSet, val: ImageSet | None, recipe: Recipe, *,
    epochs: int | None = None, batch_size: int | None = None, out: str | Path | None = None,
    resume: bool = False, rate: float | None = None, seed: int = 0, device: str = "cpu",
    filter_moments: int = 0, initialize: bool = True, about: dict[str, Any] | None = None,
    on_step: Callable[[Run], bool | None] | None = None,
    on_epoch: Callable[[Run], None] | None = None,
) -> Run:
    """Train a network by a recipe, and go on where a stopped run left off.

    model: a Net, which is initialized anew as the recipe says unless `initialize` is False.
    train, val: ImageSets; val may be None. epochs, batch_size: the recipe's own by default.
    out: folder for checkpoint.pt, record.json and log.csv; None keeps nothing. resume: go on with
    the run in `out`. rate: override the schedule from here on; it's noted in the run's diary.
    filter_moments: how many pictures of the first layer's filters to keep over the run.
    on_step: called with the run after every step; returning True stops the run, resumably.
    on_epoch: called after each epoch's evaluation.
    Raises ValueError for data that don't fit the network, a bad recipe or a loss that isn't
    finite; FileExistsError for a folder that holds a run already.
    """
    device = choose_device(device)
    out = None if out is None else Path(out)
    epochs = recipe.epochs if epochs is None else epochs
    for images in filter(None, (train, val)):
        check_fit(model, images)
    if initialize and not resume:
        he = recipe.initialization == "he"
        model.initialize(seed, recipe.biases, he, recipe.weight_std)
    model.to(device, memory_format=torch.channels_last).train()
    groups = optim.parameter_groups(model, recipe.weight_decay, recipe.bias_rate, recipe.decay_biases)
    optimizer = optim.SGD2012(groups, recipe.rate, recipe.momentum, nesterov=recipe.nesterov)
    run, statistics, kept = _start(model, train, recipe, out, resume, epochs, seed, rate, device, optimizer)
    plan = optim.schedule(recipe)
    if kept:
        vars(plan).update(kept)
    colour = None
    if "values" in statistics:
        colour = (statistics["values"], statistics["vectors"], recipe.colour_noise)
    batches = Batches(
        train, model.spec.input_size, batch_size or recipe.batch_size, statistics["mean"], colour,
        run.seed, device=device,
    )
    moments = None
    if filter_moments and out is not None:
        out.mkdir(parents=True, exist_ok=True)
        moments = _FilterMoments(out, filter_moments, epochs * len(batches))
    run.about = {
        **(about or {}), "network": model.spec.name, "parameters": sum(p.numel() for p in model.parameters()),
        "data": train.name, "data_note": train.note, "train_images": len(train),
        "val_images": 0 if val is None else len(val), "batch_size": batches.batch_size,
        "total_epochs": epochs, "device": str(device),
    }
    autocast = (
        torch.autocast(device.type, torch.bfloat16)
        if recipe.mixed_precision and device.type == "cuda" else nullcontext()
    )
    saved_at = [time.monotonic()]

    def keep() -> None:
        if out is None:
            return
        checkpoints.save(out / "checkpoint.pt", {
            "network": {"kind": model.spec.name, "num_classes": len(train.classes)},
            "model": model.state_dict(), "optimizer": optimizer.state_dict(),
            "schedule": {k: v for k, v in vars(plan).items() if isinstance(v, int | float)},
            "run": run.state(), "classes": list(train.classes), "input": statistics,
            "steps": len(batches), "data": train.name,
        })
        _write_log(out, run.epochs)
        records.write(out / "record.json", run.record())
        saved_at[0] = time.monotonic()

    run.status = "running"
    try:
        while run.epoch < epochs:
            for x, y in batches.epoch(run.epoch, run.step):
                started = time.monotonic()
                if moments is not None:
                    moments.observe(run.epoch * len(batches) + run.step, model.stage("conv1").weight)
                torch.manual_seed(random_seed("dropout", run.seed, run.epoch, run.step))
                for group in optimizer.param_groups:
                    group["lr"] = _rate(run, plan, len(batches))
                optimizer.zero_grad(set_to_none=True)
                with autocast:
                    logits = model(x)
                    loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
                loss.backward()
                if not torch.isfinite(loss):
                    raise ValueError(
                        f"the loss is {loss.item()} in epoch {run.epoch + 1}, step {run.step + 1}; "
                        "lower the rate (--rate) and resume from the last checkpoint."
                    )
                optimizer.step()
                run.losses.append(loss.item())
                run.hits += int((logits.argmax(1) == y).sum())
                run.step += 1
                run.seconds += time.monotonic() - started
                if on_step is not None and on_step(run):
                    run.status = "stopped"
                    keep()
                    return run
                if time.monotonic() - saved_at[0] > CHECKPOINT_SECONDS:
                    keep()
            _close_epoch(run, model, val, statistics["mean"], batches, plan, optimizer, device)
            keep()
            if on_epoch is not None:
                on_epoch(run)
        if moments is not None:
            moments.observe(epochs * len(batches), model.stage("conv1").weight)
    except KeyboardInterrupt:
        run.status = "stopped"
        keep()
        return run
    run.status = "finished"
    keep()
    return run


def _close_epoch(run: Run, model: Net, val, mean, batches: Batches, plan, optimizer, device) -> None:
    """Evaluate, note the epoch's row and move on to the next."""
    started = time.monotonic()
    steps = len(batches)
    measured = evaluate(model, val, mean, device=device) if val is not None else {}
    run.seconds += time.monotonic() - started
    row = {
        "epoch": run.epoch + 1, "step": (run.epoch + 1) * steps, "rate": optimizer.param_groups[0]["lr"],
        "train_loss": round(float(np.mean(run.losses[-steps:])), 4),
        "train_top1": round(run.hits / (steps * batches.batch_size), 4),
        "val_loss": round(measured.get("loss", 0.0), 4),
        "val_top1": round(measured.get("top1", 0.0), 4),
        "val_top5": round(measured.get("top5", 0.0), 4),
        "seconds": round(run.seconds, 1),
    }
    run.epochs.append(row)
    if isinstance(plan, optim.PlateauSchedule):
        plan.observe(1 - row["val_top1"] if val is not None else row["train_loss"])
    run.epoch, run.step, run.hits = run.epoch + 1, 0, 0
