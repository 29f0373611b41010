"""Training and evaluation: what a run measures, keeps and follows."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import (
    architectures,
    augment,
    batches,
    checkpoints,
    evaluation,
    models,
    optim,
    training,
)
from alexnet_lib.datasets import ImageSet

STEPS, EPOCHS = 4, 3  # of toy_recipe on 32 images
MOMENTS = 6


def weights(model: models.Net) -> list[torch.Tensor]:
    return [p.detach() for p in model.parameters()]


def same(model: models.Net, other: models.Net) -> bool:
    return all(torch.equal(p, q) for p, q in zip(weights(model), weights(other), strict=True))


def stop_after(steps: int):
    return lambda run: len(run.losses) >= steps


# ---------------------------------------------------------------- what is kept

def test_log_and_record_hold_what_the_run_measured(whole):
    model, run, out = whole
    with open(out / "log.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == run.epochs
    record = json.loads((out / "record.json").read_text(encoding="utf-8"))
    assert record["epochs"] == run.epochs
    assert record["best"] == max(run.epochs, key=lambda row: row["val_top1"])
    assert (record["status"], record["seed"], record["network"]) == ("finished", 0, "small")
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert (record["data"], record["data_note"]) == ("toy", "made for a test")
    assert (record["train_images"], record["val_images"], record["batch_size"]) == (32, 12, 8)
    assert record["recipe"]["rate"] == 1e-3
    assert record["environment"]["packages"]["torch"]
    assert record["losses"] == [round(loss, 4) for loss in run.losses]
    assert record["seconds"] >= run.epochs[-1]["seconds"] > 0
    assert sorted(entry.name for entry in out.iterdir()) == [
        "checkpoint.safetensors", "conv1_moments.npz", "log.csv", "record.json",
    ]


def test_rows_of_the_log(whole):
    _, run, _ = whole
    assert [row["epoch"] for row in run.epochs] == [1, 2, 3]
    assert [row["step"] for row in run.epochs] == [4, 8, 12]
    assert [row["rate"] for row in run.epochs] == pytest.approx([1e-3, 1e-3, 1e-4])
    for number, row in enumerate(run.epochs):
        losses = run.losses[4 * number : 4 * number + 4]
        assert row["train_loss"] == pytest.approx(np.mean(losses), abs=5e-5)
    seconds = [row["seconds"] for row in run.epochs]
    assert seconds == sorted(seconds)


def test_the_training_share_is_that_of_its_batches(fit, toy_images, toy_spec, toy_recipe):
    spec = replace(toy_spec, layers=tuple(x for x in toy_spec.layers if x.kind != "dropout"))
    recipe = replace(toy_recipe, lr=1e-30, colour_noise=0, epochs=1)
    model, run = fit(None, recipe, spec)
    images = toy_images(32)
    mean = augment.mean_image(images.images)
    right, losses = 0, []
    with torch.no_grad():
        for x, y in batches.Batches(images, 10, 8, mean).epoch(0):
            right += int((model(x).argmax(1) == y).sum())
            losses.append(F.cross_entropy(model(x), y).item())
    assert run.epochs[0]["train_top1"] == pytest.approx(right / 32, abs=1e-4)
    assert run.losses == pytest.approx(losses, rel=1e-5)


def test_the_checkpoint_is_the_model(whole):
    model, run, out = whole
    loaded, state = checkpoints.load_model(out)
    assert same(loaded, model)
    assert state["classes"] == ["red", "green", "blue"]
    assert state["input"]["mean"].shape == (12, 12, 3)
    assert state["input"]["values"].shape == (3,)
    assert state["run"]["epoch"] == EPOCHS


def test_without_a_folder_nothing_is_written(fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, run = fit(None, filter_moments=3)
    assert run.status == "finished"
    assert list(tmp_path.iterdir()) == []


def test_without_validation_its_columns_are_empty(fit, tmp_path):
    _, run = fit(tmp_path, val=None)
    assert {row["val_top1"] for row in run.epochs} == {None}
    assert run.record()["best"] is None
    with open(tmp_path / "log.csv", newline="", encoding="utf-8") as file:
        assert {row["val_loss"] for row in csv.DictReader(file)} == {""}
    _, run = fit(tmp_path, val=None, resume=True, epochs=4)
    assert len(run.epochs) == 4


def test_the_callbacks(fit):
    seen, epochs = [], []
    _, run = fit(None, on_step=lambda run: seen.append((run.epoch, run.step)),
                 on_epoch=lambda run: epochs.append(run.epochs[-1]["epoch"]))
    assert seen == [(epoch, step) for epoch in range(EPOCHS) for step in range(1, STEPS + 1)]
    assert epochs == [1, 2, 3]


def test_what_the_caller_says_about_it_is_in_the_record(fit, tmp_path):
    _, run = fit(tmp_path, epochs=1, about={"command": "by hand", "data_from": "my/folder"})
    assert run.record()["command"] == "by hand"
    assert checkpoints.load(tmp_path)["data"] == "my/folder"


def test_weights_may_be_kept(toy_images, toy_spec, toy_recipe):
    model = models.build(toy_spec, seed=5)
    before = [p.clone() for p in weights(model)]
    recipe = replace(toy_recipe, lr=1e-30, epochs=1)
    training.fit(model, toy_images(32), None, recipe, initialize=False)
    for old, new in zip(before, weights(model), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-20)
    training.fit(model, toy_images(32), None, recipe)
    assert not torch.equal(before[0], weights(model)[0])


def test_it_learns(fit, toy_recipe, toy_images, toy_spec):
    spec = replace(toy_spec, layers=tuple(x for x in toy_spec.layers if x.kind != "dropout"))
    recipe = replace(toy_recipe, epochs=6, lr=1e-2, milestones=(0.8,))
    model, run = fit(None, recipe, spec, train=toy_images(96))
    assert run.losses[0] > 2 * np.mean(run.losses[-12:])
    assert run.epochs[-1]["val_top1"] > 0.9


# ---------------------------------------------------------------- filters over time

def test_pictures_of_the_filters(whole, fit):
    _, run, out = whole
    with np.load(out / "conv1_moments.npz") as moments:
        steps, filters = moments["steps"].tolist(), moments["filters"]
    share = np.linspace(0, 1, MOMENTS) ** 2
    assert steps == sorted(set(np.round(share * EPOCHS * STEPS).astype(int).tolist()))
    assert (filters.shape, filters.dtype) == ((len(steps), 4, 5, 5, 3), np.uint8)
    last = whole[0].stage("conv1").weight.detach().permute(0, 2, 3, 1).numpy()
    expected = 127.5 + 127.5 * last / np.abs(last).max()
    np.testing.assert_allclose(filters[-1], expected, atol=0.51)
    assert (filters[0] != filters[-1]).any()


def test_pictures_of_another_run_are_not_kept(fit, tmp_path):
    black = np.zeros((2, 4, 5, 5, 3), np.uint8)
    np.savez(tmp_path / "conv1_moments.npz", steps=[0, 1], filters=black)
    fit(tmp_path, epochs=1, filter_moments=3)
    with np.load(tmp_path / "conv1_moments.npz") as moments:
        assert moments["steps"].tolist() == [0, 1, 4]
        assert all(len(np.unique(filters)) > 1 for filters in moments["filters"])


# ---------------------------------------------------------------- rates

def rates_of(fit, **options) -> tuple[list[float], training.Run]:
    seen = []
    original = optim.SGD2012.step

    def note(self, closure=None):
        seen.append(self.param_groups[0]["lr"])
        return original(self, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optim.SGD2012, "step", note)
        _, run = fit(**options)
    return seen, run


def test_a_rate_by_hand_overrides_the_schedule_and_is_in_the_diary(fit, tmp_path):
    seen, run = rates_of(fit, out=tmp_path, on_step=stop_after(6))
    assert seen == pytest.approx([1e-3] * 6)
    assert run.diary == []
    seen, run = rates_of(fit, out=tmp_path, resume=True, lr=3e-5, on_step=stop_after(8))
    assert seen == pytest.approx([3e-5] * 2)
    assert run.diary == [[1.5, 3e-5]]
    seen, run = rates_of(fit, out=tmp_path, resume=True, lr=2e-5)
    assert seen == pytest.approx([2e-5] * 4)
    assert run.diary == [[1.5, 3e-5], [2.0, 2e-5]]
    assert [row["rate"] for row in run.epochs] == pytest.approx([1e-3, 3e-5, 2e-5])
    assert json.loads((tmp_path / "record.json").read_text())["diary"] == run.diary


def test_a_rate_from_the_start(fit):
    seen, run = rates_of(fit, lr=2e-4)
    assert seen == pytest.approx([2e-4] * 12)
    assert run.diary == [[0.0, 2e-4]]


def test_the_plateau_watches_the_validation_error(fit, toy_recipe, tmp_path):
    recipe = replace(toy_recipe, schedule="plateau", lr=1e-12, patience=2, epochs=7)
    seen, run = rates_of(fit, recipe=recipe)  # at such a rate the error never changes
    falls = [run.epochs[i]["rate"] for i in range(7)]
    assert falls == pytest.approx([1e-12] * 3 + [1e-13] * 2 + [1e-14] * 2, rel=1e-6)
    fit(tmp_path, recipe, on_step=stop_after(10))
    _, resumed = fit(tmp_path, recipe, resume=True)
    assert [row["rate"] for row in resumed.epochs] == falls


def test_biases_learn_at_their_own_rate(fit, toy_recipe, toy_spec):
    recipe = replace(toy_recipe, epochs=1, batch_size=32, bias_lr=4.0, milestones=())
    moved = {}
    for bias_lr in (1.0, 4.0):
        model, _ = fit(None, replace(recipe, bias_lr=bias_lr))
        start = models.build(toy_spec, seed=0)
        moved[bias_lr] = (
            model.stage("fc").bias - start.stage("fc").bias,
            model.stage("fc").weight - start.stage("fc").weight,
        )
    torch.testing.assert_close(moved[4.0][0], 4 * moved[1.0][0], rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(moved[4.0][1], moved[1.0][1])


# ---------------------------------------------------------------- evaluation

def many_classes(count: int = 20, classes: int = 8) -> ImageSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)
    names = [f"class {i}" for i in range(classes)]
    return ImageSet(images, np.arange(count) % classes, names, "noise", "val")


def quiet_network() -> models.Net:
    """A network whose probabilities are neither 0 nor 1, so that no two are the same."""
    model = models.build(architectures.small_network(10, 3, 8, (4,)), seed=0)
    with torch.no_grad():
        model.stage("fc").weight.mul_(0.02)
    return model


@pytest.mark.parametrize("ten_crop", [False, True])
def test_evaluation_is_what_numpy_counts(ten_crop):  # G9
    images = many_classes()
    model = quiet_network().train()
    mean = augment.mean_image(images.images)
    result = training.evaluate(model, images, mean, ten_crop)
    assert model.training
    places = [(1, 1)]
    if ten_crop:
        places = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    views = []
    for top, left in places:
        crop = images.images[:, top : top + 10, left : left + 10].astype(np.float32)
        for view in (crop, crop[:, :, ::-1]) if ten_crop else (crop,):
            views.append(view - mean.numpy()[1:11, 1:11])  # the mean isn't mirrored
    model.eval()
    with torch.no_grad():
        probabilities = np.mean([
            model(torch.from_numpy(view.transpose(0, 3, 1, 2).copy())).softmax(1).numpy()
            for view in views
        ], axis=0)
    own = probabilities[np.arange(20), images.labels]
    ranks = (probabilities > own[:, None]).sum(axis=1)
    assert result["predictions"] == probabilities.argmax(axis=1).tolist()
    assert result["top1"] == (ranks == 0).mean()
    assert result["top5"] == (ranks < 5).mean()
    assert 0 < result["top1"] < result["top5"] < 1
    for batch_size in (7, 128):  # and what it makes of each picture
        found = evaluation.probabilities(model.train(), images, mean, ten_crop, batch_size)
        assert model.training and np.allclose(found, probabilities, atol=1e-5)
    assert result["loss"] == pytest.approx(-np.log(own).mean(), rel=1e-5)
    assert result["count"] == 20


@pytest.mark.parametrize("ten_crop", [False, True])
def test_evaluation_doesn_t_depend_on_the_batch_size(ten_crop):
    images = many_classes()
    model = quiet_network()
    mean = augment.mean_image(images.images)
    results = [
        training.evaluate(model, images, mean, ten_crop, batch_size) for batch_size in (1, 7, 128)
    ]
    for result in results[1:]:
        assert result["predictions"] == results[0]["predictions"]
        assert result["loss"] == pytest.approx(results[0]["loss"], rel=1e-5)


def test_a_broken_evaluation_leaves_the_mode_as_it_was(toy_images, toy_spec):
    model = models.build(toy_spec, seed=0).train()
    with pytest.raises(RuntimeError):
        training.evaluate(model, toy_images(8), torch.zeros(5))  # a mean of five colours
    assert model.training
