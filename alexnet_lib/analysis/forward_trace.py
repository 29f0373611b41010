"""A picture on its way through the whole network: what every stage makes of it, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from .. import augment, datasets, pretrained
from ..models import Net
from . import signal_propagation

__all__ = [
    "STAGES", "Trace", "follow", "follow_carelessly", "kernel_pictures", "shipped", "trained",
]

#: The stages of the map in order; a conv's or fc's is what its ReLU puts out.
STAGES = (
    "input", "conv1", "lrn1", "pool1", "conv2", "lrn2", "pool2", "conv3", "conv4", "conv5",
    "pool5", "fc6", "fc7", "fc8",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trace:
    """What one photo became in a network.

    picture: uint8 (227, 227, 3), as it went in but for the mean. maps: stage -> float32 (C, H, W)
    or (C,), without a batch axis; "input" is the picture minus the mean, "fc8" the logits.
    answers: (class, probability), the likeliest first.
    """

    picture: np.ndarray
    maps: dict[str, np.ndarray]
    answers: list[tuple[str, float]]


@cache
def trained() -> tuple[Net, list[str], torch.Tensor]:
    """Return the network that ships: the Net, its classes, its mean colour (3,); loaded once."""
    return pretrained.trained_network(), pretrained.trained_classes(), pretrained.trained_mean()


@torch.no_grad()
def follow(photo: np.ndarray, net: Net | None = None, scale: float = 1.0) -> Trace:
    """Send a photo through a network and keep what every stage of STAGES puts out.

    photo: uint8 (H, W, 3), of any size; its central square is scaled to 227. net: one with the
    paper's stages and as many classes as the shipped one; by default that one. scale: what the
    pixels are multiplied by, where one wants to see a wrong scale. Raises ValueError for photos
    of another shape or type.
    """
    photo = np.asarray(photo)
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or photo.size == 0:
        raise ValueError(
            f"photo is {photo.dtype} of shape {photo.shape}; give uint8 (H, W, 3), such as "
            "datasets.photo('cat'). A grey picture: np.stack([grey] * 3, axis=2)."
        )
    shipped_net, classes, mean = trained()
    net = net or shipped_net
    picture = signal_propagation.square(photo, net.spec.input_size)
    x = scale * augment.to_input(torch.from_numpy(picture)[None], mean)
    wanted = {_module(stage): stage for stage in STAGES[1:]}
    taken = pretrained.activations(net, x.contiguous(), list(wanted))
    maps = {"input": x[0].numpy()} | {wanted[name]: value[0] for name, value in taken.items()}
    chances = torch.from_numpy(maps["fc8"]).softmax(dim=0).tolist()
    answers = sorted(zip(classes, chances, strict=True), key=lambda answer: -answer[1])
    return Trace(picture, {stage: maps[stage] for stage in STAGES}, answers)


def follow_carelessly(photo: np.ndarray) -> Trace:
    """Send a photo through the shipped network as a careless program does.

    What it gets wrong is the question of chapter 07, section 9. photo: as for `follow`.
    """
    return follow(photo, scale=1 / 255)


def _module(stage: str) -> str:
    """Return the module whose output a stage of the map shows."""
    rectified = stage.startswith(("conv", "fc")) and stage != "fc8"
    return f"relu{stage[-1]}" if rectified else stage


def shipped() -> dict[str, np.ndarray]:
    """Return the photos that ship with the course, by name."""
    return {name: datasets.photo(name) for name in datasets.PHOTOS}


def kernel_pictures(net: Net, stage: str, channels: list[int]) -> np.ndarray:
    """Return kernels of a convolution as pictures: uint8 (K, h, w, 3) of conv1, (K, h, w) else.

    Of a kernel that reads many maps the slice with the largest weights is taken. 128 is a weight
    of zero; each kernel's largest fills the range. stage: conv1 to conv5.
    """
    weight = net.stage(stage).weight.detach()[channels].float()  # (K, C, h, w)
    if stage != "conv1":
        strongest = weight.square().sum(dim=(2, 3)).argmax(dim=1)  # (K,)
        weight = weight[torch.arange(len(channels)), strongest][:, None]
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
    pixels = (128 + 127 * weight / largest).round().byte().permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(pixels if stage == "conv1" else pixels[..., 0])
