"""Convolutions on the CPU by Winograd's tiles: the same sums with a third to a sixth of the work.

Most of AlexNet's training time goes into its convolutions. `c/tiles.c` takes maps to tiles and
back, torch multiplies the matrices between, and some tiles at a time go the whole way, so that
they stay in the processor's cache. Rounding in float32 costs more digits than adding up directly:
values and slopes are torch's to about 1e-5 of their spread, as long as all are finite.

Winograd's minimal filtering gives m neighbouring outputs of a filter of r taps by m + r - 1
products; direct filtering takes m * r. In two dimensions both counts are squared: 5 x 5 outputs of
a 3 x 3 kernel take 49 products instead of 225. For a tile d of inputs and a kernel w,

    y = A^T [(G w G^T) * (B^T d B)] A

where * multiplies element by element. The matrices come from evaluating polynomials at points and
interpolating, which is exact; in float32 the points decide how much is lost by rounding.
Source: Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import prod

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from .build import Tiles, run

__all__ = ["OUTPUTS", "conv2d", "matrices", "takes"]

OUTPUTS = {3: 5, 5: 4}  # side of a kernel: side of the square of outputs that a tile gives
_PAIRS = [sign * Fraction(value) for value in (1, 2, 0.5) for sign in (1, -1)]  # first, for C
POINTS = {3: _PAIRS, 5: [*_PAIRS, Fraction(0)]}  # those of several tried that lose least
LANES = 8  # channels that c/tiles.c takes at once
MIXING = 47  # products that take as long as a channel's share of mixing, as measured
FEWEST_TILES = 128  # the weights must be prepared, however few the tiles
ROOM = 24 << 20  # bytes of tiles at a time, kept by each thread that convolves


@cache
def _matrices(kernel: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return A, the Kronecker product of G with itself, and B^T, in float32."""
    output, taps, data = (
        torch.tensor(rows, dtype=torch.double)
        for rows in matrices(OUTPUTS[kernel], kernel, POINTS[kernel])
    )
    return output.float(), torch.kron(taps, taps).float(), data.float()


def takes(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int, padding: int,
    groups: int,
) -> bool:
    """Tell whether `conv2d` takes these: float32 on the CPU, x (N, C, H, W) in channels_last,
    square kernels of 3 or 5 strides a side, where it pays. What doesn't fit together
    isn't taken either, so that torch says what is wrong with it."""
    given = [x, weight] if bias is None else [x, weight, bias]
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    if any(t.device.type != "cpu" or t.dtype != torch.float32 for t in given):
        return False
    return _fits(x, weight, bias, stride, padding, groups)


def _fits(x, weight, bias, stride: int, padding: int, groups: int) -> bool:
    if x.dim() != 4 or weight.dim() != 4 or min(stride, groups) < 1:
        return False
    (N, C, H, W), (K, c, side, other) = x.shape, weight.shape
    kernel, channels = -(-side // stride), c * stride**2
    if kernel not in OUTPUTS or other != side or not 0 <= padding < side:
        return False
    if C != c * groups or K % groups or (bias is not None and bias.shape != (K,)):
        return False
    if channels % LANES or K // groups % LANES or (groups > 1 and stride > 1):
        return False
    if min(H, W) + 2 * padding < side:
        return False
    sizes = [(s + 2 * padding - side) // stride + 1 for s in (H, W)]
    tiles = prod(_grid(sizes, kernel))
    products = tiles * _side(kernel) ** 2 * channels
    mixing = MIXING * (1 / channels + groups / K)
    pays = products * (1 + mixing) < 0.9 * prod(sizes) * side**2 * c
    enough = N * tiles >= FEWEST_TILES
    return pays and enough and x.is_contiguous(memory_format=torch.channels_last)


def _side(kernel: int) -> int:
    """Return the side of a tile, n."""
    return OUTPUTS[kernel] + kernel - 1


def _grid(sizes: Sequence[int], kernel: int) -> list[int]:
    """Return how many rows and columns of tiles give outputs of these sizes, (H', W')."""
    return [-(-size // OUTPUTS[kernel]) for size in sizes]


def conv2d(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int, padding: int,
    groups: int,
) -> torch.Tensor:
    """Convolve x (N, C, H, W) with weight (K, C / groups, r, r); see `takes` and `ops.conv2d`."""
    if stride > 1:
        x, weight, padding = *_in_blocks(x, weight, stride, padding), 0
    return _Conv.apply(x, weight, bias, padding, groups)


def _in_blocks(
    x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn blocks of stride x stride pixels into one with that many more channels: the same
    convolution then has stride 1, and zeros at the end of kernels that aren't whole strides."""
    kernel = -(-weight.shape[2] // stride)
    missing = kernel * stride - weight.shape[2]
    weight = F.pad(weight, [0, missing, 0, missing])
    pads = []
    for side in (x.shape[3], x.shape[2]):
        blocks = (side + 2 * padding - weight.shape[2] + missing) // stride + kernel
        pads += [padding, blocks * stride - side - padding]  # below 0 it crops
    return (_blocks(F.pad(x, pads), stride), _blocks(weight, stride))


def _blocks(x: torch.Tensor, stride: int) -> torch.Tensor:
    """(N, C, H, W) -> (N, stride * stride * C, H / stride, W / stride), in channels_last."""
    N, C, H, W = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(N, H // stride, stride, W // stride, stride, C)
    return pixels.permute(0, 1, 3, 2, 4, 5).flatten(3).permute(0, 3, 1, 2)


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, padding, groups):
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.groups = padding, groups
        return _convolve(x, weight, None if bias is None else bias.contiguous(), padding, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        padding, groups, kernel = ctx.padding, ctx.groups, weight.shape[2]
        g = g.contiguous(memory_format=torch.channels_last)
        dx = dw = db = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(2, 3).unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
            dx = _convolve(g, turned, None, kernel - 1 - padding, groups)
        if ctx.needs_input_grad[1]:
            dw = _slope_of_weight(x, g, weight, padding, groups)
        if ctx.needs_input_grad[2]:
            db = g.sum((0, 2, 3))
        return dx, dw, db, None, None


_kept = threading.local()


def _workspace(floats: int) -> torch.Tensor:
    """Return memory to work in, the same each time: fresh pages would cost a lot."""
    if getattr(_kept, "memory", None) is None or len(_kept.memory) < floats:
        with torch.inference_mode(False):  # or it could never be written to outside that mode
            _kept.memory = torch.empty(floats)
    return _kept.memory[:floats]


class _Cut:
    """Maps (N, C, H, W) and a buffer for some of their tiles, (n * n * groups, T, C / groups)."""

    def __init__(
        self, maps: torch.Tensor, buffer: torch.Tensor, grid: list[int], groups: int,
        kernel: int, side: int, padding: int,
    ) -> None:
        self.maps, self.buffer = maps, buffer
        grid = (*grid, OUTPUTS[kernel], _side(kernel), side)
        self.tiles = Tiles(
            *maps.shape[2:], groups, buffer.shape[2], padding, *grid, buffer.stride(0), 0
        )

    def _run(self, name: str, base: int, count: int, *pointers: int | None) -> None:
        self.tiles.base = base
        arrays = [self.maps.data_ptr(), self.buffer.data_ptr(), *pointers]
        run(name, self.tiles, arrays, count, torch.get_num_threads())

    def read(self, matrix: torch.Tensor, base: int, count: int) -> torch.Tensor:
        """Return the tiles base .. base + count of the maps, (n * n * groups, count, channels)."""
        self._run("to_tiles", base, count, matrix.data_ptr())
        return self.buffer[:, :count]

    def write(self, matrix: torch.Tensor, bias: torch.Tensor | None, base: int, count: int) -> None:
        """Write what lies in the buffer to the maps."""
        added = None if bias is None else bias.data_ptr()
        self._run("from_tiles", base, count, matrix.data_ptr(), added)


def _cut(
    x: torch.Tensor, y: torch.Tensor, kernel: int, padding: int, groups: int
) -> tuple[_Cut, _Cut, list[tuple[int, int]]]:
    """Return how a convolution's inputs x and outputs y are cut, and chunks of tiles that fit in
    the workspace: the first one's number and their count."""
    grid, n = _grid(y.shape[2:], kernel), _side(kernel)
    total = len(x) * prod(grid)
    floats = n * n * (x.shape[1] + y.shape[1])  # of a tile
    T = -(-total // -(-total * floats * 4 // ROOM))
    memory, split = _workspace(T * floats), T * n * n * x.shape[1]
    inputs, outputs = (
        part.view(n * n * groups, T, -1) for part in (memory[:split], memory[split:])
    )
    chunks = [(base, min(T, total - base)) for base in range(0, total, T)]
    return (
        _Cut(x, inputs, grid, groups, kernel, n, padding),
        _Cut(y, outputs, grid, groups, kernel, OUTPUTS[kernel], 0),
        chunks,
    )


def _convolve(x, weight, bias, padding: int, groups: int) -> torch.Tensor:
    (K, C, kernel), (output, taps, data) = weight.shape[:3], _matrices(weight.shape[2])
    size = [side + 2 * padding - kernel + 1 for side in x.shape[2:]]
    y = torch.empty((len(x), K, *size), memory_format=torch.channels_last)
    # (K, C, r, r) -> (r * r, groups * C * K) -> (n * n * groups, C, K)
    flat = weight.unflatten(0, (groups, -1)).permute(3, 4, 0, 2, 1).flatten(0, 1).flatten(1)
    U = (taps @ flat).view(-1, C, K // groups)
    inputs, outputs, chunks = _cut(x, y, kernel, padding, groups)
    for base, count in chunks:
        V = inputs.read(data, base, count)
        torch.bmm(V, U, out=outputs.buffer[:, :count])
        outputs.write(output, bias, base, count)
    return y


def _slope_of_weight(x, g, weight, padding: int, groups: int) -> torch.Tensor:
    (K, C, kernel), (output, taps, data) = weight.shape[:3], _matrices(weight.shape[2])
    inputs, slopes, chunks = _cut(x, g, kernel, padding, groups)
    dU = None
    for base, count in chunks:
        V, Z = inputs.read(data, base, count).transpose(1, 2), slopes.read(output, base, count)
        dU = torch.bmm(V, Z) if dU is None else torch.baddbmm(dU, V, Z, out=dU)
    dw = (taps.T @ dU.view(len(taps), -1)).view(kernel, kernel, groups, C, K // groups)
    return torch.empty_like(weight).copy_(dw.permute(2, 4, 3, 0, 1).flatten(0, 1))


Matrix = list[list[float]]


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of the product of (x - root), from the constant up."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*coefficients, Fraction(0)]
        coefficients = [a - root * b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def matrices(m: int, r: int, points: Sequence[Fraction]) -> tuple[Matrix, Matrix, Matrix]:
    """Return A (n x m), G (n x r) and B^T (n x n), n = m + r - 1: a row for each point.

    points: n - 1 different numbers; infinity is the last of the n. If -p is a point as well as p,
    their rows of A, and those of B^T, differ in the sign of every second value alone.
    Raises ValueError for another count of points, or where two are the same.
    """
    n = m + r - 1
    if len(set(points)) != n - 1 or len(points) != n - 1:
        raise ValueError(
            f"F({m}, {r}) needs {n - 1} different points besides infinity; "
            f"there are {len(set(points))} different ones among {len(points)}."
        )
    output, kernel, data = [], [], []
    for point in points:
        others = [other for other in points if other != point]
        row = [*_polynomial(others), Fraction(0)]
        sign = 1 if next(value for value in row[::2] if value) > 0 else -1
        scale = sign / prod(point - other for other in others)
        output.append([point**power for power in range(m)])
        kernel.append([scale * point**tap for tap in range(r)])
        data.append([sign * value for value in row])
    output.append([power == m - 1 for power in range(m)])
    kernel.append([tap == r - 1 for tap in range(r)])
    data.append(_polynomial(points))
    return tuple([[float(v) for v in row] for row in rows] for rows in (output, kernel, data))
