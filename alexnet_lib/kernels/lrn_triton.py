"""Local response normalization on a GPU in Triton: one pass over memory each way, float32 inside.

Each program takes a tile of positions and channels; a channel's neighbours are read again from
the cache. With `relu` the values below 0 count as 0 and get no slope, as if a ReLU came before.
Under TRITON_INTERPRET=1 the kernels run on the CPU, slowly, which is how they are tested.
"""

from __future__ import annotations

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # as on macOS and Windows
    triton = tl = None

__all__ = ["backward", "forward", "takes"]

TILE = (32, 64)  # channels and positions, or positions and channels in channels_last
WIDEST = 16  # channels in a window: the loops over windows are unrolled
jit = triton.jit if triton else lambda function: function


@jit
def _load(pointer, at, channel, shift, first, G, keep, relu: tl.constexpr, stride):
    """Values `shift` channels away, 0 outside the group, in float32."""
    there = keep & (channel + shift >= first) & (channel + shift < first + G)
    value = tl.load(pointer + at + shift * stride, mask=there, other=0.0).to(tl.float32)
    return tl.maximum(value, 0.0, propagate_nan=tl.PropagateNan.ALL) if relu else value


@jit
def _power_of(s, beta, root: tl.constexpr):
    """s ** -beta, 0 where s is 0."""
    if root:  # beta is .75
        r = 1.0 / tl.sqrt(s)
        power = r * tl.sqrt(r)
    else:
        power = tl.exp(-beta * tl.log(s))
    return tl.where(s == 0.0, 0.0, power)


@jit
def _place(C, P, G, stride_n, stride_c, stride_p, TC: tl.constexpr, TP: tl.constexpr):
    """The tile's channels, their groups' first ones, what lies in the maps, and where."""
    channel = tl.program_id(1) * TC + tl.arange(0, TC)[:, None]
    position = tl.program_id(2) * TP + tl.arange(0, TP)[None, :]
    at = tl.program_id(0).to(tl.int64) * stride_n + channel * stride_c + position * stride_p
    return channel, channel // G * G, (channel < C) & (position < P), at


@jit
def _forward_kernel(
    x, y, C, P, G, c, beta, k, stride_n, stride_c, stride_p, behind: tl.constexpr,
    ahead: tl.constexpr, root: tl.constexpr, relu: tl.constexpr, TC: tl.constexpr,
    TP: tl.constexpr,
):  # fmt: skip
    channel, first, keep, at = _place(C, P, G, stride_n, stride_c, stride_p, TC, TP)
    total = tl.zeros((TC, TP), tl.float32)
    for j in tl.static_range(-behind, ahead + 1):
        value = _load(x, at, channel, j, first, G, keep, relu, stride_c)
        total += value * value
    own = _load(x, at, channel, 0, first, G, keep, relu, stride_c)
    result = own * _power_of(k + c * total, beta, root)
    tl.store(y + at, result.to(y.dtype.element_ty), mask=keep)


@jit
def _backward_kernel(
    x, g, dx, C, P, G, c, beta, k, stride_n, stride_c, stride_p, behind: tl.constexpr,
    ahead: tl.constexpr, root: tl.constexpr, relu: tl.constexpr, TC: tl.constexpr,
    TP: tl.constexpr,
):  # fmt: skip
    channel, first, keep, at = _place(C, P, G, stride_n, stride_c, stride_p, TC, TP)
    total = tl.zeros((TC, TP), tl.float32)
    slope = tl.zeros((TC, TP), tl.float32)
    for j in tl.static_range(-ahead, behind + 1):  # the windows that hold this channel
        squares = tl.zeros((TC, TP), tl.float32)
        for i in tl.static_range(-behind, ahead + 1):
            value = _load(x, at, channel, j + i, first, G, keep, relu, stride_c)
            squares += value * value
        s = k + c * squares
        power = _power_of(s, beta, root)
        given = _load(g, at, channel, j, first, G, keep, False, stride_c)
        value = _load(x, at, channel, j, first, G, keep, relu, stride_c)
        there = (channel + j >= first) & (channel + j < first + G) & (s != 0.0)
        total += tl.where(there, given * value * power / s, 0.0)
        if j == 0:
            slope = given * power
    own = _load(x, at, channel, 0, first, G, keep, relu, stride_c)
    slope -= 2.0 * beta * c * own * total
    if relu:
        raw = tl.load(x + at, mask=keep, other=0.0).to(tl.float32)
        slope = tl.where(raw <= 0.0, 0.0, slope)  # NaN passes, as in torch
    tl.store(dx + at, slope.to(dx.dtype.element_ty), mask=keep)


def takes(x: torch.Tensor, behind: int, ahead: int) -> bool:
    """Tell whether the kernels take x (N, C, ...): on a CUDA GPU, up to 32 bits a value."""
    types = (torch.float32, torch.float16, torch.bfloat16)
    return (
        x.device.type == "cuda" and x.dtype in types and x.numel() > 0
        and behind + ahead < WIDEST and triton is not None
    )  # fmt: skip


def _run(kernel, tensors, window, channels_last: bool, relu: bool) -> torch.Tensor:
    groups, behind, ahead, c, beta, k = window
    x = tensors[0]
    result = torch.empty_like(x)
    N, C = x.shape[:2]
    P = x.numel() // (N * C)
    stride_c, stride_p = (1, C) if channels_last else (P, 1)
    TC, TP = TILE[::-1] if channels_last else TILE
    grid = (N, -(-C // TC), -(-P // TP))
    kernel[grid](
        *tensors, result, C, P, C // groups, c, beta, k, C * P, stride_c, stride_p, behind, ahead,
        beta == 0.75, relu, TC, TP,
    )
    return result


def forward(
    x: torch.Tensor, window: tuple, channels_last: bool, relu: bool = False
) -> torch.Tensor:
    """Return LRN of x (N, C, ...), contiguous or dense in channels_last; see `lrn.lrn`.

    window: (groups, behind, ahead, c, beta, k).
    """
    return _run(_forward_kernel, [x], window, channels_last, relu)


def backward(
    g: torch.Tensor, x: torch.Tensor, window: tuple, channels_last: bool, relu: bool = False
) -> torch.Tensor:
    """Return the slope for x, given g for the result, laid out in memory as x is."""
    return _run(_backward_kernel, [x, g], window, channels_last, relu)
