"""Chapter 02's exercises: the oracles against brute force, and what typical answers are told."""

from __future__ import annotations

import random
import re

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, shapes
from alexnet_lib.course import checks, grading
from alexnet_lib.course.exercises import EXERCISES


def said(name, answer) -> str:
    """Judge an answer; returns status and lines as one text."""
    verdict = grading.judge(EXERCISES[name], answer)
    return "\n".join([verdict.status, *verdict.lines])


def test_left_over_counts_what_no_window_covers():
    rng = random.Random(0)
    for _ in range(200):
        k, s, p = rng.randint(1, 9), rng.randint(1, 9), rng.randint(0, 4)
        n = rng.randint(max(1, k - 2 * p), 60)
        length, end = n + 2 * p, 0
        for start in range(0, length - k + 1, s):
            end = start + k
        for function in (EXERCISES["left_over"].oracle, checks.solution_function("left_over")):
            assert function(n, k, s, p) == length - end


def test_convolve_is_torchs():
    torch.manual_seed(0)
    for stride, height, width in ((1, 6, 9), (2, 9, 6), (3, 7, 7)):
        x, weight = torch.randn(2, 3, height, width), torch.randn(4, 3, 3, 2)
        got = checks.solution_function("convolve")(x, weight, stride)
        torch.testing.assert_close(got, F.conv2d(x, weight, stride=stride))


def test_receptive_field_is_where_the_gradient_reaches():
    rng = random.Random(1)
    for _ in range(20):
        layers = [(rng.randint(1, 5), rng.randint(1, 3)) for _ in range(rng.randint(1, 4))]
        kernels, strides = map(list, zip(*layers, strict=True))
        expected = EXERCISES["receptive_field"].oracle(kernels, strides)
        x = torch.zeros(1, 1, 1, expected + 50, requires_grad=True)
        y = x
        for kernel, stride in layers:
            y = F.conv2d(y, torch.ones(1, 1, 1, kernel), stride=stride)
        y[..., 0].sum().backward()
        reached = x.grad.flatten().nonzero().flatten()
        assert int(reached.max() - reached.min()) + 1 == expected
        assert checks.solution_function("receptive_field")(kernels, strides) == expected


def test_receptive_field_is_that_of_the_networks_table():
    spec = architectures.network("paper")
    rows = {row.name: row.receptive_field for row in shapes.walk(spec)}
    windowed = [layer for layer in spec.layers if layer.kind in ("conv", "max_pool")]
    for last, layer in enumerate(windowed, start=1):
        kernels = [each.kernel for each in windowed[:last]]
        strides = [each.stride for each in windowed[:last]]
        assert EXERCISES["receptive_field"].oracle(kernels, strides) == rows[layer.name]


def loops(rows=lambda H, W: H, columns=lambda H, W: W, channels=None, dtype=None):
    """An answer to convolve with its map's rows and columns from wherever."""

    def answer(x, weight, stride):
        N, C, H, W = x.shape
        K, _, h, w = weight.shape
        H, W = rows(H, W), columns(H, W)
        shape = (N, K, (H - h) // stride + 1, (W - w) // stride + 1)
        y = torch.zeros(shape, dtype=dtype or x.dtype)
        for i in range(shape[2]):
            for j in range(shape[3]):
                patch = x[:, None, :channels, i * stride :, j * stride :][..., :h, :w]
                y[:, :, i, j] = (patch * weight[:, :channels]).sum(dim=(2, 3, 4))
        return y

    return answer


def mutating(x, weight, stride):
    weight *= 1.0
    weight += 1
    return loops()(x, weight, stride)


def behind_the_last_start(n, k, s, p):
    stops = (n + 2 * p - k) // s + 1
    return n + 2 * p - (stops - 1) * s


def own_stride(kernels, strides):
    field = 1
    for k, s in zip(kernels, strides, strict=True):
        field += (k - 1) * s
    return field


def test_wrong_answers_are_those_that_learners_gave():
    assert behind_the_last_start(6, 3, 2, 0) == 4 and own_stride([11, 3], [4, 2]) == 45


def test_receptive_field_is_said_in_the_chapters_words():
    exercise = EXERCISES["receptive_field"]
    said = " ".join([*exercise.hints, *exercise.mistakes.values()])
    words = set(re.findall(r"[a-z]+", said))
    assert {"field", "step"} <= words and not words & {"jump", "side"}


@pytest.mark.parametrize(
    ("name", "answer", "line"),
    [
        ("convolve", loops(), "passed"),
        ("convolve", loops(columns=lambda H, W: H), "right on square inputs only"),
        ("convolve", loops(rows=lambda H, W: W), "right on square inputs only"),
        ("convolve", loops(dtype=torch.float32), "Of a float64 input yours makes float32"),
        ("convolve", loops(dtype=torch.int64), "should be of type torch.float32, like the input"),
        ("convolve", lambda *args: loops(dtype=torch.float32)(*args) + 0.01, "it should be"),
        ("left_over", behind_the_last_start, "Probably: the last window itself is forgotten"),
        ("convolve", loops(channels=1), "only the first channel counts in yours"),
        ("convolve", mutating, "your function changes its input weight"),
        ("convolve", lambda x, weight, stride: F.conv2d(x, weight, stride=stride), "calls conv2d"),
        ("convolve", lambda x, weight, stride: x.tolist(), "should be a torch tensor"),
        ("convolve", lambda x, weight: x, "your function takes (x, weight)"),
        ("left_over", lambda n, k, s, p: (n + 2 * p - k) / s % 1 * s, "should be an int"),
        ("left_over", lambda n, k, s, p: [0], "should be an int, and is a list"),
        ("left_over", lambda n, k, s, p: n % 0, "it raises ZeroDivisionError"),
        ("receptive_field", lambda kernels, strides: kernels.pop(), "changes its input kernels"),
        ("receptive_field", 195, "is not a function"),
        ("receptive_field", own_stride, "Probably: you used the layer's own stride. Its window "
         "stands on the distances that the strides before it made."),
    ],
)  # fmt: skip
def test_answers_get_a_line_that_helps(name, answer, line):
    assert line in said(name, answer)
