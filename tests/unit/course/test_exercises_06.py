"""Chapter 06's exercises: the oracles against torch and the lab, and what answers are told."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import shapes
from alexnet_lib.course import checks, grading
from alexnet_lib.course.exercises import EXERCISES
from alexnet_lib.course.widgets import two_towers as two_tower_widget


def both_of(name):
    """The oracle and the solution that learners see."""
    return EXERCISES[name].oracle, checks.solution_function(name)


def said(name, answer) -> str:
    """Judge an answer; returns status and lines as one text."""
    verdict = grading.judge(EXERCISES[name], answer)
    return "\n".join([verdict.status, *verdict.lines])


def test_grouped_parameters_are_torchs():
    rng = random.Random(0)
    for _ in range(50):
        groups, kernel = rng.randint(1, 4), rng.randint(1, 5)
        inputs, outputs = groups * rng.randint(1, 5), groups * rng.randint(1, 5)
        layer = torch.nn.Conv2d(inputs, outputs, kernel, groups=groups)
        held = sum(p.numel() for p in layer.parameters())
        for function in both_of("grouped_parameters"):
            assert function(inputs, outputs, kernel, groups) == held


def test_crossing_bytes_are_the_labs():
    rng = random.Random(1)
    for _ in range(50):
        widths = [2 * rng.randint(1, 300) for _ in range(7)] + [rng.randint(1, 1000)]
        names = [name for name in two_tower_widget.READERS if rng.random() < 0.5]
        batch = rng.randint(1, 300)
        spec = two_tower_widget.tower_network(widths)
        crossing = sum(sum(row.received) for row in shapes.tower_rows(spec, names))
        everything = shapes.tower_rows(spec, two_tower_widget.READERS)
        sizes = [row.received[0] // 2 for row in everything[1:]]  # 4 bytes, and half of them
        reads = [int(name in names) for name in two_tower_widget.READERS]
        for function in both_of("crossing_bytes"):
            assert function(sizes, reads, batch) == 2 * batch * crossing


def test_conv_of_both_is_the_convolution_of_the_joined_maps():
    for own, other, weight, bias in EXERCISES["conv_of_both"].inputs():
        joined = F.conv2d(torch.cat([own, other], dim=1), weight, bias, padding=1)
        for function in both_of("conv_of_both"):
            torch.testing.assert_close(function(own, other, weight, bias), joined)


def halves(cut=lambda own: own.shape[1], square=False, kind=None):
    """An answer to conv_of_both that cuts the weights somewhere, perhaps for square maps only."""

    def answer(own, other, weight, bias):
        here = cut(own)
        y = F.conv2d(own, weight[:, :here], bias, padding=1)
        y = y + F.conv2d(other, weight[:, here:], padding=1)
        y = y.transpose(2, 3).reshape(y.shape).transpose(2, 3).reshape(y.shape) if square else y
        return y.to(kind or y.dtype)

    return answer


def mutating(own, other, weight, bias):
    result = halves()(own, other, weight, bias)
    own += 1
    return result


def twice(own, other, weight, bias):
    return halves()(own, other, weight, bias) + bias[:, None, None]


def joined(own, other, weight, bias):
    return F.conv2d(torch.cat([own, other], 1), weight, bias, padding=1)


def detached(own, other, weight, bias):
    return halves()(own, other.detach(), weight, bias)


def half_detached(own, other, weight, bias):
    return (halves()(own, other, weight, bias) + halves()(own.detach(), other, weight, bias)) / 2


@pytest.mark.parametrize(
    ("name", "answer", "line"),
    [
        ("conv_of_both", halves(), "passed"),
        ("conv_of_both", halves(square=True), "right on square inputs only"),
        ("conv_of_both", halves(kind=torch.float32), "yours makes float32, and loses digits"),
        ("conv_of_both", twice, "the bias is in it twice"),
        ("conv_of_both", mutating, "your function changes its input own"),
        ("conv_of_both", joined, "calls cat, which joins the two halves"),
        ("conv_of_both", detached, "no gradient comes back to other"),
        ("conv_of_both", half_detached, "the gradient that comes back to own isn't"),
        ("conv_of_both", lambda own, other, weight, bias: own.tolist(), "should be a torch tensor"),
        ("conv_of_both", lambda own, other: own, "your function takes (own, other)"),
        ("grouped_parameters", lambda i, o, k, g: o * i * k * k / g + o, "should be an int"),
        ("grouped_parameters", lambda i, o, k, g: o * i * k * k + o, "the groups are left out"),
        ("grouped_parameters", 614_656, "is not a function"),
        ("crossing_bytes", lambda sizes, both, batch: sizes[len(sizes)], "it raises IndexError"),
        ("crossing_bytes", lambda sizes, both, batch: sizes.pop(), "changes its input sizes"),
        ("crossing_bytes", lambda sizes, both, batch: [0], "should be an int, and is a list"),
    ],
)  # fmt: skip
def test_answers_get_a_line_that_helps(name, answer, line):
    assert line in said(name, answer)
