"""The miniature's arms differ in one thing, and records add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import models, shapes
from alexnet_lib.experiments import arms as arms_experiment
from alexnet_lib.experiments import registry, small_alexnet


def test_arms_differ_in_what_they_say():
    arms = small_alexnet.depth_arms()
    whole = [layer.name for layer in arms["all five"].layers]
    for number in (3, 4):
        fewer = [layer.name for layer in arms[f"without conv{number}"].layers]
        assert set(whole) - set(fewer) == {f"conv{number}", f"relu{number}"}
        assert [name for name in whole if name in fewer] == fewer
    one, two = small_alexnet.tower_arms().values()
    for name in ("conv1", "conv2", "conv3", "conv4"):
        assert 2 * one.layer(name).channels == two.layer(name).channels
    assert one.layer("conv5").channels == two.layer("conv5").channels
    assert shapes.reads_both(two) and not any(layer.groups > 1 for layer in one.layers)


def test_without_conv5_would_be_without_conv4():
    whole = small_alexnet.miniature()
    weights = []
    for number in (4, 5):
        gone = (f"conv{number}", f"relu{number}")
        rows = [layer for layer in whole.layers if layer.name not in gone]
        weights.append([(r.channels, r.kernel, r.groups) for r in rows if r.kind == "conv"])
    assert weights[0] == weights[1]


def test_the_pixels_scale_moves_into_conv1():
    from alexnet_lib import datasets

    images = datasets.load("shapes", "train", size=32, limit=128)
    net, loss = small_alexnet.train(small_alexnet.miniature(), 0.005, 0, 1, images)
    assert np.isfinite(loss) and not net.training
    fresh = models.build(small_alexnet.miniature(), 0).initialize(0, he=True)
    ratio = fresh.stage("conv1").weight.std() / net.stage("conv1").weight.std()
    assert 20 < ratio.item() < 120  # a standard deviation of pixels
    again, same = small_alexnet.train(small_alexnet.miniature(), 0.005, 0, 1, images)
    assert same == loss and torch.equal(again.stage("fc8").weight, net.stage("fc8").weight)


def test_what_a_network_says_survives_being_kept():
    said = np.random.default_rng(0).dirichlet(np.ones(10), 7).astype(np.float32)
    kept = small_alexnet._unpacked(small_alexnet._packed(said))
    np.testing.assert_allclose(kept, said, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["depth", "two_towers"])
def test_shipped_comparison_adds_up(name):
    record = registry.load(name)
    assert not record["small"] and record["data"] == "cifar10" and len(record["seeds"]) >= 3
    final = {
        arm: np.array([run["test_error"][-1] for run in found["runs"]])
        for arm, found in record["arms"].items()
    }
    for arm, found in record["arms"].items():
        assert [run["seed"] for run in found["runs"]] == record["seeds"]
        assert found["final_test_error_mean"] == pytest.approx(final[arm].mean(), abs=1e-4)
        assert found["rate"] == record["search"]["best"][arm]
    for pair, found in record["differences"].items():
        other, one = pair.split(" minus ")
        np.testing.assert_allclose(found["each"], final[other] - final[one], atol=1e-4)
        assert f"{pair}: {100 * found['difference_mean']:+.1f} points" in (
            registry.summary(record)
        )


def test_shipped_ensemble_adds_up():
    record = registry.load("ensemble")
    centre, ten = (np.array(record["single"][view]["each"]) for view in ("centre", "ten"))
    np.testing.assert_allclose(record["ten_views"]["each"], ten - centre, atol=1e-4)
    together = record["together"]["centre"]
    np.testing.assert_allclose(record["averaging"]["each"], together - centre, atol=1e-4)
    assert record["votes"][0] == pytest.approx(centre[0], abs=1e-3)
    assert record["votes"][-1] == pytest.approx(together, abs=1e-4)
    spread = arms_experiment.spread("difference", ten - centre)
    assert record["ten_views"]["difference_mean"] == pytest.approx(
        spread["difference_mean"], abs=1e-4
    )
