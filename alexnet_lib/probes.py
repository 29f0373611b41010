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
SCALE = ".scale"  # ends the name of what a weight in 8 bits is multiplied by


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

    Keys are "conv1.weight" (96, 3, 11, 11), "conv1.bias" (96,) and so on to conv5. Stored are
    conv1 and the biases in float16, the other weights in 8 bits with one scale for each kernel,
    which moves them by less than .4% of their kernel's largest.
    Raises FileNotFoundError where the file is missing.
    """
    path = filters_folder() / f"{name}.safetensors"
    if not path.exists():
        raise _needs(path)
    with safe_open(path, framework="numpy") as file:
        stored = {key: file.get_tensor(key).astype(np.float32) for key in sorted(file.keys())}
    scales = {key: stored.pop(key) for key in list(stored) if key.endswith(SCALE)}
    for key, scale in scales.items():
        stored[key.removesuffix(SCALE)] *= scale[:, None, None, None]
    return stored


def filter_moments(name: str = REAL_RUN) -> tuple[np.ndarray, np.ndarray]:
    """Return steps (M,) and pictures (M, 96, 11, 11, 3) uint8 of conv1 over a shipped run.

    In each moment 128 is a weight of zero and the largest weight fills the range.
    """
    path = filters_folder() / f"{name}_moments.npz"
    if not path.exists():
        raise _needs(path)
    with np.load(path) as saved:
        if "filters" in saved:  # exported before pictures were stored as differences
            return saved["steps"], saved["filters"]
        return saved["steps"], np.cumsum(saved["changes"], axis=0, dtype=np.uint8)


def _stored(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is stored of one parameter: see `learned_filters`."""
    if value.ndim != 4 or name == "conv1.weight":
        return {name: value.astype(np.float16)}
    largest = np.abs(value).max(axis=(1, 2, 3))  # (K,)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float16)
    steps = np.round(value / scale.astype(np.float32)[:, None, None, None])
    return {name: steps.clip(-127, 127).astype(np.int8), name + SCALE: scale}


def export_filters(run: str | Path, name: str, folder: str | Path | None = None) -> list[Path]:
    """Take a run's convolution filters and its moments out of its folder, small enough to ship.

    run: a run's folder. name: of the files. folder: data/filters by default. Returns the files'
    paths. Raises as `checkpoints.load` does.
    """
    run, folder = Path(run), Path(folder or filters_folder())
    state = checkpoints.load(run)
    kept: dict[str, np.ndarray] = {}
    for name_here, value in state["model"].items():
        if name_here.startswith("features."):
            kept |= _stored(name_here.removeprefix("features."), value.float().contiguous().numpy())
    folder.mkdir(parents=True, exist_ok=True)
    about = {"classes": json.dumps(state["classes"]), "data": state["data"]}
    written = [folder / f"{name}.safetensors"]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        save_file(kept, Path(scratch) / "filters", metadata=about)
        os.replace(Path(scratch) / "filters", written[0])
        if (run / "conv1_moments.npz").exists():
            written.append(folder / f"{name}_moments.npz")
            copy = Path(scratch) / "moments.npz"
            with np.load(run / "conv1_moments.npz") as saved:
                steps, pictures = saved["steps"], saved["filters"]
            # each picture minus the one before, modulo 256: late in a run little changes
            changes = np.diff(pictures, axis=0, prepend=np.zeros_like(pictures[:1]))
            np.savez_compressed(copy, steps=steps, changes=changes)
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


def trained_network():
    """STAND-IN until the real one lands: learned convolutions, random fc."""
    from . import models

    net = models.alexnet("paper", 10, seed=0)
    state = net.state_dict()
    for k, v in learned_filters().items():
        state["features." + k] = torch.from_numpy(v)
    for k in ("fc6", "fc7"):
        state[f"classifier.{k}.bias"].zero_()
    net.load_state_dict(state)
    names = ("tench", "English springer", "cassette player", "chain saw", "church",
             "French horn", "garbage truck", "gas pump", "golf ball", "parachute")
    return net.eval(), names, (120.0, 114.0, 105.0)
