"""The pooling experiment: comparable networks, a record that adds up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import models, shapes
from alexnet_lib.datasets import catalogue
from alexnet_lib.experiments import pooling as pooling_experiment
from alexnet_lib.experiments import registry

ARMS = list(pooling_experiment.ARMS)


def test_windows_of_two_and_three_give_networks_of_equal_size():
    arms = pooling_experiment.networks_to_compare(3)
    assert list(arms) == ARMS == ["z=2, s=2", "z=3, s=3", "z=3, s=2"]
    rows = {
        name: [(row.name, row.output, row.parameters) for row in shapes.walk(spec)]
        for name, spec in arms.items()
    }
    assert rows["z=2, s=2"] == rows["z=3, s=2"] != rows["z=3, s=3"]
    nets = [models.Net(spec).initialize(3) for spec in arms.values()]
    for name, value in nets[0].state_dict().items():
        assert torch.equal(value, nets[2].state_dict()[name])
        if not name.startswith("classifier"):
            assert torch.equal(value, nets[1].state_dict()[name])
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(nets[0](x), nets[2](x))


def test_shipped_record_adds_up():
    record = registry.load("pooling")
    assert not record["small"] and len(record["seeds"]) >= 5 and record["data"] == "cifar10"
    test, train = {}, {}
    for name in ARMS:
        arm = record["arms"][name]
        assert [run["seed"] for run in arm["runs"]] == record["seeds"]
        assert all(len(run["test_error"]) == record["epochs"] for run in arm["runs"])
        assert not any(run["diverged"] for run in arm["runs"])
        assert arm["rate"] == record["search"]["best"][name]
        test[name] = np.array([run["test_error"][-1] for run in arm["runs"]])
        train[name] = np.array([run["train_error_after"] for run in arm["runs"]])
        assert arm["final_test_error_mean"] == pytest.approx(test[name].mean(), abs=1e-4)
        assert arm["train_error_after_std"] == pytest.approx(train[name].std(ddof=1), abs=1e-4)
        gap = record["overfitting"]["arms"][name]
        assert gap["gap_mean"] == pytest.approx((test[name] - train[name]).mean(), abs=1e-4)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        label = f"{ARMS[other]} minus {ARMS[one]}"
        each = test[ARMS[other]] - test[ARMS[one]]
        difference = record["differences"][label]
        np.testing.assert_allclose(difference["each"], each, atol=1e-4)
        assert difference["difference_std"] == pytest.approx(each.std(ddof=1), abs=1e-4)
        said = f"{label}: test error {100 * each.mean():+.1f} points"
        assert said in registry.summary(record)
    assert record["parameters"]["z=2, s=2"] == record["parameters"]["z=3, s=2"]
    assert record["maps"] == {"z=2, s=2": [16, 8, 4], "z=3, s=3": [11, 4, 2],
                              "z=3, s=2": [16, 8, 4]}  # fmt: skip


def test_shipped_record_says_what_the_chapter_says():
    record = registry.load("pooling")
    apart, smaller, overlapping = (record["arms"][name] for name in ARMS)
    each = record["differences"]["z=3, s=2 minus z=2, s=2"]["each"]
    assert max(each) < 0, "the test error falls with every seed"
    assert overlapping["train_error_after_mean"] > 1.5 * apart["train_error_after_mean"]
    gaps = record["overfitting"]["arms"]
    assert gaps["z=3, s=3"]["gap_mean"] < gaps["z=2, s=2"]["gap_mean"] - 0.02
    even = record["differences"]["z=3, s=3 minus z=2, s=2"]
    assert abs(even["difference_mean"]) < even["difference_std"], "it gains nothing on the test"
    assert smaller["rate"] in record["search"]["rates"][1:-1], "not at an end of the search"
    assert overlapping["rate"] in record["search"]["rates"][1:-1]
    control = record["same_rate"]
    assert control["rate"] == apart["rate"] != overlapping["rate"]
    last = [[run["test_error"][-1] for run in arm["runs"]] for arm in (control, apart)]
    assert all(one < other for one, other in zip(*last, strict=True))
    assert overlapping["train_error_after_mean"] > control["train_error_after_mean"]
    assert control["train_error_after_mean"] > 1.5 * apart["train_error_after_mean"]
    first, second = sorted(record["search"]["held_out_error"]["z=3, s=2"])[:2]
    assert second - first < 2 / record["search"]["held_out_images"], "the search was close"


def test_control_at_the_same_rate_is_trained_where_rates_differ(monkeypatch):
    few = catalogue.load("fashion_mnist", "train", size=32, limit=64)
    monkeypatch.setattr(pooling_experiment, "_images", lambda small: (few, few))
    lrs = {"z=2, s=2": 0.003, "z=3, s=3": 0.003, "z=3, s=2": 0.001}
    monkeypatch.setattr(pooling_experiment, "SMALL_LRS", lrs)
    results = pooling_experiment.run(True, (0,), lambda text: None)
    assert results["same_rate"]["rate"] == 0.003 != results["arms"]["z=3, s=2"]["rate"]
    monkeypatch.setattr(pooling_experiment, "SMALL_LRS", dict.fromkeys(lrs, 0.003))
    again = pooling_experiment.run(True, (0,), lambda text: None)
    assert again["same_rate"] is None
    assert again["arms"]["z=3, s=2"] == results["same_rate"]
