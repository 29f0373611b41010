"""The exercises of chapter 03: oracles against torch, and what learners are told."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib.course import checks, grading
from alexnet_lib.course.exercises import EXERCISES


def told(name: str, answer) -> str:
    found = grading.judge(EXERCISES[name], answer)
    return "\n".join([found.status, *found.lines])


def test_solutions_agree_with_torch():
    votes, pool, gradient = map(
        checks.solution_function, ("votes", "max_pool", "max_pool_gradient")
    )
    torch.manual_seed(0)
    for z, s in ((3, 2), (2, 2), (3, 1), (2, 3)):
        x = torch.randn(2, 3, 9, 7, requires_grad=True)
        y = F.max_pool2d(x, z, s)
        assert torch.equal(pool(x.detach(), z, s), y)
        g = torch.randn_like(y)
        y.backward(g)
        torch.testing.assert_close(gradient(x.detach(), z, s, g), x.grad)
        row = torch.zeros(1, 1, 9, requires_grad=True)
        (F.avg_pool1d(row, z, s).sum() * z).backward()
        assert votes(9, z, s) == row.grad.flatten().round().int().tolist()


def stub_votes(n, z, s):
    ...


def stub_pool(x, z, s):
    ...


def stub_gradient(x, z, s, g):
    """Nothing yet."""


@pytest.mark.parametrize(
    ("name", "stub"),
    [("votes", stub_votes), ("max_pool", stub_pool), ("max_pool_gradient", stub_gradient)],
)
def test_stub_is_not_attempted(name, stub):
    assert told(name, stub) == "not attempted"


def votes_into_a_tensor(n, z, s):
    counts = torch.zeros(n, dtype=torch.int64)
    for start in range(0, n - z + 1, s):
        counts[start : start + z] += 1
    return counts


def votes_beyond(n, z, s):
    counts = [0] * n
    for start in range(0, n, s):
        for i in range(start, start + z):
            counts[i] += 1
    return counts


def votes_with_gaps(n, z, s):
    counts = [0] * n
    start = 0
    while start + z <= n:
        for i in range(start, start + z):
            counts[i] += 1
        start += z + s
    return counts


def votes_with_gaps_and_more(n, z, s):
    counts = votes_with_gaps(n, z, s)
    return counts if n < 20 else [2 * count for count in counts]


def pool_square(x, z, s):
    size = (x.shape[2] - z) // s + 1
    y = x.new_zeros(*x.shape[:2], size, size)
    for i in range(size):
        for j in range(size):
            y[:, :, i, j] = x[:, :, i * s : i * s + z, j * s : j * s + z].amax((2, 3))
    return y


def pool_from_zero(x, z, s):
    y = torch.zeros(*x.shape[:2], (x.shape[2] - z) // s + 1, (x.shape[3] - z) // s + 1).to(x)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = x[:, :, i * s : i * s + z, j * s : j * s + z]
            y[:, :, i, j] = torch.maximum(y[:, :, i, j], window.amax((2, 3)))
    return y


def pool_in_place(x, z, s):
    y = checks.solution_function("max_pool")(x, z, s)
    x.clamp_(min=0)
    return y


def pool_as_int(x, z, s):
    return checks.solution_function("max_pool")(x, z, s).long()


def pool_loops(size, step=lambda z, s: s, largest=lambda window: window.amax((2, 3))):
    """Return max_pool in two loops, into a result of torch's usual type, float32."""

    def answer(x, z, s):
        rows, columns = (size(side, z, s) for side in x.shape[2:])
        y = torch.zeros(*x.shape[:2], rows, columns)
        for i in range(rows):
            for j in range(columns):
                top, left = i * step(z, s), j * step(z, s)
                y[:, :, i, j] = largest(x[:, :, top : top + z, left : left + z])
        return y

    return answer


def down(side, z, s):
    return (side - z) // s + 1


def up(side, z, s):
    return math.ceil((side - z) / s) + 1


pool_into_float32 = pool_loops(down)
pool_rounded_up = pool_loops(up)
pool_stepping_by_z = pool_loops(down, step=lambda z, s: z)
pool_whole_block = pool_loops(down, largest=torch.max)


def pool_rounded_up_by_index(x, z, s):
    N, C, H, W = x.shape
    y = x.new_zeros(N, C, up(H, z, s), up(W, z, s))
    for n, c, i, j in torch.cartesian_prod(*(torch.arange(size) for size in y.shape)).tolist():
        y[n, c, i, j] = max(x[n, c, i * s + a, j * s + b] for a in range(z) for b in range(z))
    return y


def test_result_in_float32_passes_with_a_remark():
    said = told("max_pool", pool_into_float32)
    assert said.startswith("passed\nright on all"), said
    assert "Of a float64 input yours makes float32, and loses digits. The input's own .new_" in said
    assert told("max_pool", checks.solution_function("max_pool")).count("\n") == 1


def pool_as_list(x, z, s):
    return checks.solution_function("max_pool")(x, z, s).tolist()


def pool_by_torch(x, z, s):
    return F.max_pool2d(x, z, s)


def gradient_without_sum(x, z, s, g):
    result = torch.zeros_like(x)
    for n, c, i, j in torch.cartesian_prod(*(torch.arange(size) for size in g.shape)).tolist():
        best = int(x[n, c, i * s : i * s + z, j * s : j * s + z].argmax())
        result[n, c, i * s + best // z, j * s + best % z] = g[n, c, i, j]
    return result


def gradient_at(place):
    """Return max_pool_gradient with the gradient put at place(i, j, a, b, s)."""

    def answer(x, z, s, g):
        result = torch.zeros_like(x)
        for n, c, i, j in torch.cartesian_prod(*(torch.arange(size) for size in g.shape)).tolist():
            best = int(x[n, c, i * s : i * s + z, j * s : j * s + z].argmax())
            row, column = place(i, j, best // z, best % z, s)
            result[n, c, row, column] += g[n, c, i, j]
        return result

    return answer


def gradient_by_autograd(x, z, s, g):
    x = x.clone().requires_grad_()
    (x.unfold(2, z, s).unfold(3, z, s).amax((4, 5)) * g).sum().backward()
    return x.grad


@pytest.mark.parametrize(
    ("name", "answer", "line"),
    [
        ("votes", votes_into_a_tensor, "should be a list, and is a Tensor. list(...) or .tolist()"),
        ("votes", votes_beyond, "A window reaches beyond the row."),
        ("votes", votes_with_gaps, "you left a gap of s between the windows. s goes from the start "
         "of one to the start of the next."),
        ("votes", votes_with_gaps_and_more, "Perhaps: you left a gap of s between the windows."),
        ("votes", [1, 1, 2], "a list is not a function."),
        ("votes", lambda n, z: [1] * n, "is called with 3 arguments: (n, z, s)"),
        ("max_pool", pool_square, "It is right on square inputs only"),
        ("max_pool", pool_from_zero, "windows whose numbers are all negative give 0"),
        ("max_pool", pool_in_place, "changes its input x"),
        ("max_pool", pool_as_int, "should be of type torch.float32, like the input"),
        ("max_pool", pool_rounded_up, "Probably: one window too many: round down, so that none st"),
        ("max_pool", pool_rounded_up_by_index, "Perhaps: one window too many: round down, so that"),
        ("max_pool", pool_stepping_by_z, "Probably: you step by z. Window (i, j) begins at row i"),
        ("max_pool", pool_whole_block, "Probably: one max() over the whole block mixes the images"),
        ("max_pool", pool_as_list, "should be a torch tensor, and is a list"),
        ("max_pool", pool_by_torch, "it calls max_pool2d, which does the whole job"),
        ("max_pool", lambda x, z, s: x, "the result should have shape (1, 1, 2, 2)"),
        ("max_pool_gradient", gradient_without_sum, "They add up: += instead of =."),
        ("max_pool_gradient", gradient_at(lambda i, j, a, b, s: (a, b)),
         "Probably: you put the gradient at (a, b), the winner's place in its window. In the map "
         "that's (i * s + a, j * s + b)."),
        ("max_pool_gradient", gradient_at(lambda i, j, a, b, s: (i * s + b, j * s + a)),
         "Probably: you took rows and columns for each other"),
        ("max_pool_gradient", gradient_at(lambda i, j, a, b, s: (j * s + b, i * s + a)),
         "Probably: you took rows and columns for each other"),
        ("max_pool_gradient", gradient_by_autograd, "which does the whole job"),
        ("max_pool_gradient", lambda x, z, s, g: g, "the result should have shape (1, 1, 3, 3)"),
    ],
)  # fmt: skip
def test_typical_wrong_answer_gets_its_own_line(name, answer, line):
    said = told(name, answer)
    assert said.startswith("failed") and line in said, said
