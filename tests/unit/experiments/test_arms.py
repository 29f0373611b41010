"""What experiments share: the loop, the search of rates, paired comparisons, kept results."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, augment, datasets, models, optim
from alexnet_lib.batches import Batches
from alexnet_lib.experiments import arms as arms_experiment
from alexnet_lib.experiments import lrn

LRS = dict.fromkeys(("without LRN", "with LRN"), 0.003)


@pytest.fixture(scope="module")
def few():
    """Return a few training and test images."""
    return (datasets.load("fashion_mnist", "train", limit=256),
            datasets.load("fashion_mnist", "test", limit=100))  # fmt: skip


def arms():
    channels = (8, 8, 8)
    return {
        "without LRN": architectures.small_network(channels=channels),
        "with LRN": architectures.small_network(channels=channels, lrn=lrn.LRN),
    }


@pytest.fixture(scope="module")
def compared(few):
    return arms_experiment.ablation(arms(), *few, [3, 4], 1, lrs=(), given=LRS)


# The loop


def test_an_epoch_is_gradient_descent_with_a_rate_and_masks_by_step(few):
    """The same by hand, with torch's own optimizer."""
    spec = architectures.small_network(channels=(4, 4, 4))
    net, other = (models.build(spec, seed=0) for _ in range(2))
    batches = Batches(few[0], 28, 64, torch.zeros(1), seed=5)
    rule = optim.SGD2012(net.parameters(), 1.0, 0.9, weight_decay=0.0)
    losses = arms_experiment.train_epoch(
        net, batches, 1, rule, 50.0, lambda epoch, step: 0.01 * epoch / (1 + step)
    )
    sgd = torch.optim.SGD(other.parameters(), 1.0, momentum=0.9)
    velocities = [torch.zeros_like(p) for p in other.parameters()]
    for step, (x, y) in enumerate(batches.epoch(1)):
        sgd.zero_grad()
        loss = F.cross_entropy(other(x / 50), y)
        loss.backward()
        assert losses[step] == pytest.approx(loss.item(), rel=1e-5)
        with torch.no_grad():
            for p, v in zip(other.parameters(), velocities, strict=True):
                v.mul_(0.9).sub_(0.01 / (1 + step) * p.grad)
                p.add_(v)
    assert len(losses) == 4
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_a_loss_that_is_no_number_ends_an_epoch_and_teaches_nothing(few):
    net = models.build(architectures.small_network(channels=(4, 4, 4)), seed=0)
    with torch.no_grad():
        net.stage("fc").bias[0] = float("inf")
    before = net.stage("conv1").weight.detach().clone()
    rule = optim.SGD2012(net.parameters(), 0.01, 0.9, weight_decay=0.0)
    batches = Batches(few[0], 28, 64, torch.zeros(1))
    (loss,) = arms_experiment.train_epoch(net, batches, 0, rule)
    assert not math.isfinite(loss) and torch.equal(net.stage("conv1").weight, before)


def test_inputs_are_centre_crops_with_one_standard_deviation(few):
    train, test = few
    mean = augment.mean_image(train.images)
    inputs = arms_experiment.Inputs(train, 24, augment.centre_crop(mean, 24))
    assert inputs.inputs.shape == (256, 1, 24, 24)
    assert inputs.inputs.std().item() == pytest.approx(1, rel=1e-5)
    net = models.build(architectures.small_network(24, channels=(4, 4, 4)), seed=0)
    other = arms_experiment.Inputs(test, 24, augment.centre_crop(mean, 24), inputs.scale)
    error, loss = other.error_and_loss(net)
    x = augment.to_input(torch.from_numpy(test.images[:, 2:26, 2:26].copy()), mean[2:26, 2:26])
    with torch.no_grad():
        logits = net(x / inputs.scale)
    labels = torch.from_numpy(np.array(test.labels))
    assert error == pytest.approx((logits.argmax(1) != labels).float().mean().item())
    assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)


@pytest.mark.parametrize(("errors", "epochs"), [
    ([0.9, 0.5, 0.25], 2.0), ([0.9, 0.5, 0.3, 0.2], 2.5), ([0.9, 0.5], None), ([0.2], 0.0),
    ([0.9, 0.1, 0.5], 1 - 0.15 / 0.8),  # reached once is reached
])  # fmt: skip
def test_epochs_are_counted_between_two_measurements(errors, epochs):
    found = arms_experiment.epochs_to(0.25, errors)
    assert found == (None if epochs is None else pytest.approx(epochs))


# Search and comparison


def test_comparison_is_reproducible_and_seeds_matter(few, compared):
    again = arms_experiment.ablation(
        {"with LRN": arms()["with LRN"]}, *few, [4], 1, lrs=(), given=LRS
    )
    one, other = compared["arms"]["with LRN"]["runs"]
    assert again["arms"]["with LRN"]["runs"] == [other]
    assert (one["seed"], other["seed"]) == (3, 4)
    assert one["train_error"] != other["train_error"]


def test_means_and_differences_are_those_of_the_runs(compared):
    without, with_lrn = (
        np.array([run["test_error"][-1] for run in compared["arms"][arm]["runs"]])
        for arm in LRS
    )
    difference = compared["differences"]["with LRN minus without LRN"]
    np.testing.assert_allclose(difference["each"], with_lrn - without, atol=1e-4)
    assert difference["difference_mean"] == pytest.approx((with_lrn - without).mean(), abs=1e-4)
    assert difference["difference_std"] == pytest.approx(
        np.std(with_lrn - without, ddof=1), abs=1e-4
    )
    assert compared["arms"]["with LRN"]["runs"][0]["lrn_factor"].keys() == {"lrn1", "lrn2"}
    assert compared["arms"]["without LRN"]["runs"][0]["lrn_factor"] == {}


def test_arms_start_from_the_same_weights():
    nets = [models.Net(spec) for spec in arms().values()]
    for net in nets:
        recipe = arms_experiment._recipe(net, 0.01)
        net.initialize(7, recipe.biases, weight_std=recipe.weight_std)
    for name in arms_experiment.GAINS:
        assert torch.equal(nets[0].stage(name).weight, nets[1].stage(name).weight)
        assert not nets[0].stage(name).bias.any()
    weight = nets[0].stage("conv2").weight
    gain = weight.std().item() * weight[0].numel() ** 0.5
    assert gain == pytest.approx(0.01 * (5 * 5 * 48) ** 0.5, rel=0.05)  # the paper's conv2


def test_rate_is_chosen_where_the_held_out_error_is_least(few):
    found = arms_experiment.ablation(
        arms(), *few, [0], 1, lrs=(1e-6, 0.003), search_epochs=2, held_out=64
    )
    search = found["search"]
    assert search["held_out_images"] == 64 and search["epochs"] == 2
    for arm, errors in search["held_out_error"].items():
        assert search["best"][arm] == search["rates"][int(np.argmin(errors))]
        assert found["arms"][arm]["rate"] == search["best"][arm]


def test_images_kept_aside_are_not_trained_on(few):
    kept, rest = arms_experiment.aside(few[0], 56)
    assert (len(kept), len(rest)) == (56, 200)
    both = {image.tobytes() for part in (kept, rest) for image in np.asarray(part.images)}
    assert both == {image.tobytes() for image in np.asarray(few[0].images)}


def test_the_first_of_equal_rates_is_best_and_results_are_kept(tmp_path):
    tried, told = [], []

    def work(arm, lr, seed, say):
        tried.append((arm, lr, seed))
        return {"test_error": [0.9, 0.5 if lr > 1 else 0.7]}

    cache = arms_experiment.ResultCache(tmp_path / "kept.json", {})
    given = ["a", "b"], (1.0, 3.0, 2.0), 4, 10, work
    search = arms_experiment.search_held_out(*given, cache, told.append)
    assert search["best"] == {"a": 3.0, "b": 3.0} and search["seed"] == 1000
    assert search["held_out_error"] == {"a": [0.7, 0.5, 0.5], "b": [0.7, 0.5, 0.5]}
    assert tried[:2] == [("a", 1.0, 1000), ("a", 3.0, 1000)]
    assert told[0] == "a, choosing the rate: 1"
    again = arms_experiment.ResultCache(tmp_path / "kept.json", {})
    assert arms_experiment.search_held_out(*given, again, told.append) == search
    assert len(tried) == 6


def test_a_stopped_experiment_goes_on(tmp_path):
    path, done = tmp_path / "relu.json", []

    def work(number):
        done.append(number)
        return {"epochs": float(number)}

    first = arms_experiment.ResultCache(path, {"cap": 3})
    assert first.get("one", lambda: work(1)) == {"epochs": 1.0}
    again = arms_experiment.ResultCache(path, {"cap": 3})
    assert again.get("one", lambda: work(2)) == {"epochs": 1.0} and done == [1]
    other = arms_experiment.ResultCache(path, {"cap": 4})
    assert other.get("one", lambda: work(3)) == {"epochs": 3.0}, "other settings, other results"


def test_diverging_run_counts_as_all_wrong(few):
    run, _ = arms_experiment.train_arm(arms()["without LRN"], 1e12, 0, 3, *few)
    assert run["diverged"] and run["test_error"] == [1.0] * 3 == run["train_error"]


def test_spread():
    assert arms_experiment.spread("x", [1.0, 3.0]) == {"x_mean": 2.0, "x_std": 1.41421}
    assert arms_experiment.spread("x", [1.0]) == {"x_mean": 1.0, "x_std": None}


def test_lrn_factor_is_what_the_formula_gives(few):
    net = models.Net(arms()["with LRN"]).initialize(0)
    low, middle, high = arms_experiment.lrn_factors(net, few[1])["lrn1"]
    x = augment.to_input(torch.from_numpy(few[1].images), augment.mean_image(few[1].images))
    y = net.features.conv1(x).relu().detach()
    norm = torch.nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)(y)
    shares = (norm[y > 0] / y[y > 0]).numpy()
    expected = np.quantile(shares, [0.05, 0.5, 0.95])
    np.testing.assert_allclose([low, middle, high], expected, atol=1e-3)
