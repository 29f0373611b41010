"""Local response normalization, fast: forward and backward with one saved tensor.

`lrn(x, groups, behind, ahead, c, beta, k)` computes y = x * (k + c * S) ** -beta, S the sum of
squares over the channels i - behind .. i + ahead, clipped to the group of channels i is in. It is
a torch custom op with its own gradient, so `torch.compile` and `gradcheck` go through. Three
implementations:

- float32 and bfloat16 on the CPU, where a C compiler is at hand: `c/lrn.c`;
- half and single precision on a CUDA GPU, where Triton is at hand: `lrn_triton`;
- everything else: slices of the tensor and the analytic gradient, in torch.

`dispatch` decides between them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from .build import Maps, compiled_library, run
from .dispatch import serves

__all__ = ["compiled_passes", "lrn", "lrn_portable", "portable_passes", "takes"]

PART = 1 << 18  # values that the portable path works on at once on a CPU: they stay in its cache
Room = Callable[[str, torch.Tensor], torch.Tensor]  # see `_new_room`
UNIT = {True: 512, False: 32768}  # floats in a buffer of c/lrn.c, channels_last and NCHW


def _window_sum(
    x: torch.Tensor, groups: int, behind: int, ahead: int, out: torch.Tensor
) -> torch.Tensor:
    """Sum x over the channels i - behind .. i + ahead of dimension 1, clipped to i's group."""
    out.copy_(x)
    sums, parts = (t.unflatten(1, (groups, -1)) for t in (out, x))  # views (N, groups, G, ...)
    G = parts.shape[2]
    for offset in range(1, min(behind, G - 1) + 1):
        sums[:, :, offset:] += parts[:, :, :-offset]
    for offset in range(1, min(ahead, G - 1) + 1):
        sums[:, :, :-offset] += parts[:, :, offset:]
    return out


def _inverse_power(
    s: torch.Tensor, beta: float, never_zero: bool, out: torch.Tensor, spare: torch.Tensor
) -> torch.Tensor:
    """Return s ** -beta, and 0 where s is 0, in `out`."""
    if beta == 0.75:
        torch.rsqrt(s, out=out)
        out.mul_(torch.sqrt(out, out=spare))
    else:
        torch.pow(s, -beta, out=out)
    return out if never_zero else out.masked_fill_(s == 0, 0)


def _wide_type(x: torch.Tensor) -> torch.dtype:
    """Half types are computed in float32: small sums would vanish next to k in bfloat16."""
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def _new_room() -> Room:
    """Return room(name, x): a temporary of x's shape, made once for each name and used again.

    Fresh memory for every operation costs more than the arithmetic.
    """
    kept: dict[str, torch.Tensor] = {}

    def room(name: str, x: torch.Tensor) -> torch.Tensor:
        if name not in kept:
            kept[name] = torch.empty_like(x, dtype=_wide_type(x))
        return kept[name][: len(x)]  # the last part may hold fewer images

    return room


def _wide(x: torch.Tensor, name: str, room: Room, relu: bool = False) -> torch.Tensor:
    if x.dtype == _wide_type(x) and not relu:
        return x
    wide = room(name, x).copy_(x)
    return wide.clamp_min_(0) if relu else wide


def _portable_forward(
    x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float, k: float,
    relu: bool = False, room: Room | None = None,
) -> torch.Tensor:
    room = room or _new_room()
    power, s, spare = (room(name, x) for name in ("power", "s", "spare"))
    wide = _wide(x, "x", room, relu)
    _window_sum(torch.mul(wide, wide, out=spare), groups, behind, ahead, s).mul_(c).add_(k)
    return _inverse_power(s, beta, k > 0 and c >= 0, power, spare).mul_(wide).to(x.dtype)


def _portable_backward(
    g: torch.Tensor, x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float,
    k: float, relu: bool = False, room: Room | None = None,
) -> torch.Tensor:
    room = room or _new_room()
    power, s, term, total = (room(name, x) for name in ("power", "s", "term", "total"))
    wide, g_wide = _wide(x, "x", room, relu), _wide(g, "g", room)
    _window_sum(torch.mul(wide, wide, out=term), groups, behind, ahead, s).mul_(c).add_(k)
    never_zero = k > 0 and c >= 0
    _inverse_power(s, beta, never_zero, power, term)
    torch.mul(g_wide, wide, out=term).mul_(power).div_(s)
    if not never_zero:
        term.masked_fill_(s == 0, 0)
    _window_sum(term, groups, ahead, behind, total)  # reversed: the windows that hold i
    slope = power.mul_(g_wide).addcmul_(wide, total, value=-2 * beta * c)
    return (slope.masked_fill_(wide <= 0, 0) if relu else slope).to(x.dtype)


def _in_parts(function: Callable, tensors: tuple[torch.Tensor, ...], *window) -> torch.Tensor:
    """Call the portable function on some images at a time, whose temporaries stay in the cache."""
    x = tensors[-1]
    step = max(1, PART // max(1, x[:1].numel()))
    if x.device.type != "cpu" or len(x) <= step:
        return function(*tensors, *window)
    result, room = torch.empty_like(x), _new_room()
    for parts in zip(result.split(step), *(t.split(step) for t in tensors), strict=True):
        parts[0].copy_(function(*parts[1:], *window, room=room))
    return result


def takes(x: torch.Tensor, behind: int, ahead: int) -> bool:
    """Tell whether the C code, or on a GPU Triton's, takes x (N, C, ...) and this window."""
    if x.device.type == "cuda":
        from . import lrn_triton  # loading Triton takes a while, and only GPUs need it

        return lrn_triton.takes(x, behind, ahead)
    half_or_single = x.dtype in (torch.float32, torch.bfloat16)
    return x.device.type == "cpu" and half_or_single and x.numel() >= 4096


def _by_triton(x: torch.Tensor, g: torch.Tensor | None, *window) -> torch.Tensor:
    from . import lrn_triton

    *window, relu = window
    source, channels_last = _layout(x)
    if g is None:
        return _laid_out_like(x, lrn_triton.forward(source, window, channels_last, relu))
    form = torch.channels_last if channels_last else torch.contiguous_format
    g = g.contiguous(memory_format=form)
    slope = lrn_triton.backward(g, source, window, channels_last, relu)
    return _laid_out_like(x, slope)


def _layout(x: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Return x in one of the two layouts that the C code reads, and whether it's channels_last."""
    if x.is_contiguous():
        return x, False
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x, True
    return x.contiguous(), False


def _laid_out_like(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return y in the memory layout that torch promises for results of x (`empty_like`)."""
    return y if y.stride() == x.stride() else torch.empty_like(x).copy_(y)


def _compiled(
    name: str, x: torch.Tensor, g: torch.Tensor | None, *window, threads: int | None = None
) -> torch.Tensor:
    """Run c/lrn.c's function `name` on threads (torch's number); window: what `lrn` takes after x.
    """
    groups, behind, ahead, c, beta, k, relu = window
    source, channels_last = _layout(x)
    form = torch.channels_last if channels_last else torch.contiguous_format
    given = [source] if g is None else [source, g.contiguous(memory_format=form)]
    result = torch.empty_like(source)
    N, C = x.shape[:2]
    G, P = C // groups, x.numel() // (N * C)
    behind, ahead = min(behind, G - 1), min(ahead, G - 1)
    channels_last = channels_last or P == 1  # the same thing, and faster
    n = UNIT[channels_last] // (G + max(behind, ahead))
    n = max(1, n) if channels_last else min(P, 256, max(16, n // 16 * 16))
    half = x.dtype == torch.bfloat16
    maps = Maps(N, C, P, G, behind, ahead, n, channels_last, half, relu, c, beta, k)
    pointers = [tensor.data_ptr() for tensor in (*given, result)]
    threads = threads or torch.get_num_threads()
    run(name, maps, pointers, compiled_library().lrn_units(maps), threads)
    return _laid_out_like(x, result)


@torch.library.custom_op("alexnet::lrn", mutates_args=())
def lrn(
    x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float, k: float,
    relu: bool = False,
) -> torch.Tensor:
    """Normalize x (N, C, ...) over windows of channels; see the module's text for the formula.

    groups: towers that windows stay within; it divides C. behind, ahead: channels before and
    after the one normalized, at least 0. c, beta, k: reals. relu: normalize max(x, 0), which
    saves a ReLU its passes over memory, forward and backward.
    Returns a tensor of x's shape and type. Where k + c * S is 0 the result is 0.
    """
    window = (groups, behind, ahead, c, beta, k, relu)
    if serves(takes, x, behind, ahead):
        fast = _by_triton if x.is_cuda else partial(_compiled, "lrn_forward")
        return fast(x, None, *window)
    return _laid_out_like(x, _in_parts(_portable_forward, (x,), *window))


@torch.library.custom_op("alexnet::lrn_backward", mutates_args=())
def _lrn_backward(
    g: torch.Tensor, x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float,
    k: float, relu: bool,
) -> torch.Tensor:
    window = (groups, behind, ahead, c, beta, k, relu)
    if serves(takes, x, behind, ahead):
        fast = _by_triton if x.is_cuda else partial(_compiled, "lrn_backward")
        return fast(x, g, *window)
    g = _laid_out_like(x, g)
    return _laid_out_like(x, _in_parts(_portable_backward, (g, x), *window))


@lrn.register_fake
def _(x, groups, behind, ahead, c, beta, k, relu=False):
    return torch.empty_like(x)


@_lrn_backward.register_fake
def _(g, x, groups, behind, ahead, c, beta, k, relu):
    return torch.empty_like(x)


def _save(ctx, inputs, output) -> None:
    x, *ctx.window = inputs
    ctx.save_for_backward(x)


def _gradient(ctx, g):
    (x,) = ctx.saved_tensors
    return _lrn_backward(g, x, *ctx.window), *[None] * 7


lrn.register_autograd(_gradient, setup_context=_save)


def lrn_portable(
    x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float, k: float,
    relu: bool = False,
) -> torch.Tensor:
    """Do what `lrn` does in plain torch operations, without a gradient of its own."""
    return _portable_forward(x, groups, behind, ahead, c, beta, k, relu)


def portable_passes(x: torch.Tensor, g: torch.Tensor, *window: float) -> tuple[torch.Tensor, ...]:
    """Return LRN of x and the slope for g as they are computed without a compiler, to be timed."""
    forward = _in_parts(_portable_forward, (x,), *window)
    return forward, _in_parts(_portable_backward, (g, x), *window)


def compiled_passes(
    x: torch.Tensor, g: torch.Tensor, *window: float, threads: int
) -> tuple[torch.Tensor, ...]:
    """Return LRN of x and the slope for g by the C code, to be timed without torch around it.

    It needs `compiled_library()`.
    """
    forward = _compiled("lrn_forward", x, None, *window, False, threads=threads)
    return forward, _compiled("lrn_backward", x, g, *window, False, threads=threads)
