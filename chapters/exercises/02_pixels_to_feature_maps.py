"""Exercises on windows over a picture: what is left at the edge, convolution, receptive fields.
Chapter 02."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from alexnet_lib import ops, shapes
from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def left_over(n: int, k: int, s: int, p: int) -> int:
    return shapes.clipped_pixels(n, k, s, p)


def _edges(rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    yield 6, 3, 2, 0  # windows at 0 and 2: pixel 5 is left over
    yield 5, 3, 1, 0
    yield 224, 11, 4, 0
    yield 227, 11, 4, 0
    yield 224, 11, 4, 1  # D2L's
    yield 224, 11, 4, 2  # torchvision's
    yield 10, 3, 7, 0  # a stride larger than the window
    yield 9, 4, 20, 0  # one window only
    yield 3, 5, 4, 2
    for _ in range(10):
        k, s, p = (int(rng.integers(low, high)) for low, high in ((2, 9), (2, 8), (0, 4)))
        yield int(rng.integers(k, 60)), k, s, p


LEFT_OVER = Exercise(
    name="left_over",
    chapter="02",
    minutes=5,
    difficulty=1,
    question=(
        "A window k pixels wide moves over a row of n pixels in steps of s, after p zeros were "
        "added at both ends; a last step that doesn't fit is left out. How many places of the "
        "padded row, zeros included, lie behind the last window? Returns an int, 0 or more."
    ),
    hints=(
        "The padded row has n + 2p places. The first window covers k of them. What is left is "
        "covered in steps of s, as long as whole steps fit.",
        "What remains after as many whole steps as possible is the remainder of a division.",
        "In Python a % b is the remainder of a divided by b.",
    ),
    oracle=left_over,
    cases=_edges,
    mistakes={
        (lambda n, k, s, p: n % s):
            "the first window is missing: it covers k places before any step is taken.",
        (lambda n, k, s, p: (n - k) % s):
            "the padding p is left out. It makes the row longer by 2p.",
        (lambda n, k, s, p: (n + p - k) % s):
            "you added p once. Padding is on both sides, so the row grows by 2p.",
        (lambda n, k, s, p: (n + 2 * p) % s):
            "the window's width k is left out: only what lies behind the first window is divided "
            "into steps.",
        (lambda n, k, s, p: (n + 2 * p - k) // s):
            "that's how many steps fit (//). Asked is what remains after them (%).",
        (lambda n, k, s, p: (n + 2 * p - k) // s + 1):
            "that's how many windows there are. Asked is how many places lie behind the last one.",
        (lambda n, k, s, p: (n + 2 * p - k + 1) % s):
            "the + 1 belongs to counting windows. Here only the row's length counts.",
        (lambda n, k, s, p: -(n + 2 * p - k) % s):
            "that's how many zeros a rounded-up last window would read beyond the end. Asked is "
            "what rounding down leaves unread.",
        (lambda n, k, s, p: (n + 2 * p) % k):
            "you divided by the window's width. The window moves by s, not by k.",
        (lambda n, k, s, p: max(0, (n + 2 * p - k) % s - p)):
            "you took the zeros off. Here they count as well: p of them lie at the far end.",
        (lambda n, k, s, p: n + 2 * p - (n + 2 * p - k) // s * s):
            "the last window itself is forgotten: it starts there, and covers k places.",
    },
    lesson=(
        "224 leaves one column unread, 227 none: in steps of 4, after the first 11 pixels, 216 "
        "fit exactly."
    ),
    errors={
        "TypeError": "All four inputs are whole numbers; the result is one as well.",
        "ZeroDivisionError": "Divide by the stride s; it's never 0 here.",
    },
    where={
        lambda n, k, s, p: p > 0: "It fails only where there is padding.",
        lambda n, k, s, p: s > n + 2 * p - k: "It fails only where a single window fits.",
        lambda n, k, s, p: s > k: "It fails only where the stride is larger than the window.",
    },
)  # fmt: skip


def convolve(x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    return ops.conv2d(x, weight, stride=stride)


def _convolutions(rng: np.random.Generator) -> Iterator[tuple]:
    grid = torch.arange(25.0).reshape(1, 1, 5, 5)
    corner = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 1, 2, 2)
    yield grid, corner, 1  # small enough to do by hand
    yield grid, corner, 3
    yield _whole(rng, 1, 1, 6, 6), _whole(rng, 1, 1, 3, 3), 1
    yield _whole(rng, 1, 3, 7, 7), _whole(rng, 2, 3, 3, 3), 2
    yield _whole(rng, 2, 3, 5, 9), _whole(rng, 4, 3, 3, 3), 2  # wider than high
    yield _whole(rng, 3, 2, 8, 4), _whole(rng, 3, 2, 2, 2), 2
    yield _whole(rng, 1, 2, 6, 7), _whole(rng, 2, 2, 3, 2), 1  # a window higher than wide
    yield _whole(rng, 1, 2, 4, 4), _whole(rng, 2, 2, 4, 4), 3  # the window covers everything
    yield _whole(rng, 2, 1, 5, 6).double(), _whole(rng, 3, 1, 1, 1).double(), 1
    yield _whole(rng, 1, 3, 43, 47), _whole(rng, 6, 3, 11, 11), 4  # as in conv1


def _whole(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.integers(-3, 4, shape)).float()


def _wrong_convolve(
    weight: Callable = lambda w: w, stride: Callable = lambda s: (s, s),
    size: Callable = lambda side, k, s: (side - k) // s + 1,
    reduce: Callable = lambda product: product.sum(dim=(2, 3, 4)),
) -> Callable:  # fmt: skip
    """Return convolve with something changed: the weights, the stride, the map's size, the sum."""

    def wrong(x, w, s):
        w, (down, along) = weight(w), stride(s)
        h, k = w.shape[2:]
        H, W = size(x.shape[2], h, s), size(x.shape[3], k, s)
        y = x.new_zeros(len(x), len(w), max(H, 0), max(W, 0))
        for i in range(H):
            for j in range(W):
                patch = x[:, None, :, i * down : i * down + h, j * along : j * along + k]
                y[:, :, i, j] = reduce(patch * w[None])
        return y

    return wrong


def _zero_padded(x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    rows, columns = weight.shape[2] // 2, weight.shape[3] // 2
    return convolve(F.pad(x, (columns, columns, rows, rows)), weight, stride)


def _square_map(x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    """The number of rows is taken for the number of columns as well."""
    y = convolve(x, weight, stride)
    side = y.shape[2]
    return F.pad(y, (0, max(0, side - y.shape[3])))[..., :side]


CONVOLVE = Exercise(
    name="convolve",
    chapter="02",
    minutes=15,
    difficulty=2,
    question=(
        "Convolve a batch x of shape (N, C, H, W) with filters weight of shape (K, C, h, w), in "
        "steps of stride, without padding and bias; a last step that doesn't fit is left out. "
        "Each number is the sum of patch times filter, over all C channels. Loops are fine; no "
        "ready-made convolution. Returns a tensor (N, K, H', W') of x's type."
    ),
    hints=(
        "H' is (H - h) // stride + 1, and W' likewise with w. Make the result first: "
        "x.new_zeros(N, K, H', W').",
        "At row i and column j the patch is x[:, :, i * stride : i * stride + h, "
        "j * stride : j * stride + w], of shape (N, C, h, w).",
        "For filter k: y[:, k, i, j] = (patch * weight[k]).sum(dim=(1, 2, 3)).",
    ),
    oracle=convolve,
    cases=_convolutions,
    mistakes={
        _wrong_convolve(weight=lambda w: w.flip(2, 3)):
            "you turned the filter by 180 degrees. That's the convolution of mathematics; networks "
            "lay the filter on as it is.",
        _wrong_convolve(weight=lambda w: w.flip(3)):
            "you mirrored the filter left to right. It is laid on as it is.",
        _wrong_convolve(weight=lambda w: w.transpose(2, 3) if w.shape[2] == w.shape[3] else w):
            "you took the filter's rows for its columns.",
        _wrong_convolve(stride=lambda s: (1, 1)):
            "the map has the right size, but each window moves on by 1: the patch starts at "
            "i * stride.",
        _wrong_convolve(size=lambda side, k, s: side - k + 1, stride=lambda s: (1, 1)):
            "the stride is left out: the window moves on by 1.",
        _wrong_convolve(stride=lambda s: (s, 1)):
            "columns move on by 1. The stride holds for both directions.",
        _wrong_convolve(size=lambda side, k, s: (side - k) // s):
            "the last window is missing: there are (H - h) // stride + 1 of them, one more than "
            "steps.",
        _wrong_convolve(reduce=lambda product: product.mean(dim=(2, 3, 4))):
            "you took the mean over the patch. A convolution sums.",
        _wrong_convolve(reduce=lambda product: product[:, :, 0].sum(dim=(2, 3))):
            "only the first channel counts in yours. Each number sums over all C channels.",
        _wrong_convolve(reduce=lambda product: product.amax(dim=(2, 3, 4))):
            "you took the largest product. A convolution sums them.",
        _zero_padded:
            "your picture has zeros around it. Here there is no padding: the window stays inside.",
        _square_map:
            "your map has as many columns as rows. The number of columns comes from W and w.",
    },
    lesson=(
        "Four loops hide in one line of torch: over pictures, filters, rows and columns; patch and "
        "filter run over all channels."
    ),
    errors={
        "RuntimeError": "If it's about shapes: the patch is (N, C, h, w), one filter (C, h, w).",
        "IndexError": "A window starts too late: the last row is (H - h) // stride.",
    },
    where={
        lambda x, weight, stride: x.shape[2] != x.shape[3] or weight.shape[2] != weight.shape[3]:
            "It is right on square inputs only: somewhere height and width are taken for each "
            "other.",
        lambda x, weight, stride: x.shape[0] > 1:
            "It fails only with more than one picture: N comes first in the shape.",
        lambda x, weight, stride: x.shape[1] > 1:
            "It fails only with more than one channel: sum over C as well.",
        lambda x, weight, stride: stride > 1:
            "It fails only where the stride is larger than 1.",
    },
    forbidden=("conv2d", "Conv2d", "conv2d_loops", "conv3d", "unfold", "Unfold"),
)  # fmt: skip


def receptive_field(kernels: list[int], strides: list[int]) -> int:
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field, step = field + (kernel - 1) * step, step * stride
    return field


def _stacks(rng: np.random.Generator) -> Iterator[tuple[list[int], list[int]]]:
    yield [3], [1]
    yield [3, 3], [1, 1]
    yield [3, 3], [2, 1]
    yield [11, 3], [4, 2]  # conv1 and pool1
    yield [11, 3, 5, 3, 3, 3, 3, 3], [4, 2, 1, 2, 1, 1, 1, 2]  # to pool5
    yield [1, 1], [2, 2]
    yield [2, 4, 2], [3, 1, 2]
    yield [5], [5]
    for _ in range(8):
        count = int(rng.integers(2, 7))
        yield rng.integers(1, 8, count).tolist(), rng.integers(1, 5, count).tolist()


def _wrong_field(
    grow: Callable, steps: Callable = lambda step, s: step * s, start: int = 1
) -> Callable:
    """Return receptive_field with another growth, from (kernel, step before, step after)."""

    def wrong(kernels, strides):
        field, step = start, 1
        for k, s in zip(kernels, strides, strict=True):
            after = steps(step, s)
            field, step = field + grow(k, step, after), after
        return field

    return wrong


def _last_only(kernels, strides):
    """The stride before is used, but not what the earlier ones multiply to."""
    field, before = 1, 1
    for k, s in zip(kernels, strides, strict=True):
        field, before = field + (k - 1) * before, s
    return field


RECEPTIVE_FIELD = Exercise(
    name="receptive_field",
    chapter="02",
    minutes=15,
    difficulty=3,
    question=(
        "Layers are stacked, the first one on the picture: kernels holds the width of each "
        "layer's window, strides its step, both in the layer's own input. How many pixels of the "
        "picture, along one side, does one number of the last layer depend on? Returns an int."
    ),
    hints=(
        "Keep two numbers: field, the pixels that one number sees so far, and step, how many "
        "pixels apart two neighbours lie. Both start at 1: the picture itself.",
        "A window of k numbers, each step pixels from the next, adds (k - 1) * step to the field.",
        "Only after that step grows: it is multiplied by the layer's own stride.",
    ),
    oracle=receptive_field,
    cases=_stacks,
    mistakes={
        _wrong_field(lambda k, before, after: k - 1):
            "the strides are left out: behind a stride, neighbours lie several pixels apart.",
        _wrong_field(lambda k, before, after: (k - 1) * after):
            "you multiplied step by the layer's own stride too early. Its window still stands on "
            "the old distances.",
        _wrong_field(lambda k, before, after: (k - 1) * (after // before)):
            "you used the layer's own stride. Its window stands on the distances that the strides "
            "before it made.",
        _wrong_field(lambda k, before, after: k * before):
            "a window of k numbers spans k - 1 distances, not k.",
        _wrong_field(lambda k, before, after: (k - 1) * before, start=0):
            "start at 1: before any layer, one number is one pixel.",
        _wrong_field(lambda k, before, after: (k - 1) * before, lambda step, s: step + s):
            "you added the strides. They multiply: two steps of 2 make a step of 4.",
        _last_only:
            "you used the stride of the layer before alone. The strides of all earlier layers "
            "multiply.",
        (lambda kernels, strides: sum(kernels)):
            "you added the windows' widths. Windows of the next layer overlap in the picture.",
        (lambda kernels, strides: int(np.prod(kernels))):
            "you multiplied the windows' widths. Windows of the next layer overlap in the picture.",
        (lambda kernels, strides: kernels[-1]):
            "that's the last window, counted in its own input. Asked is how far it reaches in the "
            "picture.",
        (lambda kernels, strides: int(np.prod(strides))):
            "that's the distance between neighbours in the picture. Asked is how far one of them "
            "sees.",
    },
    lesson=(
        "One number after pool5 looks at 195 of 227 pixels: a small window, laid on maps of maps, "
        "sees most of the picture."
    ),
    errors={
        "TypeError": "kernels and strides are lists of whole numbers: go through both with zip.",
        "IndexError": "The two lists are equally long: zip(kernels, strides) gives pairs.",
    },
    where={
        lambda kernels, strides: len(kernels) > 2: "It fails only with three layers or more.",
        lambda kernels, strides: len(kernels) > 1: "It fails only with more than one layer.",
    },
)  # fmt: skip


EXERCISES = (LEFT_OVER, CONVOLVE, RECEPTIVE_FIELD)
