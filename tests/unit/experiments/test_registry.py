"""Experiments: reproducible, paired, quick where they promise it, and what ships adds up."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, augment, datasets, models
from alexnet_lib.analysis import signal_propagation
from alexnet_lib.experiments import arms as arms_experiment
from alexnet_lib.experiments import registry

TIMES = ("seconds", "environment", "threads")


@pytest.fixture(scope="module")
def few():
    """Return a few training and test images."""
    return (datasets.load("fashion_mnist", "train", limit=256),
            datasets.load("fashion_mnist", "test", limit=100))  # fmt: skip


def arms():
    channels = (8, 8, 8)
    return {
        "without LRN": architectures.small_network(channels=channels),
        "with LRN": architectures.small_network(channels=channels, lrn=registry.LRN),
    }


# Ablations


def test_comparison_is_reproducible_and_seeds_matter(few):
    rates = dict.fromkeys(arms(), 0.003)
    first = arms_experiment.compare_arms(arms(), rates, [3, 4], 1, *few)
    assert arms_experiment.compare_arms(arms(), rates, [3, 4], 1, *few) == first
    one, other = first["arms"]["with LRN"]["runs"]
    assert (one["seed"], other["seed"]) == (3, 4)
    assert one["train_error"] != other["train_error"]


def test_means_and_differences_are_those_of_the_runs(few):
    rates = dict.fromkeys(arms(), 0.003)
    result = arms_experiment.compare_arms(arms(), rates, [3, 4], 1, *few)
    without, with_lrn = (
        np.array([run["test_error"][-1] for run in result["arms"][arm]["runs"]]) for arm in arms()
    )
    difference = result["differences"]["with LRN minus without LRN"]
    np.testing.assert_allclose(difference["each"], with_lrn - without, atol=1e-4)
    assert difference["difference_mean"] == pytest.approx((with_lrn - without).mean(), abs=1e-4)
    assert difference["difference_std"] == pytest.approx(
        np.std(with_lrn - without, ddof=1), abs=1e-4
    )
    assert result["arms"]["with LRN"]["runs"][0]["lrn_factor"].keys() == {"lrn1", "lrn2"}
    assert result["arms"]["without LRN"]["runs"][0]["lrn_factor"] == {}


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
    search = arms_experiment.search_rates(arms(), (1e-6, 0.003), few[0], epochs=2, held_out=64)
    assert search["held_out_images"] == 64
    for arm, errors in search["held_out_error"].items():
        assert search["best"][arm] == search["rates"][int(np.argmin(errors))]


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


# Signals


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
    maps = registry.lrn_maps(datasets.photo("cat"), side=99)
    assert maps["image"].shape == (99, 99, 3) and maps["image"].dtype == np.uint8
    assert maps["before"].shape == maps["after"].shape == maps["factor"].shape == (16, 23, 23)
    assert maps["before"].min() == 0 and maps["before"].max() > 5
    norm = torch.nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    after = norm(torch.from_numpy(maps["before"])[None])[0].numpy()
    np.testing.assert_allclose(maps["after"], after, rtol=1e-4, atol=1e-6)
    active = maps["before"] > 0
    assert np.isnan(maps["factor"][~active]).all() and (maps["factor"][active] < 0.6).all()
    strong = registry.lrn_maps(datasets.photo("cat"), side=99, alpha=1e-2)
    assert strong["after"].sum() < maps["after"].sum()


def test_oriented_filters_see_edges_in_their_direction():
    filters = signal_propagation.oriented_filters(8)
    assert filters.shape == (8, 3, 11, 11) and filters.dtype == np.float32
    np.testing.assert_allclose(filters.sum(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    photo = np.zeros((99, 99, 3), np.uint8)
    photo[:, 50:] = 200  # dark on the left, bright on the right: filter 0's edge, 4's opposite
    strength = registry.lrn_maps(photo, filters, side=99)["before"].max(axis=(1, 2))
    assert strength.argmax() == 0 and strength[4] < 0.05 * strength[0]
    assert strength[2] < 0.05 * strength[0]


def test_square_takes_the_middle_of_a_photo():
    photo = np.zeros((20, 60, 3), np.uint8)
    photo[:, 20:40] = 255
    assert signal_propagation.square(photo, 10).shape == (10, 10, 3)
    assert signal_propagation.square(photo, 10).min() == 255


# The experiments and their records


def test_small_runs_are_quick_and_leave_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.records, "folder", lambda: tmp_path)
    started = time.process_time()
    record = registry.run("lrn_ablation", small=True, progress=False)
    assert time.process_time() - started < 60  # 10 alone on two slow cores; a full run takes hours
    assert record["small"] and record["seeds"] == [0] and record["epochs"] == 2
    errors = [arm["runs"][0]["test_error"][-1] for arm in record["arms"].values()]
    assert all(error < 0.75 for error in errors), "it learns: chance is .9"
    assert "1 seed:" in registry.summary(record)
    assert not list(tmp_path.iterdir())


def test_record_is_written_where_it_is_asked_for(tmp_path):
    out = tmp_path / "signal.json"
    record = registry.run("initialization", small=True, progress=False, out=out)
    stored = json.loads(out.read_text())
    assert {key: stored[key] for key in record} == json.loads(json.dumps(record))
    layers = stored["pictures"]["shapes"]["layers"]
    printed, source = layers["printed"], layers["source2012"]
    assert [row["layer"] for row in printed] == [
        "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"
    ]  # fmt: skip
    assert printed[0]["mean"] == source[0]["mean"], "they differ from conv3 on"
    assert source[-1]["across_images"] > 5 * printed[-1]["across_images"]
    assert source[0]["gradient_over_weight"] > 5 * printed[0]["gradient_over_weight"]


def test_unknown_experiment_and_no_seeds_are_told():
    for call in (registry.run, registry.load):
        with pytest.raises(ValueError, match="did you mean 'lrn_ablation'"):
            call("lrn_ablations")
    with pytest.raises(ValueError, match="seeds is empty; give at least one"):
        registry.run("lrn_ablation", small=True, seeds=[])


def test_missing_record_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.records, "folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="python -m alexnet_lib experiment lrn_ablation"):
        registry.load("lrn_ablation")


def test_shipped_lrn_record_adds_up():
    record = registry.load("lrn_ablation")
    assert not record["small"] and len(record["seeds"]) >= 5
    final = {}
    for name, arm in record["arms"].items():
        assert [run["seed"] for run in arm["runs"]] == record["seeds"]
        assert all(len(run["test_error"]) == record["epochs"] for run in arm["runs"])
        assert not any(run["diverged"] for run in arm["runs"])
        assert arm["rate"] == record["search"]["best"][name]
        final[name] = np.array([run["test_error"][-1] for run in arm["runs"]])
        assert arm["final_test_error_mean"] == pytest.approx(final[name].mean(), abs=1e-4)
    for arm in ("without LRN", "rescaled only"):
        gap = (final["with LRN"] - final[arm]).mean()
        difference = record["differences"][f"with LRN minus {arm}"]
        assert difference["difference_mean"] == pytest.approx(gap, abs=1e-4)
        assert f"{100 * difference['difference_mean']:+.2f} points" in registry.summary(record)
    for run in record["arms"]["rescaled only"]["runs"]:
        assert run["lrn_factor"]["lrn1"] == pytest.approx([2**-0.75] * 3, abs=1e-4)


def test_shipped_initialization_record_covers_photos():
    record = registry.load("initialization")
    assert {"shapes", "photos"} <= record["pictures"].keys()
    for measured in record["pictures"].values():
        assert set(measured["layers"]) == set(signal_propagation.INITIALIZATIONS)
        logits = {name: rows[-1]["across_images"] for name, rows in measured["layers"].items()}
        assert logits["source2012"] > 5 * logits["printed"]
    assert "std .01 everywhere, biases 1" in registry.summary(record)
