"""Signals through a network: what goes forward and what comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, models
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


def test_square_takes_the_middle_of_a_photo():
    photo = np.zeros((20, 60, 3), np.uint8)
    photo[:, 20:40] = 255
    assert signal_propagation.square(photo, 10).shape == (10, 10, 3)
    assert signal_propagation.square(photo, 10).min() == 255
