"""Training and evaluation: resumable to the bit, recorded as it was, clear when it can't go on."""

from __future__ import annotations

import csv
import json
import math
import signal
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import augment, batches, checkpoints, models, networks, optim, paper, training
from alexnet_lib.packing import ImageSet

STEPS, EPOCHS = 4, 3  # of toy_recipe on 32 images
MOMENTS = 6


@pytest.fixture(scope="module")
def fit(toy_images, toy_spec, toy_recipe):
    """fit(out, ...) trains the toy network, as the toy recipe says where nothing else is given."""
    train, val = toy_images(32), toy_images(12, "val")

    def run(out=None, recipe=toy_recipe, spec=toy_spec, train=train, val=val, **options):
        model = models.build(spec, seed=77)  # fit initializes it anew, unless it resumes
        return model, training.fit(model, train, val, recipe, out=out, **options)

    return run


@pytest.fixture(scope="module")
def whole(fit, tmp_path_factory):
    """A run that nobody stopped: its model, its state and its folder."""
    out = tmp_path_factory.mktemp("whole")
    model, run = fit(out, filter_moments=MOMENTS)
    return model, run, out


def weights(model: models.Net) -> list[torch.Tensor]:
    return [p.detach() for p in model.parameters()]


def same(model: models.Net, other: models.Net) -> bool:
    return all(torch.equal(p, q) for p, q in zip(weights(model), weights(other), strict=True))


def timeless(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def stop_after(steps: int):
    return lambda run: len(run.losses) >= steps


# ---------------------------------------------------------------- stop and go on

@pytest.mark.parametrize("stops", [[1], [3], [4], [5], [8], [11], [12], [2, 3, 9]], ids=str)
def test_a_stopped_run_goes_on_as_if_it_never_had(fit, whole, tmp_path, stops):
    model, run = fit(tmp_path, filter_moments=MOMENTS, on_step=stop_after(stops[0]))
    for stop in [*stops[1:], None]:
        assert run.status == "stopped"
        assert len(run.losses) == (stops[0] if stop is stops[1:] else len(run.losses))
        torch.manual_seed(0), np.random.seed(0)
        on_step = None if stop is None else stop_after(stop)
        model, run = fit(tmp_path, resume=True, on_step=on_step, seed=123)
    expected_model, expected, out = whole
    assert same(model, expected_model)
    assert run.losses == expected.losses
    assert timeless(run.epochs) == timeless(expected.epochs)
    assert (run.status, run.epoch, run.seed) == ("finished", EPOCHS, 0)
    ours, theirs = (np.load(folder / "conv1_moments.npz") for folder in (tmp_path, out))
    assert ours["steps"].tolist() == theirs["steps"].tolist()
    assert (ours["filters"] == theirs["filters"]).all()


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(fit, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)  # one after every step

    def die(run):
        if len(run.losses) == 7:
            raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        fit(tmp_path, on_step=die)
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["status"], len(record["losses"])) == ("running", 6)
    model, run = fit(tmp_path, resume=True)
    assert same(model, whole[0])
    assert run.losses == whole[1].losses


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_other_recipes_go_on_as_well(fit, toy_recipe, tmp_path, schedule):
    recipe = replace(
        toy_recipe, schedule=schedule, patience=1, warmup=0.2, nesterov=True, label_smoothing=0.1,
        initialization="he", rate=1e-4,
    )
    whole, expected = fit(tmp_path / "whole", recipe)
    fit(tmp_path / "parts", recipe, on_step=stop_after(6))
    model, run = fit(tmp_path / "parts", recipe, resume=True)
    assert same(model, whole)
    assert timeless(run.epochs) == timeless(expected.epochs)


def test_a_run_of_the_first_format_goes_on(fit, whole, tmp_path, toy_spec, monkeypatch):
    monkeypatch.setitem(networks.VARIANTS, "small", lambda num_classes: toy_spec)
    model, _ = fit(tmp_path, on_step=stop_after(6))
    state = checkpoints.load(tmp_path)
    names = [name for name, _ in model.named_parameters()]
    order = sorted(names, key=lambda name: name.endswith("bias"))
    velocity = state.pop("velocity")
    state["run"]["losses"] = state["run"]["losses"].tolist()
    state["model"] = model.state_dict()  # in its own order, as torch.save kept it
    for name in ("batch_size", "train_images", "filter_moments"):
        del state[name]
    state |= {
        "format": 1, "network": {"kind": "small", "num_classes": 3},
        "optimizer": {"state": {i: {"velocity": velocity[n]} for i, n in enumerate(order)}},
    }
    (tmp_path / checkpoints.NAME).unlink()
    torch.save(state, tmp_path / "checkpoint.pt")
    model, run = fit(tmp_path, resume=True)
    assert same(model, whole[0])
    assert run.losses == whole[1].losses


def test_the_same_seed_gives_the_same_run_and_another_another(fit, whole):
    model, run = fit()
    assert same(model, whole[0])
    assert run.losses == whole[1].losses
    assert fit(seed=1)[1].losses != run.losses


def test_resuming_takes_the_run_s_own_length_and_batch_size(fit, tmp_path):
    fit(tmp_path, epochs=2, batch_size=16, on_step=stop_after(1))
    _, run = fit(tmp_path, resume=True)
    assert (run.total_epochs, len(run.losses), run.about["batch_size"]) == (2, 4, 16)
    _, run = fit(tmp_path, resume=True, epochs=4)  # a finished run may be made longer
    assert (len(run.epochs), len(run.losses), run.status) == (4, 8, "finished")


# ---------------------------------------------------------------- Ctrl-C

def test_ctrl_c_keeps_a_checkpoint(fit, whole, tmp_path):
    def press(run):
        if len(run.losses) == 5:
            raise KeyboardInterrupt

    model, run = fit(tmp_path, on_step=press)
    assert (run.status, run.epoch, run.step) == ("stopped", 1, 1)
    assert json.loads((tmp_path / "record.json").read_text())["status"] == "stopped"
    model, run = fit(tmp_path, resume=True)
    assert same(model, whole[0])
    assert run.losses == whole[1].losses


def test_ctrl_c_within_a_step_waits_for_its_end(fit, whole, tmp_path, monkeypatch):
    step, calls = optim.SGD2012.step, []

    def interrupted(self, closure=None):
        calls.append(None)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
        return step(self, closure)

    monkeypatch.setattr(optim.SGD2012, "step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    _, run = fit(tmp_path)
    assert (run.status, len(run.losses)) == ("stopped", 6)
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    model, run = fit(tmp_path, resume=True)
    assert same(model, whole[0])


def test_ctrl_c_while_evaluating(fit, whole, tmp_path, monkeypatch):
    def press(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "evaluate", press)
    _, run = fit(tmp_path)
    assert (run.status, run.epoch, run.step, run.epochs) == ("stopped", 0, STEPS, [])
    monkeypatch.undo()
    model, run = fit(tmp_path, resume=True)
    assert same(model, whole[0])
    assert timeless(run.epochs) == timeless(whole[1].epochs)


def test_ctrl_c_while_saving(fit, whole, tmp_path, monkeypatch):
    write, calls = checkpoints.save_file, []

    def press(*arguments, **options):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(*arguments, **options)

    monkeypatch.setattr(checkpoints, "save_file", press)
    _, run = fit(tmp_path)
    assert (run.status, run.epoch) == ("stopped", 2)
    model, run = fit(tmp_path, resume=True)
    assert same(model, whole[0])


def test_training_works_off_the_main_thread(fit, whole):
    results = []
    thread = threading.Thread(target=lambda: results.append(fit()))
    thread.start()
    thread.join()
    assert same(results[0][0], whole[0])


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
    recipe = replace(toy_recipe, rate=1e-30, colour_noise=0, epochs=1)
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
    recipe = replace(toy_recipe, rate=1e-30, epochs=1)
    training.fit(model, toy_images(32), None, recipe, initialize=False)
    for old, new in zip(before, weights(model), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-20)
    training.fit(model, toy_images(32), None, recipe)
    assert not torch.equal(before[0], weights(model)[0])


def test_it_learns(fit, toy_recipe, toy_images, toy_spec):
    spec = replace(toy_spec, layers=tuple(x for x in toy_spec.layers if x.kind != "dropout"))
    recipe = replace(toy_recipe, epochs=6, rate=1e-2, milestones=(0.8,))
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
    seen, run = rates_of(fit, out=tmp_path, resume=True, rate=3e-5, on_step=stop_after(8))
    assert seen == pytest.approx([3e-5] * 2)
    assert run.diary == [[1.5, 3e-5]]
    seen, run = rates_of(fit, out=tmp_path, resume=True, rate=2e-5)
    assert seen == pytest.approx([2e-5] * 4)
    assert run.diary == [[1.5, 3e-5], [2.0, 2e-5]]
    assert [row["rate"] for row in run.epochs] == pytest.approx([1e-3, 3e-5, 2e-5])
    assert json.loads((tmp_path / "record.json").read_text())["diary"] == run.diary


def test_a_rate_from_the_start(fit):
    seen, run = rates_of(fit, rate=2e-4)
    assert seen == pytest.approx([2e-4] * 12)
    assert run.diary == [[0.0, 2e-4]]


def test_the_plateau_watches_the_validation_error(fit, toy_recipe, tmp_path):
    recipe = replace(toy_recipe, schedule="plateau", rate=1e-12, patience=2, epochs=7)
    seen, run = rates_of(fit, recipe=recipe)  # at such a rate the error never changes
    falls = [run.epochs[i]["rate"] for i in range(7)]
    assert falls == pytest.approx([1e-12] * 3 + [1e-13] * 2 + [1e-14] * 2, rel=1e-6)
    fit(tmp_path, recipe, on_step=stop_after(10))
    _, resumed = fit(tmp_path, recipe, resume=True)
    assert [row["rate"] for row in resumed.epochs] == falls


def test_biases_learn_at_their_own_rate(fit, toy_recipe, toy_spec):
    recipe = replace(toy_recipe, epochs=1, batch_size=32, bias_rate=4.0, milestones=())
    moved = {}
    for bias_rate in (1.0, 4.0):
        model, _ = fit(None, replace(recipe, bias_rate=bias_rate))
        start = models.build(toy_spec, seed=0)
        moved[bias_rate] = (
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
    model = models.build(networks.small_network(10, 3, 8, (4,)), seed=0)
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
        crop -= mean.numpy()[1:11, 1:11]
        views += [crop, crop[:, :, ::-1]] if ten_crop else [crop]
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


# ---------------------------------------------------------------- bad input

def test_labels_that_don_t_match_the_network(fit, toy_images):
    ten = ImageSet(np.zeros((20, 12, 12, 3), np.uint8), np.arange(20) % 10,
                   list("abcdefghij"), "letters", "train")
    message = "the network has 3 classes, letters has 10; build it with num_classes=10"
    with pytest.raises(ValueError, match=message):
        fit(None, train=ten)
    with pytest.raises(ValueError, match=message):
        fit(None, val=ten)
    shuffled = replace(toy_images(12, "val"), classes=["green", "red", "blue"])
    message = "trained on other classes than toy has: 'red' there, 'green' here; give pictures of"
    with pytest.raises(ValueError, match=message):
        fit(None, val=shuffled)


def test_images_that_don_t_match_the_network(fit, toy_images):
    grey = replace(toy_images(32), images=np.zeros((32, 12, 12, 1), np.uint8))
    with pytest.raises(ValueError, match=r"takes 3 channel\(s\), the images have 1; build it with"):
        fit(None, train=grey)
    with pytest.raises(ValueError, match="takes 10 x 10 pixels, the images have 8 x 8; load them"):
        fit(None, train=toy_images(32, side=8))
    empty = toy_images(32).subset([])
    with pytest.raises(ValueError, match=r"toy \(train\) holds no images; give at least one"):
        fit(None, train=empty)
    with pytest.raises(ValueError, match=r"toy \(train\) holds no images"):
        fit(None, val=empty)


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"batch_size": 0}, {"rate": -0.1}, {"rate": 0.0}])
def test_numbers_that_make_no_sense(fit, bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be above 0"):
        fit(None, **bad)


def test_batches_larger_than_the_set(fit):
    with pytest.raises(ValueError, match="batch_size is 33, but there are 32 training images"):
        fit(None, batch_size=33)


def test_a_folder_that_holds_a_run(fit, whole):
    with pytest.raises(FileExistsError, match="already holds a run; go on with it by --resume, or"):
        fit(whole[2])


def test_resuming_what_isn_t_there(fit, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint .*; train first"):
        fit(tmp_path / "nothing", resume=True)
    with pytest.raises(ValueError, match="nothing to resume without a folder; name it with out"):
        fit(None, resume=True)


def test_resuming_with_something_else(fit, whole, toy_recipe, toy_spec, toy_images):
    out = whole[2]
    with pytest.raises(ValueError, match=r"another recipe \(momentum, nesterov differ\); resume"):
        fit(out, replace(toy_recipe, momentum=0.5, nesterov=True), resume=True)
    norm = replace(toy_spec.layer("lrn1"), k=1.0)  # as many weights, yet another network
    other = replace(toy_spec, layers=tuple(
        norm if stage.name == "lrn1" else stage for stage in toy_spec.layers
    ))
    with pytest.raises(ValueError, match="trained the network 'small'; 'small' here has other"):
        fit(out, spec=other, resume=True)
    renamed = replace(toy_images(32), classes=["red", "green", "violet"])
    with pytest.raises(ValueError, match="was trained on the classes .*blue.*violet.*same data"):
        fit(out, train=renamed, val=None, resume=True)
    with pytest.raises(ValueError, match="makes 4 steps an epoch, these 32 images in .* of 16 mak"):
        fit(out, batch_size=16, resume=True)
    with pytest.raises(ValueError, match="makes 4 steps an epoch, these 34 images in .* of 8 make"):
        fit(out, train=toy_images(34), resume=True)


def test_a_checkpoint_that_can_t_be_read_stops_the_resuming(fit, whole, tmp_path):
    data = (whole[2] / checkpoints.NAME).read_bytes()
    (tmp_path / checkpoints.NAME).write_bytes(data[:1000])
    with pytest.raises(ValueError, match="can't be read as a checkpoint"):
        fit(tmp_path, resume=True)


def test_a_loss_that_isn_t_finite_says_what_to_try(fit, tmp_path):
    message = r"the (validation )?loss is (nan|inf) in epoch \d, step \d; lower the rate \(--rate\)"
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "first", rate=1e25)
    fit(tmp_path / "later", on_step=stop_after(6))
    before = (tmp_path / "later" / checkpoints.NAME).read_bytes()
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "later", resume=True, rate=1e25)
    assert (tmp_path / "later" / checkpoints.NAME).read_bytes() == before  # still good
    assert fit(tmp_path / "later", resume=True)[1].status == "finished"


def test_a_validation_loss_that_isn_t_finite(fit, monkeypatch):
    broken = {"loss": math.nan, "top1": 0.0, "top5": 0.0}
    monkeypatch.setattr(training, "evaluate", lambda *arguments, **options: broken)
    with pytest.raises(ValueError, match="the validation loss is nan in epoch 1, step"):
        fit(None)


@pytest.mark.parametrize(("number", "words"), [(28, "no space left"), (13, "no permission")])
@pytest.mark.parametrize("where", ["checkpoint", "log", "moments"])
def test_no_space_and_no_permission(fit, tmp_path, monkeypatch, number, words, where):
    def refuse(*arguments, **options):
        raise OSError(number, f"{words}, as the system says it")

    if where == "checkpoint":
        monkeypatch.setattr(checkpoints, "save_file", refuse)
    elif where == "log":
        monkeypatch.setattr(csv.DictWriter, "writeheader", refuse)
    else:
        monkeypatch.setattr(np, "savez_compressed", refuse)
    with pytest.raises(OSError, match=f"{words}.*Free some space,? or choose another folder with"):
        fit(tmp_path, epochs=1, filter_moments=2)


def test_devices():
    assert training.choose_device("cpu") == torch.device("cpu")
    assert training.choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(ValueError, match="unknown device 'gpu'; did you mean 'cpu'"):
        training.choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device 'cuda' isn't available .*use --device cpu"):
            training.choose_device("cuda")


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown recipe 'paper2021'; did you mean 'paper2012'"):
        training.recipe_of("paper2021")
    assert training.recipe_of("modern") is paper.RECIPES["modern"]


def test_recipes_survive_a_checkpoint():
    for recipe in paper.RECIPES.values():
        kept = json.loads(json.dumps(asdict(recipe)))
        assert {k: training._listed(v) for k, v in asdict(recipe).items()} == kept
