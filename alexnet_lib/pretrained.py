"""What a trained network holds and does, as arrays: its filters and its activations."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import _files, architectures, checkpoints, records
from .models import Net, build

__all__ = [
    "activations", "export_filters", "filter_moments", "filters_folder", "learned_filters",
    "load_classifier", "packed", "store_weights", "trained_classes", "trained_mean",
    "trained_network", "write_arrays",
]

REAL_RUN = "imagenette_paper"
ABOUT = "about"  # names what is said of the arrays in a file, as JSON
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
    path = filters_folder() / f"{name}.npz"
    if not path.exists():
        raise _needs(path)
    return _unpacked(path)


def _unpacked(path: Path) -> dict[str, np.ndarray]:
    """Return a file's arrays as float32, those in 8 bits multiplied by their scales."""
    with np.load(path) as file:
        stored = {key: file[key].astype(np.float32) for key in sorted(file) if key != ABOUT}
    scales = {key: stored.pop(key) for key in list(stored) if key.endswith(SCALE)}
    for key, scale in scales.items():
        array = stored[key.removesuffix(SCALE)]
        array *= scale.reshape(-1, *[1] * (array.ndim - 1))
    return stored


def _head(name: str) -> Path:
    path = filters_folder() / f"{name}_head.npz"
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}; it ships with the course: git checkout {path.parent.name}, or "
            "make it anew: python -m alexnet_lib experiment shipped_network"
        )
    return path


def trained_classes(name: str = REAL_RUN) -> list[str]:
    """Return what the outputs of `trained_network` mean, in order."""
    with np.load(_head(name)) as file:
        return json.loads(str(file[ABOUT]))["classes"]


def trained_mean(name: str = REAL_RUN) -> torch.Tensor:
    """Return the mean colour (3,), 0 to 255, that `trained_network` wants subtracted."""
    return torch.from_numpy(_unpacked(_head(name))["mean"])


def trained_network(name: str = REAL_RUN) -> Net:
    """Return the network that ships, whole and in evaluation mode: variant paper, ten classes.

    Convolutions as in `learned_filters`; fc6 to fc8 were trained on top of them, with fc6 and fc7
    of low rank (see `heads`). It takes pictures through `augment.to_input(crops, trained_mean())`
    and its outputs are `trained_classes()`; the record "shipped_network" says how often it's
    right. Raises FileNotFoundError where a file is missing.
    """
    net = build(architectures.network("paper", len(trained_classes(name))), seed=0)
    for key, value in learned_filters(name).items():
        net.get_parameter(f"features.{key}").data.copy_(torch.from_numpy(value))
    load_classifier(net, _head(name))
    return net.eval()


@torch.no_grad()
def load_classifier(net: Net, path: Path) -> None:
    """Copy a file of `low_rank_classifier.store` into a classifier, thin layers multiplied."""
    stored = _unpacked(path)
    for key, parameter in net.classifier.named_parameters():
        layer, _, part = key.rpartition(".")
        if f"{layer}.up.weight" not in stored:
            value = stored[key]
        elif part == "weight":
            value = stored[f"{layer}.up.weight"] @ stored[f"{layer}.down.weight"]
        else:
            value = stored[f"{layer}.up.bias"]
        parameter.copy_(torch.from_numpy(value))


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


def packed(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is stored of one parameter: see `learned_filters`."""
    if value.ndim < 2 or name == "conv1.weight":
        return {name: value.astype(np.float16)}
    largest = np.abs(value).max(axis=tuple(range(1, value.ndim)))  # (K,)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float16)
    steps = np.round(value / scale.astype(np.float32).reshape(-1, *[1] * (value.ndim - 1)))
    return {name: steps.clip(-127, 127).astype(np.int8), name + SCALE: scale}


def store_weights(
    path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> Path:
    """Write arrays from `packed`, and what is said of them, as JSON; returns the path."""
    return write_arrays(path, {**arrays, ABOUT: np.array(json.dumps(about))})


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
            kept |= packed(name_here.removeprefix("features."), value.float().contiguous().numpy())
    about = {"classes": state["classes"], "data": state["data"]}
    written = [store_weights(folder / f"{name}.npz", kept, about)]
    if (run / "conv1_moments.npz").exists():
        with np.load(run / "conv1_moments.npz") as saved:
            steps, pictures = saved["steps"], saved["filters"]
        # each picture minus the one before, modulo 256: late in a run little changes
        changes = np.diff(pictures, axis=0, prepend=np.zeros_like(pictures[:1]))
        path = folder / f"{name}_moments.npz"
        written.append(write_arrays(path, {"steps": steps, "changes": changes}))
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


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write arrays by name for numpy.load, in one step; returns the path.

    The folder is made if missing. By LZMA: a sixth less than numpy's own compression of weights.
    """
    path = Path(path)
    with _files.replacing(path) as temporary, zipfile.ZipFile(
        temporary, "w", zipfile.ZIP_LZMA
    ) as archive:
        for name, array in arrays.items():
            about = zipfile.ZipInfo(f"{name}.npy")  # without a date: two writings are the same
            about.compress_type = zipfile.ZIP_LZMA
            with archive.open(about, "w") as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return path
