"""A training run in progress: what it is made of, one step, one epoch's end, and what it keeps."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from . import _files, augment, checkpoints, optim, records, shapes
from .batches import Batches, random_seed
from .datasets import ImageSet
from .distributed.process_group import EveryRankError, together
from .evaluation import evaluate
from .models import Net
from .paper import Recipe
from .parallel import Team
from .runs import ADVICE, FilterMoments, Run, write_log
from .towers import TowerNet

__all__ = ["Session", "check_folder", "undivided"]


def check_folder(out: str | Path | None) -> None:
    """Raise FileExistsError if `out` holds a run already; None is no folder."""
    if out is not None and checkpoints.find(out).exists():
        raise FileExistsError(
            f"{out} already holds a run; go on with it by --resume, or choose another --out."
        )


@contextmanager
def undivided() -> Iterator[None]:
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


class Session:
    """Everything that one training run holds. `training.fit` says what the arguments mean."""

    def __init__(
        self, model: Net | TowerNet, train: ImageSet, val: ImageSet | None, recipe: Recipe,
        team: Team, out: Path | None, resume: bool, *, epochs: int | None, batch_size: int | None,
        rate: float | None, seed: int, device: torch.device, filter_moments: int,
        initialize: bool, about: dict[str, Any], progress: bool, checkpoint_seconds: float,
    ) -> None:
        self.model, self.train, self.val, self.recipe = model, train, val, recipe
        self.team, self.out, self.device = team, out, device
        self.progress = progress and team.first
        self.checkpoint_seconds = checkpoint_seconds
        self.plan, kept = optim.schedule(recipe), {}
        if resume:
            kept = self._read_run()
            self.run = Run.from_state(out, recipe, kept["run"])
            self.statistics = kept["input"]
            self.run.total_epochs = self.run.total_epochs if epochs is None else epochs
            vars(self.plan).update(kept["schedule"])
        else:
            with together():
                check_folder(out)
            self.run = Run(out, recipe, recipe.epochs if epochs is None else epochs, seed)
            self.statistics = self._statistics()
            if initialize:
                he = recipe.initialization == "he"
                model.initialize(seed, recipe.biases, he, recipe.weight_std)
        colour = None
        if "values" in self.statistics:
            names = ("values", "vectors")
            colour = (*(self.statistics[name] for name in names), recipe.colour_noise)
        self.batches = Batches(
            train, model.spec.input_size,
            batch_size or kept.get("batch_size") or recipe.batch_size, self.statistics["mean"],
            colour, self.run.seed, device=device, part=team.part,
            drop_last=kept.get("drop_last", bool(kept)),  # runs of before dropped it
        )
        self.steps = len(self.batches)
        self._check_steps(kept)
        if rate is not None:
            self.run.diary.append([self.now, rate])

        model.to(device, memory_format=torch.channels_last).train()
        self.net = team.wrap(model)
        self.parameters = dict(model.named_parameters())
        groups = optim.parameter_groups(
            model, recipe.weight_decay, recipe.bias_rate, recipe.decay_biases
        )
        self.optimizer = optim.SGD2012(
            groups, recipe.rate, recipe.momentum, nesterov=recipe.nesterov
        )
        if kept.get("velocity"):
            for name, velocity in team.mine(model, kept["velocity"]).items():
                w = self.parameters[name]
                self.optimizer.state[w]["velocity"] = torch.zeros_like(w).copy_(velocity)
        self.run.about = about | {
            "network": model.spec.name, "parameters": shapes.totals(model.spec).parameters,
            "data": train.name, "data_note": train.note, "train_images": len(train),
            "val_images": 0 if val is None else len(val), "batch_size": self.batches.batch_size,
            "total_epochs": self.run.total_epochs, "device": str(device),
        }
        if team.ranks.count > 1:
            self.run.about |= {"ranks": team.ranks.count, "towers": team.towers}
        self.filter_moments = filter_moments or kept.get("filter_moments", 0)
        self.moments = self._start_moments()
        mixed = recipe.mixed_precision and device.type == "cuda"
        self.autocast = torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext()
        self.seconds_before, self.started = self.run.seconds, time.monotonic()
        self.saved_at = self.started

    @property
    def now(self) -> float:
        """The epoch, in fractions, at which the run stands."""
        return self.run.epoch + self.run.step / self.steps

    def where(self) -> str:
        """Return where the run stands, in words."""
        return f"epoch {self.run.epoch + 1}, step {self.run.step + 1}"

    def rate_at(self, now: float) -> float:
        """Return the rate at epoch `now`: the diary's, if it has one, or the plan's."""
        if self.run.diary and now >= self.run.diary[0][0]:
            entries = [tuple(entry) for entry in self.run.diary]
            return optim.DiarySchedule(entries).rate_at(now)
        return self.plan.rate(now / self.run.total_epochs)

    def batches_left(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Give the batches that this epoch still has, with a bar if there is to be one."""
        run = self.run
        return tqdm(
            self.batches.epoch(run.epoch, run.step), f"epoch {run.epoch + 1}", self.steps,
            initial=run.step, disable=not self.progress, leave=False,
        )

    def train_step(
        self, x: torch.Tensor, y: torch.Tensor, stop: bool = False
    ) -> tuple[bool, bool]:
        """Do one step on this process's part of a batch.

        x: (N, C, H, W). y: (N,). stop: whether this process wants to stop. Returns, the same on
        all processes, whether any wants to stop, and whether it's time for a checkpoint.
        """
        run, team = self.run, self.team
        first, last, total = self.batches.rows(run.step)
        team.place(self.model, first, total)
        torch.manual_seed(random_seed("dropout", run.seed, run.epoch, run.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate_at(self.now)
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            logits = self.net(x)
            if logits.numel() and len(y):
                loss = F.cross_entropy(logits, y, label_smoothing=self.recipe.label_smoothing)
                right = (logits.argmax(1) == y).sum()
            else:  # no pictures here, or the tower without the last layer
                loss, right = logits.sum(), 0
        share = (last - first) / total  # of the batch's mean; the average over parts adds them up
        (loss * (share * team.part[1])).backward()

        save = team.first and time.monotonic() - self.saved_at > self.checkpoint_seconds
        mean, hits, stops, saves = team.add_up(loss.detach() * share, right, stop, save)
        self.check_finite(mean, "loss")
        with undivided():
            self.optimizer.step()
            run.losses.append(mean)
            run.hits, run.step = run.hits + int(hits), run.step + 1
            run.seconds = self.seconds_before + time.monotonic() - self.started
        return bool(stops), bool(saves)

    def close_epoch(self) -> None:
        """Measure the epoch that is done, write its row, and go on to the next one."""
        run, steps = self.run, self.steps
        sizes = [self.batches.rows(step)[2] for step in range(steps)]
        row = {
            "epoch": run.epoch + 1, "step": (run.epoch + 1) * steps,
            "rate": self.rate_at(run.epoch + (steps - 1) / steps),
            "train_loss": round(float(np.average(run.losses[-steps:], weights=sizes)), 4),
            "train_top1": round(run.hits / sum(sizes), 4),
            "val_loss": None, "val_top1": None, "val_top5": None, "seconds": None,
        }
        if self.val is not None:
            result = evaluate(
                self.model, self.val, self.statistics["mean"], device=self.device,
                progress=self.progress, team=self.team,
            )
            self.check_finite(result["loss"], "validation loss")
            row |= {f"val_{key}": round(result[key], 4) for key in ("loss", "top1", "top5")}
        with undivided():
            row["seconds"] = round(self.seconds_before + time.monotonic() - self.started, 1)
            run.epochs.append(row)
            if isinstance(self.plan, optim.PlateauSchedule):
                self.plan.observe(row["train_loss"] if self.val is None else 1 - row["val_top1"])
            run.epoch, run.step, run.hits = run.epoch + 1, 0, 0
        self.keep("running")

    def observe_filters(self) -> None:
        """Take a picture of the first layer's filters, if it is time for one."""
        done = self.run.epoch * self.steps + self.run.step
        if self.moments is None or done not in self.moments.steps:
            return
        name = f"{self.model.stages['conv1']}.weight"
        whole = self.team.whole(self.model, {name: self.parameters[name]}, only=(name,))
        if whole is not None:
            self.moments.observe(done, whole[name])

    def keep(self, status: str) -> None:
        """Write the checkpoint, the log and the record; all ranks call it, the first writes."""
        run = self.run
        run.status = status
        run.seconds = self.seconds_before + time.monotonic() - self.started
        self.saved_at = time.monotonic()
        if self.out is None:
            return
        velocity = {
            name: self.optimizer.state[p]["velocity"] for name, p in self.parameters.items()
            if p in self.optimizer.state
        }
        weights = self.team.whole(self.model, self.model.state_dict())
        velocity = self.team.whole(self.model, velocity) if velocity else {}
        if not self.team.first:
            return
        checkpoints.save(self.out / checkpoints.NAME, {
            "network": asdict(self.model.spec), "model": weights, "velocity": velocity,
            "schedule": {k: v for k, v in vars(self.plan).items() if isinstance(v, int | float)},
            "run": run.state(), "classes": list(self.train.classes), "input": self.statistics,
            "steps": self.steps, "batch_size": self.batches.batch_size,
            "drop_last": self.batches.drop_last, "train_images": len(self.train),
            "filter_moments": self.filter_moments,
            "data": run.about.get("data_from", self.train.name),
        })
        write_log(self.out, run.epochs)
        records.write(self.out / "record.json", run.record())
        self.saved_at = time.monotonic()

    def check_finite(self, loss: float, what: str) -> None:
        """Raise an error that says what to do unless a loss is a number."""
        if not math.isfinite(loss):
            raise EveryRankError(
                f"the {what} is {loss} in epoch {self.run.epoch + 1}, step {self.run.step + 1}; "
                "lower the rate (--rate) and go on from the last checkpoint (--resume), or start "
                "anew."
            )

    def _statistics(self) -> dict[str, torch.Tensor]:
        """Measure what the input's preparation needs: the mean image, the components of colour."""
        images = self.train.images
        with together():
            total = augment.pixel_sum(images, *self.team.share(len(images)))
            statistics = {}
            if self.recipe.colour_noise and images.shape[3] == 3:
                values, vectors = augment.colour_components(images)
                statistics = {"values": values, "vectors": vectors}
        mean = self.team.add_up_pixels(total).double() / len(images)
        return {"mean": mean.float()} | statistics

    def _read_run(self) -> dict[str, Any]:
        """Read the checkpoint, hold it against what is to go on, and load the weights."""
        out, mine = self.out, asdict(self.recipe)
        with together():
            state = checkpoints.load(out)
            spec, kept = checkpoints.spec_of(state), state["run"]["recipe"]
            if spec != self.model.spec:
                raise ValueError(
                    f"the run in {out} trained the network {spec.name!r}; "
                    f"{self.model.spec.name!r} here has other stages. Resume it with the same "
                    "variant and settings."
                )
            differing = [k for k in mine if k in kept and _listed(kept[k]) != _listed(mine[k])]
            if differing:
                raise ValueError(
                    f"the run in {out} was started with another recipe ({', '.join(differing)} "
                    "differ); resume it with the same one, or start anew in another folder."
                )
            if state["classes"] != list(self.train.classes):
                raise ValueError(
                    f"the run in {out} was trained on the classes {state['classes']}, "
                    f"{self.train.name} has {list(self.train.classes)}; resume it on the same data."
                )
            try:
                self.model.load_state_dict(self.team.mine(self.model, state["model"]))
            except RuntimeError as error:
                raise ValueError(
                    f"the checkpoint in {out} doesn't fit this network: {error}"
                ) from error
        run = state["run"]
        where = f"epoch {run['epoch']}, step {run['step']}, seed {run['seed']}"
        self.team.check_same(f"where the checkpoint in {out} stands", where)
        return state

    def _check_steps(self, kept: dict[str, Any]) -> None:
        count = len(self.train)
        if kept and (kept["steps"], kept.get("train_images", count)) != (self.steps, count):
            raise EveryRankError(
                f"the run in {self.out} makes {kept['steps']} steps an epoch, these {count} images "
                f"in batches of {self.batches.batch_size} make {self.steps}; resume it with the "
                "same images and batch size."
            )

    def _start_moments(self) -> FilterMoments | None:
        if not self.filter_moments or self.out is None:
            return None
        with _files.errors_in_words(self.out, ADVICE):
            self.out.mkdir(parents=True, exist_ok=True)
        done = self.run.epoch * self.steps + self.run.step
        total = self.run.total_epochs * self.steps
        return FilterMoments(self.out, self.filter_moments, total, done)


def _listed(value: Any) -> Any:
    """Return tuples as lists, so that settings compare equal however they were stored."""
    return list(value) if isinstance(value, tuple) else value
