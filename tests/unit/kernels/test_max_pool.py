"""Max-pooling with one byte a window: torch's values and slopes to the bit."""

from __future__ import annotations

import math
import random

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, models, ops
from alexnet_lib.kernels import dispatch
from alexnet_lib.kernels import max_pool as max_pool_kernel

compiled = pytest.mark.skipif(
    not dispatch.compiled(), reason="no C compiler here: torch does the pooling"
)


def maps(*shape: int, seed: int, channels_last: bool) -> torch.Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).relu()  # many are equal
    form = torch.channels_last if channels_last else torch.contiguous_format
    return x.contiguous(memory_format=form).requires_grad_()


@compiled
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("number", range(15))
def test_values_and_slopes_are_torch_s(number, channels_last):
    draw = random.Random(number)
    kernel, stride = (3, 2) if number < 4 else (draw.randint(1, 6), draw.randint(1, 6))
    padding, rounding = draw.randint(0, kernel // 2), draw.choice(("floor", "ceil"))
    shape = (3, draw.randint(20, 40), draw.randint(8, 14), draw.randint(8, 14))
    x = maps(*shape, seed=number, channels_last=channels_last)
    assert dispatch.serves(max_pool_kernel.takes, x, kernel)
    y = ops.max_pool2d(x, kernel, stride, padding, rounding)
    assert type(y.grad_fn).__name__ == "_MaxPoolBackward"
    expected = F.max_pool2d(x, kernel, stride, padding, ceil_mode=rounding == "ceil")
    assert torch.equal(y, expected)
    assert y.stride() == expected.stride()
    g = torch.randn_like(y)
    (slope,), (wanted,) = torch.autograd.grad(y, x, g), torch.autograd.grad(expected, x, g)
    assert torch.equal(slope, wanted)


@compiled
@pytest.mark.parametrize("channels_last", [False, True])
def test_nan_wins_and_a_map_of_minus_infinity_has_a_winner(channels_last):
    x = maps(2, 30, 12, 11, seed=0, channels_last=channels_last).detach()
    x[0, 3, 4, 4] = x[0, 3, 4, 5] = x[1, 2, 0, 0] = math.nan
    x[0, 5] = -math.inf
    x.requires_grad_()
    y, expected = ops.max_pool2d(x), F.max_pool2d(x, 3, 2)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    g = torch.ones_like(y)
    (slope,), (wanted,) = torch.autograd.grad(y, x, g), torch.autograd.grad(expected, x, g)
    assert torch.equal(slope, wanted)


@compiled
def test_threads_change_nothing():
    x, results = maps(5, 30, 12, 11, seed=0, channels_last=True), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            y = ops.max_pool2d(x)
            results.append((y, *torch.autograd.grad(y.square().sum(), x)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@compiled
def test_one_byte_a_window_is_kept():
    kept = []
    x = maps(2, 30, 12, 12, seed=0, channels_last=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = ops.max_pool2d(x)
    assert sum(t.nbytes for t in kept) == y.numel()


def test_what_it_does_not_take_goes_to_torch():
    x = torch.randn(4, 30, 12, 12)
    for other in (x.double(), x.bfloat16(), x[:1, :1]):
        assert not dispatch.serves(max_pool_kernel.takes, other, 3)
        assert torch.equal(ops.max_pool2d(other), F.max_pool2d(other, 3, 2))
    assert not dispatch.serves(max_pool_kernel.takes, x, 16)


@compiled
def test_compile_leaves_pooling_to_torch():
    x = maps(2, 30, 12, 12, seed=0, channels_last=False)
    pool = torch.compile(ops.max_pool2d, backend="aot_eager", fullgraph=True)
    assert torch.equal(pool(x), F.max_pool2d(x, 3, 2))


def test_the_networks_use_it():
    net = models.build(architectures.small_network(), seed=0)
    pool = net.stage("pool1")
    assert isinstance(pool, models.MaxPool2d)
    x = torch.randn(4, 32, 28, 28)
    assert torch.equal(pool(x), F.max_pool2d(x, 3, 2))
