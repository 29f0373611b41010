"""Checkpoints: everything a run needs to go on, in one file that is whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from . import models, networks
from .models import Net

__all__ = ["FORMAT", "load", "load_model", "model_of", "save"]

FORMAT = 1


def save(path: str | Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, atomically: a stop while writing leaves the one before it.

    state: tensors, numbers, strings, lists and dicts. Raises OSError with words when there is no
    space or no permission.
    """
    path = Path(path)
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False, suffix=".partial") as file:
            name = file.name
            torch.save({"format": FORMAT, **state}, file)
        os.replace(name, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        if name and os.path.exists(name):
            os.unlink(name)
        raise OSError(
            f"can't write the checkpoint {path}: {error}. Free some space or choose another folder "
            "with --out; the checkpoint before this one is still whole."
        ) from error


def load(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint that `save` wrote.

    Raises FileNotFoundError where there is none; ValueError for a file that is truncated, isn't
    a checkpoint of this course, or comes from a newer version.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "checkpoint.pt"
    if not path.exists():
        raise FileNotFoundError(
            f"there is no checkpoint {path}; train first: python -m alexnet_lib train --out "
            f"{path.parent}"
        )
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for files that it can't read
        raise ValueError(
            f"{path} can't be read as a checkpoint (truncated, or another program's): "
            f"{type(error).__name__}. Take another checkpoint, or train again without --resume."
        ) from error
    if not isinstance(state, dict) or not {"format", "network", "model"} <= state.keys():
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


def model_of(state: dict[str, Any]) -> Net:
    """Build the network of a checkpoint with its weights; ValueError where they don't fit."""
    about = state["network"]
    if about["kind"] == "small":
        spec = networks.small_network(**about["settings"])
    else:
        spec = networks.network(about["kind"], about["num_classes"])
    model = models.Net(spec)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise ValueError(
            f"the checkpoint's weights don't fit the network {about['kind']!r}: {error}"
        ) from error
    return model


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[Net, dict[str, Any]]:
    """Read a checkpoint and return its network, in evaluation mode, and the whole checkpoint."""
    state = load(path)
    return model_of(state).to(device).eval(), state
