"""Checkpoints: everything a run needs to go on, in one file that is whole or not there.

The file is a safetensors file. It holds the tensors by their path, such as
"model/features.conv1.weight", and in its header, as JSON, everything else. So it can be read
without running code, unlike a pickle.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from . import _files, models
from .architectures import LayerSpec, NetworkSpec
from .models import Net

__all__ = ["FORMAT", "find", "load", "load_model", "model_of", "save", "spec_of"]

FORMAT = 2
NAME = "checkpoint.safetensors"
HEADER = "alexnet_course"


def find(folder: str | Path) -> Path:
    """Return where a run's folder holds its checkpoint, or where it would be."""
    return Path(folder) / NAME


def save(path: str | Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, atomically: a stop while writing leaves the one before it.

    state: nested dicts with tensors, and anything that JSON can hold. Raises OSError with words
    when there is no space or no permission.
    """
    path = Path(path)
    tensors: dict[str, torch.Tensor] = {}
    header = json.dumps({"format": FORMAT, **_without_tensors(state, "", tensors)})
    try:
        with _files.replacing(path) as partial:
            save_file(tensors, partial, {HEADER: header})
            os.chmod(partial, 0o644)
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"can't write the checkpoint {path}: {error}. Free some space or choose another folder "
            "with --out; the checkpoint before this one is still whole."
        ) from error


def _without_tensors(state: dict[str, Any], above: str, tensors: dict) -> dict[str, Any]:
    """Return nested dicts without their tensors, which go into `tensors` by path."""
    plain = {}
    for key, value in state.items():
        if isinstance(value, torch.Tensor):
            tensors[above + key] = value.detach().contiguous()
        elif isinstance(value, dict):
            plain[key] = _without_tensors(value, f"{above}{key}/", tensors)
        else:
            plain[key] = value
    return plain


def load(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint that `save` wrote, by its path or its run's folder.

    device: where its tensors go. Raises FileNotFoundError where there is none; ValueError for a
    file that is truncated, isn't a checkpoint of this course, or comes from a newer version.
    """
    path = Path(path)
    if path.is_dir():
        path = find(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no checkpoint {path}; train first: python -m alexnet_lib train --out "
            f"{path.parent}"
        )
    try:
        state = _read(path, device)
    except PermissionError:
        raise
    except Exception as error:  # torch raises many kinds for files that it can't read
        raise ValueError(
            f"{path} can't be read as a checkpoint (truncated, or another program's): "
            f"{type(error).__name__}. Take another checkpoint, or train again without --resume."
        ) from error
    known = isinstance(state, dict) and {"format", "network", "model"} <= state.keys()
    if not known or not isinstance(state["format"], int):
        raise ValueError(
            f"{path} is not a checkpoint of this course: it lacks 'format', 'network' or 'model'. "
            "A bare state dict goes into models.alexnet(...).load_state_dict instead."
        )
    if state["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {state['format']}; this version reads up to {FORMAT}. "
            "Update the course (git pull)."
        )
    return state


def _read(path: Path, device: str | torch.device) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        state = json.loads((file.metadata() or {}).get(HEADER, "{}"))
        for name in file.keys():
            *above, key = name.split("/")
            part = state
            for step in above:
                part = part.setdefault(step, {})
            part[key] = file.get_tensor(name).to(device, copy=True)  # so that the file is free
    return state


def spec_of(state: dict[str, Any]) -> NetworkSpec:
    """Return what the network of a checkpoint was built from; ValueError if it isn't known."""
    about = state["network"]
    try:
        layers = tuple(LayerSpec(**layer) for layer in about["layers"])
        return NetworkSpec(**{**about, "layers": layers})
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"the checkpoint's network can't be built: {error}. Update the course (git pull)."
        ) from error


def model_of(state: dict[str, Any]) -> Net:
    """Build the network of a checkpoint around its weights; ValueError where they don't fit."""
    model = models.blueprint(spec_of(state))
    try:
        model.load_state_dict(state["model"], assign=True)
    except RuntimeError as error:
        raise ValueError(
            f"the checkpoint's weights don't fit the network {model.spec.name!r}: {error}"
        ) from error
    return model


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[Net, dict[str, Any]]:
    """Read a checkpoint and return its network, in evaluation mode, and the whole checkpoint."""
    state = load(path, device)
    return model_of(state).to(device).eval(), state
