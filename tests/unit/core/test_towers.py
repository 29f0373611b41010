"""The two towers' weights: cut from the whole network, and put together again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from alexnet_lib import architectures, models, shapes, towers
from alexnet_lib.towers import Link

SPEC = architectures.network("paper", 10)


def net(tower: int, spec=SPEC) -> towers.TowerNet:
    return towers.TowerNet(spec, tower, Link(peer=1 - tower))


@pytest.mark.parametrize("variant", ["paper", "source2012"])
def test_each_tower_holds_the_parameters_that_the_paper_s_gpus_held(variant):
    spec = architectures.network(variant)
    with torch.device("meta"):
        counts = [sum(p.numel() for p in net(tower, spec).parameters()) for tower in (0, 1)]
    assert counts == [32_531_112, 28_434_112] == list(shapes.tower_parameters(spec))


def test_the_layers_that_read_both_towers():
    assert shapes.reads_both(SPEC) == ["conv3", "fc6", "fc7", "fc8"]


def test_split_and_merge_are_opposites():
    whole = models.build(SPEC, seed=3).state_dict()
    parts = [towers.split(whole, SPEC, tower) for tower in (0, 1)]
    assert [part.keys() for part in parts] == [net(tower).state_dict().keys() for tower in (0, 1)]
    together = towers.merge(tuple(parts), SPEC)
    assert together.keys() == whole.keys()
    assert all(torch.equal(together[name], whole[name]) for name in whole)


def test_the_first_weights_are_those_of_one_process():
    whole = models.build(SPEC, seed=5)
    for tower in (0, 1):
        model = net(tower).initialize(5)
        for name, value in towers.split(whole.state_dict(), SPEC, tower).items():
            assert torch.equal(model.get_parameter(name), value), name


def test_which_weights_lie_where():
    whole = models.build(SPEC, seed=1).state_dict()
    one = towers.split(whole, SPEC, 1)
    assert torch.equal(one["features.conv2.weight"], whole["features.conv2.weight"][128:])
    assert torch.equal(one["features.conv3.own.weight"], whole["features.conv3.weight"][192:, 128:])
    other = whole["features.conv3.weight"][192:, :128]
    assert torch.equal(one["features.conv3.other.weight"], other)
    assert not any(name.startswith("classifier.fc8") for name in one)  # it lies on tower 0


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("caffe", "lrn1 of the network 'caffe' normalizes over all channels"),
        ("one_tower", "normalizes over all channels"),
        ("torchvision", "adaptive pooling"),
    ],
)
def test_networks_that_cannot_be_cut(variant, message):
    with pytest.raises(ValueError, match=message):
        towers.check_spec(architectures.network(variant))


def test_channels_that_cannot_be_halved():
    layers = [replace(layer, channels=97) if layer.name == "conv1" else layer
              for layer in SPEC.layers]  # fmt: skip
    with pytest.raises(ValueError, match="conv1 .* has 97 channels, which can't be halved"):
        towers.check_spec(replace(SPEC, layers=tuple(layers)))
    with pytest.raises(ValueError, match="tower is 2; there are two"):
        towers.TowerNet(SPEC, 2, Link(0))


def test_a_checkpoint_of_another_network_is_refused():
    whole = models.build(architectures.network("paper", 5), seed=0).state_dict()
    with pytest.raises(ValueError, match=r"needs classifier.fc8.weight of shape \(10, 4096\)"):
        towers.split(whole, SPEC, 0)
    del whole["features.conv1.bias"]
    with pytest.raises(ValueError, match="needs features.conv1.bias .* there is nothing"):
        towers.split(whole, SPEC, 0)


def test_dropout_of_a_part_is_a_part_of_the_whole_s_dropout():
    x = torch.ones(6, 8)
    torch.manual_seed(4)
    whole = models.MaskDropout(0.5).train()(x)
    for part in (0, 1):
        layer = models.MaskDropout(0.5, parts=2, part=part).train()
        layer.rows = (2, 6)
        torch.manual_seed(4)
        assert torch.equal(layer(x[2:5, :4]), whole[2:5, 4 * part : 4 * part + 4])
