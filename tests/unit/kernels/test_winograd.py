"""Minimal filtering: the matrices give a filter's outputs exactly, with fewer products."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
import torch

from alexnet_lib.kernels import conv_winograd
from alexnet_lib.kernels.winograd import matrices


def points(count: int, seed: int) -> list[Fraction]:
    draw = random.Random(seed)
    return [Fraction(value, 2) for value in draw.sample(range(-6, 7), count)]


@pytest.mark.parametrize(("m", "r"), [(1, 1), (2, 3), (3, 2), (4, 3), (5, 3), (4, 5), (6, 3)])
def test_a_tile_gives_what_a_sliding_filter_gives(m, r):
    n = m + r - 1
    A, G, data = (
        torch.tensor(rows, dtype=torch.double) for rows in matrices(m, r, points(n - 1, seed=m))
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
    A, G, data = matrices(2, 3, [Fraction(0), Fraction(1), Fraction(-1)])
    assert A == [[1, 0], [1, 1], [1, -1], [0, 1]]
    assert G == [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    assert data == [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]


@pytest.mark.parametrize("kernel", conv_winograd.POINTS)
def test_opposite_points_differ_in_the_sign_of_every_second_value(kernel):
    A, _, data = matrices(
        conv_winograd.OUTPUTS[kernel], kernel, conv_winograd.POINTS[kernel]
    )
    for rows in (A, data):
        for pair in (0, 2, 4):  # three pairs come first: c/tiles.c counts on it
            signed = [value * (-1) ** place for place, value in enumerate(rows[pair])]
            assert rows[pair + 1] == signed


def test_points_that_are_not_enough_or_not_different():
    with pytest.raises(ValueError, match=r"F\(2, 3\) needs 3 different points besides infinity"):
        matrices(2, 3, [Fraction(0), Fraction(1)])
    with pytest.raises(ValueError, match="2 different ones among 3"):
        matrices(2, 3, [Fraction(0), Fraction(1), Fraction(1)])
