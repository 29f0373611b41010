"""Local response normalization, fast: forward and backward with one saved tensor.

`lrn(x, groups, behind, ahead, c, beta, k)` computes y = x * (k + c * S) ** -beta, S the sum of
squares over the channels i - behind .. i + ahead, clipped to the group of channels i is in. It is
a torch custom op with its own gradient, so `torch.compile` and `gradcheck` go through. Two
implementations:

- float32 on the CPU, where a C compiler is at hand: `c/lrn.c`, built once in under a second;
- everything else: slices of the tensor and the analytic gradient, in torch.

Set ALEXNET_KERNELS=portable to use the second one everywhere.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch

__all__ = ["compiled_library", "lrn", "lrn_portable"]

SOURCE = Path(__file__).with_name("c") / "lrn.c"
BLOCK = 64  # positions a block, as in the C source


def _window_sum(x: torch.Tensor, groups: int, behind: int, ahead: int) -> torch.Tensor:
    """Sum x over the channels i - behind .. i + ahead of dimension 1, clipped to i's group."""
    total = x.clone()
    sums, parts = (t.unflatten(1, (groups, -1)) for t in (total, x))  # views (N, groups, G, ...)
    G = parts.shape[2]
    for offset in range(1, min(behind, G - 1) + 1):
        sums[:, :, offset:] += parts[:, :, :-offset]
    for offset in range(1, min(ahead, G - 1) + 1):
        sums[:, :, :-offset] += parts[:, :, offset:]
    return total


def _inverse_power(s: torch.Tensor, beta: float) -> torch.Tensor:
    """Return s ** -beta, and 0 where s is 0."""
    if beta == 0.75:
        root = s.rsqrt()
        power = root * root.sqrt()
    else:
        power = s.pow(-beta)
    return power.masked_fill_(s == 0, 0)


def _wide(x: torch.Tensor) -> torch.Tensor:
    """Half types are computed in float32: small sums would vanish next to k in bfloat16."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _portable_forward(
    x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float, k: float
) -> torch.Tensor:
    wide = _wide(x)
    s = _window_sum(wide * wide, groups, behind, ahead).mul_(c).add_(k)
    return (wide * _inverse_power(s, beta)).to(x.dtype)


def _portable_backward(
    g: torch.Tensor, x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float,
    k: float,
) -> torch.Tensor:
    wide, g_wide = _wide(x), _wide(g)
    s = _window_sum(wide * wide, groups, behind, ahead).mul_(c).add_(k)
    power = _inverse_power(s, beta)
    term = (g_wide * wide * power).div_(s).masked_fill_(s == 0, 0)
    total = _window_sum(term, groups, ahead, behind)  # reversed: the windows that hold i
    return (g_wide * power).addcmul_(wide, total, value=-2 * beta * c).to(x.dtype)


def _cache_folder() -> Path:
    base = os.environ.get("ALEXNET_KERNEL_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "alexnet_lib"


@cache
def compiled_library() -> ctypes.CDLL | None:
    """Return the compiled C kernels, building them on first use, or None where that can't be."""
    found = filter(None, map(shutil.which, ("cc", "gcc", "clang")))
    compiler = os.environ.get("CC") or next(found, None)
    if os.environ.get("ALEXNET_KERNELS") == "portable" or not compiler or os.name == "nt":
        return None
    flags = ["-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC", "-lm"]
    identity = f"{compiler}{flags}{platform.machine()}{platform.processor()}{_cpu_flags()}"
    key = hashlib.sha256(SOURCE.read_bytes() + identity.encode()).hexdigest()[:16]
    library = _cache_folder() / f"lrn-{key}.so"
    try:
        if not library.exists():
            library.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=library.parent) as folder:
                built = Path(folder) / library.name
                command = [compiler, str(SOURCE), *flags[:-1], "-o", str(built), flags[-1]]
                subprocess.run(command, check=True, capture_output=True, timeout=60)
                os.replace(built, library)
        loaded = ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        return None  # the portable path gives the same numbers
    size, real, pointer = ctypes.c_ssize_t, ctypes.c_float, ctypes.c_void_p
    shared = [size, size, size, size, ctypes.c_int, size, size, size, real, real, real]
    loaded.lrn_forward.argtypes = [pointer] * 3 + shared
    loaded.lrn_backward.argtypes = [pointer] * 4 + shared
    loaded.lrn_forward.restype = loaded.lrn_backward.restype = None
    return loaded


def _cpu_flags() -> str:
    """Return what tells this processor from another, so that a shared cache stays right."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return ""


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)  # one a process: threads don't survive a fork


def _usable(x: torch.Tensor) -> bool:
    return (
        x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() >= 4096
        and compiled_library() is not None
    )


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


def _run(function, tensors: list[torch.Tensor], buffers: int, channels_last: bool, *window) -> None:
    """Call a C function on slices of the batch, one a thread; ctypes releases the GIL."""
    x = tensors[0]
    N, C = x.shape[:2]
    P = x.numel() // max(1, N * C)
    threads = max(1, min(torch.get_num_threads(), N))
    pointers = [tensor.data_ptr() for tensor in tensors]

    def work(number: int) -> None:
        scratch = (ctypes.c_float * (buffers * C * BLOCK))()
        first, last = N * number // threads, N * (number + 1) // threads
        function(*pointers, ctypes.addressof(scratch), first, last, C, P, channels_last, *window)

    if threads == 1:
        work(0)
    else:
        list(_pool(threads, os.getpid()).map(work, range(threads)))


@torch.library.custom_op("alexnet::lrn", mutates_args=())
def lrn(
    x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float, k: float
) -> torch.Tensor:
    """Normalize x (N, C, ...) over windows of channels; see the module's text for the formula.

    groups: towers that windows stay within; it divides C. behind, ahead: channels before and
    after the one normalized, at least 0. c, beta, k: reals.
    Returns a tensor of x's shape and type. Where k + c * S is 0 the result is 0.
    """
    if not _usable(x):
        return _portable_forward(x, groups, behind, ahead, c, beta, k)
    source, channels_last = _layout(x)
    y = torch.empty_like(source)
    library, G = compiled_library(), x.shape[1] // groups
    _run(library.lrn_forward, [source, y], 2, channels_last, G, behind, ahead, c, beta, k)
    return _laid_out_like(x, y)


@torch.library.custom_op("alexnet::lrn_backward", mutates_args=())
def _lrn_backward(
    g: torch.Tensor, x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float,
    k: float,
) -> torch.Tensor:
    g = _laid_out_like(x, g)
    if not _usable(x):
        return _portable_backward(g, x, groups, behind, ahead, c, beta, k)
    source, channels_last = _layout(x)
    form = torch.channels_last if channels_last else torch.contiguous_format
    g = g.contiguous(memory_format=form)
    dx = torch.empty_like(source)
    library, G = compiled_library(), x.shape[1] // groups
    _run(library.lrn_backward, [source, g, dx], 4, channels_last, G, behind, ahead, c, beta, k)
    return _laid_out_like(x, dx)


@lrn.register_fake
def _(x, groups, behind, ahead, c, beta, k):
    return torch.empty_like(x)


@_lrn_backward.register_fake
def _(g, x, groups, behind, ahead, c, beta, k):
    return torch.empty_like(x)


def _save(ctx, inputs, output) -> None:
    x, *ctx.window = inputs
    ctx.save_for_backward(x)


def _gradient(ctx, g):
    (x,) = ctx.saved_tensors
    return _lrn_backward(g, x, *ctx.window), *[None] * 6


lrn.register_autograd(_gradient, setup_context=_save)


def lrn_portable(
    x: torch.Tensor, groups: int, behind: int, ahead: int, c: float, beta: float, k: float
) -> torch.Tensor:
    """Do what `lrn` does in plain torch operations, without a gradient of its own."""
    return _portable_forward(x, groups, behind, ahead, c, beta, k)
