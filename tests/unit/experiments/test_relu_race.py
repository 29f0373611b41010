"""ReLU against tanh: epochs to an error counted right, and what ships adds up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, augment, batches, datasets
from alexnet_lib.experiments import arms as arms_experiment
from alexnet_lib.experiments import registry, relu_race


@pytest.fixture(scope="module")
def few():
    return datasets.load("fashion_mnist", "train", limit=256)


def arm(activation="relu", initialization="by fan-in"):
    return relu_race.Arm(architectures.small_network(channels=(8, 8, 8), activation=activation),
                         initialization)  # fmt: skip


def test_first_weights_are_as_told():
    nets = {name: arm(initialization=name).build(0) for name in relu_race.INITIAL_STD}
    for name, want in (("conv1", 1 / 5), ("conv2", 1 / 200**0.5)):
        assert nets["by fan-in"].stage(name).weight.std().item() == pytest.approx(want, rel=0.15)
        assert nets["fixed"].stage(name).weight.std().item() == pytest.approx(0.01, rel=0.15)
        assert not nets["fixed"].stage(name).bias.any()


def test_race_is_plain_gradient_descent_without_regularization(few):
    """One epoch by torch's own SGD gives the same error."""
    race = relu_race.train_to_target(arm(), 0.01, 3, few, target=0.0, cap=1)
    net = arm().build(3)
    x = augment.to_input(torch.from_numpy(np.array(few.images)), augment.mean_image(few.images))
    x, y = x / x.std(), torch.from_numpy(np.array(few.labels))
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    order = torch.from_numpy(np.array(batches.sample_order(3, 0, len(few))))
    for chosen in order.split(64):
        optimizer.zero_grad()
        F.cross_entropy(net(x[chosen]), y[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        error = (net(x).argmax(1) != y).float().mean().item()
    assert race["train_error"][1] == pytest.approx(error, abs=0.009)
    assert race["train_error"][0] > 0.8 and race["epochs"] is None and not race["diverged"]
    assert relu_race.epochs_needed(race) == "more than 1"


def test_divergence_ends_a_race(few):
    race = relu_race.train_to_target(arm(), 1e6, 0, few, target=0.1, cap=5)
    assert race["diverged"] and race["epochs"] is None
    assert race["train_error"][-1] == 1.0 and len(race["train_error"]) < 6


def test_search_ends_each_run_where_the_best_ended(few):
    cache = arms_experiment.ResultCache(None, {})
    lrs = (0.001, 0.01, 0.1)
    found = relu_race.fastest_lrs({"ReLU": arm()}, lrs, few, 0.5, 9, cache)["ReLU"]
    by_rate = dict(zip(found["rates"], found["races"], strict=True))
    assert [race["rate"] for race in found["races"]] == list(lrs)
    fastest = min(race["epochs"] or 99 for race in found["races"])
    assert by_rate[found["best"]]["epochs"] == fastest < 9
    middle = int(np.ceil(by_rate[0.01]["epochs"]))
    assert len(by_rate[0.001]["train_error"]) - 1 <= middle


def test_capped_runs_are_kept_and_said():
    def finished(*epochs):
        runs = [
            {"epochs": each, "train_error": [0.9] * (1 + round(each or relu_race.NARROW.cap))}
            for each in epochs
        ]
        return {"runs": runs, "unfinished": sum(each is None for each in epochs), "rate": 0.01,
                "epochs_mean": 1.0}  # fmt: skip

    slow, fast = finished(None, 20.0), finished(10.0, 10.0)
    ratio = relu_race._ratio(slow, fast, 40)
    assert ratio["each"] == [4.0, 2.0] and ratio["bound"] == "more than"
    assert relu_race._ratio(fast, slow, 40)["bound"] == "less than"
    assert relu_race._ratio(slow, slow, 40)["bound"] == "unknown"
    record = {"target": 0.25, "train_images": 9, "data_note": "made up", "arms": {"tanh": slow},
              "ratios": {"tanh over ReLU": ratio}, "paper": "six times"}  # fmt: skip
    said = relu_race.sentence(record)
    assert f"more than {relu_race.NARROW.cap}, 20.0; mean at least" in said
    assert "tanh over ReLU: more than 3.00 times the epochs" in said
    assert said.endswith("The paper, tanh over ReLU: six times")


def test_small_version_reaches_its_target(small_run):
    record = small_run("relu")
    assert set(record["arms"]) == {"ReLU", "tanh"} and record["data"] == "fashion_mnist"
    assert all(arm["unfinished"] == 0 for arm in record["arms"].values())
    assert "15% training error on 128 images" in registry.summary(record)


def test_shipped_record_adds_up():
    record = registry.load("relu")
    assert not record["small"] and len(record["seeds"]) >= 3 and record["data"] == "cifar10"
    assert record["target"] == 0.25 and "no weight decay" in record["recipe"]
    for name, arm in record["arms"].items():
        search = record["search"][name]
        assert search["rates"] == list(relu_race.NARROW.lrs), "the same grid for all"
        assert arm["rate"] == search["best"]
        counts = {race["rate"]: race["epochs"] for race in search["races"]}
        reached = [epochs for epochs in counts.values() if epochs is not None]
        assert not reached or counts[arm["rate"]] == min(reached)
        assert [run["seed"] for run in arm["runs"]] == record["seeds"]
        for run in arm["runs"]:
            epochs = arms_experiment.epochs_to(0.25, run["train_error"])
            assert run["epochs"] == (None if epochs is None else pytest.approx(epochs, abs=0.01))
            reached_it = min(run["train_error"]) <= 0.25
            assert reached_it or len(run["train_error"]) == record["cap"] + 1 or run["diverged"]
        epochs = [record["cap"] if run["epochs"] is None else run["epochs"] for run in arm["runs"]]
        assert arm["epochs_mean"] == pytest.approx(np.mean(epochs), abs=1e-4)
    for name, ratio in record["ratios"].items():
        slow, fast = (record["arms"][arm]["runs"] for arm in relu_race.RATIOS[name])
        slow, fast = ([run["epochs"] or record["cap"] for run in runs] for runs in (slow, fast))
        each = np.divide(slow, fast)
        assert ratio["each"] == pytest.approx(each, abs=1e-3)
    assert record["environment"]["hardware"]["cores"]


def test_the_chapters_words_on_the_race_hold():
    record = registry.load("relu")
    epochs = {name: arm["epochs_mean"] for name, arm in record["arms"].items()}
    lrs = {name: arm["rate"] for name, arm in record["arms"].items()}
    for ratio in record["ratios"].values():
        assert ratio["ratio_mean"] < 1 and not ratio["bound"]
    assert lrs["tanh"] > lrs["ReLU"] and lrs["tanh, std .01"] > lrs["ReLU, std .01"]
    for name in ("ReLU", "tanh"):
        by_weights = epochs[f"{name}, std .01"] - epochs[name]
        assert by_weights > abs(epochs["ReLU"] - epochs["tanh"])
    assert all(search["races"][0]["rate"] < search["best"] < search["races"][-1]["rate"]
               for search in record["search"].values()), "no best rate at an end of the list"
