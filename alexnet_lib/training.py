"""Training: one readable loop, resumable at every step, on one process or many.

`fit` is the loop: forward, loss, backward, step, and after each epoch evaluation and a checkpoint.
What it can be told stands in `Options`, what it needs around it in `Session`, below.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from . import _files, augment, checkpoints, optim, records, shapes
from ._errors import unknown_name
from .batches import Batches, random_seed
from .datasets import ImageSet
from .distributed.process_group import EveryRankError, connection_errors, together
from .evaluation import check_fit, evaluate
from .kernels.allocator import kept
from .models import Net
from .paper import RECIPES, Recipe
from .parallel import ALONE, Team
from .runs import ADVICE, FilterMoments, Run, recipe_settings, write_log
from .towers import TowerNet

__all__ = [
    "Options", "Run", "Session", "check_fit", "check_folder", "choose_device", "evaluate", "fit",
    "numerics", "recipe_of", "undivided",
]


def fit(
    model: Net | TowerNet, train: ImageSet, val: ImageSet | None, recipe: Recipe, **options: Any
) -> Run:
    """Train a network by a recipe, and go on where a stopped run left off.

    model: a Net, or what `parallel.Team.build` gives. train, val: ImageSets; val may be None.
    options: the fields of `Options`, by name.
    Raises ValueError for data that don't fit the network, an unknown or impossible option or a loss
    that isn't finite; FileExistsError for a folder that holds a run already; ConnectionError when
    another process is gone.
    """
    session = Session(model, train, val, recipe, Options.of(options))
    run = session.run
    try:
        with session.running():
            while run.epoch < run.total_epochs:
                for x, y in session.batches_left():  # x (N, C, H, W), y (N,)
                    session.begin_step()  # the learning rate, dropout's seed, no gradients yet
                    with session.autocast:
                        logits = session.net(x)  # (N, classes)
                        loss, right = session.loss(logits, y)
                    (loss * session.weight).backward()
                    stop, save = session.add_up(loss, right)  # over all processes
                    with undivided():  # Ctrl-C waits, so that no checkpoint keeps half a step
                        session.optimizer.step()
                        session.end_step()
                    if session.report_step() or stop:
                        session.save("stopped")
                        return run
                    if save:
                        session.save("running")
                session.close_epoch()  # evaluates, and saves
            session.observe_filters()
    except KeyboardInterrupt:
        session.save("stopped")
        return run
    session.save("finished")
    return run


@dataclass(frozen=True)
class Options:
    """What `fit` can be told besides network, data and recipe.

    epochs, batch_size: by default the recipe's own, or those of the run that is resumed; batch_size
    counts the images of all processes. out: folder for the checkpoint, record.json and log.csv;
    None keeps nothing. resume: go on with the run in `out`, bit for bit on one process on a CPU.
    lr: override the schedule from here on; it's noted in the run's diary. device: auto, cpu, cuda
    or mps. filter_moments: how many pictures of the first layer's filters to keep over the run.
    initialize: draw the first weights anew as the recipe says. about: what the record says besides.
    progress: show a bar for each epoch, in a notebook or a terminal. checkpoint_seconds: how often
    to keep the run besides after each epoch; a stop without warning costs at most so much work.
    team: the processes that train together, from `parallel.form`; the run is the same however many
    they are. on_step: called with the run after every step, on the first process; returning True
    stops the run, resumably. on_epoch: called after each epoch's evaluation.
    """

    epochs: int | None = None
    batch_size: int | None = None
    out: str | Path | None = None
    resume: bool = False
    lr: float | None = None
    seed: int = 0
    device: str = "cpu"
    filter_moments: int = 0
    initialize: bool = True
    about: dict[str, Any] | None = None
    progress: bool = False
    checkpoint_seconds: float = 600.0
    team: Team = field(default_factory=lambda: ALONE)
    on_step: Callable[[Run], bool | None] | None = None
    on_epoch: Callable[[Run], None] | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> Options:
        """Return the options given by name; ValueError for an unknown name or a bad value."""
        known = [entry.name for entry in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown_name("option of training.fit", name, known)
        options = cls(**given)
        for name in ("epochs", "batch_size", "lr", "checkpoint_seconds"):
            value = getattr(options, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0.")
        if options.resume and options.out is None:
            raise ValueError("there is nothing to resume without a folder; name it with out.")
        return options


class Session:
    """Everything that a run needs around `fit`'s loop, and where it stands, in `run`.

    weight: what this process's part of a batch counts; see `add_up`. autocast: bfloat16 where the
    recipe asks for it, on a GPU.
    """

    def __init__(
        self, model: Net | TowerNet, train: ImageSet, val: ImageSet | None, recipe: Recipe,
        options: Options,
    ) -> None:
        team = options.team
        self.model, self.train, self.val, self.recipe = model, train, val, recipe
        self.options, self.team = options, team
        self.device = team.ranks.device if team.ranks.count > 1 else choose_device(options.device)
        self.out = None if options.out is None else Path(options.out)
        self.progress = options.progress and team.first
        check_fit(model, train)
        if val is not None:
            check_fit(model, val, train.classes)
        self.plan, before = optim.schedule(recipe), {}
        if options.resume:
            before = self._read_run()
            self.run = Run.from_state(self.out, recipe, before["run"])
            self.run.total_epochs = options.epochs or self.run.total_epochs
            self.statistics = before["input"]
            vars(self.plan).update(before["schedule"])
        else:
            with together():
                check_folder(self.out)
            self.run = Run(self.out, recipe, options.epochs or recipe.epochs, options.seed)
            self.statistics = self._measure_input()
            if options.initialize:
                he = recipe.initialization == "he"
                model.initialize(options.seed, recipe.biases, he, recipe.weight_std)
        self.batches = self._make_batches(before)
        self.steps = len(self.batches)
        self._check_steps(before)
        if options.lr is not None:
            self.run.diary.append([self.now, options.lr])

        model.to(self.device, memory_format=torch.channels_last).train()
        self.net = team.wrap(model)
        self.parameters = dict(model.named_parameters())
        self.optimizer = self._make_optimizer(before.get("velocity", {}))
        mixed = recipe.mixed_precision and self.device.type == "cuda"
        self.autocast = torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext()
        self.run.about = self._about()
        self.filter_moments = options.filter_moments or before.get("filter_moments", 0)
        self.moments = self._start_moments()
        self.weight, self.wanted, self.signals = 1.0, False, []
        self.seconds_before, self.started = self.run.seconds, time.monotonic()
        self.saved_at = self.started

    @property
    def now(self) -> float:
        """The epoch, in fractions, at which the run stands."""
        return self.run.epoch + self.run.step / self.steps

    def lr_at(self, now: float) -> float:
        """Return the learning rate at epoch `now`: the diary's, if it has one, or the plan's."""
        if self.run.diary and now >= self.run.diary[0][0]:
            entries = [tuple(entry) for entry in self.run.diary]
            return optim.DiarySchedule(entries).lr_at(now)
        return self.plan.lr(now / self.run.total_epochs)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep memory from step to step, collect signals that ask to stop, and name lost ranks."""
        with kept(), self.team.stop_signals() as self.signals, connection_errors(self._where):
            yield

    def batches_left(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Give the batches that this epoch still has, with a bar if there is to be one."""
        run = self.run
        return tqdm(
            self.batches.epoch(run.epoch, run.step), f"epoch {run.epoch + 1}", self.steps,
            initial=run.step, disable=not self.progress, leave=False,
        )

    def begin_step(self) -> None:
        """Set the learning rate and the masks' seed; snapshot the filters if it is time."""
        self.observe_filters()
        run = self.run
        first, last, total = self.batches.rows(run.step)
        self.share = (last - first) / total  # of the batch's mean; over all parts they add up to 1
        self.weight = self.share * self.team.part[1]  # as gradients are averaged over the parts
        self.team.place(self.model, first, total)
        torch.manual_seed(random_seed("dropout", run.seed, run.epoch, run.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr_at(self.now)
        self.optimizer.zero_grad(set_to_none=True)

    def loss(
        self, logits: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | int]:
        """Return the mean cross-entropy of logits (N, classes), and how many are right."""
        if logits.numel() and len(y):
            loss = F.cross_entropy(logits, y, label_smoothing=self.recipe.label_smoothing)
            return loss, (logits.argmax(1) == y).sum()
        return logits.sum(), 0  # no images here, or the tower without the last layer

    def add_up(self, loss: torch.Tensor, right: torch.Tensor | int) -> tuple[bool, bool]:
        """Add up losses and hits over all processes.

        Returns, the same on all of them, whether any wants to stop, and whether it's time for a
        checkpoint. Raises EveryRankError for a loss that isn't finite.
        """
        late = time.monotonic() - self.saved_at > self.options.checkpoint_seconds
        numbers = loss.detach() * self.share, right, self.wanted or bool(self.signals)
        self.mean_loss, hits, stop, save = self.team.add_up(*numbers, self.team.first and late)
        self.right = int(hits)
        self._check_finite(self.mean_loss, "loss")
        return bool(stop), bool(save)

    def end_step(self) -> None:
        """Count the step that was done."""
        run = self.run
        run.losses.append(self.mean_loss)
        run.hits, run.step = run.hits + self.right, run.step + 1
        run.seconds = self.seconds_before + time.monotonic() - self.started

    def report_step(self) -> bool:
        """Tell on_step; returns whether to stop at once. Several processes stop together, a step
        later."""
        if self.options.on_step is not None and self.team.first:
            self.wanted = bool(self.options.on_step(self.run))
        return self.wanted and self.team.ranks.count == 1

    def close_epoch(self) -> None:
        """Measure the epoch that is done, write its row, and go on to the next one."""
        run, steps = self.run, self.steps
        sizes = [self.batches.rows(step)[2] for step in range(steps)]
        row = {
            "epoch": run.epoch + 1, "step": (run.epoch + 1) * steps,
            "rate": self.lr_at(run.epoch + (steps - 1) / steps),
            "train_loss": round(float(np.average(run.losses[-steps:], weights=sizes)), 4),
            "train_top1": round(run.hits / sum(sizes), 4),
            "val_loss": None, "val_top1": None, "val_top5": None, "seconds": None,
        }
        if self.val is not None:
            result = evaluate(
                self.model, self.val, self.statistics["mean"], device=self.device,
                progress=self.progress, team=self.team,
            )
            self._check_finite(result["loss"], "validation loss")
            row |= {f"val_{key}": round(result[key], 4) for key in ("loss", "top1", "top5")}
        with undivided():
            row["seconds"] = round(self.seconds_before + time.monotonic() - self.started, 1)
            run.epochs.append(row)
            if isinstance(self.plan, optim.PlateauSchedule):
                self.plan.observe(row["train_loss"] if self.val is None else 1 - row["val_top1"])
            run.epoch, run.step, run.hits = run.epoch + 1, 0, 0
        self.save("running")
        if self.options.on_epoch is not None and self.team.first:
            self.options.on_epoch(run)

    def observe_filters(self) -> None:
        """Take a snapshot of the first layer's filters, if it is time for one."""
        done = self.run.epoch * self.steps + self.run.step
        if self.moments is None or done not in self.moments.steps:
            return
        name = f"{self.model.stages['conv1']}.weight"
        whole = self.team.whole(self.model, {name: self.parameters[name]}, only=(name,))
        if whole is not None:
            self.moments.observe(done, whole[name])

    def save(self, status: str) -> None:
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

    def _check_finite(self, loss: float, what: str) -> None:
        """Raise an error that says what to do unless a loss is a number."""
        if not math.isfinite(loss):
            raise EveryRankError(
                f"the {what} is {loss} in epoch {self.run.epoch + 1}, step {self.run.step + 1}; "
                "lower the rate (--rate) and go on from the last checkpoint (--resume), or start "
                "anew."
            )

    def _where(self) -> str:
        """Return where the run stands, in words."""
        return f"epoch {self.run.epoch + 1}, step {self.run.step + 1}"

    def _make_batches(self, before: dict[str, Any]) -> Batches:
        """Return the batches of this process; `before` is the run that goes on, or empty."""
        colour = None
        if "values" in self.statistics:
            values, vectors = (self.statistics[name] for name in ("values", "vectors"))
            colour = (values, vectors, self.recipe.colour_noise)
        size = self.options.batch_size or before.get("batch_size") or self.recipe.batch_size
        return Batches(
            self.train, self.model.spec.input_size, size, self.statistics["mean"], colour,
            self.run.seed, device=self.device, part=self.team.part,
            drop_last=before.get("drop_last", False),
        )

    def _make_optimizer(self, velocities: dict[str, torch.Tensor]) -> optim.SGD2012:
        recipe = self.recipe
        groups = optim.parameter_groups(
            self.model, recipe.weight_decay, recipe.bias_lr, recipe.decay_biases
        )
        optimizer = optim.SGD2012(groups, recipe.lr, recipe.momentum, nesterov=recipe.nesterov)
        for name, velocity in self.team.mine(self.model, velocities).items() if velocities else ():
            w = self.parameters[name]
            optimizer.state[w]["velocity"] = torch.zeros_like(w).copy_(velocity)
        return optimizer

    def _about(self) -> dict[str, Any]:
        """Return what the record says of the run besides what is measured."""
        train, val, ranks = self.train, self.val, self.team.ranks.count
        return (self.options.about or {}) | {
            "network": self.model.spec.name,
            "parameters": shapes.totals(self.model.spec).parameters,
            "data": train.name, "data_note": train.note, "train_images": len(train),
            "val_images": 0 if val is None else len(val), "batch_size": self.batches.batch_size,
            "total_epochs": self.run.total_epochs, "device": str(self.device),
        } | ({"ranks": ranks, "towers": self.team.towers} if ranks > 1 else {})

    def _measure_input(self) -> dict[str, torch.Tensor]:
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
        out, mine = self.out, recipe_settings(self.recipe)
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

    def _check_steps(self, before: dict[str, Any]) -> None:
        count = len(self.train)
        if before and (before["steps"], before["train_images"]) != (self.steps, count):
            raise EveryRankError(
                f"the run in {self.out} makes {before['steps']} steps an epoch, these {count} "
                f"images in batches of {self.batches.batch_size} make {self.steps}; resume it with "
                "the same images and batch size."
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


def check_folder(out: str | Path | None) -> None:
    """Raise FileExistsError if `out` holds a run already; None is no folder."""
    if out is not None and checkpoints.find(out).exists():
        raise FileExistsError(
            f"{out} already holds a run; go on with it by --resume, or choose another --out."
        )


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


@contextmanager
def numerics(device: torch.device, precision: str) -> Iterator[None]:
    """Compute in float32 as written, or for any other name with products of TF32's 10 bits, within.

    On a GPU alone, where cuDNN tries its algorithms too; elsewhere nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark
    cudnn.allow_tf32 = matmul.allow_tf32 = precision != "float32"
    cudnn.benchmark = True
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark = before


def recipe_of(name: str) -> Recipe:
    """Return the recipe called `name`; ValueError with the nearest name for an unknown one."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
