"""What a trained network holds and does, as arrays: its filters and its activations."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from . import checkpoints, records
from .models import Net

__all__ = ["activations", "export_filters", "filter_moments", "filters_folder", "learned_filters"]

REAL_RUN = "imagenette_paper"


def filters_folder() -> Path:
    """Return the folder of the filters that ship with the course."""
    return records.root() / "data" / "filters"


def _needs(path: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"there is no {path}; it ships with the course: git checkout {path.parent.name}, or make "
        "your own: python -m alexnet_lib export RUN"
    )


def learned_filters(name: str = REAL_RUN) -> dict[str, np.ndarray]:
    """Return the convolution weights and biases of a shipped run, float32 by stage.

    Keys are "conv1.weight" (96, 3, 11, 11), "conv1.bias" (96,) and so on to conv5; stored in
    float16. Raises FileNotFoundError where the file is missing.
    """
    path = filters_folder() / f"{name}.safetensors"
    if not path.exists():
        raise _needs(path)
    with safe_open(path, framework="numpy") as file:
        return {key: file.get_tensor(key).astype(np.float32) for key in sorted(file.keys())}


def filter_moments(name: str = REAL_RUN) -> tuple[np.ndarray, np.ndarray]:
    """Return steps (M,) and pictures (M, 96, 11, 11, 3) uint8 of conv1 over a shipped run.

    In each moment 128 is a weight of zero and the largest weight fills the range.
    """
    path = filters_folder() / f"{name}_moments.npz"
    if not path.exists():
        raise _needs(path)
    with np.load(path) as saved:
        return saved["steps"], saved["filters"]


def export_filters(run: str | Path, name: str, folder: str | Path | None = None) -> list[Path]:
    """Take a run's convolution filters and its moments out of its folder, small enough to ship.

    run: a run's folder. name: of the files. folder: data/filters by default. Returns the files'
    paths. Raises as `checkpoints.load` does.
    """
    run, folder = Path(run), Path(folder or filters_folder())
    state = checkpoints.load(run)
    kept = {
        key.removeprefix("features."): value.to(torch.float16).contiguous().numpy()
        for key, value in state["model"].items()
        if key.startswith("features.")
    }
    folder.mkdir(parents=True, exist_ok=True)
    about = {"classes": json.dumps(state["classes"]), "data": state["data"]}
    written = [folder / f"{name}.safetensors"]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        save_file(kept, Path(scratch) / "filters", metadata=about)
        os.replace(Path(scratch) / "filters", written[0])
        if (run / "conv1_moments.npz").exists():
            written.append(folder / f"{name}_moments.npz")
            copy = Path(scratch) / "moments"
            copy.write_bytes((run / "conv1_moments.npz").read_bytes())
            os.replace(copy, written[1])
    return written


@torch.no_grad()
def activations(model: Net, x: torch.Tensor, stages: list[str]) -> dict[str, np.ndarray]:
    """Return what some stages put out for a batch.

    model: a Net, left in the mode it's in. x: (N, C, H, W) as the network takes it. stages: names
    such as "conv1", "lrn1". Returns stage -> array, with N first. ValueError for unknown stages.
    """
    taken: dict[str, np.ndarray] = {}

    def keep(stage: str):
        def hook(module, inputs, output) -> None:
            taken[stage] = output.detach().float().cpu().numpy().copy()  # ReLU works in place

        return hook

    handles = [model.stage(stage).register_forward_hook(keep(stage)) for stage in stages]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return taken
