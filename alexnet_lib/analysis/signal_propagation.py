"""What becomes of pictures inside a network: signals forward, gradients back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .. import models

__all__ = ["INITIALIZATIONS", "forward_signal", "square"]

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
