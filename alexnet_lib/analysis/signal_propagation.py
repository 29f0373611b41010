"""What becomes of pictures inside a network: signals forward, gradients back, maps before and
after LRN."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import augment, models, ops

__all__ = ["INITIALIZATIONS", "forward_signal", "lrn_maps", "oriented_filters", "square"]

STD_03 = dict.fromkeys(("conv3", "conv4", "conv5"), 0.03)
NO_FC_BIAS = {"fc6": 0.0, "fc7": 0.0}
NO_BIAS = NO_FC_BIAS | {"conv2": 0.0, "conv4": 0.0, "conv5": 0.0}
#: name -> (what it is, arguments of Net.initialize). Biases are 1 where the paper says so.
INITIALIZATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "printed": ("std .01 everywhere, biases 1 [P §5]", {}),
    "source2012": ("std .03 in conv3 to conv5, biases 1 [S]", {"weight_std": STD_03}),
    "printed_fc0": ("std .01 everywhere, biases of fc6 and fc7 at 0", {"biases": NO_FC_BIAS}),
    "source2012_fc0": (
        "std .03 in conv3 to conv5, biases of fc6 and fc7 at 0",
        {"weight_std": STD_03, "biases": NO_FC_BIAS},
    ),
    "printed_bias0": ("std .01 everywhere, all biases 0", {"biases": NO_BIAS}),
    "source2012_bias0": (
        "std .03 in conv3 to conv5, all biases 0", {"weight_std": STD_03, "biases": NO_BIAS},
    ),
    "he": ("He initialization, all biases 0", {"he": True}),
}  # fmt: skip


def forward_signal(net: models.Net, x: torch.Tensor, labels: torch.Tensor) -> list[dict[str, Any]]:
    """Follow a batch of pictures through a network, and the gradients back.

    x: (N, 3, H, W), mean subtracted, on the scale 0 to 255. labels: (N,). The network runs as at
    test, without random dropout. Returns one row a layer with weights, of its output after ReLU
    (the last layer's: the logits):
    mean: over images and units. across_images: standard deviation over the images of one unit,
    root-mean-squared over the units: the part that depends on the picture.
    gradient_over_weight: norm of the loss's gradient by the weights over the norm of the weights.
    """
    net.eval()
    net.zero_grad(set_to_none=True)
    weighted = [layer.name for layer in net.spec.layers if layer.kind in ("conv", "fc")]
    rows: dict[str, dict[str, Any]] = {}

    def watch(name: str):
        def hook(module, inputs, output) -> None:
            y = output.detach() if name == weighted[-1] else output.detach().relu()
            across = y.var(dim=0).mean().sqrt().item()
            rows[name] = {"layer": name, "mean": y.mean().item(), "across_images": across}

        return hook

    handles = [net.stage(name).register_forward_hook(watch(name)) for name in weighted]
    try:
        F.cross_entropy(net(x), labels).backward()
    finally:
        for handle in handles:
            handle.remove()
    for name, row in rows.items():
        weight = net.stage(name).weight
        row["gradient_over_weight"] = (weight.grad.norm() / weight.norm()).item()
    net.zero_grad(set_to_none=True)
    return list(rows.values())


def square(photo: np.ndarray, side: int) -> np.ndarray:
    """Return the central square of a photo, scaled (bicubic): uint8 (side, side, 3).

    photo: uint8 (H, W, 3).
    """
    height, width = photo.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    cut = torch.from_numpy(np.array(photo[top : top + short, left : left + short]))
    x = cut.permute(2, 0, 1)[None].float()
    x = F.interpolate(x, (side, side), mode="bicubic", antialias=True)
    return x[0].clamp(0, 255).round().byte().permute(1, 2, 0).numpy()


def oriented_filters(count: int = 16, size: int = 11) -> np.ndarray:
    """Return grey edge detectors at `count` orientations, in the order of their angle.

    Neighbours in channel look for almost the same edge, so they compete under LRN. Returns
    float32 (count, 3, size, size), each with zero sum, its absolute values summing to 1.
    """
    at = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(at, at, indexing="ij")
    blob = np.exp(-(x**2 + y**2) / (2 * (size / 5) ** 2))
    filters = []
    for angle in 2 * np.pi * np.arange(count) / count:
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / (0.8 * size))
        edge = blob * wave
        edge -= edge.mean()
        filters.append(np.repeat(edge[None] / np.abs(edge).sum() / 3, 3, axis=0))
    return np.stack(filters).astype(np.float32)


def lrn_maps(
    photo: np.ndarray, filters: np.ndarray | None = None, side: int = 227, **lrn: Any
) -> dict[str, np.ndarray]:
    """Return a photo's first feature maps before and after LRN.

    photo: uint8 (H, W, 3); its central square is scaled to `side`. filters: (K, 3, h, w), such as
    the learned ones; default `oriented_filters()`. lrn: arguments of ops.local_response_norm, the
    paper's by default. Returns image: uint8 (side, side, 3); before, after: float32 (K, H', W'),
    after ReLU, stride 4; factor: what LRN multiplied by, NaN where before is 0.
    """
    filters = oriented_filters() if filters is None else np.ascontiguousarray(filters)
    image = square(photo, side)
    pixels = torch.from_numpy(image)
    x = augment.to_input(pixels[None], pixels.float().mean(dim=(0, 1))).contiguous()
    before = F.relu(ops.conv2d(x, torch.from_numpy(filters).float(), stride=4))
    after = ops.local_response_norm(before, **lrn)
    maps = {"before": before[0], "after": after[0], "factor": (after / before)[0]}
    return {"image": image} | {name: tensor.numpy() for name, tensor in maps.items()}
