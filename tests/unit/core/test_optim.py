"""The update rule, held against torch.optim.SGD and numbers by hand; the schedules."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from alexnet_lib import architectures, optim
from alexnet_lib.kernels import dispatch
from alexnet_lib.kernels import sgd as sgd_kernel
from alexnet_lib.models import build
from alexnet_lib.paper import RECIPES


def train(make_optimizer, rates: list[float]) -> list[torch.Tensor]:
    """Take steps on a fixed problem; returns the parameters."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(16, 6).double(), torch.randint(3, (16,))
    optimizer = make_optimizer(model)
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.03])
@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_at_a_constant_rate_it_is_torch_s(momentum, decay, nesterov):
    options = {"momentum": momentum, "weight_decay": decay, "nesterov": nesterov}
    ours = train(lambda m: optim.SGD2012(m.parameters(), 0.1, **options), [0.1] * 12)
    theirs = train(lambda m: torch.optim.SGD(m.parameters(), 0.1, **options), [0.1] * 12)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_a_change_of_rate_leaves_the_velocity():
    """v was made at the old rate and goes on as it is, where torch rescales all of it."""
    w = nn.Parameter(torch.tensor([0.0], dtype=torch.float64))
    optimizer = optim.SGD2012([w], lr=0.1, momentum=0.9, weight_decay=0.0)
    for rate, gradient in ((0.1, 1.0), (0.01, 0.0)):
        optimizer.param_groups[0]["lr"] = rate
        w.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    assert w.item() == pytest.approx(-0.1 - 0.09)
    options = {"momentum": 0.9, "weight_decay": 0.0}
    ours = train(lambda m: optim.SGD2012(m.parameters(), 0.1, **options), [0.1, 0.01])
    theirs = train(lambda m: torch.optim.SGD(m.parameters(), 0.1, **options), [0.1, 0.01])
    assert not torch.allclose(ours[0], theirs[0], rtol=1e-3)


def test_two_steps_by_hand():  # G8
    weight, bias = (nn.Parameter(torch.tensor([2.0], dtype=torch.float64)) for _ in range(2))
    optimizer = optim.SGD2012(
        [{"params": [weight], "weight_decay": 0.5}, {"params": [bias], "weight_decay": 0.0}],
        lr=0.1, momentum=0.9,
    )
    expected = [(1.8, 1.9), (1.43, 1.71)]
    # weight: v = -.1 (1 + .5 * 2) = -.2; then .9 * -.2 - .1 (1 + .5 * 1.8) = -.37
    # bias:   v = -.1;                     then .9 * -.1 - .1 = -.19
    for pair in expected:
        weight.grad, bias.grad = (torch.ones(1, dtype=torch.float64) for _ in range(2))
        optimizer.step()
        assert (weight.item(), bias.item()) == pytest.approx(pair)


def test_decay_is_scaled_by_the_rate():
    for rate in (0.1, 0.01):
        w = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
        optimizer = optim.SGD2012([w], lr=rate, weight_decay=0.5)
        w.grad = torch.zeros(1, dtype=torch.float64)
        optimizer.step()
        assert w.item() == pytest.approx(2 - rate * 0.5 * 2)


def test_weights_decay_and_biases_learn_at_their_own_rate():
    model = build(architectures.small_network(12, 3, 4, (4,)), seed=0)
    weights, biases = optim.parameter_groups(model, 5e-4, bias_lr=2.0)
    assert [p.dim() for p in weights["params"]] == [4, 2]
    assert [p.dim() for p in biases["params"]] == [1, 1]
    assert (weights["weight_decay"], biases["weight_decay"]) == (5e-4, 0.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = optim.SGD2012([weights, biases], lr=0.1)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            expected = before[name] - 0.2
        else:
            expected = before[name] - 0.1 * (1 + 5e-4 * before[name])
        torch.testing.assert_close(p.detach(), expected)
    assert optim.parameter_groups(model, decay_biases=True)[1]["weight_decay"] == 5e-4


def test_parameters_without_a_gradient_stay():
    one, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = optim.SGD2012([one, other], lr=0.1)
    one.grad = torch.ones(2)
    optimizer.step()
    assert (one < 1).all()
    assert (other == 1).all()


def test_a_closure_gives_its_loss():
    w = nn.Parameter(torch.tensor([3.0]))
    optimizer = optim.SGD2012([w], lr=0.1)

    def closure():
        loss = (w**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert w.item() < 3


@pytest.mark.parametrize("bad", [{"lr": -1}, {"weight_decay": -1}, {"momentum": 1}])
def test_rules_that_make_no_sense(bad):
    message = "lr and weight_decay must be 0 or more, momentum at least 0 and below 1"
    with pytest.raises(ValueError, match=message):
        optim.SGD2012([nn.Parameter(torch.ones(1))], **bad)


# ---------------------------------------------------------------- schedules

def test_steps():
    plan = optim.StepSchedule(0.01, (0.5, 0.75))
    rates = [plan.lr(progress) for progress in (0, 0.499, 0.5, 0.74, 0.75, 1)]
    assert rates == pytest.approx([0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4])


def test_cosine_with_warm_up():
    plan = optim.CosineSchedule(0.2, warmup=0.1)
    assert plan.lr(0.05) == pytest.approx(0.1)
    assert plan.lr(0.1) == pytest.approx(0.2)
    assert plan.lr(0.55) == pytest.approx(0.1)
    assert plan.lr(1.0) == pytest.approx(0, abs=1e-12)
    assert 0 < plan.lr(0) < 0.01  # the first step isn't lost
    rates = [plan.lr(i / 100) for i in range(10, 101)]
    assert rates == sorted(rates, reverse=True)
    assert optim.CosineSchedule(0.2).lr(0) == pytest.approx(0.2)


def test_plateau():
    plan = optim.PlateauSchedule(0.01, patience=2, reductions=2)
    rates = []
    for error in (0.9, 0.8, 0.8, 0.85, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7):
        plan.observe(error)
        rates.append(plan.lr(0))
    expected = [0.01] * 3 + [1e-3] * 3 + [1e-4] * 4  # at most twice
    assert rates == pytest.approx(expected)
    assert plan.best == 0.7


def test_a_plateau_starts_with_anything_and_takes_nan_for_no_improvement():
    plan = optim.PlateauSchedule(0.01, patience=1)
    plan.observe(5.0)
    assert plan.lr(0) == 0.01
    plan.observe(math.nan)
    assert plan.lr(0) == pytest.approx(1e-3)


def test_the_diary_of_2012():
    diary = optim.DiarySchedule([(68, 1e-5), (0, 1e-2), (23, 1e-3), (51, 1e-4)])  # in any order
    epochs = (0, 22.99, 23, 50, 51, 67.9, 68, 93)
    assert [diary.lr_at(epoch) for epoch in epochs] == [
        1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5
    ]
    assert optim.DiarySchedule([(5, 0.1), (9, 0.2)]).lr_at(2) == 0.1  # the first, before it
    with pytest.raises(ValueError, match=r"the diary is empty; give at least one \(epoch, lr\)"):
        optim.DiarySchedule([])


def test_recipes_name_their_schedule():
    assert isinstance(optim.schedule(RECIPES["paper2012"]), optim.PlateauSchedule)
    assert isinstance(optim.schedule(RECIPES["paper2012_small_data"]), optim.StepSchedule)
    assert isinstance(optim.schedule(RECIPES["modern"]), optim.CosineSchedule)
    with pytest.raises(ValueError, match="unknown schedule 'plato'; did you mean 'plateau'"):
        optim.schedule(replace(RECIPES["modern"], schedule="plato"))


@pytest.mark.skipif(not dispatch.compiled(), reason="no C compiler here")
@pytest.mark.parametrize("decay", [0.0, 5e-4])
def test_one_pass_over_memory_gives_the_same_bits(decay, monkeypatch):
    def run() -> list[torch.Tensor]:
        torch.manual_seed(0)
        conv = nn.Conv2d(16, 32, 3).to(memory_format=torch.channels_last)
        layers = nn.ModuleList([conv, nn.Linear(301, 77), nn.Linear(3, 5)])
        optimizer = optim.SGD2012(layers.parameters(), 0.013, weight_decay=decay)
        for rate in (0.013, 0.0013, 0.0):
            optimizer.param_groups[0]["lr"] = rate
            for p in layers.parameters():
                p.grad = torch.randn(p.shape).contiguous(
                    memory_format=torch.channels_last if p.dim() == 4 else torch.contiguous_format
                )
            optimizer.step()
        velocities = [optimizer.state[p]["velocity"] for p in layers.parameters()]
        return [p.detach() for p in layers.parameters()] + velocities

    used = []
    update = sgd_kernel.update
    monkeypatch.setattr(sgd_kernel, "update", lambda *a: used.append(1) or update(*a))
    fast = run()
    assert len(used) == 6, "the convolution's and the larger linear layer's weights take it"
    monkeypatch.setattr(sgd_kernel, "takes", lambda *tensors: False)
    assert all(torch.equal(one, other) for one, other in zip(fast, run(), strict=True))
