"""The overfitting experiment: arms that differ in one thing, a record that adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_lib import datasets, models, records, shapes
from alexnet_lib.datasets import catalogue
from alexnet_lib.experiments import overfitting, registry

ARMS = list(overfitting.ARMS)


@pytest.fixture(scope="module")
def few():
    """Return a few coloured pictures to learn from, and a few others."""
    return (catalogue.load("shapes", "train", size=32, limit=80),
            catalogue.load("shapes", "val", size=32, limit=40))  # fmt: skip


def test_dropout_is_all_that_sets_the_networks_apart():
    plain, dropped = (models.Net(overfitting.network(on)).initialize(3, he=True)
                      for on in (False, True))  # fmt: skip
    for name, value in plain.state_dict().items():
        assert torch.equal(value, dropped.state_dict()[name])
    kinds = [layer.kind for layer in overfitting.network(True).layers]
    assert kinds.count("dropout") == 2 and kinds[-1] == "fc"
    x = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    dropped.eval()
    halved = plain.classifier.fc6(plain.features(x).flatten(1)).relu() / 2
    halved = plain.classifier.fc7(halved).relu() / 2
    torch.testing.assert_close(dropped(x), plain.classifier.fc8(halved))


def test_shuffled_labels_keep_the_counts_and_lose_the_pictures(few):
    train, _ = few
    shuffled = overfitting.shuffled_labels(train, 0)
    assert (np.bincount(shuffled.labels) == np.bincount(train.labels)).all()
    assert (shuffled.labels != train.labels).mean() > 0.6
    assert (shuffled.labels == overfitting.shuffled_labels(train, 0).labels).all()
    assert (shuffled.labels != overfitting.shuffled_labels(train, 1).labels).any()


def test_run_is_reproducible_and_every_arm_differs(few):
    runs = [overfitting.train_arm(arm, 0.01, 0, 4, *few) for arm in overfitting.ARMS.values()]
    again = overfitting.train_arm(overfitting.ARMS["all"], 0.01, 0, 4, *few)
    times = {"seconds": 0}
    assert again | times == runs[-1] | times
    assert len({tuple(run["train_loss"]) for run in runs}) == len(ARMS)
    starts = {run["train_error"][0] for run in runs}
    assert len(starts) == 1, "before training dropout's factors change no answer: no biases yet"
    assert all(len(run["test_loss"]) == 3 for run in runs)


def test_plain_arm_sees_the_centre_alone(few):
    """Pictures whose borders are erased teach the plain network the very same."""
    train, test = few
    cut = train.images.copy()
    cut[:, :2], cut[:, -2:], cut[:, :, :2], cut[:, :, -2:] = 0, 0, 0, 0
    bare = replace(train, images=cut)
    runs = {}
    for name in ("plain", "crops and flips"):
        runs[name] = [overfitting.train_arm(overfitting.ARMS[name], 0.01, 0, 2, images, test)
                      for images in (train, bare)]  # fmt: skip
    one, other = runs["plain"]
    assert one["train_loss"] == other["train_loss"]
    one, other = runs["crops and flips"]
    assert one["train_loss"] != other["train_loss"]


def test_until_ends_a_run_and_divergence_counts_as_error(few):
    train, test = few
    run = overfitting.train_arm(overfitting.ARMS["plain"], 0.01, 0, 200, train, test, until=0.02)
    assert run["train_error"][-1] <= 0.02 < run["train_error"][-2]
    assert len(run["train_error"]) < 101
    lost = overfitting.train_arm(overfitting.ARMS["plain"], 1e6, 0, 6, train, test)
    assert lost["diverged"] and lost["test_error"][-1] == 1.0 and len(lost["test_error"]) == 4


def test_ten_views_average_probabilities(few):
    train, test = few
    net = models.Net(overfitting.network(False)).initialize(0, he=True)
    mean, scale = torch.full((32, 32, 3), 100.0), 60.0
    want = 0
    for image, label in zip(test.images, test.labels, strict=True):
        answers = []
        for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)):
            crop = torch.from_numpy(image[top : top + 28, left : left + 28].copy())
            for view in (crop, crop.flip(1)):
                x = (view.float() - 100).permute(2, 0, 1)[None] / scale
                answers.append(net(x).softmax(1))
        want += int(torch.cat(answers).mean(0).argmax() != label)
    got = overfitting.ten_view_error(net, test, mean, scale)
    assert got == pytest.approx(want / len(test))


def test_small_version_has_every_arm_and_says_what_it_found(small_run):
    record = small_run("overfitting")
    assert list(record["arms"]) == ARMS
    assert "over 4 with the right labels" in registry.summary(record)


def test_experiment_goes_on_where_it_stopped(tmp_path, monkeypatch, few):
    monkeypatch.setattr(datasets, "load", lambda name, split, **options: few[split != "train"])
    monkeypatch.setattr(overfitting, "EPOCHS", 2)
    monkeypatch.setattr(overfitting, "SEARCH_EPOCHS", 2)
    monkeypatch.setattr(overfitting, "HELD_OUT", 10)
    monkeypatch.setattr(overfitting, "CAP", 2)
    monkeypatch.setattr(records, "root", lambda: tmp_path)
    told: list[str] = []
    first = overfitting.run(False, (0,), told.append)
    assert any("seed 0" in line for line in told)
    told.clear()
    both = overfitting.run(False, (0, 1), told.append)
    assert told and not any("seed 0" in line or "choosing" in line for line in told)
    for name in ARMS:
        assert both["arms"][name]["runs"][0] == first["arms"][name]["runs"][0]


def test_shipped_record_adds_up():
    record = registry.load("overfitting")
    assert not record["small"] and len(record["seeds"]) >= 3 and record["data"] == "cifar10"
    assert list(record["arms"]) == ARMS
    spec = overfitting.network(dropout=False)
    assert record["parameters"] == shapes.totals(spec).parameters
    points = record["epochs"] // record["measured_every"] + 1
    last = {}
    for name, arm in record["arms"].items():
        assert [run["seed"] for run in arm["runs"]] == record["seeds"]
        for run in arm["runs"]:
            lengths = {len(run[key]) for key in run if key.startswith(("train_", "test_"))}
            assert lengths == {points} and not run["diverged"]
            assert run["rate"] == arm["rate"] == record["search"]["best"][name]
        last[name] = np.array([run["test_error"][-1] for run in arm["runs"]])
        assert arm["final_test_error_mean"] == pytest.approx(last[name].mean(), abs=1e-4)
        assert arm["final_test_error_std"] == pytest.approx(last[name].std(ddof=1), abs=1e-4)
        errors = record["search"]["held_out_error"][name]
        assert record["search"]["rates"][int(np.argmin(errors))] == arm["rate"]
        found = record["differences"].get(f"{name} minus plain")
        assert (found is None) == (name == "plain")
        if found:
            np.testing.assert_allclose(found["each"], last[name] - last["plain"], atol=1e-4)


def test_shipped_record_says_what_the_chapter_says():
    record = registry.load("overfitting")
    arms, differences = record["arms"], record["differences"]
    assert arms["plain"]["train_error_after_mean"] < 0.001
    assert arms["plain"]["final_test_error_mean"] > 0.5
    for name in ("crops and flips", "dropout"):
        found = differences[f"{name} minus plain"]
        assert max(found["each"]) < 0 and -found["difference_mean"] > found["difference_std"]
        together = differences[f"all minus {name}"]
        assert together["difference_mean"] < 0
    crops, dropout = (differences[f"{name} minus plain"] for name in ("crops and flips", "dropout"))
    assert crops["difference_mean"] < dropout["difference_mean"]
    colour = differences["colour noise minus plain"]
    assert abs(colour["difference_mean"]) < colour["difference_std"]
    assert all(2 < ratio["ratio_mean"] < 4
               for ratio in record["iterations"]["dropout_over_plain"].values())  # fmt: skip
    steps = record["iterations"]["arms"]
    assert min(steps["crops and flips"]["0.5"]) > 2 * max(steps["plain"]["0.5"])
    shuffled = record["shuffled_labels"]
    assert all(shuffled["epochs"]), "all are learned by heart"
    ratio = np.mean(shuffled["epochs"]) / np.mean(shuffled["epochs_true_labels"])
    assert 1 < ratio < 1.6, "in a little more time"
    gains = {name: arm["ten_views_minus_centre_mean"] for name, arm in arms.items()}
    assert max(gains.values()) == gains["all"] < 0
    plain, everything = (arms[name]["runs"] for name in ("plain", "all"))
    assert all(run["test_loss"][-1] > min(run["test_loss"]) + 1 for run in plain)
    assert all(run["test_loss"][-1] < 1.1 * min(run["test_loss"]) for run in everything)
    lrs = record["search"]["rates"]
    assert all(arm["rate"] in lrs[1:-1] for arm in arms.values()), "at no end of the search"


def test_iterations_are_counted_between_two_measurements():
    record = registry.load("overfitting")
    steps = record["iterations"]["steps_an_epoch"]
    assert steps == -(-record["train_images"] // 64)
    for name, arm in record["arms"].items():
        for run, count in zip(arm["runs"], record["iterations"]["arms"][name]["0.5"], strict=True):
            below = [i for i, loss in enumerate(run["train_loss"]) if loss <= 0.5]
            assert (count is None) == (not below)
            if below:
                after = below[0] * record["measured_every"] * steps
                assert after - record["measured_every"] * steps <= count <= after
