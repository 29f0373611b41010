"""From a unit back to the pixels: a deconvolutional network in the manner of Zeiler and Fergus.

One answer of one unit is sent backwards through the layers that made it: through the transposed
convolutions, through pooling by remembering which place won, and through ReLU. What arrives is a
picture of what in the photo the unit answered to. Source: M. D. Zeiler and R. Fergus,
"Visualizing and Understanding Convolutional Networks" (2013), section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import augment
from .._errors import unknown_name
from ..architectures import LayerSpec
from ..models import LRN, Net, SameMapNorm
from . import units

__all__ = [
    "GATES", "Portrait", "Projection", "Trail", "follow", "portraits", "project", "striking",
    "transposed_conv", "unpool",
]

GATES = ("deconvolution", "gradient")


@dataclass(frozen=True)
class Projection:
    """What one unit saw. picture: (H, W, 3) float32, 0 where nothing counts. value: the unit's
    answer. channel, row, column: which unit. box: top, left, bottom, right of its receptive field
    in pixels, cut off at the picture's edges."""

    picture: np.ndarray
    value: float
    channel: int
    row: int
    column: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Trail:
    """A picture's way up to a stage. steps: (layer, module, what went in, pooling's winners) from
    the first stage on. output: (1, C, H, W) of the last, after its ReLU where it has one."""

    steps: tuple[tuple[LayerSpec, nn.Module, torch.Tensor, torch.Tensor | None], ...]
    output: torch.Tensor


@torch.no_grad()
def follow(net: Net, x: torch.Tensor, stage: str) -> Trail:
    """Send a picture up to a stage, and remember what is needed for the way back.

    x: (1, C, H, W) as the network takes it. stage: a convolution's name, such as "conv3"; its
    ReLU is part of it. Raises ValueError for another stage.
    """
    convs = [layer.name for layer in net.spec.layers if layer.kind == "conv"]
    if stage not in convs:
        raise unknown_name("convolution", stage, convs)
    if x.dim() != 4 or len(x) != 1:
        raise ValueError(f"x has shape {tuple(x.shape)}; give one picture, (1, C, H, W).")
    layers = list(net.spec.layers)
    end = next(i for i, layer in enumerate(layers) if layer.name == stage)
    after = layers[end + 1] if end + 1 < len(layers) else None
    end += after is not None and after.kind == "relu"
    steps, signal = [], x
    for layer in layers[: end + 1]:
        module, before, winners = net.stage(layer.name), signal, None
        if layer.kind == "relu":
            signal = F.relu(before)  # the module would overwrite what went in
        elif layer.kind == "max_pool":
            signal, winners = F.max_pool2d(
                before, module.kernel_size, module.stride, module.padding,
                ceil_mode=module.ceil_mode, return_indices=True,
            )
        elif layer.kind in ("conv", "lrn", "same_map_norm"):
            signal = module(before)
        else:
            raise ValueError(f"no way back through {layer.name!r}, a {layer.kind}.")
        steps.append((layer, module, before, winners))
    return Trail(tuple(steps), signal)


def transposed_conv(signal: torch.Tensor, conv: nn.Conv2d, size: tuple[int, int]) -> torch.Tensor:
    """Send a signal back through a convolution: every number lays its filter down, scaled by it.

    signal: (N, K, H', W'), what comes from above. size: (H, W) of what went into `conv`. Returns
    (N, C, H, W), the transpose of the convolution without its bias.
    """
    (H, W), channels = size, conv.in_channels
    rows = signal.abs().amax(dim=(0, 1, 3)).nonzero()
    columns = signal.abs().amax(dim=(0, 1, 2)).nonzero()
    if not len(rows):
        return signal.new_zeros(len(signal), channels, H, W)
    (first, last), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in (rows, columns))
    there = signal[:, :, first:last, left:right]  # zeros around it leave nothing
    laid = F.conv_transpose2d(there, conv.weight, stride=conv.stride, groups=conv.groups)
    top = first * conv.stride[0] - conv.padding[0]
    side = left * conv.stride[1] - conv.padding[1]
    return F.pad(laid, (side, W - side - laid.shape[3], top, H - top - laid.shape[2]))


def unpool(signal: torch.Tensor, winners: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Send a signal back through max-pooling: each number goes to the place that won its window.

    signal, winners: (N, C, H', W'), winners as torch's max_pool2d returns them. size: (H, W) of
    what was pooled. Where windows overlap one place may win twice, and gets the sum.
    """
    N, C = signal.shape[:2]
    spread = signal.new_zeros(N, C, size[0] * size[1])
    spread.scatter_add_(2, winners.flatten(2), signal.flatten(2))
    return spread.unflatten(2, size)


def _back(
    step: tuple[LayerSpec, nn.Module, torch.Tensor, torch.Tensor | None], signal: torch.Tensor,
    gate: str,
) -> torch.Tensor:
    """Send a signal back through one stage."""
    layer, module, before, winners = step
    if layer.kind == "conv":
        return transposed_conv(signal, module, before.shape[2:])
    if layer.kind == "max_pool":
        return unpool(signal, winners, before.shape[2:])
    if layer.kind == "relu":
        return F.relu(signal) if gate == "deconvolution" else signal * (before > 0)
    assert isinstance(module, LRN | SameMapNorm)
    return signal  # as if it weren't there


def _receptive_box(trail: Trail, row: int, column: int) -> tuple[int, int, int, int]:
    """Return the pixels that one output of a trail sees: top, left, bottom, right."""
    box = [row, column, row + 1, column + 1]
    for layer, _, _, _ in reversed(trail.steps):
        if layer.kind in ("conv", "max_pool"):
            low = [at * layer.stride - layer.padding for at in box[:2]]
            high = [(at - 1) * layer.stride - layer.padding + layer.kernel for at in box[2:]]
            box = [*low, *high]
    H, W = trail.steps[0][2].shape[2:]
    return max(0, box[0]), max(0, box[1]), min(H, box[2]), min(W, box[3])


@torch.no_grad()
def project(
    trail: Trail, channel: int, place: tuple[int, int] | None = None,
    gate: str = "deconvolution",
) -> Projection:
    """Return the picture that one unit's answer leaves at the pixels.

    trail: from `follow`. channel: which filter of the last stage. place: (row, column) of its map,
    by default where it answers most. gate: what ReLU lets through on the way back:
    "deconvolution" what is positive there, as Zeiler and Fergus do; "gradient" what comes to
    places that were active on the way up: then, without LRN, the picture is the gradient of the
    answer times the answer. LRN is left out on the way back.
    Raises ValueError for a channel or place that isn't there, and for an unknown gate.
    """
    if gate not in GATES:
        raise unknown_name("gate", gate, GATES)
    _, C, H, W = trail.output.shape
    if not 0 <= channel < C:
        raise ValueError(f"channel is {channel}; this stage has the channels 0 to {C - 1}.")
    if place is None:
        place = divmod(int(trail.output[0, channel].argmax()), W)
    row, column = place
    if not (0 <= row < H and 0 <= column < W):
        raise ValueError(f"place is {place}; the map has {H} rows and {W} columns, from 0 on.")
    value = trail.output[0, channel, row, column]
    signal = torch.zeros_like(trail.output)
    signal[0, channel, row, column] = value
    for step in reversed(trail.steps):
        signal = _back(step, signal, gate)
    picture = signal[0].permute(1, 2, 0).numpy()
    return Projection(
        picture, float(value), channel, row, column, _receptive_box(trail, row, column)
    )


@dataclass(frozen=True)
class Portrait:
    """One unit: channel, of a stage, the pictures that it answers to most, and what in them.

    patches: uint8 (h, w, 3), its receptive field cut out of each picture. seen: (h, w, 3) float32,
    the projection there. values: its answers. images: which pictures.
    """

    channel: int
    patches: tuple[np.ndarray, ...]
    seen: tuple[np.ndarray, ...]
    values: tuple[float, ...]
    images: tuple[int, ...]


def striking(maps: np.ndarray, count: int) -> list[int]:
    """Return the channels whose strongest answer to any picture most exceeds their average best.

    maps: (N, C, H, W). Among the stronger half of the channels, so that hardly used ones stay out.
    """
    best = maps.max(axis=(2, 3))  # (N, C)
    strongest = best.max(axis=0)
    ratio = strongest / (best.mean(axis=0) + 1e-6)
    ratio[strongest < np.median(strongest)] = 0
    return np.argsort(-ratio, kind="stable")[:count].tolist()


def portraits(
    net: Net, pictures: np.ndarray, mean: torch.Tensor, stage: str, channels: list[int],
    maps: np.ndarray, count: int = 4,
) -> list[Portrait]:
    """Return what some units of a stage answer to, each in its `count` strongest pictures.

    pictures: uint8 (N, H, W, 3), of the network's size. mean: as `augment.to_input` takes it.
    maps: (N, C, H, W), the stage's output for these pictures, after its ReLU.
    """
    trails: dict[int, Trail] = {}
    made = []
    for channel in channels:
        patches, seen = units.top_patches(maps, channel, count), []
        cut = []
        for patch in patches:
            if patch.image not in trails:
                picture = torch.from_numpy(np.array(pictures[patch.image]))[None]
                trails[patch.image] = follow(net, augment.to_input(picture, mean), stage)
            found = project(trails[patch.image], channel, (patch.row, patch.column))
            top, left, bottom, right = found.box
            cut.append(np.array(pictures[patch.image][top:bottom, left:right]))
            seen.append(found.picture[top:bottom, left:right].copy())
        values = tuple(patch.value for patch in patches)
        images = tuple(patch.image for patch in patches)
        made.append(Portrait(channel, tuple(cut), tuple(seen), values, images))
    return made
