"""What a run keeps: where it stands, its log, and pictures of its first filters over time."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import _files, records
from .paper import Recipe

__all__ = ["LOG_COLUMNS", "FilterMoments", "Run", "recipe_settings", "write_log"]

LOG_COLUMNS = (
    "epoch", "step", "rate", "train_loss", "train_top1", "val_loss", "val_top1", "val_top5",
    "seconds",
)
ADVICE = "Free some space, or choose another folder with --out."
KEPT = (
    "total_epochs", "seed", "epoch", "step", "diary", "epochs", "losses", "hits", "seconds",
)


@dataclass
class Run:
    """The state of a run: where it stands and what it has measured so far.

    epoch, step: the next step to do. diary: (epoch, lr) entries that override the recipe's
    schedule from there on. epochs: one row an epoch, as in log.csv; the val_ entries are None
    where no validation set was given. losses: one a step. hits: training images of the present
    epoch that were right. seconds: on the clock, over all its parts.
    status: "running", "stopped" or "finished".
    """

    folder: Path | None
    recipe: Recipe
    total_epochs: int
    seed: int = 0
    epoch: int = 0
    step: int = 0
    diary: list[list[float]] = field(default_factory=list)
    epochs: list[dict[str, float | None]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    hits: int = 0
    seconds: float = 0.0
    status: str = "running"
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_state(cls, folder: Path, recipe: Recipe, state: dict[str, Any]) -> Run:
        """Return the run that a checkpoint kept by `state`."""
        kept = {name: state[name] for name in KEPT}
        kept["losses"] = torch.as_tensor(kept["losses"], dtype=torch.float64).tolist()
        return cls(folder, recipe, **kept)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of this run."""
        kept = {name: getattr(self, name) for name in KEPT}
        kept["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        return kept | {"recipe": recipe_settings(self.recipe)}

    def record(self) -> dict[str, Any]:
        """Return the run as a record: see `records`."""
        measured = [row for row in self.epochs if row["val_top1"] is not None]
        return {
            **self.about, "status": self.status, "recipe": recipe_settings(self.recipe),
            "seed": self.seed, "diary": self.diary, "seconds": round(self.seconds, 1),
            "epochs": self.epochs,
            "best": max(measured, key=lambda row: row["val_top1"], default=None),
            "losses": [round(loss, 4) for loss in self.losses],
            "environment": records.environment(),
        }


def recipe_settings(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's fields as records and checkpoints keep them; there lr is called rate."""
    names = {"lr": "rate", "bias_lr": "bias_rate"}
    return {names.get(name, name): value for name, value in asdict(recipe).items()}


def write_log(folder: Path, rows: list[dict[str, float | None]]) -> None:
    """Write log.csv, one row an epoch, in one step; what wasn't measured stays empty."""
    with _files.errors_in_words(folder, ADVICE), _files.replacing(folder / "log.csv") as partial:
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


class FilterMoments:
    """Pictures of the first layer's filters at `count` moments of a run, dense at first.

    folder: where conv1_moments.npz goes; it holds steps (M,) and filters (M, K, h, w, C), uint8,
    127.5 for a weight of 0 and 0 or 255 for the largest of its moment. step: where the run
    stands; pictures from before are kept, any others that lie there belong to another run.
    """

    def __init__(self, folder: Path, count: int, total_steps: int, step: int = 0) -> None:
        self.path = folder / "conv1_moments.npz"
        share = np.linspace(0, 1, count) ** 2
        self.steps = set(np.round(share * total_steps).astype(int).tolist())
        self.taken: dict[int, np.ndarray] = {}
        if step and self.path.exists():
            with np.load(self.path) as saved:
                pairs = zip(saved["steps"].tolist(), saved["filters"], strict=True)
                self.taken = {taken: filters for taken, filters in pairs if taken < step}

    def observe(self, step: int, weight: torch.Tensor) -> None:
        """Take a picture of weight (K, C, h, w) if `step` is one of the moments."""
        if step not in self.steps or step in self.taken:
            return
        w = weight.detach().float().cpu().permute(0, 2, 3, 1).numpy()  # (K, h, w, C)
        largest = max(np.abs(w).max(), np.finfo(np.float32).tiny)
        self.taken[step] = np.round(127.5 + 127.5 * w / largest).astype(np.uint8)
        steps = sorted(self.taken)
        filters = np.stack([self.taken[step] for step in steps])
        with _files.errors_in_words(self.path.parent, ADVICE):
            with _files.replacing(self.path) as partial, open(partial, "wb") as file:
                np.savez_compressed(file, steps=steps, filters=filters)
