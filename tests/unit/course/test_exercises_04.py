"""The exercises on ReLU: solutions against autograd, and a line of its own for each bad answer."""

from __future__ import annotations

import pytest
import torch

from alexnet_lib.course import checks, grading
from alexnet_lib.course.exercises import EXERCISES

NAMES = ("relu_backward", "dead_units", "deep_gradient")


def verdict(name, answer) -> str:
    found = grading.judge(EXERCISES[name], answer)
    return "\n".join([f"{found.status}: ", *found.lines])


def test_solutions_agree_with_autograd():
    torch.manual_seed(0)
    backward, dead, deep = map(checks.solution_function, NAMES)
    x, g = torch.randn(4, 5).round(decimals=1).requires_grad_(), torch.randn(4, 5)
    torch.relu(x).backward(g)
    torch.testing.assert_close(backward(x.detach(), g), x.grad)
    z = torch.randn(3, 6, 2, 5) - 2.2
    silent = [c for c in range(6) if torch.relu(z)[:, c].sum() == 0]
    assert 0 < len(silent) < 6 and dead(z) == silent
    weights = torch.randn(4, 5, 5)
    functions = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    for name, function in functions.items():
        x.grad, h = None, x
        for W in weights:
            h = function(h @ W)
        h.backward(g)
        torch.testing.assert_close(deep(name, x.detach(), weights, g), x.grad)


@pytest.mark.parametrize("name", NAMES)
def test_answers_of_the_wrong_kind_are_told(name):
    right = EXERCISES[name].oracle
    assert "is not a function. Give check the function itself" in verdict(name, right.__name__)
    assert "your function takes (), and is called with" in verdict(name, lambda: 0)

    def raises(*args):
        raise ValueError("no idea")

    assert "it raises ValueError: no idea\n  in line" in verdict(name, raises)
    assert "the result should be a" in verdict(name, lambda *args: "text")

    def mutates(*args):
        result = right(*args)
        args[0 if name != "deep_gradient" else 1].add_(1)
        return result

    assert "your function changes its input" in verdict(name, mutates)


def zeros_written_into_g(x, g):
    g[x <= 0] = 0
    return g


def by_autograd(x, g):
    x = x.clone().requires_grad_()
    torch.relu(x).backward(g)
    return x.grad


def one_row(x, g):
    return (g * (x > 0)).flatten()[:1]


def mask_of_channels(z):
    return (z > 0).any(dim=3).any(dim=2).any(dim=0)


def square_maps_only(z):
    right = EXERCISES["dead_units"].oracle(z)
    return right if z.shape[2] == z.shape[3] else [*right, 99]


def too_many(z):
    return [*EXERCISES["dead_units"].oracle(z), 7]


def axes_renumbered(z):
    return (~(z > 0).any(dim=0).any(dim=2).any(dim=3)).nonzero().flatten().tolist()


def gradient_of_the_weights(name, x, weights, g):
    return weights


def one_layer_only(name, x, weights, g):
    right = EXERCISES["deep_gradient"].oracle(name, x, weights, g)
    return right if len(weights) == 1 else right + 1


@pytest.mark.parametrize("name, answer, line", [
    ("relu_backward", zeros_written_into_g, "your function changes its input g."),
    ("relu_backward", by_autograd, "which does the whole job. Here you write that yourself."),
    ("relu_backward", one_row, "shape"),
    ("dead_units", mask_of_channels, "the result should be a list, and is a Tensor."),
    ("dead_units", too_many, "the list should hold 2 numbers, and holds 3."),
    ("dead_units", square_maps_only, "It is right on square inputs only"),
    ("dead_units", axes_renumbered, "Each any(dim=...) takes one away and renumbers"),
    ("deep_gradient", gradient_of_the_weights, "shape"),
    ("deep_gradient", one_layer_only, "It is right for one layer only"),
])  # fmt: skip
def test_bad_answer_gets_its_own_line(name, answer, line):
    said = verdict(name, answer)
    assert said.startswith("failed: ") and line in said, said
