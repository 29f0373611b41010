"""Runs that stop and go on: to the bit as if they never had, however they were stopped."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_lib import checkpoints, models, optim, training

STEPS, EPOCHS = 4, 3  # of toy_recipe on 32 images
MOMENTS = 6


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


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(fit, whole, tmp_path):
    def die(run):
        if len(run.losses) == 7:
            raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        fit(tmp_path, on_step=die, checkpoint_seconds=1e-9)  # one after every step
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["status"], len(record["losses"])) == ("running", 6)
    model, run = fit(tmp_path, resume=True)
    assert same(model, whole[0])
    assert run.losses == whole[1].losses


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_other_recipes_go_on_as_well(fit, toy_recipe, tmp_path, schedule):
    recipe = replace(
        toy_recipe, schedule=schedule, patience=1, warmup=0.2, nesterov=True, label_smoothing=0.1,
        initialization="he", lr=1e-4,
    )
    whole, expected = fit(tmp_path / "whole", recipe)
    fit(tmp_path / "parts", recipe, on_step=stop_after(6))
    model, run = fit(tmp_path / "parts", recipe, resume=True)
    assert same(model, whole)
    assert timeless(run.epochs) == timeless(expected.epochs)


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
