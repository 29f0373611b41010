"""The network's operators: LRN in every convention, pooling, and plain loops that define them.

The loops (`*_loops`) are references: slow, and short enough to read beside the paper.
"""

from __future__ import annotations

import math
from numbers import Real

import torch
import torch.nn.functional as F

from . import shapes
from ._errors import unknown_name
from .kernels import conv_winograd
from .kernels import lrn as lrn_kernel
from .kernels import max_pool as max_pool_kernel
from .kernels.dispatch import serves
from .paper import CONVENTIONS

__all__ = [
    "average_pool2d",
    "coefficient",
    "conv2d",
    "conv2d_loops",
    "local_response_norm",
    "local_response_norm_loops",
    "mask_dropout",
    "max_pool2d",
    "max_pool2d_loops",
    "same_map_norm",
    "window",
]


def _check_convention(convention: str) -> None:
    if convention not in CONVENTIONS:
        raise unknown_name("LRN convention", convention, CONVENTIONS)


def _whole_size(size: int) -> int:
    if isinstance(size, bool) or not isinstance(size, Real) or size % 1 or size < 1:
        raise ValueError(
            f"size is {size!r}; an LRN window spans a whole number of channels, 1 or more."
        )
    return int(size)


def window(convention: str, size: int) -> tuple[int, int]:
    """Return how many channels (behind, ahead) a window reaches from the one normalized.

    convention: a name in paper.CONVENTIONS. size: what that convention means by it (a width n;
    for "tensorflow" a radius; for "seed" the article's r), at least 1.
    Raises ValueError for an unknown convention, a size below 1 or not whole, and for an even
    size in the convention "caffe", which has none.
    """
    _check_convention(convention)
    size = _whole_size(size)
    rule = CONVENTIONS[convention]
    if rule.odd_only and size % 2 == 0:
        raise ValueError(f"size is {size}; {rule.title} takes odd sizes only, such as {size + 1}.")
    return rule.reach(size)


def coefficient(convention: str, size: int, alpha: float) -> float:
    """Return c in y = x * (k + c * S) ** -beta: alpha, or alpha / size where it's divided."""
    _check_convention(convention)
    size = _whole_size(size)
    return alpha if CONVENTIONS[convention].divisor == "none" else alpha / size


def local_response_norm(
    x: torch.Tensor, size: int | None = None, alpha: float | None = None,
    beta: float | None = None, k: float | None = None, convention: str = "paper", groups: int = 1,
    relu: bool = False,
) -> torch.Tensor:
    """Divide every value by a power of what its neighbours in channel say.

    x: (N, C, ...), floating point. size, alpha, beta, k: as `convention` means them; what is
    left out takes that convention's own default. convention: a name in paper.CONVENTIONS.
    groups: towers; with 2, no window crosses from the first half of the channels to the second.
    relu: normalize max(x, 0) instead, in the same pass.
    Returns y = x * (k + c * S) ** -beta in x's shape and type, S the sum of squares in the
    window, which is clipped at the first and last channel. 0/0 is 0: with k = 0 a channel whose
    window holds only zeros stays 0.
    Raises ValueError for an unknown convention, a size below 1, an x without a channel axis, and
    for k below what the convention takes (cuDNN: 1e-5); TypeError for an x that isn't floating
    point.
    Source: [P §3.3]; the conventions in paper.CONVENTIONS.
    """
    _check_convention(convention)
    default = CONVENTIONS[convention]
    size = default.size if size is None else size
    alpha = default.alpha if alpha is None else alpha
    beta = default.beta if beta is None else beta
    k = default.k if k is None else k
    _check_maps(x, groups)
    if default.least_k and k < default.least_k:
        least = f"{default.least_k:g}".replace("e-0", "e-")
        raise ValueError(
            f"k is {k}; {default.title} wants k of at least {least}. Take another convention for "
            "k = 0."
        )
    behind, ahead = window(convention, size)
    c = coefficient(convention, size, alpha)
    return lrn_kernel.lrn(x, groups, behind, ahead, float(c), float(beta), float(k), relu)


def _check_maps(x: torch.Tensor, groups: int) -> None:
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x is a {type(x).__name__}; give a torch tensor of shape (N, C, ...).")
    if x.dim() < 2:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, without a channel axis; LRN needs (N, C, ...). "
            "For one row of channels give x[None]."
        )
    if not x.is_floating_point():
        raise TypeError(f"x has type {x.dtype}; LRN needs floating point: give x.float().")
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"groups is {groups}; it must divide the {x.shape[1]} channels.")


def local_response_norm_loops(
    x: torch.Tensor, size: int, alpha: float, beta: float, k: float, convention: str = "paper"
) -> torch.Tensor:
    """Do what `local_response_norm` does with loops, in Python's float64. Slow."""
    behind, ahead = window(convention, size)
    c = coefficient(convention, size, alpha)
    rows = x.double().flatten(2) if x.dim() > 2 else x.double().unsqueeze(2)  # (N, C, P)
    N, C, P = rows.shape
    y = torch.zeros_like(rows)
    for n in range(N):
        for p in range(P):
            values = rows[n, :, p].tolist()
            for i, value in enumerate(values):
                first, last = max(0, i - behind), min(C - 1, i + ahead)
                s = k + c * sum(values[j] ** 2 for j in range(first, last + 1))
                y[n, i, p] = value / s**beta if s != 0 else 0.0
    return y.reshape(x.shape).to(x.dtype)


def same_map_norm(x: torch.Tensor, size: int, alpha: float, beta: float, k: float) -> torch.Tensor:
    """Normalize over a size x size neighbourhood within each map, as layer 2 did in 2012.

    x: (N, C, H, W). alpha is divided by size squared [S layer.py:1183]; outside the map is zero.
    size: side of the neighbourhood, odd. Returns x * (k + alpha / size**2 * S) ** -beta.
    Raises ValueError for an even size, which has no middle.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size is {size}; a neighbourhood with a middle is odd: 1, 3, 5, ...")
    sums = F.avg_pool2d(x * x, size, stride=1, padding=size // 2, count_include_pad=True)
    return x * (k + alpha * sums).pow(-beta)


def _overhang(x: torch.Tensor, kernel: int, stride: int, padding: int, rounding: str) -> list[int]:
    """Return the padding (left, right, top, bottom) that turns `rounding` into floor.

    Below 0 it crops: what no window reads, and windows that would start beyond the picture.
    """
    pads = []
    for side in (x.shape[3], x.shape[2]):
        outputs = shapes.output_size(side, kernel, stride, padding, rounding)
        reach = (outputs - 1) * stride + kernel - (side + 2 * padding)
        pads += [padding, padding + reach]
    return pads


def conv2d(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, stride: int = 1,
    padding: int = 0, groups: int = 1, rounding: str = "floor",
) -> torch.Tensor:
    """Convolve; with rounding="ceil" a last window may stick out and reads zeros there.

    x: (N, C, H, W). weight: (K, C / groups, h, h). Returns (N, K, H', W').
    Source: [S layer.py:1004] for ceil.
    """
    if rounding == "ceil":
        x, padding = F.pad(x, _overhang(x, weight.shape[2], stride, padding, rounding)), 0
    if serves(conv_winograd.takes, x, weight, bias, stride, padding, groups):
        return conv_winograd.conv2d(x, weight, bias, stride, padding, groups)
    return F.conv2d(x, weight, bias, stride, padding, groups=groups)


def conv2d_loops(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, stride: int = 1,
    padding: int = 0,
) -> torch.Tensor:
    """Convolve with four loops: x (N, C, H, W), weight (K, C, h, w). Slow."""
    x = F.pad(x, [padding] * 4)
    N, C, H, W = x.shape
    K, _, h, w = weight.shape
    height, width = (H - h) // stride + 1, (W - w) // stride + 1
    y = x.new_zeros(N, K, height, width)
    for k in range(K):
        for i in range(height):
            for j in range(width):
                patch = x[:, :, i * stride : i * stride + h, j * stride : j * stride + w]
                y[:, k, i, j] = (patch * weight[k]).sum(dim=(1, 2, 3))
    return y if bias is None else y + bias[:, None, None]


def max_pool2d(
    x: torch.Tensor, kernel: int = 3, stride: int = 2, padding: int = 0, rounding: str = "floor"
) -> torch.Tensor:
    """Keep the largest value of each window; windows overlap where stride < kernel [P §3.4].

    x: (N, C, H, W). kernel, stride, padding: pixels; outside the map nothing can win.
    rounding: "floor" or "ceil". Returns (N, C, H', W') with H' from `shapes.output_size`.
    Raises ValueError for sizes below 1 or not whole, and for a window that doesn't fit.
    """
    _check_pool(x, kernel, stride, padding, rounding)
    if padding > kernel // 2:
        pads = _overhang(x, kernel, stride, padding, rounding)
        return F.max_pool2d(F.pad(x, pads, value=-math.inf), kernel, stride)
    if serves(max_pool_kernel.takes, x, kernel):
        out = [shapes.output_size(side, kernel, stride, padding, rounding) for side in x.shape[2:]]
        return max_pool_kernel.max_pool(x, kernel, stride, padding, out)
    return F.max_pool2d(x, kernel, stride, padding, ceil_mode=rounding == "ceil")


def average_pool2d(
    x: torch.Tensor, kernel: int = 3, stride: int = 2, padding: int = 0, rounding: str = "floor"
) -> torch.Tensor:
    """Average each window over the pixels that lie in the map; arguments as in `max_pool2d`."""
    _check_pool(x, kernel, stride, padding, rounding)
    return F.avg_pool2d(
        x, kernel, stride, padding, ceil_mode=rounding == "ceil", count_include_pad=False
    )


def _check_pool(x: torch.Tensor, kernel: int, stride: int, padding: int, rounding: str) -> None:
    if x.dim() != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; pooling needs maps of shape (N, C, H, W).")
    for side in x.shape[2:]:
        shapes.output_size(side, kernel, stride, padding, rounding)


def max_pool2d_loops(x: torch.Tensor, kernel: int = 3, stride: int = 2) -> torch.Tensor:
    """Max-pool with loops over the windows: x (N, C, H, W) to (N, C, H', W'). Slow."""
    N, C, H, W = x.shape
    height, width = (shapes.output_size(side, kernel, stride) for side in (H, W))
    y = x.new_zeros(N, C, height, width)
    for i in range(height):
        for j in range(width):
            patch = x[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            y[:, :, i, j] = patch.amax(dim=(2, 3))
    return y


def mask_dropout(
    x: torch.Tensor, keep: float = 0.5, training: bool = True, inverted: bool = False,
    whole: tuple[int, int] | None = None, corner: tuple[int, int] = (0, 0),
) -> torch.Tensor:
    """Silence units at random in training, each kept with probability `keep` [P §4.2].

    As in 2012 the survivors keep their value and the test pass multiplies by `keep`; with
    `inverted` the survivors are divided by `keep` and the test pass does nothing, as today.
    whole, corner: where x (N, units) is a part of a bigger batch or layer, the shape of that and
    where in it x begins: the mask is drawn for the whole, so that each part gets its own part.
    Raises ValueError unless 0 < keep <= 1.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}; the share of units kept lies above 0 and up to 1.")
    if not training:
        return x if inverted else x * keep
    part = whole is not None and whole != tuple(x.shape)
    mask = (x.new_empty(whole) if part else torch.empty_like(x)).bernoulli_(keep)
    if part:
        (row, column), (N, units) = corner, x.shape
        mask = mask[row : row + N, column : column + units]
    return x * (mask.div_(keep) if inverted else mask)
