"""Convolution, pooling, the norm within maps and dropout, held against loops and PyTorch."""


from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import ops, shapes


def random_tensor(*shape: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


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


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"),
    [(9, 1, 1, 3), (8, 1, 6, 0), (6, 2, 3, 2), (7, 3, 2, 1)],
)
def test_convolution_and_pooling_have_the_size_that_shapes_computes(
    side, kernel, stride, padding, rounding
):
    x, weight = random_tensor(1, 2, side, side), random_tensor(3, 2, kernel, kernel)
    outputs = shapes.output_size(side, kernel, stride, padding, rounding)
    got = ops.conv2d(x, weight, stride=stride, padding=padding, rounding=rounding)
    assert got.shape == (1, 3, outputs, outputs)
    floor = F.conv2d(x, weight, stride=stride, padding=padding)
    shared = min(outputs, floor.shape[3])
    torch.testing.assert_close(got[..., :shared, :shared], floor[..., :shared, :shared])
    got = ops.max_pool2d(x, kernel, stride, padding, rounding)
    assert got.shape == (1, 2, outputs, outputs)


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
