"""What runs on a GPU alone, against the CPU or float64; skipped where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_lib import architectures, augment, evaluation, models, ops, optim, towers
from alexnet_lib.architectures import LayerSpec
from alexnet_lib.batches import Batches
from alexnet_lib.datasets import ImageSet
from alexnet_lib.experiments import sweep
from alexnet_lib.kernels import lrn, lrn_triton

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
LIMITS = {
    torch.float32: {"rtol": 1e-4, "atol": 1e-5}, torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
    torch.float16: {"rtol": 4e-3, "atol": 4e-3},
}  # fmt: skip
FORMS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(autouse=True)
def _exact():
    """float32 as it's written, not TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape, groups", [((3, 96, 13, 7), 2), ((2, 35, 5, 5), 1), ((2, 6), 1)])
@pytest.mark.parametrize("window", [(2, 2, 0.1, 0.75, 2.0), (3, 0, 0.2, 1.2, 0.5)])
@pytest.mark.parametrize("relu", [False, True])
def test_lrn_against_float64(dtype, form, shape, groups, window, relu):
    torch.manual_seed(0)
    x = (2 * torch.randn(shape)).to(dtype)
    if len(shape) == 4:
        x = x.contiguous(memory_format=form)
    g = torch.randn(shape).to(dtype)
    wide = x.double().relu() if relu else x.double()
    expected = lrn.lrn_portable(wide, groups, *window)
    slope = lrn._portable_backward(g.double(), wide, groups, *window)
    slope = slope * (x > 0) if relu else slope
    there = x.cuda().requires_grad_()
    assert lrn_triton.takes(there, *window[:2])
    y = lrn.lrn(there, groups, *window, relu)
    (dx,) = torch.autograd.grad(y, there, g.cuda())
    assert y.dtype == dx.dtype == dtype and y.stride() == there.stride() == dx.stride()
    torch.testing.assert_close(y.double().cpu(), expected, **LIMITS[dtype])
    torch.testing.assert_close(dx.double().cpu(), slope, **LIMITS[dtype])


def test_lrn_of_odd_values_and_the_portable_way(monkeypatch):
    x = torch.tensor([0.0, float("nan"), 1e4, -3.0, float("inf"), 0.0]).view(1, 6, 1, 1)
    args = (1, 1, 1, 0.5, 0.75, 0.0)
    expected = lrn.lrn_portable(x.double(), *args)
    y = lrn.lrn(x.cuda(), *args)
    torch.testing.assert_close(y.double().cpu(), expected, rtol=1e-4, atol=0, equal_nan=True)
    maps = torch.randn(4, 20, 9, 9).cuda()
    fused = lrn.lrn(maps, 1, 2, 2, 0.1, 0.75, 2.0)
    monkeypatch.setenv("ALEXNET_KERNELS", "portable")
    torch.testing.assert_close(lrn.lrn(maps, 1, 2, 2, 0.1, 0.75, 2.0), fused)


def test_lrn_under_compile():
    x = torch.randn(2, 16, 6, 6, device="cuda").requires_grad_()
    once = torch.compile(lambda x: ops.local_response_norm(x * 2, relu=True).sum())
    (slope,) = torch.autograd.grad(once(x), x)
    (expected,) = torch.autograd.grad(ops.local_response_norm(x * 2, relu=True).sum(), x)
    torch.testing.assert_close(slope, expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_max_pool_as_on_the_cpu(form, dtype):
    x = torch.randn(2, 24, 13, 13).to(dtype).float().contiguous(memory_format=form)
    for rounding in ("floor", "ceil"):
        here, there = x.clone().requires_grad_(), x.cuda().to(dtype, copy=True).requires_grad_()
        y, z = ops.max_pool2d(here, 3, 2, 0, rounding), ops.max_pool2d(there, 3, 2, 0, rounding)
        assert torch.equal(y, z.float().cpu())
        y.sum().backward()
        z.sum().backward()
        torch.testing.assert_close(here.grad, there.grad.float().cpu())


@pytest.mark.parametrize("given", [
    (3, 96, 11, 4, 0, 1), (96, 256, 5, 1, 2, 2), (8, 16, 3, 1, 1, 1),
])  # fmt: skip
def test_convolutions_against_float64(given):
    """A wrong window, group or border is off by 10% of a spread and more.

    cuDNN takes the slope by the weights of 5 x 5 kernels from Winograd's large tiles, whose outer
    rows are off by 1% at the most even in float32; on the mean by far less.
    """
    C, K, kernel, stride, padding, groups = given
    torch.manual_seed(0)
    x = torch.randn(2, C, 31, 31).contiguous(memory_format=torch.channels_last)
    w, b = torch.randn(K, C // groups, kernel, kernel) / (C * kernel**2) ** 0.5, torch.randn(K)
    results = []
    for where in ({"dtype": torch.double}, {"device": "cuda"}):
        tensors = [t.detach().to(**where).requires_grad_() for t in (x, w, b)]
        y = ops.conv2d(*tensors, stride, padding, groups, "ceil" if stride > 1 else "floor")
        slopes = torch.autograd.grad(y.square().sum(), tensors)
        results.append([t.detach().double().cpu() for t in (y, *slopes)])
    for name, here, there in zip(("y", "dx", "dw", "db"), *results, strict=True):
        spread = float(here.std())
        if name == "dw" and kernel == 5:
            assert float((there - here).square().mean().sqrt()) < 2e-3 * spread
            torch.testing.assert_close(there, here, rtol=0, atol=3e-2 * spread)
        else:
            torch.testing.assert_close(there, here, rtol=1e-3, atol=2e-4 * spread)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_update_rule_as_on_the_cpu(nesterov):
    torch.manual_seed(0)
    start, slopes = torch.randn(300, 40), torch.randn(3, 300, 40)
    ends = []
    for device in ("cpu", "cuda"):
        w = torch.nn.Parameter(start.to(device, copy=True))
        optimizer = optim.SGD2012([w], 0.1, 0.9, 0.01, nesterov=nesterov)
        for g in slopes:
            w.grad = g.to(device)
            optimizer.step()
        ends.append(w.detach().cpu())
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)


def test_dropout_masks_keep_half_and_scale_at_test():
    x = torch.ones(1000, 64, device="cuda")
    layer = models.MaskDropout(0.5).train()
    kept = layer(x)
    assert set(kept.unique().tolist()) == {0.0, 1.0} and abs(float(kept.mean()) - 0.5) < 0.02
    assert torch.equal(layer.eval()(x), x / 2)
    part = ops.mask_dropout(x, 0.5, True, False, (2000, 128), (1000, 64))
    assert part.shape == x.shape and abs(float(part.mean()) - 0.5) < 0.02


def test_alexnet_as_on_the_cpu():
    for variant in ("paper", "source2012"):
        net = models.alexnet(variant, 10, seed=0).eval().to(memory_format=torch.channels_last)
        side = net.spec.input_size
        x = (60 * torch.randn(2, 3, side, side)).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            here = net(x)
            there = net.cuda()(x.cuda()).cpu()
        torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3 * float(here.abs().max()))


def test_resident_pictures_give_the_cpus_crops(toy_images):
    train = toy_images(20)
    mean = augment.mean_image(train.images)
    values, vectors = augment.colour_components(train.images)
    for colour, exact in ((None, True), ((values, vectors, 0.1), False)):
        here, there = (
            Batches(train, 10, 8, mean, colour, seed=3, device=device)
            for device in ("cpu", "cuda")
        )
        assert there.resident is not None and here.resident is None
        pairs = zip(here.epoch(1), there.epoch(1), strict=True)
        for (x, y), (z, t) in pairs:
            assert torch.equal(y, t.cpu())
            if exact:
                assert torch.equal(x, z.cpu())
            torch.testing.assert_close(x, z.cpu(), rtol=1e-5, atol=1e-3)


def test_towers_are_cut_and_put_together_on_the_gpu():
    net = models.alexnet("paper", 10, seed=0).cuda()
    weights = net.state_dict()
    halves = [towers.split(weights, net.spec, tower) for tower in (0, 1)]
    assert all(value.is_cuda for half in halves for value in half.values())
    whole = towers.merge(tuple(halves), net.spec)
    for name, value in weights.items():
        assert torch.equal(whole[name].to(value.device), value), name


@pytest.mark.parametrize("mixed", [False, True])
def test_training_learns_and_resumes(fit, toy_recipe, tmp_path, mixed):
    recipe = replace(toy_recipe, mixed_precision=mixed, epochs=4, weight_decay=0.0)
    _, whole = fit(tmp_path / "whole", recipe, device="cuda")
    assert whole.status == "finished" and whole.losses[-1] < whole.losses[0]
    at = []

    def stop(run) -> bool:
        at.append(run.step)
        return len(at) == 6

    fit(tmp_path / "parts", recipe, device="cuda", on_step=stop)
    _, resumed = fit(tmp_path / "parts", recipe, device="cuda", resume=True)
    assert resumed.status == "finished"
    limit = 0.02 if mixed else 1e-4
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=limit, atol=limit)


def test_training_on_the_gpu_as_on_the_cpu(fit, toy_spec):
    spec = replace(toy_spec, layers=tuple(s for s in toy_spec.layers if s.kind != "dropout"))
    _, here = fit(spec=spec)
    _, there = fit(spec=spec, device="cuda")
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-3)
    assert [row["val_top1"] for row in there.epochs] == [row["val_top1"] for row in here.epochs]


def test_evaluation_as_on_the_cpu(toy_images, toy_spec):
    net, val = models.build(toy_spec, seed=0), toy_images(12, "val")
    mean = augment.mean_image(val.images)
    for ten in (False, True):
        here = evaluation.evaluate(net.cpu(), val, mean, ten)
        there = evaluation.evaluate(net.cuda(), val, mean, ten, device="cuda")
        assert there["top1"] == here["top1"] and abs(there["loss"] - here["loss"]) < 1e-3


def _sweep_runs(extra: tuple[LayerSpec, ...] = ()) -> list[sweep.Run]:
    lrn = LayerSpec("lrn", "lrn", size=3, alpha=1e-3, beta=0.75, k=2.0, convention="paper")
    plain, normed = architectures.small_network(10, 3, 3, (4, 6)), architectures.small_network(
        10, 3, 3, (8, 6), lrn=lrn
    )
    view = sweep.View(0.02, crops=True, flips=True, colour=0.1)
    std = {"conv1": 0.05, "conv2": 0.05, "fc": 0.1}
    return [
        sweep.Run(
            f"{spec.layers[0].channels} {seed}", spec, 2e-3, seed, 4, view, std, bias_lr=2.0,
            weight_decay=0.01, schedule=optim.StepSchedule(2e-3, (0.5,)),
        )
        for spec in (plain, normed) for seed in range(20)
    ]  # fmt: skip


def test_a_sweep_in_one_graph_is_the_cpus(toy_images):
    about, results = {}, []
    for device in ("cpu", "cuda"):
        results.append(sweep.train(
            _sweep_runs(), sweep.Data(toy_images(64), device), batch_size=8, precision="float32",
            test=None, about=about,
        ))  # fmt: skip
    assert about["one_graph"], about["graph_problem"]
    for name, here in results[0].items():
        there = results[1][name]
        np.testing.assert_allclose(there.train_loss, here.train_loss, rtol=2e-3)
        for p, q in zip(here.net.parameters(), there.net.parameters(), strict=True):
            torch.testing.assert_close(q.cpu(), p, rtol=1e-2, atol=1e-3)


def test_a_sweep_where_networks_join_and_leave(toy_images):
    data = sweep.Data(toy_images(64), "cuda")
    test = sweep.Data(toy_images(12, "val"), "cuda", like=data)
    runs = _sweep_runs()

    def on_epoch(results):
        late = [replace(runs[0], name="late")] if "late" not in results else []
        return ({"4 1"} if results["4 1"].epochs == 2 else set()), late

    about: dict = {}
    results = sweep.train(
        [*runs, replace(runs[3], name="wild", lr=1e12, schedule=None)], data, test=test,
        batch_size=8, precision="float32", on_epoch=on_epoch, about=about,
    )  # fmt: skip
    assert about["one_graph"], about["graph_problem"]
    assert results["4 1"].status == "stopped" and results["wild"].status == "diverged"
    assert results["late"].train_loss == pytest.approx(results["4 0"].train_loss, rel=1e-3)
    assert all(0 <= r.test["error"] <= 1 for r in results.values() if r.status == "finished")


def test_a_sweep_with_dropout_draws_new_masks_and_bfloat16_learns(toy_images):
    spec = architectures.small_network(12, 3, 3, (8, 8))
    *stages, last = spec.layers
    spec = replace(spec, layers=(*stages, LayerSpec("drop", "dropout", keep=0.5), last))
    run = sweep.Run(
        "a", spec, 0.01, 0, 8, sweep.View(0.02), sweep.fan_in_std(spec), momentum=0.0
    )
    still = replace(run, name="still", lr=0.0)
    for precision in ("tf32", "bfloat16"):
        about: dict = {}
        results = sweep.train(
            [run, still], sweep.Data(toy_images(64), "cuda"), batch_size=64,
            precision=precision, about=about,
        )  # fmt: skip
        assert about["one_graph"], about["graph_problem"]
        assert results["a"].train_loss[-1] < results["a"].train_loss[0]
        losses = results["still"].train_loss  # same pictures and weights, other masks
        assert len(set(losses)) > 4


def test_alexnet_in_a_sweep(toy_images):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 240, 240, 3), dtype=np.uint8)
    train = ImageSet(pixels, np.arange(32) % 10, [str(n) for n in range(10)], "noise", "train")
    view = sweep.View(crops=True, flips=True, colour=0.1)
    runs = [
        sweep.Run(
            variant, architectures.network(variant, 10), 1e-3, 0, 2, view, weight_decay=5e-4,
            biases={"fc6": 0.0, "fc7": 0.0}, moments=frozenset([0, 1, 4]),
        )
        for variant in ("paper", "source2012", "caffe")
    ]  # fmt: skip
    about: dict = {}
    results = sweep.train(runs, sweep.Data(train, "cuda"), batch_size=16, about=about)
    assert about["one_graph"], about["graph_problem"]
    for result in results.values():
        assert result.status == "finished" and sorted(result.taken) == [0, 1, 4]
