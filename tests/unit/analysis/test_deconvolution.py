"""The way back is the transpose of the way up, and for one layer it is the filter itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from alexnet_lib import architectures, models, pretrained
from alexnet_lib.analysis import deconvolution


@pytest.fixture(scope="module")
def small():
    """Return a network without LRN, and a picture for it."""
    net = (
        models.build(architectures.small_network(28, 3, channels=(6, 8, 8)), seed=1).eval().double()
    )
    with torch.no_grad():
        for name in ("conv1", "conv2", "conv3"):
            net.stage(name).weight *= 8
    draw = torch.Generator().manual_seed(2)
    return net, torch.randn(1, 3, 28, 28, generator=draw, dtype=torch.float64)


CONVS = [
    (3, 6, 11, 4, 0, 1, 27), (4, 8, 5, 1, 2, 2, 9), (6, 6, 3, 1, 1, 1, 7), (2, 4, 3, 2, 1, 2, 8),
    (3, 3, 3, 3, 0, 3, 11),
]


@pytest.mark.parametrize(("C", "K", "kernel", "stride", "padding", "groups", "side"), CONVS)
def test_transposed_convolution_is_the_adjoint(C, K, kernel, stride, padding, groups, side):
    draw = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(C, K, kernel, stride, padding, groups=groups, bias=False).double()
    x = torch.randn(2, C, side, side + 1, generator=draw, dtype=torch.float64)
    up = conv(x)
    for share in (1.0, 0.05):  # few numbers: only the part around them is computed
        y = torch.randn(up.shape, generator=draw, dtype=torch.float64)
        y *= torch.rand(up.shape, generator=draw) < share
        back = deconvolution.transposed_conv(y, conv, x.shape[2:])
        assert back.shape == x.shape
        torch.testing.assert_close((up * y).sum(), (x * back).sum())
    assert not deconvolution.transposed_conv(0 * y, conv, x.shape[2:]).any()


@pytest.mark.parametrize("kernel", [2, 3])
def test_unpooling_is_the_adjoint_of_pooling_with_its_winners(kernel):
    x = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    up, winners = nn.functional.max_pool2d(x, kernel, 2, return_indices=True)
    y = torch.randn_like(up)
    back = deconvolution.unpool(y, winners, (9, 9))
    torch.testing.assert_close((up * y).sum(), (x * back).sum())
    assert (back != 0).sum() <= y.numel()


def test_a_unit_of_conv1_projects_to_its_filter_at_its_place():
    net = models.alexnet("paper", 10, seed=0).eval()
    x = torch.randn(1, 3, 227, 227) * 50
    trail = deconvolution.follow(net, x, "conv1")
    found = deconvolution.project(trail, 7, (20, 30))
    weight = net.stage("conv1").weight[7].detach().permute(1, 2, 0).numpy()
    box = (80, 120, 91, 131)
    assert found.box == box
    inside = found.picture[box[0] : box[2], box[1] : box[3]]
    np.testing.assert_allclose(inside, found.value * weight, rtol=1e-4, atol=1e-5)
    assert np.count_nonzero(found.picture) <= inside.size
    assert found.value == trail.output[0, 7, 20, 30].item()


@pytest.mark.parametrize("stage", ["conv1", "conv2", "conv3"])
def test_with_forward_gates_it_is_the_gradient(small, stage):
    net, x = small
    trail = deconvolution.follow(net, x, stage)
    channel = int(trail.output[0].amax(dim=(1, 2)).argmax())
    found = deconvolution.project(trail, channel, gate="gradient")
    place = found.row, found.column
    assert found.value > 0
    inputs = signal = x.clone().requires_grad_()
    for name, module in net.features.named_children():
        signal = nn.functional.relu(signal) if name.startswith("relu") else module(signal)
        if name == f"relu{stage[-1]}":
            break
    signal[0, channel][place].backward()
    expected = inputs.grad[0].permute(1, 2, 0).numpy() * found.value
    np.testing.assert_allclose(found.picture, expected, rtol=1e-4, atol=1e-5)


def test_what_comes_back_lies_in_the_receptive_field(small):
    net, x = small
    for stage in ("conv1", "conv2", "conv3"):
        trail = deconvolution.follow(net, x, stage)
        outputs = pretrained.activations(net, x, [f"relu{stage[-1]}"])[f"relu{stage[-1]}"]
        np.testing.assert_allclose(trail.output.numpy(), outputs, rtol=1e-5, atol=1e-6)
        found = deconvolution.project(trail, 3, (1, 0))
        top, left, bottom, right = found.box
        outside = found.picture.copy()
        outside[top:bottom, left:right] = 0
        assert not outside.any()


def test_a_unit_that_says_nothing_leaves_nothing(small):
    net, x = small
    trail = deconvolution.follow(net, -10 * x.abs(), "conv1")
    trail.output[0, 2] = 0
    assert not deconvolution.project(trail, 2).picture.any()


def test_errors_say_the_rule_and_the_next_step(small):
    net, x = small
    with pytest.raises(ValueError, match="did you mean 'conv1'"):
        deconvolution.follow(net, x, "conf1")
    with pytest.raises(ValueError, match="give one picture"):
        deconvolution.follow(net, x.repeat(2, 1, 1, 1), "conv1")
    trail = deconvolution.follow(net, x, "conv1")
    with pytest.raises(ValueError, match="channels 0 to 5"):
        deconvolution.project(trail, 6)
    with pytest.raises(ValueError, match="rows and 28 columns"):
        deconvolution.project(trail, 0, (0, 28))
    with pytest.raises(ValueError, match="did you mean 'gradient'"):
        deconvolution.project(trail, 0, gate="gradients")


def test_portraits_cut_the_patch_that_was_answered_to():
    net = models.build(architectures.small_network(28, 3, channels=(6, 8, 8)), seed=1).eval()
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (5, 28, 28, 3)).astype(np.uint8)
    mean = torch.full((3,), 128.0)
    x = (torch.from_numpy(pictures).float() - 128).permute(0, 3, 1, 2)
    maps = pretrained.activations(net, x, ["relu2"])["relu2"]
    chosen = deconvolution.striking(maps, 3)
    assert len(set(chosen)) == 3
    for portrait in deconvolution.portraits(net, pictures, mean, "conv2", chosen, maps, 2):
        assert list(portrait.values) == sorted(portrait.values, reverse=True)
        assert portrait.values[0] == pytest.approx(maps[:, portrait.channel].max(), rel=1e-4)
        for patch, seen, image in zip(
            portrait.patches, portrait.seen, portrait.images, strict=True
        ):
            assert patch.shape == seen.shape and seen.any()
            assert patch[0].tobytes() in pictures[image].tobytes()
