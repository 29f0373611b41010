"""Signals through a network, and maps before and after LRN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, datasets, models
from alexnet_lib.analysis import signal_propagation


def test_signal_agrees_with_a_plain_pass():
    torch.manual_seed(0)
    net = models.Net(architectures.small_network(channels=(4, 6, 8))).initialize(1)
    x, labels = 50 * torch.randn(5, 1, 28, 28), torch.tensor([0, 1, 2, 3, 4])
    rows = {row["layer"]: row for row in signal_propagation.forward_signal(net, x, labels)}
    assert list(rows) == ["conv1", "conv2", "conv3", "fc"]
    y = F.relu(F.conv2d(x, net.features.conv1.weight, net.features.conv1.bias, padding=2)).detach()
    assert rows["conv1"]["mean"] == pytest.approx(y.mean().item(), rel=1e-4)
    across = ((y - y.mean(0)) ** 2).sum(0) / 4
    assert rows["conv1"]["across_images"] == pytest.approx(across.mean().sqrt().item(), rel=1e-4)
    logits = net(x)
    assert rows["fc"]["mean"] == pytest.approx(logits.mean().item(), rel=1e-4)
    weight = net.features.conv2.weight
    gradient, = torch.autograd.grad(F.cross_entropy(logits, labels), weight)
    assert rows["conv2"]["gradient_over_weight"] == pytest.approx(
        (gradient.norm() / weight.norm()).item(), rel=1e-4
    )
    assert weight.grad is None and not net.features.conv1._forward_hooks


def test_constant_pictures_leave_no_spread_across_images():
    net = models.Net(architectures.small_network(channels=(4, 6, 8))).initialize(1)
    rows = signal_propagation.forward_signal(net, torch.ones(3, 1, 28, 28), torch.tensor([0, 1, 2]))
    assert all(row["across_images"] < 1e-6 for row in rows)


def test_maps_before_and_after_lrn():
    maps = signal_propagation.lrn_maps(datasets.photo("cat"), side=99)
    assert maps["image"].shape == (99, 99, 3) and maps["image"].dtype == np.uint8
    assert maps["before"].shape == maps["after"].shape == maps["factor"].shape == (16, 23, 23)
    assert maps["before"].min() == 0 and maps["before"].max() > 5
    norm = torch.nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    after = norm(torch.from_numpy(maps["before"])[None])[0].numpy()
    np.testing.assert_allclose(maps["after"], after, rtol=1e-4, atol=1e-6)
    active = maps["before"] > 0
    assert np.isnan(maps["factor"][~active]).all() and (maps["factor"][active] < 0.6).all()
    strong = signal_propagation.lrn_maps(datasets.photo("cat"), side=99, alpha=1e-2)
    assert strong["after"].sum() < maps["after"].sum()


def test_oriented_filters_see_edges_in_their_direction():
    filters = signal_propagation.oriented_filters(8)
    assert filters.shape == (8, 3, 11, 11) and filters.dtype == np.float32
    np.testing.assert_allclose(filters.sum(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    photo = np.zeros((99, 99, 3), np.uint8)
    photo[:, 50:] = 200  # dark on the left, bright on the right: filter 0's edge, 4's opposite
    strength = signal_propagation.lrn_maps(photo, filters, side=99)["before"].max(axis=(1, 2))
    assert strength.argmax() == 0 and strength[4] < 0.05 * strength[0]
    assert strength[2] < 0.05 * strength[0]


def test_square_takes_the_middle_of_a_photo():
    photo = np.zeros((20, 60, 3), np.uint8)
    photo[:, 20:40] = 255
    assert signal_propagation.square(photo, 10).shape == (10, 10, 3)
    assert signal_propagation.square(photo, 10).min() == 255
