"""LRN in any type, layout and size: gradients, towers, zeros, numbers that are none."""


from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from alexnet_lib import ops
from alexnet_lib.paper import CONVENTIONS

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def random_tensor(*shape: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


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
    expected = nn.LocalResponseNorm(5, 5 * 0.05, 0.75, 2.0)(wide.detach())
    epsilon = torch.finfo(dtype).eps
    torch.testing.assert_close(
        y.detach().double(), expected, rtol=4 * epsilon, atol=4 * epsilon
    )
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
    torch.testing.assert_close(
        ops.local_response_norm(x, 5, 0.3, 1.0, 2.0), nn.LocalResponseNorm(5, 1.5, 1.0, 2.0)(x)
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
