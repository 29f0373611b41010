"""Activations and signals through depth: against torch's autograd, and what the demos say."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from alexnet_lib import experiments, plots
from alexnet_lib.analysis import activation_functions
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import ch04

TORCH = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}
NAMES = list(activation_functions.ACTIVATIONS)
each = pytest.mark.parametrize("name", NAMES)


@each
def test_function_and_slope_are_torchs(name):
    rule = activation_functions.ACTIVATIONS[name]
    x = torch.linspace(-40, 40, 1601, dtype=torch.float64, requires_grad=True)  # holds 0
    y = TORCH[name](x)
    y.sum().backward()
    np.testing.assert_allclose(rule.function(x.detach().numpy()), y.detach(), rtol=0, atol=1e-15)
    np.testing.assert_allclose(rule.slope(x.detach().numpy()), x.grad, rtol=0, atol=1e-15)


def by_autograd(name, depth, gain, bias):
    """Return forward and backward of `through_layers`, by torch."""
    weights, x, g = map(torch.from_numpy, activation_functions._noise(depth, 64, 64, 0))
    places = [x.clone().requires_grad_()]
    for w in weights:
        places.append(TORCH[name](gain * (places[-1] @ w) + bias))
        places[-1].retain_grad()
    places[-1].backward(g)
    forward = [h.detach().var(dim=0, correction=0).mean().sqrt().item() for h in places]
    backward = [h.grad.square().mean().sqrt().item() for h in places]
    return np.array(forward), np.array(backward) / backward[-1]


@each
def test_signals_through_depth_are_autograds(name):
    rng = np.random.default_rng(5)
    for depth in (1, 2, 8, 12):
        gain, bias = rng.uniform(0.2, 3), rng.uniform(-1, 1)
        found = activation_functions.through_layers(name, depth, gain, bias)
        forward, backward = by_autograd(name, depth, gain, bias)
        np.testing.assert_allclose(found.forward, forward, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.backward, backward, rtol=1e-9, atol=1e-15)
        assert found.flat.shape == found.dead.shape == (depth,)
        assert (found.dead <= found.flat).all()


def test_the_gain_that_keeps_a_signal_is_known():
    """He et al. 2015: sqrt(2) for ReLU. A ReLU of any gain is a ReLU of gain 1, rescaled."""
    one, he = (activation_functions.through_layers("relu", 8, gain) for gain in (1, 2**0.5))
    assert 0.3 < he.forward[-1] < 1.5 and 0.3 < he.backward[0] < 1.5
    np.testing.assert_allclose(he.forward, one.forward * 2 ** (np.arange(9) / 2))
    np.testing.assert_array_equal(he.dead, one.dead)
    sigmoid = activation_functions.through_layers("sigmoid", 8)
    assert sigmoid.backward[0] < 4.0**-8, "a quarter at most a layer"


def test_dead_and_flat_units_are_counted():
    dead = activation_functions.through_layers("relu", 8, 1.0, -9.0)
    assert (dead.dead == 1).all() and (dead.flat == 1).all() and dead.forward[-1] == 0
    flat = activation_functions.through_layers("tanh", 1, 3.0)
    weights, x, _ = activation_functions._noise(1, 64, 64, 0)
    z = 3.0 * x @ weights[0]
    assert flat.flat[0] == np.mean(1 - np.tanh(z) ** 2 < 0.01) > 0.2


def test_unknown_activation_and_no_layers_are_told():
    with pytest.raises(ValueError, match="did you mean 'tanh'"):
        activation_functions.through_layers("tan")
    with pytest.raises(ValueError, match="depth is 0; give at least 1 layer"):
        activation_functions.through_layers("relu", 0)


# The demos


def test_deep_signal_says_what_is_computed():
    demo = widgets.deep_signal()
    for preset in demo.presets:
        demo.apply(preset)
        assert "don't work" not in demo.summary, demo.summary
        settings = demo.parameters
        assert demo.summary.startswith(f"Through {settings['depth']} layers: tanh ")
        found = activation_functions.through_layers("relu", **settings)
        said = re.search(r"ReLU (.*?) forward and (.*?) back", demo.summary).groups()
        assert said == tuple(map(ch04._said, (found.forward[-1], found.backward[0])))
        assert f"{found.dead[-1]:.0%} of the ReLUs answer to no picture" in demo.summary
    demo.apply("broken")
    assert "ReLU nothing forward and nothing back" in demo.summary
    demo.controls["depth"].value = 1
    assert demo.summary.startswith("Through 1 layer: ")


def test_deep_signal_draws_the_numbers_on_fixed_scales():
    demo = widgets.deep_signal()
    left, right = demo._figure.axes
    limits = left.get_ylim()
    demo.apply("too large")
    demo.controls["depth"].value = 12
    for name, line in zip(NAMES, left.lines, strict=False):
        found = activation_functions.through_layers(name, 12, 3.0)
        np.testing.assert_allclose(line.get_ydata(), found.forward)
    for line in (*left.lines, *right.lines):
        assert limits[0] <= min(line.get_ydata()) and max(line.get_ydata()) <= limits[1]
    assert left.get_ylim() == right.get_ylim() == limits


def test_three_activations_show_functions_above_slopes():
    plots.use_style()
    axes = ch04.three_activations().axes
    assert [ax.get_title(loc="left") for ax in axes[:3]] == ["tanh", "sigmoid", "ReLU"]
    for name, above, below in zip(NAMES, axes[:3], axes[3:], strict=True):
        x, y = above.lines[0].get_data()
        np.testing.assert_allclose(y, activation_functions.ACTIVATIONS[name].function(x))
        np.testing.assert_allclose(below.lines[0].get_ydata(), np.gradient(y, x), atol=0.51)


def test_race_curves_draw_every_run():
    record = experiments.load("relu")
    axes = ch04.race_curves(record).axes
    drawn = [tuple(line.get_ydata()) for ax in axes for line in ax.lines]
    for arm in record["arms"].values():
        for run in arm["runs"]:
            assert tuple(run["train_error"]) in drawn
