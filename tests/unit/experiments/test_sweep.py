"""Sweeps of many networks against one plain loop of torch."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, augment, models
from alexnet_lib.architectures import LayerSpec
from alexnet_lib.batches import random_seed
from alexnet_lib.experiments import sweep
from alexnet_lib.experiments.sweep import Data, Run, View
from alexnet_lib.optim import StepSchedule

SPEC = architectures.small_network(12, 3, 3, (4, 6))


@pytest.fixture(scope="module")
def data(toy_images):
    return Data(toy_images(40))


def _run(name="a", **options):
    std = {"conv1": 0.05, "conv2": 0.05, "fc": 0.1}
    return Run(**{"name": name, "spec": SPEC, "lr": 1e-3, "seed": 3, "epochs": 3,
                  "view": View(scale=0.02), "weight_std": std} | options)  # fmt: skip


def _plain(run, data, batch_size):
    """The same by hand, with torch's own modules for the data and our rule written out."""
    net = models.build(run.spec).initialize(run.seed, None, False, run.weight_std)
    net.to(memory_format=torch.channels_last).train()
    velocity = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    errors, losses, size = [], [], run.spec.input_size
    for epoch in range(run.epochs):
        draw = torch.Generator().manual_seed(random_seed("sweep", run.seed, epoch))
        order = torch.randperm(len(data), generator=draw)
        steps = len(data) // batch_size
        shape = (steps, batch_size, 3)
        uniform = torch.rand(shape, generator=draw).flatten(0, 1)
        wrong, total = 0, 0.0
        for step in range(steps):
            x, rows = [], range(step * batch_size, (step + 1) * batch_size)
            for row in rows:
                picture = data.images[order[row]].float()
                side = picture.shape[0]
                top = left = (side - size) // 2
                if run.view.crops:
                    top, left = (int(uniform[row, axis] * (side - size + 1)) for axis in (0, 1))
                picture = picture[top : top + size, left : left + size]
                if run.view.flips and uniform[row, 2] < 0.5:
                    picture = picture.flip(1)
                x.append(picture - augment.centre_crop(data.mean, size))
            x = torch.stack(x).permute(0, 3, 1, 2) * run.view.scale
            y = data.labels[order[rows.start : rows.stop]]
            logits = net(x)
            loss = F.cross_entropy(logits, y)
            net.zero_grad()
            loss.backward()
            wrong, total = wrong + int((logits.argmax(1) != y).sum()), total + loss.item()
            lr = run.lr_at((epoch + step / steps) / run.epochs)
            with torch.no_grad():
                for name, p in net.named_parameters():
                    bias, stage = name.endswith("bias"), name.split(".")[1]
                    factor = run.lr_factors.get(stage, 1) * (run.bias_lr if bias else 1)
                    g = p.grad * factor + (0 if bias else run.weight_decay) * p
                    velocity[name] = run.momentum * velocity[name] - lr * g
                    p += velocity[name]
        errors.append(wrong / steps / batch_size)
        losses.append(total / steps)
    return net, errors, losses


@pytest.mark.parametrize("options", [
    {},
    {"weight_decay": 0.05, "bias_lr": 2.0, "schedule": StepSchedule(1e-3, (0.5,))},
    {"spec": replace(SPEC, input_size=10), "view": View(0.02, crops=True, flips=True)},
    {"lr_factors": {"conv1": 0.0}},
])  # fmt: skip
def test_a_sweep_of_one_is_a_plain_loop(data, options):
    if "spec" in options:
        options = options | {"spec": architectures.small_network(10, 3, 3, (4, 6))}
    run = _run(**options)
    expected, errors, losses = _plain(run, data, 8)
    result = sweep.train([run], data, batch_size=8)["a"]
    assert result.status == "finished" and result.train_error == pytest.approx(errors)
    assert result.train_loss == pytest.approx(losses, rel=1e-4)
    for name, p in expected.named_parameters():
        torch.testing.assert_close(result.net.get_parameter(name), p, rtol=1e-4, atol=1e-6)


def test_runs_join_and_leave_without_disturbing_the_others(data):
    options = {"weight_decay": 0.01, "spec": SPEC}
    alone = sweep.train([_run("b", epochs=5, **options)], data, batch_size=8)["b"]
    wide = architectures.small_network(12, 3, 3, (6, 8))

    def on_epoch(results):
        late = [_run("late", epochs=2, spec=wide)] if "late" not in results else []
        return {"a"} if results["a"].epochs == 2 else set(), late

    runs = [_run("a", epochs=9), _run("b", epochs=5, **options), _run("c", spec=wide, lr=1e9)]
    results = sweep.train(runs, data, batch_size=8, on_epoch=on_epoch)
    status = {name: (result.status, result.epochs) for name, result in results.items()}
    assert status["a"] == ("stopped", 2) and status["b"] == ("finished", 5)
    assert status["c"][0] == "diverged" and status["late"] == ("finished", 2)
    assert results["b"].train_loss == pytest.approx(alone.train_loss, rel=1e-4)
    for p, q in zip(results["b"].net.parameters(), alone.net.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def test_targets_tests_watching_moments_and_deadlines(data, toy_images):
    seen, test = [], Data(toy_images(12, "val"), like=data)
    run = _run(lr=0.01, epochs=30, target=0.3, watch=(0, 1, -1), moments=frozenset([0, 7]))
    result = sweep.train(
        [run], data, test=test, batch_size=8, test_every=1,
        observe=lambda result: seen.append((result.epochs, result.status)),
    )["a"]  # fmt: skip
    assert result.status == "reached" and result.train_error[-1] <= 0.3 < result.train_error[-2]
    assert result.epochs - 1 < result.epochs_to(0.3) <= result.epochs
    assert result.epochs_to(-1) is None
    assert seen[:2] == [(0, "running"), (1, "running")] and seen[-1][1] == "reached"
    assert sorted(result.taken) == [0, 7] and 0 <= result.test["error"] <= 1
    assert not torch.equal(result.taken[0], result.taken[7])
    late = sweep.train([run], data, batch_size=8, deadline=time.monotonic() - 1)["a"]
    assert late.status == "cut" and late.record()["epochs"] == 0
    with pytest.raises(ValueError, match="called 'a'"):
        sweep.train([run, run], data, batch_size=8)
    with pytest.raises(ValueError, match="12 pixels"):
        sweep.train([run], Data(toy_images(20, side=8)), batch_size=8)


def test_evaluate_centre_and_ten_views(data):
    net = models.build(architectures.small_network(10, 3, 3, (4, 6)), seed=0)
    view = View(scale=0.02)
    centre = sweep.evaluate(net, data, view, batch_size=7)
    x = augment.to_input(augment.centre_crop(data.images, 10), data.mean) * 0.02
    net.eval()
    assert centre["error"] == round(float((net(x).argmax(1) != data.labels).float().mean()), 4)
    assert 0 <= sweep.evaluate(net, data, view, 20, ten_crop=True)["error"] <= 1


def test_dropout_colour_and_the_spread_by_fan_in(data):
    spec = architectures.small_network(12, 3, 3, (4, 6))
    *stages, last = spec.layers
    spec = replace(spec, layers=(*stages, LayerSpec("drop", "dropout", keep=0.5), last))
    std = sweep.fan_in_std(spec, gain=2.0)
    assert std["conv1"] == pytest.approx(2 / 75**0.5) and set(std) == {"conv1", "conv2", "fc"}
    run = _run(spec=spec, weight_std=std, view=View(0.02, colour=0.1))
    assert sweep.train([run], data, batch_size=8)["a"].status == "finished"
    assert data.std() == pytest.approx(
        float((data.images.float() - data.mean).std(correction=0)), rel=1e-5
    )
