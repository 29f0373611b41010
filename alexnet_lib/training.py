"""Training: one readable loop, resumable at every step, on one process or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ._errors import unknown_name
from .datasets import ImageSet
from .distributed.process_group import connection_errors
from .evaluation import check_fit, evaluate
from .kernels.allocator import kept
from .models import Net
from .paper import RECIPES, Recipe
from .parallel import ALONE, Team
from .runs import Run
from .sessions import Session, check_folder
from .towers import TowerNet

__all__ = [
    "Run", "check_fit", "check_folder", "choose_device", "evaluate", "fit", "numerics", "recipe_of",
]

CHECKPOINT_SECONDS = 600.0  # a stop without warning costs at most this much work


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


def fit(
    model: Net | TowerNet, train: ImageSet, val: ImageSet | None, recipe: Recipe, *,
    epochs: int | None = None, batch_size: int | None = None, out: str | Path | None = None,
    resume: bool = False, rate: float | None = None, seed: int = 0, device: str = "cpu",
    filter_moments: int = 0, initialize: bool = True, about: dict[str, Any] | None = None,
    progress: bool = False, checkpoint_seconds: float = CHECKPOINT_SECONDS, team: Team = ALONE,
    on_step: Callable[[Run], bool | None] | None = None,
    on_epoch: Callable[[Run], None] | None = None,
) -> Run:
    """Train a network by a recipe, and go on where a stopped run left off.

    model: a Net, which is initialized anew as the recipe says unless `initialize` is False.
    train, val: ImageSets; val may be None. epochs, batch_size: by default the recipe's own, or
    those of the run that is resumed; batch_size counts the images of all processes. out: folder
    for the checkpoint, record.json and log.csv; None keeps nothing. resume: go on with the run in
    `out`, bit for bit on one process on a CPU. rate: override the schedule from here on; it's
    noted in the run's diary. filter_moments: how many pictures of the first layer's filters to
    keep over the run. about: what the record says besides. progress: show a bar for each epoch,
    in a notebook or a terminal. checkpoint_seconds: how often to keep the run besides after each
    epoch. team: the processes that train together, from `parallel.form`; model then comes from its
    `build`, and the run is the same however many they are.
    on_step: called with the run after every step, on the first process; returning True stops the
    run, resumably. on_epoch: called after each epoch's evaluation.
    Raises ValueError for data that don't fit the network, a bad recipe or a loss that isn't
    finite; FileExistsError for a folder that holds a run already; ConnectionError when another
    process is gone.
    """
    device = team.ranks.device if team.ranks.count > 1 else choose_device(device)
    out = None if out is None else Path(out)
    given = {
        "epochs": epochs, "batch_size": batch_size, "rate": rate,
        "checkpoint_seconds": checkpoint_seconds,
    }
    for name, value in given.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} is {value}; it must be above 0.")
    if resume and out is None:
        raise ValueError("there is nothing to resume without a folder; name it with out.")
    check_fit(model, train)
    if val is not None:
        check_fit(model, val, train.classes)
    session = Session(
        model, train, val, recipe, team, out, resume, epochs=epochs, batch_size=batch_size,
        rate=rate, seed=seed, device=device, filter_moments=filter_moments, initialize=initialize,
        about=about or {}, progress=progress, checkpoint_seconds=checkpoint_seconds,
    )
    run = session.run
    try:
        with kept(), team.stop_signals() as signals, connection_errors(session.where):
            wanted = False
            while run.epoch < run.total_epochs:
                for x, y in session.batches_left():
                    session.observe_filters()
                    stop, save = session.train_step(x, y, stop=wanted or bool(signals))
                    if on_step is not None and team.first:
                        wanted = bool(on_step(run))
                    if stop or (wanted and team.ranks.count == 1):
                        session.keep("stopped")
                        return run
                    if save:
                        session.keep("running")
                session.close_epoch()
                if on_epoch is not None and team.first:
                    on_epoch(run)
            session.observe_filters()
    except KeyboardInterrupt:
        session.keep("stopped")
        return run
    session.keep("finished")
    return run
