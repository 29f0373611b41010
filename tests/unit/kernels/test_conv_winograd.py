"""Convolutions by tiles: torch's values and slopes, to float32's rounding times what tiles lose."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, models, ops
from alexnet_lib.kernels import conv_winograd, dispatch

compiled = pytest.mark.skipif(
    not dispatch.compiled(), reason="no C compiler here: torch does the convolutions"
)
# name: channels, kernels, side of a kernel, stride, padding, groups, side of the maps
LAYERS = {
    "conv1": (3, 96, 11, 4, 0, 1, 227), "conv1, 2012": (3, 64, 11, 4, 2, 1, 224),
    "conv2": (96, 256, 5, 1, 2, 2, 27), "conv3": (256, 384, 3, 1, 1, 1, 13),
    "conv4": (384, 384, 3, 1, 1, 2, 13), "conv5": (384, 256, 3, 1, 1, 2, 13),
}
LOST = 2e-4  # of the standard deviation: at most 1.1e-4 was seen, where torch loses up to 3e-5


def tensors(
    N: int, C: int, K: int, kernel: int, groups: int, H: int, W: int, seed: int = 0
) -> tuple[torch.Tensor, ...]:
    """Maps, weights and biases with values of about 1 coming out."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N, C, H, W, generator=generator).relu()
    weight = torch.randn(K, C // groups, kernel, kernel, generator=generator)
    weight /= (C // groups) ** 0.5 * kernel
    form = {"memory_format": torch.channels_last}
    bias = torch.randn(K, generator=generator)
    return tuple(t.requires_grad_() for t in (x.to(**form), weight.to(**form), bias))


def distance(mine: torch.Tensor, exact: torch.Tensor) -> float:
    return ((mine - exact).abs().max() / exact.std()).item()


def compare(x, weight, bias, stride, padding, groups) -> None:
    """Check values and slopes against torch's in float64, and that they are laid out as torch's."""
    y = conv_winograd.conv2d(x, weight, bias, stride, padding, groups)
    plain = F.conv2d(x, weight, bias, stride, padding, groups=groups)
    assert y.shape == plain.shape
    assert y.stride() == plain.stride()
    given = [t for t in (x, weight, bias) if t is not None]
    wide = [t.detach().double().requires_grad_() for t in given]
    exact = F.conv2d(*wide, stride=stride, padding=padding, groups=groups)
    g = torch.randn(y.shape, generator=torch.Generator().manual_seed(9))
    assert distance(y, exact) < LOST
    slopes = torch.autograd.grad(y, given, g.contiguous(memory_format=torch.channels_last))
    for mine, theirs, t in zip(slopes, torch.autograd.grad(exact, wide, g.double()), given,
                               strict=True):  # fmt: skip
        assert mine.stride() == t.stride()
        assert distance(mine, theirs) < LOST


@compiled
@pytest.mark.parametrize("name", LAYERS)
def test_alexnet_s_layers(name):
    C, K, kernel, stride, padding, groups, side = LAYERS[name]
    N = 128 // ((side - kernel + 2 * padding) // stride // 5 + 1) ** 2 + 2
    x, weight, bias = tensors(N, C, K, kernel, groups, side, side)
    assert dispatch.serves(conv_winograd.takes, x, weight, bias, stride, padding, groups)
    assert "_Conv" in type(ops.conv2d(x, weight, bias, stride, padding, groups).grad_fn).__name__
    compare(x, weight, bias, stride, padding, groups)


@compiled
@pytest.mark.parametrize("number", range(24))
def test_random_shapes(number):
    draw = random.Random(number)
    groups, kernel = draw.choice((1, 1, 2, 3)), draw.choice((3, 5))
    padding = draw.randrange(kernel)
    H, W = draw.randint(kernel, 23), draw.randint(kernel, 23)
    C, K = (8 * draw.randint(1, 9) * groups for _ in range(2))
    stride = 1
    if groups == 1 and number % 3 == 0:  # kernels of some strides, not all of them whole
        stride, C = 4, draw.choice((2, 3, 4))
        kernel, padding = 4 * kernel - draw.randint(0, 1), draw.randint(0, 7)
        H, W = (kernel + draw.randint(0, 40) for _ in range(2))
    x, weight, bias = tensors(draw.randint(1, 40), C, K, kernel, groups, H, W, seed=number)
    compare(x, weight, bias if number % 2 else None, stride, padding, groups)


@compiled
def test_tiles_that_fill_the_workspace_more_than_once(monkeypatch):
    monkeypatch.setattr(conv_winograd, "ROOM", 1 << 20)
    compare(*tensors(20, 64, 96, 3, 2, 13, 13), 1, 1, 2)
    monkeypatch.setattr(conv_winograd, "ROOM", 1)  # a tile at a time
    compare(*tensors(15, 64, 96, 3, 2, 13, 13), 1, 1, 2)


@compiled
def test_only_the_slopes_that_are_asked_for():
    x, weight, bias = tensors(15, 48, 96, 3, 1, 13, 13)
    y = conv_winograd.conv2d(x.detach(), weight, bias.detach(), 1, 1, 1)
    (slope,) = torch.autograd.grad(y.sum(), weight)
    assert distance(slope, torch.autograd.grad(
        F.conv2d(x.double(), weight.double(), padding=1).sum(), weight
    )[0]) < LOST  # fmt: skip
    frozen = conv_winograd.conv2d(x, weight.detach(), None, 1, 1, 1)
    assert torch.autograd.grad(frozen.sum(), x)[0].shape == x.shape


@compiled
def test_threads_change_nothing_but_the_last_bits():
    x, weight, bias = tensors(20, 64, 64, 3, 1, 13, 13)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            y = ops.conv2d(x, weight, bias, 1, 1)
            results.append((y, *torch.autograd.grad(y.square().sum(), (x, weight))))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@compiled
def test_not_a_number_is_not_lost():
    x, weight, bias = tensors(15, 48, 96, 3, 1, 13, 13)
    with torch.no_grad():
        x[3, 5, 6, 6] = torch.nan
    y = ops.conv2d(x, weight, bias, 1, 1)
    assert y[3, :, 5:8, 5:8].isnan().all()
    assert y[[0, 1, 2, 4]].isfinite().all()


def test_what_it_does_not_take_goes_to_torch():
    x, weight, bias = (t.detach() for t in tensors(15, 48, 96, 3, 1, 13, 13))
    taken = [(x, weight, bias, 1, 1, 1), (x, weight, None, 1, 2, 1)]
    left = [
        (x.double(), weight.double(), None, 1, 1, 1), (x.contiguous(), weight, None, 1, 1, 1),
        (x[:3], weight, None, 1, 1, 1),  # few tiles: preparing the weights costs more
        (x[..., :6, :6], weight, None, 1, 1, 1),  # four tiles of 5 x 5 for 6 x 6
        (x[:, :16], weight[:, :16], None, 1, 1, 1), (x, weight[:92], None, 1, 1, 1),
        (x[:, :44], weight[:, :44], None, 1, 1, 1),
        (x, weight[:, :, :2, :2], None, 1, 0, 1), (x, weight[:, :, :, :1], None, 1, 0, 1),
        (x, weight, None, 1, 3, 1), (x, weight, None, 2, 1, 1),
        (x.to("meta"), weight.to("meta"), None, 1, 1, 1),
    ]
    for given, answer in [(one, True) for one in taken] + [(one, False) for one in left]:
        expected = answer and dispatch.compiled()
        serves = dispatch.serves(conv_winograd.takes, *given)
        assert serves == expected, [tuple(t.shape) for t in given[:2]]
    with torch.autocast("cpu", torch.bfloat16):
        assert not dispatch.serves(conv_winograd.takes, *taken[0])
    with torch.inference_mode():
        ops.conv2d(x, weight, bias, 1, 1)
    ops.conv2d(x, weight, bias, 1, 1)  # memory from there is of use here
    assert torch.equal(ops.conv2d(x[:3], weight, bias, 1, 1), F.conv2d(x[:3], weight, bias, 1, 1))


def test_what_does_not_fit_together_gets_torch_s_error():
    x, weight, bias = (t.detach() for t in tensors(15, 48, 96, 3, 1, 13, 13))
    for wrong in (
        (x, weight, bias[:95], 1, 1), (x, weight, bias.double(), 1, 1), (x, weight, bias, 0, 1),
        (x[:, :16], weight, bias, 1, 1), (x[:, :, :2, :2], weight, bias, 1, 0),
        (x, weight, bias, 1, -1), (x, weight, bias, 1, 1, 3),
    ):
        with pytest.raises(RuntimeError) as told:
            F.conv2d(*wrong[:5], groups=(*wrong, 1)[5])
        with pytest.raises(RuntimeError) as said:
            ops.conv2d(*wrong)
        assert str(said.value) == str(told.value)


@compiled
def test_compile_leaves_convolutions_to_torch():
    x, weight, bias = (t.detach() for t in tensors(15, 48, 96, 3, 1, 13, 13))
    layer = torch.compile(ops.conv2d, backend="aot_eager", fullgraph=True)
    assert torch.equal(layer(x, weight, bias, 1, 1), F.conv2d(x, weight, bias, 1, 1))


@compiled
def test_a_second_derivative_is_refused_not_wrong():
    x, weight, bias = tensors(15, 48, 96, 3, 1, 13, 13)
    y = ops.conv2d(x, weight, bias, 1, 1)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(slope.sum(), x)


@compiled
def test_a_step_of_the_network_is_torch_s():
    """Values and slopes of all weights, against the same network on torch's convolutions."""
    net = models.build(architectures.network("paper", 10), seed=0)
    net.to(memory_format=torch.channels_last).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("weight"):  # the paper's weights let the values fade away
                parameter.mul_(2**0.5 / (parameter.std() * parameter[0].numel() ** 0.5))
    x = torch.randn(16, 3, 227, 227, generator=torch.Generator().manual_seed(1))
    x = x.to(memory_format=torch.channels_last)
    found = []
    for fast in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not fast:
                patch.setattr(conv_winograd, "takes", lambda *given: False)
            logits = net(x)
            net.zero_grad()
            F.cross_entropy(logits, torch.arange(16) % 10).backward()
            found.append([logits.detach(), *(p.grad.clone() for p in net.parameters())])
    mine, theirs = found
    assert not torch.equal(mine[0], theirs[0]), "both went the same way"
    assert distance(mine[0], theirs[0]) < LOST
    for slope, other in zip(mine[1:], theirs[1:], strict=True):
        # where two values of a window are nearly equal the other wins now and then: 0.3% was seen
        assert (slope - other).norm() < 0.01 * other.norm()


# The matrices: a filter's outputs exactly, with fewer products


def points(count: int, seed: int) -> list[Fraction]:
    draw = random.Random(seed)
    return [Fraction(value, 2) for value in draw.sample(range(-6, 7), count)]


@pytest.mark.parametrize(("m", "r"), [(1, 1), (2, 3), (3, 2), (4, 3), (5, 3), (4, 5), (6, 3)])
def test_a_tile_gives_what_a_sliding_filter_gives(m, r):
    n = m + r - 1
    A, G, data = (
        torch.tensor(rows, dtype=torch.double)
        for rows in conv_winograd.matrices(m, r, points(n - 1, seed=m))
    )
    assert A.shape == (n, m)
    assert G.shape == (n, r)
    assert data.shape == (n, n)
    generator = torch.Generator().manual_seed(0)
    d = torch.randn(n, n, dtype=torch.double, generator=generator)
    w = torch.randn(r, r, dtype=torch.double, generator=generator)
    y = A.T @ ((G @ w @ G.T) * (data @ d @ data.T)) @ A
    slid = torch.nn.functional.conv2d(d[None, None], w[None, None])[0, 0]
    torch.testing.assert_close(y, slid, rtol=1e-9, atol=1e-9)


def test_the_textbook_s_case_by_hand():
    """F(2, 3) with the points 0, 1, -1: two outputs by four products [arXiv 1509.09308, 3.1]."""
    A, G, data = conv_winograd.matrices(2, 3, [Fraction(0), Fraction(1), Fraction(-1)])
    assert A == [[1, 0], [1, 1], [1, -1], [0, 1]]
    assert G == [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    assert data == [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]


@pytest.mark.parametrize("kernel", conv_winograd.POINTS)
def test_opposite_points_differ_in_the_sign_of_every_second_value(kernel):
    A, _, data = conv_winograd.matrices(
        conv_winograd.OUTPUTS[kernel], kernel, conv_winograd.POINTS[kernel]
    )
    for rows in (A, data):
        for pair in (0, 2, 4):  # three pairs come first: c/tiles.c counts on it
            signed = [value * (-1) ** place for place, value in enumerate(rows[pair])]
            assert rows[pair + 1] == signed


def test_points_that_are_not_enough_or_not_different():
    with pytest.raises(ValueError, match=r"F\(2, 3\) needs 3 different points besides infinity"):
        conv_winograd.matrices(2, 3, [Fraction(0), Fraction(1)])
    with pytest.raises(ValueError, match="2 different ones among 3"):
        conv_winograd.matrices(2, 3, [Fraction(0), Fraction(1), Fraction(1)])
