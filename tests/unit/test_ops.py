"""The operators, held against PyTorch, against numpy in float64, and against rows by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
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


# ---------------------------------------------------------------- properties

@pytest.mark.parametrize("convention", CONVENTIONS)
def test_gradients(convention):
    x = random_tensor(2, 6, 3, seed=5).requires_grad_()
    for beta, k in ((0.75, 2.0), (1.3, 0.5)):
        assert torch.autograd.gradcheck(
            lambda t, beta=beta, k=k: ops.local_response_norm(t, 3, 0.4, beta, k, convention), (x,)
        )


def test_gradients_within_towers():
    x = random_tensor(1, 6, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: ops.local_response_norm(t, 5, 0.4, groups=2), (x,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_any_float_type_and_layout(dtype, channels_last):
    x = random_tensor(2, 24, 13, 11).to(dtype)  # enough numbers for the compiled path
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    x.requires_grad_()
    y = ops.local_response_norm(x, 5, 0.05, 0.75, 2.0)
    assert (y.dtype, y.shape, y.stride()) == (x.dtype, x.shape, x.stride())
    wide = x.detach().double().requires_grad_()
    expected = reference(wide.detach().numpy(), 5, 0.05, 0.75, 2.0, "paper")
    epsilon = torch.finfo(dtype).eps
    np.testing.assert_allclose(y.detach().double(), expected, rtol=4 * epsilon, atol=4 * epsilon)
    g = random_tensor(2, 24, 13, 11, seed=1).to(dtype)
    y.backward(g)
    ops.local_response_norm(wide, 5, 0.05, 0.75, 2.0).backward(g.double())
    assert x.grad.dtype == dtype
    torch.testing.assert_close(
        x.grad.double(), wide.grad, rtol=20 * epsilon, atol=20 * epsilon
    )


def test_small_sums_survive_bfloat16():
    x = torch.full((1, 5), 0.05).bfloat16()  # c * S = .0125: k + c * S rounds to 2 in bfloat16
    y = ops.local_response_norm(x, 5, 1.0, 30.0, 2.0, "paper")
    wide = ops.local_response_norm(x.float(), 5, 1.0, 30.0, 2.0, "paper")
    assert torch.equal(y, wide.bfloat16())
    assert (y != (x.float() * 2.0**-30).bfloat16()).any()


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::2], lambda x: x[:, :, 1:, ::3], lambda x: x.transpose(2, 3),
        lambda x: x.permute(2, 1, 0, 3), lambda x: x[:, :, :, :1].expand(-1, -1, -1, 9),
        lambda x: x.flatten(2).transpose(1, 2),
    ],
    ids=["channels", "pixels", "transposed", "permuted", "expanded", "rows"],
)
def test_views_give_what_copies_give(view):
    for dtype in (torch.float32, torch.float64):
        base = random_tensor(3, 16, 12, 18).to(dtype)
        x, copy = (t.requires_grad_() for t in (view(base), view(base).contiguous()))
        y, expected = ops.local_response_norm(x, 4), ops.local_response_norm(copy, 4)
        torch.testing.assert_close(y, expected)
        g = random_tensor(*y.shape, seed=1).to(dtype)
        torch.testing.assert_close(
            torch.autograd.grad(y, x, g)[0], torch.autograd.grad(expected, copy, g)[0]
        )


def test_a_gradient_of_one_value_for_all():
    x = random_tensor(2, 16, 12, 18).float().requires_grad_()  # sum() sends an expanded gradient
    (g,) = torch.autograd.grad(ops.local_response_norm(x).sum(), x)
    wide = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(ops.local_response_norm(wide).sum(), wide)
    torch.testing.assert_close(g.double(), expected, rtol=1e-4, atol=1e-5)


def test_towers_don_t_see_each_other():
    x = random_tensor(2, 12, 4, 4)
    y = ops.local_response_norm(x, 5, 0.3, groups=2)
    parts = [ops.local_response_norm(half, 5, 0.3) for half in x.chunk(2, dim=1)]
    torch.testing.assert_close(y, torch.cat(parts, dim=1), rtol=1e-13, atol=0)
    thirds = [ops.local_response_norm(part, 5, 0.3) for part in x.chunk(3, dim=1)]
    torch.testing.assert_close(
        ops.local_response_norm(x, 5, 0.3, groups=3), torch.cat(thirds, dim=1), rtol=1e-13, atol=0
    )


@pytest.mark.parametrize("channels", [96, 256])
def test_full_width_lrn_changes_four_channels(channels):  # G4
    x = random_tensor(2, channels, 3, 3, scale=40).float()
    differing = (ops.local_response_norm(x) != ops.local_response_norm(x, groups=2)).any(0)
    middle = channels // 2
    expected = list(range(middle - 2, middle + 2))
    assert differing.flatten(1).any(1).nonzero().flatten().tolist() == expected


@pytest.mark.parametrize("shape", [(0, 8), (0, 8, 4, 4), (2, 8, 0, 3)])
def test_nothing_in_nothing_out(shape):
    x = torch.zeros(shape, requires_grad=True)
    y = ops.local_response_norm(x, groups=2)
    assert y.shape == shape
    y.sum().backward()
    assert x.grad.shape == shape


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_not_a_number_passes_as_in_pytorch(dtype, channels_last):
    x = random_tensor(2, 16, 12, 16).to(dtype)
    x[0, 5, 1, 1], x[0, 8, 2, 2], x[1, 0, 3, 3] = math.nan, math.inf, -math.inf
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    ours = ops.local_response_norm(x, 5, 0.3, 0.75, 1.0, "pytorch")
    theirs = nn.LocalResponseNorm(5, 0.3, 0.75, 1.0)(x)
    assert torch.equal(ours.isnan(), theirs.isnan())
    assert ours.isnan().sum() > 5
    torch.testing.assert_close(ours, theirs, equal_nan=True)


@pytest.mark.parametrize("shape", [(2, 9), (2, 16, 16, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta", [0.75, 2.0])
def test_zero_over_zero_is_zero_and_so_is_its_gradient(shape, dtype, beta):
    x = torch.zeros(shape, dtype=dtype)
    x[:, -1] = 2.0
    x.requires_grad_()
    y = ops.local_response_norm(x, 3, 1.0, beta, 0.0)
    assert (y[:, :-1] == 0).all()
    assert y[:, -1].mean().item() == pytest.approx(2.0 / 4.0**beta)
    y.backward(torch.ones_like(y))
    assert (x.grad[:, :-2] == 0).all()  # channels whose whole window is zero
    assert x.grad.isfinite().all()


def test_beta_of_nothing_and_of_one():
    x = random_tensor(2, 7, 3)
    assert torch.equal(ops.local_response_norm(x, 5, 0.3, 0.0, 2.0), x)
    np.testing.assert_allclose(
        ops.local_response_norm(x, 5, 0.3, 1.0, 2.0), reference(x, 5, 0.3, 1.0, 2.0, "paper")
    )


def test_compiles_as_one_graph():
    def block(x):
        return ops.local_response_norm(x.relu(), 5, 0.3, groups=2) * 2

    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    x = random_tensor(2, 16, 13, 11).float().to(memory_format=torch.channels_last)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = compiled(ours), block(theirs)
    assert torch.equal(y, expected)
    assert y.stride() == expected.stride()
    y.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_input_stays_as_it_was():
    x = random_tensor(2, 16, 13, 11).float()
    before = x.clone()
    ops.local_response_norm(x)
    assert torch.equal(x, before)


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


# ---------------------------------------------------------------- the norm within maps

def test_same_map_norm_is_its_formula():
    x = random_tensor(2, 3, 7, 6).numpy()
    padded = np.pad(x, [(0, 0), (0, 0), (2, 2), (2, 2)])
    expected = np.empty_like(x)
    for i in range(7):
        for j in range(6):
            total = (padded[:, :, i : i + 5, j : j + 5] ** 2).sum(axis=(2, 3))
            expected[:, :, i, j] = x[:, :, i, j] * (1.5 + 0.2 / 25 * total) ** -0.75
    got = ops.same_map_norm(torch.from_numpy(x), 5, 0.2, 0.75, 1.5)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="size is 4; a neighbourhood with a middle is odd"):
        ops.same_map_norm(torch.from_numpy(x), 4, 0.2, 0.75, 1.5)


# ---------------------------------------------------------------- convolution and pooling

def test_ceil_is_zeros_on_the_right_and_at_the_bottom():  # G3
    image, weight = random_tensor(1, 3, 224, 224), random_tensor(2, 3, 11, 11, seed=1)
    ceil = ops.conv2d(image, weight, stride=4, rounding="ceil")
    assert ceil.shape == (1, 2, 55, 55)
    torch.testing.assert_close(ceil, F.conv2d(F.pad(image, (0, 3, 0, 3)), weight, stride=4))
    assert F.conv2d(image, weight, stride=4).shape == (1, 2, 54, 54)
    torch.testing.assert_close(ceil[..., :54, :54], F.conv2d(image, weight, stride=4))
    symmetric = F.conv2d(image, weight, stride=4, padding=2)
    assert symmetric.shape == ceil.shape
    assert not torch.allclose(symmetric, ceil)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_convolution_by_loops(stride, padding):
    x, weight, bias = random_tensor(2, 3, 9, 8), random_tensor(4, 3, 3, 2), random_tensor(4)
    expected = F.conv2d(x, weight, bias, stride, padding)
    torch.testing.assert_close(ops.conv2d_loops(x, weight, bias, stride, padding), expected)
    torch.testing.assert_close(
        ops.conv2d_loops(x, weight, None, stride, padding),
        F.conv2d(x, weight, None, stride, padding),
    )


def test_groups_are_towers():  # G4
    x, weight, bias = random_tensor(1, 8, 6, 6), random_tensor(10, 4, 3, 3), random_tensor(10)
    grouped = ops.conv2d(x, weight, bias, padding=1, groups=2)
    towers = [F.conv2d(x[:, :4], weight[:5], bias[:5], padding=1),
              F.conv2d(x[:, 4:], weight[5:], bias[5:], padding=1)]
    torch.testing.assert_close(grouped, torch.cat(towers, dim=1))
    both = random_tensor(10, 8, 3, 3)
    halves = F.conv2d(x[:, :4], both[:, :4], bias, padding=1) + F.conv2d(
        x[:, 4:], both[:, 4:], padding=1
    )
    torch.testing.assert_close(ops.conv2d(x, both, bias, padding=1), halves)


def brute_pool(x: torch.Tensor, kernel: int, stride: int, padding: int, outputs: int, reduce):
    """Reduce over the pixels that lie in the map, window by window."""
    side = x.shape[3]
    y = torch.empty(*x.shape[:2], outputs, outputs, dtype=x.dtype)
    for i in range(outputs):
        for j in range(outputs):
            rows, columns = (
                slice(max(0, at * stride - padding), min(side, at * stride - padding + kernel))
                for at in (i, j)
            )
            y[:, :, i, j] = reduce(x[:, :, rows, columns])
    return y


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"),
    [(13, 3, 2, 0), (14, 3, 2, 0), (11, 2, 2, 0), (9, 3, 3, 1), (10, 5, 4, 2), (7, 3, 1, 2)],
)
def test_pooling_window_by_window(side, kernel, stride, padding, rounding):
    x = random_tensor(2, 3, side, side) - 20  # negative, so that zeros from outside would show
    got = ops.max_pool2d(x, kernel, stride, padding, rounding)
    brute = brute_pool(x, kernel, stride, padding, got.shape[3], lambda p: p.amax((2, 3)))
    assert torch.equal(got, brute)
    if padding <= kernel // 2:
        got = ops.average_pool2d(x, kernel, stride, padding, rounding)
        brute = brute_pool(x, kernel, stride, padding, got.shape[3], lambda p: p.mean((2, 3)))
        torch.testing.assert_close(got, brute)


def test_max_pooling_by_loops():
    x = random_tensor(2, 3, 13, 11)
    for kernel, stride in ((3, 2), (2, 2), (3, 3), (1, 1)):
        assert torch.equal(
            ops.max_pool2d_loops(x, kernel, stride), F.max_pool2d(x, kernel, stride)
        )


def test_pooling_s_bad_input():
    with pytest.raises(ValueError, match=r"pooling needs maps of shape \(N, C, H, W\)"):
        ops.max_pool2d(torch.ones(3, 8, 8))
    with pytest.raises(ValueError, match="kernel is 9, wider than the padded input of 8"):
        ops.max_pool2d(torch.ones(1, 3, 8, 8), 9)
    with pytest.raises(ValueError, match="stride is 0; it must be at least 1"):
        ops.average_pool2d(torch.ones(1, 3, 8, 8), 3, 0)


def test_relu_changes_place_with_pooling_and_not_with_lrn():  # G6
    x = random_tensor(2, 16, 13, 13)
    assert torch.equal(ops.max_pool2d(x).relu(), ops.max_pool2d(x.relu()))
    first, last = ops.local_response_norm(x.relu(), 5, 1.0), ops.local_response_norm(x, 5, 1.0)
    assert not torch.allclose(first, last.relu(), rtol=0.05)
    positive = x.abs()
    assert torch.equal(
        ops.local_response_norm(positive.relu()), ops.local_response_norm(positive).relu()
    )


# ---------------------------------------------------------------- dropout (G8)

def test_dropout_s_two_forms_agree_in_expectation():
    x = random_tensor(400_000).abs()
    torch.manual_seed(1)  # not x's seed: values and masks would come from the same numbers
    masked = ops.mask_dropout(x, 0.5)
    inverted = ops.mask_dropout(x, 0.5, inverted=True)
    kept = masked != 0
    assert torch.equal(masked[kept], x[kept])
    assert kept.double().mean().item() == pytest.approx(0.5, abs=0.004)
    assert torch.equal(inverted[inverted != 0], 2 * x[inverted != 0])
    at_test = ops.mask_dropout(x, 0.5, training=False)
    assert torch.equal(at_test, 0.5 * x)
    assert masked.mean().item() == pytest.approx(at_test.mean().item(), rel=0.01)
    assert torch.equal(ops.mask_dropout(x, 0.5, training=False, inverted=True), x)
    assert inverted.mean().item() == pytest.approx(x.mean().item(), rel=0.01)


def test_dropout_keeps_the_stated_share():
    x = torch.ones(100_000)
    torch.manual_seed(0)
    for keep in (0.2, 0.9):
        assert ops.mask_dropout(x, keep).mean().item() == pytest.approx(keep, abs=0.01)
    assert torch.equal(ops.mask_dropout(x, 1.0), x)


@pytest.mark.parametrize("keep", [0, -0.5, 1.5])
def test_dropout_s_bad_input(keep):
    with pytest.raises(ValueError, match=f"keep is {keep}; the share of units kept lies above 0"):
        ops.mask_dropout(torch.ones(3), keep)
