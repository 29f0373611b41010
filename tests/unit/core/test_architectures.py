"""The variants, held against the sheet of facts: widths, groups, order, starting values."""

from __future__ import annotations

import dataclasses

import pytest

from alexnet_lib import architectures, shapes
from alexnet_lib.architectures import LayerSpec, NetworkSpec

WIDTHS = {
    "paper": (96, 256, 384, 384, 256),
    "source2012": (96, 256, 384, 384, 256),
    "caffe": (96, 256, 384, 384, 256),
    "one_tower": (48, 128, 192, 192, 256),
    "ungrouped": (96, 256, 384, 384, 256),
    "torchvision": (64, 192, 384, 256, 256),
}
KERNELS = (11, 5, 3, 3, 3)
HEAD = ["flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
MIDDLE = ["conv3", "relu3", "conv4", "relu4", "conv5"]
PAPER_ORDER = [
    "conv1", "relu1", "lrn1", "pool1", "conv2", "relu2", "lrn2", "pool2", *MIDDLE, "relu5", "pool5",
    *HEAD,
]
ORDERS = {
    "paper": PAPER_ORDER, "caffe": PAPER_ORDER, "one_tower": PAPER_ORDER, "ungrouped": PAPER_ORDER,
    "source2012": [
        "conv1", "lrn1", "pool1", "relu1", "conv2", "relu2", "lrn2", "map_norm2", "pool2", *MIDDLE,
        "pool5", "relu5", *HEAD,
    ],
    "torchvision": [
        "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", *MIDDLE, "relu5", "pool5",
        "average", "flatten", "drop6", "fc6", "relu6", "drop7", "fc7", "relu7", "fc8",
    ],
}


def layers(variant: str, kind: str) -> list[LayerSpec]:
    return [layer for layer in architectures.network(variant).layers if layer.kind == kind]


@pytest.mark.parametrize("variant", architectures.VARIANTS)
def test_stages_stand_in_their_source_s_order(variant):
    assert [layer.name for layer in architectures.network(variant).layers] == ORDERS[variant]


@pytest.mark.parametrize("variant", architectures.VARIANTS)
def test_widths_kernels_and_groups(variant):
    convolutions = layers(variant, "conv")
    assert tuple(layer.channels for layer in convolutions) == WIDTHS[variant]
    assert tuple(layer.kernel for layer in convolutions) == KERNELS
    towers = 2 if variant in ("paper", "source2012", "caffe") else 1
    assert [layer.groups for layer in convolutions] == [1, towers, 1, towers, towers]
    assert [layer.channels for layer in layers(variant, "fc")] == [4096, 4096, 1000]


@pytest.mark.parametrize("variant", architectures.VARIANTS)
def test_pooling_overlaps_everywhere(variant):
    pools = layers(variant, "max_pool")
    assert [(pool.name, pool.kernel, pool.stride) for pool in pools] == [
        ("pool1", 3, 2), ("pool2", 3, 2), ("pool5", 3, 2)
    ]


@pytest.mark.parametrize(
    ("variant", "convention", "k", "groups"),
    [
        ("paper", "paper", 2, 2), ("source2012", "source2012", 2, 2), ("caffe", "caffe", 1, 1),
        ("one_tower", "paper", 2, 1), ("ungrouped", "paper", 2, 1),
    ],
)
def test_lrn_of_each_variant(variant, convention, k, groups):
    norms = layers(variant, "lrn")
    assert [norm.name for norm in norms] == ["lrn1", "lrn2"]  # not after layer 5
    for norm in norms:
        assert (norm.convention, norm.k, norm.groups) == (convention, k, groups)
        assert (norm.size, norm.alpha, norm.beta) == (5, 1e-4, 0.75)


def test_the_norm_within_maps_is_only_in_the_2012_code():
    (norm,) = layers("source2012", "same_map_norm")
    assert (norm.size, norm.alpha, norm.beta) == (5, 1e-3, 0.75)
    assert not any(layers(variant, "same_map_norm") for variant in WIDTHS if "2012" not in variant)


def test_dropout_scales_at_test_in_2012_and_in_training_today():
    for variant in architectures.VARIANTS:
        drops = layers(variant, "dropout")
        assert [drop.keep for drop in drops] == [0.5, 0.5]
        assert {drop.inverted for drop in drops} == {variant in ("caffe", "torchvision")}


@pytest.mark.parametrize("variant", architectures.VARIANTS)
def test_num_classes_changes_the_last_layer_alone(variant):
    thousand, ten = architectures.network(variant), architectures.network(variant, 10)
    assert ten.layers[:-1] == thousand.layers[:-1]
    assert ten.layers[-1] == dataclasses.replace(thousand.layers[-1], channels=10)
    assert shapes.walk(ten)[-1].output == (10,)


def test_inputs():
    sizes = {
        variant: architectures.network(variant).input_size for variant in architectures.VARIANTS
    }
    assert sizes == {
        "paper": 227, "source2012": 224, "caffe": 227, "one_tower": 227, "ungrouped": 227,
        "torchvision": 224,
    }


def test_an_unknown_variant_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown variant 'papr'; did you mean 'paper'.*ungrouped"):
        architectures.network("papr")


def test_a_network_needs_a_class():
    with pytest.raises(ValueError, match="num_classes is 0; a network needs at least 1 class"):
        architectures.network("paper", 0)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_small_networks_have_their_activation_in_every_block(activation):
    spec = architectures.small_network(32, 3, 5, (8, 12, 16), activation)
    kinds = [layer.kind for layer in spec.layers]
    assert kinds == ["conv", activation, "max_pool"] * 3 + ["flatten", "fc"]
    assert shapes.walk(spec)[-1].output == (5,)
    assert spec.input_channels == 3


def test_small_networks_normalize_in_the_first_two_blocks():
    lrn = LayerSpec("any", "lrn", size=5, alpha=1e-4, beta=0.75, k=2.0, convention="paper")
    names = [
        layer.name for layer in architectures.small_network(lrn=lrn).layers if layer.kind == "lrn"
    ]
    assert names == ["lrn1", "lrn2"]


def test_small_networks_take_either_pooling():
    spec = architectures.small_network(pool_kernel=2, pool_stride=2)
    assert {(x.kernel, x.stride) for x in spec.layers if x.kind == "max_pool"} == {(2, 2)}


def test_an_unknown_activation_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown activation 'rleu'; did you mean 'relu'"):
        architectures.small_network(activation="rleu")


@pytest.mark.parametrize("variant", architectures.VARIANTS)
def test_a_network_survives_being_plain_data(variant):
    spec = architectures.network(variant, 7)
    plain = dataclasses.asdict(spec)
    stages = tuple(LayerSpec(**stage) for stage in plain["layers"])
    assert NetworkSpec(**{**plain, "layers": stages}) == spec
