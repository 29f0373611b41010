"""Training and evaluation: one readable loop, resumable at every step."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from . import augment, checkpoints, optim, records, storage
from .batches import Batches, random_seed
from .models import Net
from .packing import ImageSet
from .paper import RECIPES, Recipe, unknown_name
from .runs import ADVICE, FilterMoments, Run, write_log

__all__ = ["Run", "check_fit", "check_folder", "choose_device", "evaluate", "fit", "recipe_of"]

CHECKPOINT_SECONDS = 600  # a stop without warning costs at most this much work


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called auto, cpu, cuda or mps; ValueError where it isn't there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available = {
        "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(),
    }
    kind = str(name).split(":")[0]
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


def check_fit(model: Net, images: ImageSet, classes: list[str] | None = None) -> None:
    """Raise ValueError unless the network can take these images and has as many classes.

    classes: what the network's outputs mean, in order, where that is known.
    """
    if len(images) == 0:
        raise ValueError(f"{images.name} ({images.split}) holds no images; give at least one.")
    units = model.spec.layers[-1].channels
    if units != len(images.classes):
        raise ValueError(
            f"the network has {units} classes, {images.name} has {len(images.classes)}; build it "
            f"with num_classes={len(images.classes)}."
        )
    if classes is not None and list(classes) != list(images.classes):
        ours, theirs = next(
            pair for pair in zip(classes, images.classes, strict=True) if pair[0] != pair[1]
        )
        raise ValueError(
            f"the network was trained on other classes than {images.name} has: {ours!r} there, "
            f"{theirs!r} here; give pictures of the same classes in the same order."
        )
    H, W, C = images.images.shape[1:]
    side = model.spec.input_size
    if C != model.spec.input_channels:
        raise ValueError(
            f"the network takes {model.spec.input_channels} channel(s), the images have {C}; "
            f"build it with input_channels={C}, or take other images."
        )
    if min(H, W) < side:
        raise ValueError(
            f"the network takes {side} x {side} pixels, the images have {H} x {W}; load them with "
            f"size={side} or more."
        )


def check_folder(out: str | Path | None) -> None:
    """Raise FileExistsError if `out` holds a run already; None is no folder."""
    if out is not None and checkpoints.find(out).exists():
        raise FileExistsError(
            f"{out} already holds a run; go on with it by --resume, or choose another --out."
        )


@torch.no_grad()
def evaluate(
    model: Net, images: ImageSet, mean: torch.Tensor, ten_crop: bool = False,
    batch_size: int = 128, device: str | torch.device = "cpu", progress: bool = False,
) -> dict[str, Any]:
    """Measure a network on a set, every image once.

    ten_crop: average the softmax probabilities of ten views [P §4.1], else the centre crop.
    progress: show a bar, in a notebook or a terminal.
    Returns top1 and top5 (shares right, 0 to 1), loss, count, and predictions (N,) as a list.
    """
    check_fit(model, images)
    was_training = model.training
    model.eval()
    size, loss, predictions, ranks = model.spec.input_size, 0.0, [], []
    step = max(1, batch_size // 10) if ten_crop else batch_size
    cut = augment.ten_crop if ten_crop else augment.centre_crop
    try:
        starts = range(0, len(images), step)
        for start in tqdm(starts, "evaluating", disable=not progress, leave=False):
            pictures = torch.from_numpy(np.array(images.images[start : start + step])).to(device)
            labels = torch.from_numpy(np.array(images.labels[start : start + step])).to(device)
            views = cut(pictures, size).reshape(-1, size, size, pictures.shape[3])
            probabilities = model(augment.to_input(views, mean)).float().softmax(1)
            probabilities = probabilities.unflatten(0, (len(labels), -1)).mean(dim=1)
            loss += -probabilities.gather(1, labels[:, None]).clamp_min(1e-12).log().sum().item()
            ranked = probabilities.argsort(dim=1, descending=True)
            ranks += (ranked == labels[:, None]).int().argmax(dim=1).tolist()
            predictions += ranked[:, 0].tolist()
    finally:
        model.train(was_training)
    ranks = np.array(ranks)
    return {
        "top1": float((ranks == 0).mean()), "top5": float((ranks < 5).mean()),
        "loss": loss / len(images), "count": len(images), "predictions": predictions,
    }


def _rate(run: Run, plan, now: float) -> float:
    """Return the rate at epoch `now`, in fractions: the diary's, if it has one, or the plan's."""
    if run.diary and now >= run.diary[0][0]:
        return optim.DiarySchedule([tuple(entry) for entry in run.diary]).rate_at(now)
    return plan.rate(now / run.total_epochs)


def _check_finite(loss: float, what: str, run: Run) -> float:
    if not math.isfinite(loss):
        raise ValueError(
            f"the {what} is {loss} in epoch {run.epoch + 1}, step {run.step + 1}; lower the rate "
            "(--rate) and go on from the last checkpoint (--resume), or start anew."
        )
    return loss


@contextmanager
def _undivided() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done, so that no checkpoint keeps half a step."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _read_run(out: Path, model: Net, train: ImageSet, recipe: Recipe) -> dict[str, Any]:
    """Read the checkpoint in `out`, hold it against what is to go on, and load the weights."""
    state = checkpoints.load(out)
    spec, kept = checkpoints.spec_of(state), state["run"]["recipe"]
    if spec != model.spec:
        raise ValueError(
            f"the run in {out} trained the network {spec.name!r}; {model.spec.name!r} here has "
            "other stages. Resume it with the same variant and settings."
        )
    mine = asdict(recipe)
    differing = [key for key in mine if key in kept and _listed(kept[key]) != _listed(mine[key])]
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
    except RuntimeError as error:
        raise ValueError(f"the checkpoint in {out} doesn't fit this network: {error}") from error
    return state


def _listed(value: Any) -> Any:
    """Return tuples as lists, so that settings compare equal however they were stored."""
    return list(value) if isinstance(value, tuple) else value


def _statistics(train: ImageSet, recipe: Recipe) -> dict[str, torch.Tensor]:
    """Measure what the input's preparation needs: the mean image, the components of colour."""
    statistics = {"mean": augment.mean_image(train.images)}
    if recipe.colour_noise and train.images.shape[3] == 3:
        values, vectors = augment.colour_components(train.images)
        statistics |= {"values": values, "vectors": vectors}
    return statistics


def fit(
    model: Net, train: ImageSet, val: ImageSet | None, recipe: Recipe, *,
    epochs: int | None = None, batch_size: int | None = None, out: str | Path | None = None,
    resume: bool = False, rate: float | None = None, seed: int = 0, device: str = "cpu",
    filter_moments: int = 0, initialize: bool = True, about: dict[str, Any] | None = None,
    progress: bool = False,
    on_step: Callable[[Run], bool | None] | None = None,
    on_epoch: Callable[[Run], None] | None = None,
) -> Run:
    """Train a network by a recipe, and go on where a stopped run left off.

    model: a Net, which is initialized anew as the recipe says unless `initialize` is False.
    train, val: ImageSets; val may be None. epochs, batch_size: by default the recipe's own, or
    those of the run that is resumed. out: folder for the checkpoint, record.json and log.csv;
    None keeps nothing. resume: go on with the run in `out`, bit for bit on a CPU. rate: override
    the schedule from here on; it's noted in the run's diary. filter_moments: how many pictures of
    the first layer's filters to keep over the run. about: what the record says besides.
    progress: show a bar for each epoch, in a notebook or a terminal.
    on_step: called with the run after every step; returning True stops the run, resumably.
    on_epoch: called after each epoch's evaluation.
    Raises ValueError for data that don't fit the network, a bad recipe or a loss that isn't
    finite; FileExistsError for a folder that holds a run already.
    """
    device = choose_device(device)
    out = None if out is None else Path(out)
    for name, value in {"epochs": epochs, "batch_size": batch_size, "rate": rate}.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} is {value}; it must be above 0.")
    check_fit(model, train)
    if val is not None:
        check_fit(model, val, train.classes)
    plan, kept = optim.schedule(recipe), {}
    if resume:
        if out is None:
            raise ValueError("there is nothing to resume without a folder; name it with out.")
        kept = _read_run(out, model, train, recipe)
        run, statistics = Run.from_state(out, recipe, kept["run"]), kept["input"]
        run.total_epochs = run.total_epochs if epochs is None else epochs
        vars(plan).update(kept["schedule"])
    else:
        check_folder(out)
        run = Run(out, recipe, recipe.epochs if epochs is None else epochs, seed)
        statistics = _statistics(train, recipe)
        if initialize:
            he = recipe.initialization == "he"
            model.initialize(seed, recipe.biases, he, recipe.weight_std)
    colour = None
    if "values" in statistics:
        colour = (statistics["values"], statistics["vectors"], recipe.colour_noise)
    batches = Batches(
        train, model.spec.input_size, batch_size or kept.get("batch_size") or recipe.batch_size,
        statistics["mean"], colour, run.seed, device=device,
    )
    steps = len(batches)
    if kept and (kept["steps"], kept.get("train_images", len(train))) != (steps, len(train)):
        raise ValueError(
            f"the run in {out} makes {kept['steps']} steps an epoch, these {len(train)} images in "
            f"batches of {batches.batch_size} make {steps}; resume it with the same images and "
            "batch size."
        )
    if rate is not None:
        run.diary.append([run.epoch + run.step / steps, rate])

    model.to(device, memory_format=torch.channels_last).train()
    groups = optim.parameter_groups(
        model, recipe.weight_decay, recipe.bias_rate, recipe.decay_biases
    )
    optimizer = optim.SGD2012(groups, recipe.rate, recipe.momentum, nesterov=recipe.nesterov)
    parameters = dict(model.named_parameters())
    for name, velocity in kept.get("velocity", {}).items():
        w = parameters[name]
        optimizer.state[w]["velocity"] = torch.zeros_like(w).copy_(velocity)
    run.about = {
        **(about or {}), "network": model.spec.name,
        "parameters": sum(p.numel() for p in parameters.values()), "data": train.name,
        "data_note": train.note, "train_images": len(train),
        "val_images": 0 if val is None else len(val), "batch_size": batches.batch_size,
        "total_epochs": run.total_epochs, "device": str(device),
    }
    moments = None
    filter_moments = filter_moments or kept.get("filter_moments", 0)
    if filter_moments and out is not None:
        with storage.errors_in_words(out, ADVICE):
            out.mkdir(parents=True, exist_ok=True)
        done = run.epoch * steps + run.step
        moments = FilterMoments(out, filter_moments, run.total_epochs * steps, done)
    autocast = (
        torch.autocast(device.type, torch.bfloat16)
        if recipe.mixed_precision and device.type == "cuda" else nullcontext()
    )
    before, started, saved_at = run.seconds, time.monotonic(), time.monotonic()

    def keep(status: str) -> None:
        nonlocal saved_at
        run.status, run.seconds = status, before + time.monotonic() - started
        if out is None:
            return
        checkpoints.save(out / checkpoints.NAME, {
            "network": asdict(model.spec), "model": model.state_dict(),
            "velocity": {
                name: optimizer.state[p]["velocity"] for name, p in parameters.items()
                if p in optimizer.state
            },
            "schedule": {k: v for k, v in vars(plan).items() if isinstance(v, int | float)},
            "run": run.state(), "classes": list(train.classes), "input": statistics,
            "steps": steps, "batch_size": batches.batch_size, "train_images": len(train),
            "filter_moments": filter_moments, "data": run.about.get("data_from", train.name),
        })
        write_log(out, run.epochs)
        records.write(out / "record.json", run.record())
        saved_at = time.monotonic()

    try:
        while run.epoch < run.total_epochs:
            for x, y in tqdm(
                batches.epoch(run.epoch, run.step), f"epoch {run.epoch + 1}", steps,
                initial=run.step, disable=not progress, leave=False,
            ):
                if moments is not None:
                    moments.observe(run.epoch * steps + run.step, model.stage("conv1").weight)
                torch.manual_seed(random_seed("dropout", run.seed, run.epoch, run.step))
                for group in optimizer.param_groups:
                    group["lr"] = _rate(run, plan, run.epoch + run.step / steps)
                optimizer.zero_grad(set_to_none=True)
                with autocast:
                    logits = model(x)
                    loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
                loss.backward()
                measured = _check_finite(loss.item(), "loss", run)
                right = int((logits.argmax(1) == y).sum())
                with _undivided():
                    optimizer.step()
                    run.losses.append(measured)
                    run.hits, run.step = run.hits + right, run.step + 1
                    run.seconds = before + time.monotonic() - started
                if on_step is not None and on_step(run):
                    keep("stopped")
                    return run
                if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    keep("running")
            last_rate = _rate(run, plan, run.epoch + (steps - 1) / steps)
            row = _epoch_row(run, steps, batches.batch_size, last_rate)
            if val is not None:
                result = evaluate(
                    model, val, statistics["mean"], device=device, progress=progress
                )
                _check_finite(result["loss"], "validation loss", run)
                row |= {f"val_{key}": round(result[key], 4) for key in ("loss", "top1", "top5")}
            with _undivided():
                row["seconds"] = round(before + time.monotonic() - started, 1)
                run.epochs.append(row)
                if isinstance(plan, optim.PlateauSchedule):
                    plan.observe(row["train_loss"] if val is None else 1 - row["val_top1"])
                run.epoch, run.step, run.hits = run.epoch + 1, 0, 0
            keep("running")
            if on_epoch is not None:
                on_epoch(run)
        if moments is not None:
            moments.observe(run.epoch * steps, model.stage("conv1").weight)
    except KeyboardInterrupt:
        keep("stopped")
        return run
    keep("finished")
    return run


def _epoch_row(run: Run, steps: int, batch_size: int, rate: float) -> dict[str, float | None]:
    """Return an epoch's row of the log, with its validation still to come."""
    return {
        "epoch": run.epoch + 1, "step": (run.epoch + 1) * steps, "rate": rate,
        "train_loss": round(float(np.mean(run.losses[-steps:])), 4),
        "train_top1": round(run.hits / (steps * batch_size), 4),
        "val_loss": None, "val_top1": None, "val_top5": None, "seconds": None,
    }
