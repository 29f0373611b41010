"""The models, held against torchvision, against plain PyTorch layers, and against `shapes`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import alexnet as torchvision_alexnet

from alexnet_lib import architectures, models, shapes
from alexnet_lib.architectures import LayerSpec, NetworkSpec
from alexnet_lib.kernels import fused

CLASSES = 10


def features(variant: str, seed: int = 0) -> models.Net:
    """The convolutions of a variant alone: 2 million of its 60 million parameters."""
    spec = architectures.network(variant)
    end = spec.layers.index(spec.layer("flatten"))
    return models.build(replace(spec, layers=spec.layers[:end]), seed)


def pictures(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return 60 * torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- torchvision's AlexNet

@pytest.fixture(scope="module")
def pair():
    """torchvision's AlexNet, and ours with its state dict."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = torchvision_alexnet(weights=None, num_classes=CLASSES)
    ours = models.blueprint(architectures.network("torchvision", CLASSES))
    ours.load_state_dict(theirs.state_dict(), assign=True)
    return ours, theirs


def test_torchvision_s_state_dict_loads_and_gives_the_same(pair):
    ours, theirs = pair
    x = pictures(2, 224)
    with torch.no_grad():
        assert torch.equal(ours.eval()(x), theirs.eval()(x))
        smaller = pictures(1, 195, seed=1)  # adaptive pooling takes other sizes as well
        assert torch.equal(ours(smaller), theirs(smaller))


def test_torchvision_s_dropout_falls_alike(pair):
    ours, theirs = pair
    x, outputs = pictures(2, 224), []
    for model in pair:
        torch.manual_seed(3)
        with torch.no_grad():
            outputs.append(model.train()(x))
    assert torch.equal(*outputs)


def test_our_state_dict_loads_into_torchvision():
    ours = models.blueprint(architectures.network("torchvision")).state_dict()
    with torch.device("meta"):
        theirs = torchvision_alexnet(weights=None).state_dict()
    assert list(ours) == list(theirs)
    assert [t.shape for t in ours.values()] == [t.shape for t in theirs.values()]


# ---------------------------------------------------------------- all variants, without memory

def stage_shapes(model: models.Net, side: int) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}

    def note(name: str):
        return lambda module, inputs, output: seen.update({name: tuple(output.shape[1:])})

    for name in model.stages:
        model.stage(name).register_forward_hook(note(name))
    model(torch.empty(2, model.spec.input_channels, side, side, device="meta"))
    return seen


@pytest.mark.parametrize("variant", architectures.VARIANTS)
def test_modules_have_the_shapes_and_parameters_that_are_computed(variant):  # G1, G2
    model = models.blueprint(architectures.network(variant))
    rows = shapes.walk(model.spec)
    seen = stage_shapes(model, model.spec.input_size)
    assert seen == {row.name: row.output for row in rows}
    for row in rows:
        assert sum(p.numel() for p in model.stage(row.name).parameters()) == row.parameters
    total = sum(p.numel() for p in model.parameters())
    assert total == shapes.totals(model.spec).parameters
    biases = sum(p.numel() for name, p in model.named_parameters() if name.endswith("bias"))
    assert biases == shapes.totals(model.spec).biases


def test_the_55_itself():  # G2: a 54 would hide behind pooling rounded up
    for variant in architectures.VARIANTS:
        model = models.blueprint(architectures.network(variant))
        assert stage_shapes(model, model.spec.input_size)["conv1"][1:] == (55, 55)


def test_the_2x2_pooling_of_run_147():  # G7
    def apart(layer: LayerSpec) -> LayerSpec:
        if layer.kind == "max_pool":
            return replace(layer, kernel=2)
        return replace(layer, padding={"conv2": 1, "conv5": 0}.get(layer.name, layer.padding))

    spec = architectures.network("source2012")
    seen = stage_shapes(
        models.blueprint(replace(spec, layers=tuple(map(apart, spec.layers)))), 224
    )
    names = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")
    assert [seen[name][1] for name in names] == [55, 28, 26, 13, 13, 13, 11, 6]


# ---------------------------------------------------------------- against plain PyTorch

def halves(t: torch.Tensor) -> list[torch.Tensor]:
    return list(t.chunk(2))


def two_towers(model: models.Net, x: torch.Tensor, lrn: nn.Module) -> torch.Tensor:
    """The paper's five convolutions as two lists of maps that meet at conv3 alone."""
    weight = {i: halves(model.stage(f"conv{i}").weight) for i in range(1, 6)}
    bias = {i: halves(model.stage(f"conv{i}").bias) for i in range(1, 6)}

    def convolve(i: int, tower: int, maps: torch.Tensor, padding: int, stride: int = 1):
        return F.conv2d(maps, weight[i][tower], bias[i][tower], stride, padding).relu()

    towers = [F.max_pool2d(lrn(convolve(1, t, x, 0, 4)), 3, 2) for t in range(2)]
    towers = [F.max_pool2d(lrn(convolve(2, t, towers[t], 2)), 3, 2) for t in range(2)]
    both = torch.cat(towers, dim=1)
    towers = [convolve(3, t, both, 1) for t in range(2)]
    towers = [convolve(4, t, towers[t], 1) for t in range(2)]
    towers = [convolve(5, t, towers[t], 1) for t in range(2)]
    return F.max_pool2d(torch.cat(towers, dim=1), 3, 2)


@torch.no_grad()
def test_the_paper_s_convolutions_are_two_towers():  # G4
    model, x = features("paper"), pictures(2, 227)
    printed = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    expected = two_towers(model, x, printed)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-6)
    full_width = features("paper")
    for name in ("lrn1", "lrn2"):
        module = full_width.stage(name)
        module.spec = replace(module.spec, groups=1)
    assert not torch.allclose(full_width(x), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_caffe_s_convolutions_are_grouped_with_lrn_across():
    model, x = features("caffe"), pictures(2, 227)
    lrn, pool = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0), nn.MaxPool2d(3, 2)
    plain = nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(), lrn, pool,
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), lrn, pool,
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool,
    )
    plain.load_state_dict(
        dict(zip(plain.state_dict(), model.state_dict().values(), strict=True))
    )
    torch.testing.assert_close(model(x), plain(x), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_2012_code_step_by_step():  # G3 in place, and its order of layer 1
    model, x = features("source2012"), pictures(1, 224)
    lrn = nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)

    def convolve(i: int, maps: torch.Tensor, padding: int, groups: int, stride: int = 1):
        conv = model.stage(f"conv{i}")
        return F.conv2d(maps, conv.weight, conv.bias, stride, padding, groups=groups)

    def per_tower(maps: torch.Tensor) -> torch.Tensor:
        return torch.cat([lrn(half) for half in maps.chunk(2, dim=1)], dim=1)

    y = convolve(1, F.pad(x, (0, 3, 0, 3)), 0, 1, 4)
    y = F.max_pool2d(per_tower(y), 3, 2).relu()
    y = per_tower(convolve(2, y, 2, 2).relu())
    y = y * (1 + 1e-3 / 25 * F.conv2d(
        (y * y).flatten(0, 1)[:, None], torch.ones(1, 1, 5, 5), padding=2
    ).reshape(y.shape)) ** -0.75
    y = F.max_pool2d(y, 3, 2)
    y = convolve(3, y, 1, 1).relu()
    y = convolve(4, y, 1, 2).relu()
    y = F.max_pool2d(convolve(5, y, 1, 2), 3, 2).relu()
    assert y.shape == (1, 256, 6, 6)
    torch.testing.assert_close(model(x), y, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter():
    lrn = LayerSpec("lrn", "lrn", size=3, alpha=1e-3, beta=0.75, k=2.0, convention="paper")
    for activation in ("relu", "tanh", "sigmoid"):
        model = models.build(architectures.small_network(12, 3, 4, (4, 6), activation, lrn), seed=0)
        model(pictures(3, 12) / 60).square().sum().backward()
        for name, p in model.named_parameters():
            assert p.grad is not None and p.grad.abs().sum() > 0, name


def test_average_pooling_counts_what_lies_in_the_map():
    spec = NetworkSpec("averaging", 9, (
        LayerSpec("pool", "average_pool", kernel=3, stride=2, padding=1),
        LayerSpec("flatten", "flatten"), LayerSpec("fc", "fc", channels=2),
    ))
    x = pictures(1, 9)
    expected = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(models.build(spec, 0).stage("pool")(x), expected)


# ---------------------------------------------------------------- initialization

DRAWN = {  # variant: deviations and biases of conv1 to conv5
    "paper": ([0.01] * 5, [0, 1, 0, 1, 1]),
    "source2012": ([0.01, 0.01, 0.03, 0.03, 0.03], [0, 1, 0, 1, 1]),
    "caffe": ([0.01] * 5, [0, 0.1, 0, 0.1, 0.1]),
}


@pytest.mark.parametrize("variant", DRAWN)
def test_what_is_drawn_at_the_start(variant):
    model = features(variant)
    deviations, biases = DRAWN[variant]
    for i, (std, bias) in enumerate(zip(deviations, biases, strict=True), start=1):
        conv = model.stage(f"conv{i}")
        assert conv.weight.std().item() == pytest.approx(std, rel=0.03)
        assert abs(conv.weight.mean().item()) < std / 50
        assert (conv.bias == bias).all()


def test_the_fully_connected_layers_start():
    def head(variant: str):
        layers = [x for x in architectures.network(variant).layers if x.kind == "fc"]
        return [(x.weight_std, x.bias) for x in layers]

    assert head("paper") == head("source2012") == [(0.01, 1), (0.01, 1), (0.01, 0)]
    assert head("caffe") == [(0.005, 0.1), (0.005, 0.1), (0.01, 0)]


def test_a_seed_draws_the_same_and_leaves_torch_s_state_alone():
    spec = architectures.small_network()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other, third = (models.build(spec, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.stage("conv1").weight, other.stage("conv1").weight)
    assert not torch.equal(one.stage("conv1").weight, third.stage("conv1").weight)


def test_without_a_seed_torch_s_state_draws():
    spec, drawn = architectures.small_network(), []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        drawn.append(models.build(spec).stage("fc").weight)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_torch_s_own_rule_where_the_stages_say_nothing():
    model = models.build(architectures.small_network(28, 1, 10), seed=0)
    for name in ("conv2", "fc"):
        module = model.stage(name)
        bound = module.weight[0].numel() ** -0.5
        for values in (module.weight, module.bias):
            assert values.abs().max() <= bound
            assert values.abs().max() > 0.8 * bound
    assert model.stage("fc").weight.std().item() == pytest.approx(
        model.stage("fc").weight[0].numel() ** -0.5 / 3**0.5, rel=0.05
    )


def test_he_initialization_and_overrides():
    model = models.build(replace(architectures.network("paper"), layers=architectures.network(
        "paper").layers[:8]), seed=0)
    model.initialize(0, he=True)
    conv = model.stage("conv2")
    assert conv.weight.std().item() == pytest.approx((2 / (48 * 25)) ** 0.5, rel=0.02)
    assert (conv.bias == 0).all()
    model.initialize(0, he=True, weight_std={"conv1": 0.01})
    assert model.stage("conv1").weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert conv.weight.std().item() == pytest.approx((2 / (48 * 25)) ** 0.5, rel=0.02)
    model.initialize(0, biases={"conv2": 0.5}, weight_std={"conv2": 0.2})
    assert conv.weight.std().item() == pytest.approx(0.2, rel=0.02)
    assert (conv.bias == 0.5).all()
    assert model.stage("conv1").weight.std().item() == pytest.approx(0.01, rel=0.02)


# ---------------------------------------------------------------- handling

def test_stages_by_name():
    model = models.blueprint(architectures.network("paper"))
    assert model.stage("conv1") is model.features.conv1
    assert model.stage("fc6") is model.classifier.fc6
    numbered = models.blueprint(architectures.network("torchvision"))
    assert numbered.stage("conv2") is numbered.features[3]
    assert numbered.stage("fc8") is numbered.classifier[6]
    with pytest.raises(ValueError, match="unknown layer of 'paper' 'cnv1'; did you mean 'conv1'"):
        model.stage("cnv1")


def test_reprs_say_what_matters():
    text = repr(models.blueprint(architectures.network("paper")))
    assert "LRN(size=5, alpha=0.0001, beta=0.75, k=2.0, 'paper', groups=2)" in text
    assert "MaskDropout(keep=0.5)" in text


def test_an_unknown_variant_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown variant 'cafe'; did you mean 'caffe'"):
        models.alexnet("cafe")


def test_alexnet_is_built_and_usable():
    model = models.alexnet("one_tower", CLASSES, seed=0)
    assert model.spec == architectures.network("one_tower", CLASSES)
    with torch.no_grad():
        y = model.eval()(pictures(1, 227))
    assert y.shape == (1, CLASSES)
    assert y.isfinite().all()
    assert next(model.parameters()).device.type == "cpu"


@pytest.mark.parametrize("variant", ["paper", "source2012"])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_relu_that_lrn_takes_over_changes_no_bit(variant, form):
    net = models.alexnet(variant, num_classes=5, seed=0).to(memory_format=form).eval()
    x = torch.randn(2, 3, net.spec.input_size, net.spec.input_size) * 60

    def step() -> tuple[torch.Tensor, list[torch.Tensor]]:
        y = net(x)
        return y.detach(), list(torch.autograd.grad(y.square().sum(), [*net.parameters()]))

    folded = step()
    seen = []
    hooks = [
        net.stage(name).register_forward_hook(lambda _, __, out: seen.append(out.min().item()))
        for name in ("relu1", "relu2", "lrn1", "lrn2")
    ]
    watched = step()
    assert len(seen) == 4 and min(seen[-3:]) >= 0  # source2012 normalizes before its first ReLU
    for hook in hooks:
        hook.remove()
    assert torch.equal(folded[0], watched[0])
    assert all(map(torch.equal, folded[1], watched[1]))


def test_which_relus_are_taken_over():
    net = models.alexnet("paper", seed=0)
    pairs = [("relu1", "lrn1"), ("relu2", "lrn2"), ("relu3", "conv4"), ("lrn1", "pool1")]
    taken = [fused._takes_over(*map(net.stage, pair)) for pair in pairs]
    assert taken == [True, True, False, False]
    for name in ("relu1", "lrn1"):
        for register in ("register_forward_hook", "register_forward_pre_hook",
                         "register_full_backward_hook"):  # fmt: skip
            hook = getattr(net.stage(name), register)(lambda *_: None)
            assert not fused._takes_over(net.stage("relu1"), net.stage("lrn1")), (name, register)
            hook.remove()
    assert fused._takes_over(net.stage("relu1"), net.stage("lrn1"))
