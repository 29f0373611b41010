"""LRN in eight conventions, held against PyTorch, numpy in float64, and rows by hand."""


from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from alexnet_lib import ops
from alexnet_lib.paper import CONVENTIONS

ARTICLE = {"size": 2, "alpha": 2.0, "beta": 2.0, "k": 0.0, "convention": "seed"}
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def first_and_last(convention: str, n: int, i: int) -> tuple[int, int]:
    """The window of channel i, written from each source's own words."""
    if convention in ("paper", "seed"):
        return i - n // 2, i + n // 2
    if convention == "tensorflow":
        return i - n, i + n
    if convention in ("pytorch", "source2012"):  # starts at i - floor(n / 2), n channels
        return i - n // 2, i - n // 2 + n - 1
    if convention in ("cudnn", "onnx"):  # the longer half lies ahead
        return i - math.floor((n - 1) / 2), i + math.ceil((n - 1) / 2)
    return i - (n - 1) // 2, i + (n - 1) // 2  # caffe


def reference(x: np.ndarray, n: int, alpha: float, beta: float, k: float, convention: str):
    """LRN in numpy, float64: x (N, C, ...)."""
    x = np.asarray(x, np.float64)
    c = alpha if convention in ("paper", "tensorflow") else alpha / n
    y = np.zeros_like(x)
    for i in range(x.shape[1]):
        first, last = first_and_last(convention, n, i)
        total = (x[:, max(first, 0) : last + 1] ** 2).sum(axis=1)
        y[:, i] = x[:, i] / (k + c * total) ** beta
    return y


def random_tensor(*shape: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def lrn_row(values: list[float], **settings) -> list[float]:
    x = torch.tensor([values], dtype=torch.float64)
    return ops.local_response_norm(x, **settings)[0].tolist()


# ---------------------------------------------------------------- LRN against PyTorch

@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 9, 40])
@pytest.mark.parametrize("shape", [(2, 7, 3), (1, 1, 5, 4), (3, 16, 2, 3), (2, 6, 2, 3, 2)])
def test_pytorch_s_convention_is_pytorch_s_module(size, shape):
    x = random_tensor(*shape, seed=size).requires_grad_()
    alpha, beta, k = 0.3 * size, 0.6, 1.3
    theirs = nn.LocalResponseNorm(size, alpha, beta, k)(x)
    ours = ops.local_response_norm(x, size, alpha, beta, k, "pytorch")
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    g = random_tensor(*shape, seed=99)
    torch.testing.assert_close(
        torch.autograd.grad(ours, x, g)[0], torch.autograd.grad(theirs, x, g)[0],
        rtol=1e-11, atol=1e-11,
    )


def test_defaults_are_the_convention_s():
    x = random_tensor(2, 12, 4, scale=50)
    torch.testing.assert_close(
        ops.local_response_norm(x, convention="pytorch"), nn.LocalResponseNorm(5)(x)
    )
    torch.testing.assert_close(
        ops.local_response_norm(x), ops.local_response_norm(x, 5, 1e-4, 0.75, 2.0, "paper")
    )


# ---------------------------------------------------------------- LRN against numpy

@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 30])
def test_every_convention_is_its_formula(convention, size):
    if convention == "caffe" and size % 2 == 0:
        pytest.skip("Caffe has no even sizes")
    for seed, shape in enumerate([(2, 9), (1, 5, 7), (2, 12, 3, 4), (1, 1, 2, 2)]):
        x = random_tensor(*shape, seed=100 * size + seed)
        for beta, k in ((0.75, 2.0), (0.5, 1.0), (1.7, 0.4)):
            ours = ops.local_response_norm(x, size, 0.7, beta, k, convention)
            np.testing.assert_allclose(
                ours, reference(x.numpy(), size, 0.7, beta, k, convention), rtol=1e-12
            )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_window_of_each_convention(convention):
    for size in (1, 3, 4, 5, 8):
        if convention == "caffe" and size % 2 == 0:
            continue
        behind, ahead = ops.window(convention, size)
        assert first_and_last(convention, size, 20) == (20 - behind, 20 + ahead)


def test_even_sizes_lean_backward_or_forward():
    def seen(convention: str) -> list[int]:
        """The channels whose value changes when channel 4 of 9 grows."""
        x = torch.ones(1, 9, dtype=torch.float64)
        louder = x.clone()
        louder[0, 4] = 5
        quiet, loud = (
            ops.local_response_norm(t, 2, 1.0, 0.75, 1.0, convention) for t in (x, louder)
        )
        return (quiet != loud)[0].nonzero().flatten().tolist()

    assert seen("pytorch") == seen("source2012") == [4, 5]  # a window is i - 1, i
    assert seen("cudnn") == seen("onnx") == [3, 4]  # a window is i, i + 1
    assert seen("paper") == seen("seed") == [3, 4, 5]  # r = 2 spans three channels
    assert seen("tensorflow") == [2, 3, 4, 5, 6]  # a radius


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_loops_agree(convention):
    x = random_tensor(2, 8, 2, 2)
    settings = (3, 0.7, 0.75, 0.5, convention)
    torch.testing.assert_close(
        ops.local_response_norm_loops(x, *settings), ops.local_response_norm(x, *settings),
        rtol=1e-12, atol=1e-12,
    )
    row = x[:, :, 0, 0]
    torch.testing.assert_close(
        ops.local_response_norm_loops(row, *settings), ops.local_response_norm(row, *settings),
        rtol=1e-12, atol=1e-12,
    )


def test_coefficients():
    assert ops.coefficient("source2012", 5, 1e-4) == pytest.approx(2e-5, rel=1e-15)
    for convention, entry in CONVENTIONS.items():
        expected = 1.0 if entry.divisor == "none" else 1 / 5
        assert ops.coefficient(convention, 5, 1.0) == pytest.approx(expected)


# ---------------------------------------------------------------- the article's rows (G5)

def test_the_lone_one_and_its_neighbourhoods_of_zeros():
    lone = [0.0] * 5 + [1.0] + [0.0] * 4
    assert lrn_row(lone, **ARTICLE) == lone  # 0/0 is 0
    assert lrn_row(lone, **(ARTICLE | {"k": 1.0})) == [0.25 * value for value in lone]
    # computed naively the channels without a neighbour are 0/0
    with np.errstate(invalid="ignore"):
        naive = reference(np.array([lone]), 2, 2.0, 2.0, 0.0, "seed")[0]
    assert np.isnan(naive).nonzero()[0].tolist() == [0, 1, 2, 3, 7, 8, 9]
    assert naive[[4, 5, 6]].tolist() == [0, 1, 0]


def test_a_nine_among_eights():
    def exact(value: int, *window: int) -> float:
        return float(Fraction(value, sum(v * v for v in window) ** 2))

    row = lrn_row([8.0] * 5 + [9.0] + [8.0] * 4, **ARTICLE)
    end, beside, nine, far = (
        exact(8, 8, 8), exact(8, 8, 8, 9), exact(9, 8, 9, 8), exact(8, 8, 8, 8)
    )
    expected = [end, far, far, far, beside, nine, beside, far, far, end]
    assert row == pytest.approx(expected, rel=1e-12)
    assert [round(v, 9) for v in (end, beside, nine, far)] == [
        4.88281e-4, 1.83146e-4, 2.06039e-4, 2.17014e-4
    ]
    assert beside < nine < far < end


def test_scale_255():
    x = torch.full((1, 11), 100.0, dtype=torch.float64)
    for convention, factor in (
        ("source2012", 0.438691), ("paper", 0.232368), ("pytorch", 0.594604), ("seed", None),
    ):
        size = 5
        got = ops.local_response_norm(x, size, 1e-4, convention=convention)[0]
        if factor is not None:
            assert got[5].item() / 100 == pytest.approx(factor, abs=5e-7)
        assert got[0] > got[1] > got[2]  # the divisor stays, so the edges are normalized less
        assert got[2].item() == pytest.approx(got[5].item(), rel=1e-12)


# ---------------------------------------------------------------- conversions (section C)

def test_the_2012_code_in_other_libraries():
    x = random_tensor(2, 11, 5, scale=60)
    code = ops.local_response_norm(x, 5, 1e-4, 0.75, 2.0, "source2012")
    assert torch.allclose(code, nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(x), rtol=1e-12)
    tensorflow = ops.local_response_norm(x, 2, 2e-5, 0.75, 2.0, "tensorflow")
    assert torch.allclose(code, tensorflow, rtol=1e-12)


def test_the_printed_formula_in_pytorch():
    x = random_tensor(2, 11, 5, scale=60)
    printed = ops.local_response_norm(x, 5, 1e-4, 0.75, 2.0, "paper")
    assert torch.allclose(printed, nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)(x), rtol=1e-12)
    assert not torch.allclose(printed, nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(x), rtol=1e-3)


@pytest.mark.parametrize("r", [2, 4, 6])
def test_the_article_in_pytorch(r):
    x = random_tensor(2, 11, 5)
    article = ops.local_response_norm(x, r, 0.8, 0.75, 1.0, "seed")
    theirs = nn.LocalResponseNorm(r + 1, 0.8 * (r + 1) / r, 0.75, 1.0)(x)
    assert torch.allclose(article, theirs, rtol=1e-12)
    assert not torch.allclose(article, nn.LocalResponseNorm(r, 0.8, 0.75, 1.0)(x), rtol=1e-3)


# ---------------------------------------------------------------- LRN's bad input

@pytest.mark.parametrize("call", [
    lambda: ops.local_response_norm(torch.ones(1, 5), convention="pytroch"),
    lambda: ops.window("pytroch", 5),
    lambda: ops.coefficient("pytroch", 5, 1.0),
])
def test_an_unknown_convention_is_answered_with_the_nearest(call):
    message = "unknown LRN convention 'pytroch'; did you mean 'pytorch'.*paper, seed, source2012"
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("size", [0, -3, 2.5, True, "5", math.nan, math.inf])
def test_sizes_below_one_or_broken(size):
    message = "size is .*; an LRN window spans a whole number of channels, 1 or more"
    with pytest.raises(ValueError, match=message):
        ops.local_response_norm(torch.ones(1, 5), size)
    with pytest.raises(ValueError, match=message):
        ops.coefficient("pytorch", size, 1.0)


def test_whole_sizes_of_any_type():
    x = random_tensor(1, 5)
    expected = ops.local_response_norm(x, 3)
    for size in (3.0, np.int64(3), np.float32(3)):
        assert torch.equal(ops.local_response_norm(x, size), expected)


@pytest.mark.parametrize("shape", [(), (5,)])
def test_a_tensor_without_channels(shape):
    message = r"without a channel axis; LRN needs \(N, C, \.\.\.\).*give x\[None\]"
    with pytest.raises(ValueError, match=message):
        ops.local_response_norm(torch.ones(shape))


def test_what_isn_t_a_float_tensor():
    with pytest.raises(TypeError, match="x has type torch.uint8; LRN needs floating point"):
        ops.local_response_norm(torch.ones(1, 5, dtype=torch.uint8))
    with pytest.raises(TypeError, match="x is a ndarray; give a torch tensor of shape"):
        ops.local_response_norm(np.ones((1, 5)))


@pytest.mark.parametrize("groups", [0, 2, 6])
def test_groups_that_don_t_divide_the_channels(groups):
    with pytest.raises(ValueError, match=f"groups is {groups}; it must divide the 5 channels"):
        ops.local_response_norm(torch.ones(1, 5), groups=groups)


def test_limits_of_single_conventions():
    with pytest.raises(ValueError, match="size is 4; Caffe takes odd sizes only, such as 5"):
        ops.local_response_norm(torch.ones(1, 5), 4, convention="caffe")
    with pytest.raises(ValueError, match="k is 0.0; cuDNN wants k of at least 1e-5"):
        ops.local_response_norm(torch.ones(1, 5), 5, k=0.0, convention="cudnn")
    ops.local_response_norm(torch.ones(1, 5), 5, k=1e-5, convention="cudnn")
