"""Initialization: what of a picture reaches the last layer, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .. import architectures, augment, datasets, models
from ..analysis import signal_propagation
from ..analysis.signal_propagation import INITIALIZATIONS
from .arms import Say

__all__ = ["run", "sentence"]


def _picture_sets(small: bool) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    """Return name -> (uint8 (N, 227, 227, 3), labels (N,), what they are)."""
    shapes = datasets.load("shapes", "train", size=227, limit=8 if small else 24)
    sets = {"shapes": (shapes.images, shapes.labels, shapes.note)}
    if small:
        return sets
    photos = np.stack(
        [signal_propagation.square(datasets.photo(name), 256) for name in datasets.PHOTOS]
    )
    crops = augment.ten_crop(torch.from_numpy(photos), 227)[:, :5].flatten(0, 1).numpy()
    note = f"{len(photos)} photos, five crops of each; a photo's number is its class"
    sets["photos"] = (crops, np.arange(len(crops)) // 5, note)
    try:
        val = datasets.load("imagenette", "val", size=256, limit=24)
    except FileNotFoundError:
        return sets  # it doesn't ship; the other sets say the same
    middle = np.asarray(val.images)[:, 14:241, 14:241]
    return sets | {"imagenette": (middle, val.labels, f"{val.note}, {len(val)} of val")}


def run(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Measure every initialization on every set of pictures, and average over the seeds."""
    chosen = ("printed", "source2012") if small else tuple(INITIALIZATIONS)
    sets = _picture_sets(small)
    inputs = {}
    for name, (images, labels, _) in sets.items():
        pictures = torch.from_numpy(np.array(images))
        x = augment.to_input(pictures, augment.mean_image(images))
        inputs[name] = (x.contiguous(), torch.from_numpy(np.array(labels)))
    net = models.Net(architectures.network("paper", 10))
    layers: dict[str, dict[str, Any]] = {name: {} for name in sets}
    for initialization in chosen:
        rows: dict[str, list] = {name: [] for name in sets}
        for seed in seeds:
            net.initialize(seed, **INITIALIZATIONS[initialization][1])
            for name, (x, labels) in inputs.items():
                say(f"{initialization}, seed {seed}, {name}")
                rows[name].append(signal_propagation.forward_signal(net, x, labels))
        for name, each in rows.items():
            layers[name][initialization] = [_mean_row(same) for same in zip(*each, strict=True)]
    return {
        "network": "paper", "classes": 10,
        "initializations": {name: INITIALIZATIONS[name][0] for name in chosen},
        "pictures": {
            name: {"note": note, "images": len(labels), "layers": layers[name]}
            for name, (_, labels, note) in sets.items()
        },
    }  # fmt: skip


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average one layer's row over the seeds, to four digits."""
    numbers = [key for key in rows[0] if key != "layer"]
    means = {key: float(f"{np.mean([row[key] for row in rows]):.4g}") for key in numbers}
    return {"layer": rows[0]["layer"], **means}


def sentence(record: Mapping[str, Any]) -> str:
    """Say in some lines what a record found: how much reaches the logits, and comes back."""
    lines = ["The logits' standard deviation across images; conv1's gradient over its weights:"]
    for name, measured in record["pictures"].items():
        lines.append(f"{name} ({measured['note']})")
        for initialization, rows in measured["layers"].items():
            logits, gradient = rows[-1]["across_images"], rows[0]["gradient_over_weight"]
            about = record["initializations"][initialization]
            lines.append(f"  {logits:<10.3g} {gradient:<10.3g} {about}")
    return "\n".join(lines)
